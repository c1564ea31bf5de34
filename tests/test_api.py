"""The Python interface: one image or many, serial or in threads, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import cornernet.inference.memory as memory_module
from cornernet import CornerNet
from cornernet.data.images import write_image
from cornernet.errors import OutOfMemory
from cornernet.prediction import Prediction
from tests.commands.helpers import save_random_weights
from tests.errors import raises


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> CornerNet:
    path = tmp_path_factory.mktemp("api") / "w.pt"
    return CornerNet.from_pretrained(save_random_weights(path, ["cat", "dog"]), device="cpu")


def image_of(seed: int, height: int = 40, width: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def assert_equal(one: Prediction, other: Prediction) -> None:
    assert len(one) > 0
    for name in ("boxes", "scores", "labels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_path_and_its_pixels_are_predicted_alike(detector: CornerNet, tmp_path: Path) -> None:
    image = image_of(0)
    write_image(tmp_path / "a.png", image)
    by_path = detector.predict(tmp_path / "a.png", score_threshold=0.05)
    assert_equal(by_path, detector.predict(image, score_threshold=0.05))
    assert by_path.file == str(tmp_path / "a.png") and (by_path.width, by_path.height) == (60, 40)
    assert by_path.image is not None and np.array_equal(by_path.image, image)


def test_predictions_carry_names_and_fall_in_score(detector: CornerNet) -> None:
    found = detector.predict(image_of(0), score_threshold=0.05)
    assert [("cat", "dog")[label] for label in found.labels] == found.class_names
    assert (np.diff(found.scores) <= 0).all() and (found.scores >= 0.05).all()
    assert found.boxes.shape == (len(found), 4) and (found.boxes[:, 2] <= 60).all()


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_of_mixed_kinds_gives_a_list(
    detector: CornerNet, tmp_path: Path, kind: type
) -> None:
    write_image(tmp_path / "a.png", image_of(0))
    images: list[Any] = [
        tmp_path / "a.png",
        Image.fromarray(image_of(1)),
        torch.from_numpy(image_of(2, 50, 90)).permute(2, 0, 1),
        (tmp_path / "a.png").read_bytes(),
    ]
    found = detector.predict(kind(images), score_threshold=0.05)
    assert isinstance(found, list) and len(found) == 4
    for one, image in zip(found, images, strict=True):
        assert_equal(one, detector.predict(image, score_threshold=0.05))
    assert [one.file for one in found] == [str(tmp_path / "a.png"), None, None, None]
    assert detector.predict([]) == []


def test_a_batch_goes_through_the_network_together(
    detector: CornerNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    original = detector.model.decode

    def spy(maps: Any, *rest: Any) -> Any:
        found = original(maps, *rest)
        sizes.append(len(found[0]))
        return found

    monkeypatch.setattr(detector.model, "decode", spy)
    images = [image_of(seed) for seed in range(5)]
    together = detector.predict(images, 0.05, batch_size=4)
    assert sizes == [4, 1]
    for one, image in zip(together, images, strict=True):
        alone = detector.predict(image, 0.05)
        np.testing.assert_allclose(one.scores[:5], alone.scores[:5], atol=1e-5)


def test_a_stream_is_read_little_by_little(detector: CornerNet) -> None:
    given = []

    def images() -> Iterator[np.ndarray]:
        for seed in range(50):
            given.append(seed)
            yield image_of(seed)

    stream = detector.predict_stream(images(), 0.05)
    assert_equal(next(stream), detector.predict(image_of(0), 0.05))
    assert len(given) < 20


def test_errors_name_the_place_in_a_list(
    detector: CornerNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    with raises("images[1]: missing.jpg", "no such file"):
        detector.predict([image_of(0), "missing.jpg"])
    images: list[Any] = [image_of(0), image_of(1), None]
    with pytest.raises(TypeError, match=r"images\[2\]: .*got NoneType"):
        detector.predict(images)
    monkeypatch.setattr(memory_module, "free_memory", lambda device: 10)
    with raises("images[0]: out of memory", kind=OutOfMemory):
        detector.predict([image_of(0)])


def test_the_threshold_is_the_detectors_unless_given(detector: CornerNet) -> None:
    image = image_of(0)
    scores = detector.predict(image, 0.0).scores
    middle = float(scores[len(scores) // 2])
    assert 0 < (scores >= middle).sum() < len(scores)
    detector.score_threshold = middle
    try:
        assert len(detector.predict(image)) == (scores >= middle).sum()
        assert len(detector.predict([image])[0]) == (scores >= middle).sum()
    finally:
        detector.score_threshold = 0.3


def test_threads_find_what_one_finds(detector: CornerNet) -> None:
    images = [image_of(seed, 40 + 8 * (seed % 3)) for seed in range(24)]
    serial = [detector.predict(image, 0.05) for image in images]

    def work(worker: int) -> list[Prediction]:
        if worker % 2:
            return detector.predict(images, 0.05)
        return [detector.predict(image, 0.05) for image in images]

    with ThreadPoolExecutor(4) as pool:
        for results in pool.map(work, range(4)):
            for one, other in zip(results, serial, strict=True):
                assert_equal(one, other)


def test_a_detector_is_shown_by_its_classes() -> None:
    from cornernet.config import config_from_dict
    from cornernet.model.detector import Detector
    from tests.small import SMALL_MODEL

    config = config_from_dict({"model": SMALL_MODEL})
    names = [f"class\x1b{number}" for number in range(12)]
    text = repr(CornerNet(Detector(config.model, 12), names, config))
    assert text.startswith("<CornerNet: 12 classes (class\\x1b0, class\\x1b1,")
    assert "class\\x1b9, …) on cpu in fp32>" in text
