"""CornerNet-Saccade's cut of training images, with its own random draws, and its targets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from cornernet.config import Config, load_recipe
from cornernet.data.reference_crop import cut_at_scale, draw_scale, draw_square, scaled_down, within
from cornernet.model.detector import Detector
from cornernet.structures import Batch, Sample
from tests.golden.cases import Case
from tests.golden.family.recipe import Family


class Draws:
    """The original's random numbers, one after the other."""

    def __init__(self, draws: list[Any]) -> None:
        self.left: Iterator[Any] = iter(draws)

    def integers(self, low: int, high: int) -> int:
        function, arguments, named, result = next(self.left)
        if function == "choice":  # of the factors for an image without objects
            return [round(10 * value) for value in arguments[0]].index(round(10 * result))
        assert function == "randint"
        limits = [named["low"], named["high"]] if named else [0, *arguments][-2:]
        assert [low, high] == [int(limit) for limit in limits]
        return int(result)

    def uniform(self) -> float:
        function, *_, result = next(self.left)
        assert function == "uniform"
        return float(result)


@pytest.fixture(scope="module")
def config() -> Config:
    return load_recipe("cornernet_saccade")


@pytest.fixture(scope="module")
def content(family: Family) -> Case:
    return family("saccade_targets")


@pytest.fixture(scope="module")
def samples(content: Case, config: Config) -> list[Sample]:
    """The images' objects after the original's draws."""
    draws = Draws(content.meta["draws"])
    found = []
    for index, meta in enumerate(content.meta["cases"]):
        rows = content.array(f"src_boxes{index}")
        image = np.zeros((*meta["image"], 3), np.uint8)
        labels = rows[:, 4].astype(np.int64) - 1
        sample = within(Sample(image, rows[:, :4], labels, index, str(index)))
        chosen, scale = draw_scale(
            sample.boxes, config.augment, config.model.object_sizes, draws.integers
        )
        assert chosen == meta["reference"]
        size = scaled_down(sample, scale)
        assert list(size) == meta["scaled"]
        reference = None if chosen is None else sample.boxes[chosen] * scale
        side = config.augment.crop_size
        crop = draw_square(size, reference, side, draws.integers, draws.uniform)
        mirrored = draws.uniform() > 0.5
        found.append(
            cut_at_scale(sample, scale, crop, config.augment, (0, 0, 0), mirrored=mirrored)
        )
    assert next(draws.left, None) is None
    return found


def test_objects_in_the_squares(content: Case, samples: list[Sample]) -> None:
    for index, sample in enumerate(samples):
        boxes = content.array(f"final_boxes{index}")
        labels = content.array(f"labels{index}")
        sides = boxes[:, 2:].astype(int) - boxes[:, :2].astype(int)
        good = (content.array(f"kept_share{index}") > 0.5) & (sides.max(1) >= 16)
        np.testing.assert_allclose(sample.boxes, boxes[good], rtol=0, atol=1e-4)
        np.testing.assert_array_equal(sample.labels, labels[good])
        np.testing.assert_allclose(sample.difficult_boxes, boxes[~good], rtol=0, atol=1e-4)
        np.testing.assert_array_equal(sample.difficult_labels, labels[~good])


def test_targets(content: Case, samples: list[Sample], config: Config) -> None:
    side = config.augment.crop_size

    def tensors(name: str) -> list[torch.Tensor]:
        return [torch.from_numpy(getattr(sample, name)) for sample in samples]

    batch = Batch(
        torch.zeros(len(samples), 3, side, side),
        tensors("boxes"),
        tensors("labels"),
        [sample.path for sample in samples],
        difficult_boxes=tensors("difficult_boxes"),
        difficult_labels=tensors("difficult_labels"),
    )
    with torch.device("meta"):
        model = Detector(config.model, content.meta["classes"])
    corners, attention = model.targets(batch, config.loss)

    mask = content.tensor("mask").bool()

    def first(of_objects: torch.Tensor) -> torch.Tensor:
        """Of the objects of each image those that the file has room for."""
        return torch.cat([part[: mask.shape[1]] for part in of_objects.split(corners.objects)])

    for corner in ("tl", "br"):
        heat = getattr(corners, f"{corner}_heat")
        wanted = content.tensor(f"{corner}_heat")
        torch.testing.assert_close(heat, wanted, rtol=0, atol=1e-6)
        silenced = getattr(corners, f"{corner}_silenced")
        valid = torch.ones_like(wanted) if silenced is None else (~silenced).float()
        torch.testing.assert_close(valid, content.tensor(f"{corner}_valid"), rtol=0, atol=0)
        cell = first(getattr(corners, f"{corner}_cell"))
        assert cell.tolist() == content.tensor(f"{corner}_cell")[mask].tolist()
        fraction = first(getattr(corners, f"{corner}_fraction"))
        wanted = content.tensor(f"{corner}_off")[mask]
        torch.testing.assert_close(fraction, wanted, rtol=0, atol=1e-4)
    assert torch.equal(first(corners.image_index), mask.nonzero()[:, 0])
    for level, heat in enumerate(attention.heats):
        assert torch.equal(heat, content.tensor(f"att{level}"))
