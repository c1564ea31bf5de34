"""Detection in a stream of images that are read ahead."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace

import numpy as np
import pytest
import torch

import cornernet.inference.memory as memory_module
import cornernet.inference.stream as module
from cornernet.config import Config, config_from_dict
from cornernet.errors import OutOfMemory, UserError
from cornernet.inference.stream import detect_stream
from cornernet.model.detector import Detector
from cornernet.model.fuse import FusedDetector
from tests.small import SMALL_MODEL


def config(**sections: dict) -> Config:
    return config_from_dict({"model": SMALL_MODEL, "test": {"pad_multiple": 16}, **sections})


@pytest.fixture
def model() -> FusedDetector:
    torch.manual_seed(0)
    return FusedDetector(Detector(config().model, 2))


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_image_comes_back_with_what_was_found(model: FusedDetector) -> None:
    images = [picture(40, 60, 1), picture(50, 60, 2)]
    found = list(detect_stream(model, range(2), images.__getitem__, config()))
    assert [one.item for one in found] == [0, 1]
    for one, image in zip(found, images, strict=True):
        assert one.image is not None and np.array_equal(one.image, image)
        assert one.detections is not None and one.error is None


def test_an_image_that_cannot_be_read_does_not_keep_from_the_others(model: FusedDetector) -> None:
    def read(number: int) -> np.ndarray:
        if number == 1:
            raise UserError("broken.jpg: cannot be read")
        return picture(40, 60, number)

    found = list(detect_stream(model, range(3), read, config()))
    assert [one.error is None for one in found] == [True, False, True]
    assert "broken.jpg" in str(found[1].error) and found[1].image is None


def test_an_image_too_large_for_the_memory_does_not_keep_from_the_others(
    model: FusedDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_module, "free_memory", lambda device: 10**6)
    sizes = [(40, 60), (800, 900), (50, 60)]
    found = list(detect_stream(model, sizes, lambda size: picture(*size), config()))
    assert [one.item for one in found] == sizes
    assert [isinstance(one.error, OutOfMemory) for one in found] == [False, True, False]


def test_large_images_are_not_read_far_ahead(
    model: FusedDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(data={"workers": 12})
    pixels = 2 * 40 * 60
    monkeypatch.setattr(module, "_PIXELS_AHEAD", 3 * pixels)
    read, ahead = [], []

    def reader(number: int) -> np.ndarray:
        read.append(number)
        return picture(40, 60, number)

    for one in detect_stream(model, range(20), reader, settings):
        ahead.append(len(read) - one.item - 1)
    # The three that wait, the one that has just been taken, and one with which it may be joined.
    assert len(ahead) == 20 and max(ahead) <= 5


def test_who_has_seen_enough_waits_for_no_further_image(model: FusedDetector) -> None:
    read = []

    def reader(number: int) -> np.ndarray:
        time.sleep(0.02)
        read.append(number)
        return picture(40, 60, number)

    settings = config(data={"workers": 1})
    settings = replace(settings, test=replace(settings.test, batch_size=8))
    stream = detect_stream(model, range(50), reader, settings)
    assert isinstance(stream, Generator)
    next(stream)
    ready = len(read)
    stream.close()
    assert len(read) <= ready + 2
