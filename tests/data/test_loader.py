"""Batches: which images, in which order, with which randomness, and what a broken one does."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cornernet.config import Config, config_from_dict, with_overrides
from cornernet.data.coco import CocoDataset
from cornernet.data.images import write_image
from cornernet.data.loader import (
    EpochBatches,
    scaled_to_long_side,
    share,
    training_batches,
)
from cornernet.errors import UserError
from cornernet.inference.evaluate import detect_split
from cornernet.model.detector import Detector
from cornernet.model.fuse import FusedDetector
from cornernet.structures import Batch, Sample
from tests.errors import raises
from tests.small import SMALL_MODEL

IMAGES = 7


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("coco")
    (root / "annotations").mkdir()
    (root / "train").mkdir()
    random = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(IMAGES):
        name = f"{number}.png"
        write_image(root / "train" / name, random.integers(0, 256, (40, 48, 3), dtype=np.uint8))
        images.append({"id": number + 1, "file_name": name, "width": 48, "height": 40})
        box = [int(random.integers(4, 20)), int(random.integers(4, 16)), 18, 14]
        annotations.append(
            {"id": number + 1, "image_id": number + 1, "category_id": 1 + number % 2, "bbox": box}
        )
    categories = [{"id": 1, "name": "cell"}, {"id": 2, "name": "plate"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations" / "instances_train.json").write_text(json.dumps(content))
    return root


@pytest.fixture
def dataset(directory: Path) -> CocoDataset:
    return CocoDataset(directory, "train")


def config(*words: str) -> Config:
    plain = ["--augment.crop_size=32", "--augment.crop_border=8", "--train.batch_size=2"]
    return with_overrides(Config(), [*plain, "--train.epochs=2", "--data.workers=0", *words])


def batches_of(dataset: CocoDataset, *words: str, **where: int) -> list[Batch]:
    return list(training_batches(dataset, config(*words), **where)[0])


@pytest.mark.parametrize("batch_size", [3, 4, 5, 7, 30])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_every_image_comes_once_an_epoch(batch_size: int, processes: int) -> None:
    steps = -(-IMAGES // batch_size)
    surplus = steps * batch_size - IMAGES
    keys = [
        key
        for rank in range(processes)
        for batch in EpochBatches(IMAGES, batch_size, range(1), 0, rank, processes)
        for key in batch
    ]
    assert len(keys) == IMAGES + surplus
    assert set(keys) == {(0, index) for index in range(IMAGES)}
    most = max(keys.count(key) for key in set(keys))
    assert most == 1 if not surplus else most <= -(-len(keys) // IMAGES)


@pytest.mark.parametrize("processes", [2, 3, 5])
@pytest.mark.parametrize("batch_size", [5, 8, 9])
def test_a_step_has_the_same_images_on_any_number_of_processes(
    processes: int, batch_size: int
) -> None:
    ranks = [
        list(EpochBatches(24, batch_size, range(3), 5, r, processes)) for r in range(processes)
    ]
    joined = [[key for part in step for key in part] for step in zip(*ranks, strict=True)]
    assert joined == list(EpochBatches(24, batch_size, range(3), 5))
    assert all(part for rank in ranks for part in rank)


def test_shares_differ_by_one_image() -> None:
    for batch_size in range(1, 20):
        for processes in range(1, batch_size + 1):
            sizes = [len(share(batch_size, rank, processes)) for rank in range(processes)]
            assert sum(sizes) == batch_size and 1 <= max(sizes) <= min(sizes) + 1


def test_shares_are_whole_micro_batches_where_there_are_enough() -> None:
    """Which images a network normalises together then does not depend on the processes."""

    def together(processes: int, batch_size: int = 11, micro_batch: int = 3) -> set[range]:
        shares = [share(batch_size, rank, processes, micro_batch) for rank in range(processes)]
        return {
            part[first : first + micro_batch]
            for part in shares
            for first in range(0, len(part), micro_batch)
        }

    assert together(1) == {range(0, 3), range(3, 6), range(6, 9), range(9, 11)}
    assert together(2) == together(3) == together(4) == together(1)
    assert [len(part) for part in sorted(together(5), key=lambda part: part.start)] == [2] * 4 + [3]


def test_resumed_steps_are_the_rest_of_a_processs_share() -> None:
    whole = list(EpochBatches(IMAGES, 5, range(4), 0, 1, 3))
    assert list(EpochBatches(IMAGES, 5, range(1, 4), 0, 1, 3, first_step=1)) == whole[3:]


def test_order_changes_from_epoch_to_epoch_and_with_the_seed() -> None:
    def order(epoch: int, seed: int) -> list[int]:
        batches = EpochBatches(50, 5, range(epoch, epoch + 1), seed)
        return [index for batch in batches for _, index in batch]

    assert order(0, 0) != order(1, 0)
    assert order(0, 0) != order(0, 1)
    assert order(3, 7) == order(3, 7)


def test_resumed_order_is_the_rest_of_the_whole_one() -> None:
    whole = list(EpochBatches(IMAGES, 2, range(5), 3))
    rest = list(EpochBatches(IMAGES, 2, range(2, 5), 3))
    assert rest == whole[2 * 4 :]


def test_batch_holds_pixels_boxes_and_paths_of_its_images(dataset: CocoDataset) -> None:
    batch = batches_of(dataset)[0]
    assert batch.images.shape == (2, 3, 32, 32)
    assert batch.images.dtype == torch.float32
    assert all(box.shape[1:] == (4,) and box.dtype == torch.float32 for box in batch.boxes)
    assert all(label.dtype == torch.int64 for label in batch.labels)
    by_path = {dataset.info(i).path: int(dataset.load(i).labels[0]) for i in range(IMAGES)}
    for path, labels in zip(batch.paths, batch.labels, strict=True):
        assert set(labels.tolist()) == {by_path[path]}


def test_number_of_steps_is_told(dataset: CocoDataset) -> None:
    batches, steps = training_batches(dataset, config())
    assert steps == 4
    assert len(list(batches)) == 2 * steps


def assert_same(found: list[Batch], wanted: list[Batch]) -> None:
    assert len(found) == len(wanted) > 0
    for one, other in zip(found, wanted, strict=True):
        assert one.paths == other.paths
        assert torch.equal(one.images, other.images)
        assert all(torch.equal(a, b) for a, b in zip(one.boxes, other.boxes, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(one.labels, other.labels, strict=True))


def test_workers_change_nothing(dataset: CocoDataset) -> None:
    assert_same(batches_of(dataset, "--data.workers=2"), batches_of(dataset))


def test_pixels_do_not_depend_on_the_number_of_processes(dataset: CocoDataset) -> None:
    alone = batches_of(dataset, "--train.batch_size=4")
    words = ("--train.batch_size=4",)
    ranks = [batches_of(dataset, *words, rank=rank, processes=3) for rank in range(3)]
    joined = [
        Batch(
            torch.cat([part.images for part in parts]),
            [box for part in parts for box in part.boxes],
            [label for part in parts for label in part.labels],
            [path for part in parts for path in part.paths],
        )
        for parts in zip(*ranks, strict=True)
    ]
    assert_same(joined, alone)


def test_resumed_run_sees_the_same_images(dataset: CocoDataset) -> None:
    assert_same(batches_of(dataset, first_epoch=1), batches_of(dataset)[4:])


def test_image_looks_different_in_each_epoch(dataset: CocoDataset) -> None:
    looks: dict[tuple[int, str], Tensor] = {}
    for number, batch in enumerate(batches_of(dataset)):
        for path, image in zip(batch.paths, batch.images, strict=True):
            looks.setdefault((number // 4, path), image)
    for index in range(IMAGES):
        path = dataset.info(index).path
        assert not torch.equal(looks[0, path], looks[1, path])


def test_seed_changes_the_pixels(dataset: CocoDataset) -> None:
    one, other = batches_of(dataset), batches_of(dataset, "--train.seed=1")
    assert not any(torch.equal(a.images, b.images) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_image_stops_with_its_name_and_no_traceback_of_a_worker(
    directory: Path, tmp_path: Path, workers: int
) -> None:
    copy = tmp_path / "copy"
    for source in directory.rglob("*"):
        if source.is_file():
            target = copy / source.relative_to(directory)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    broken = copy / "train" / "3.png"
    broken.write_bytes(broken.read_bytes()[:200])
    with raises("3.png:", "truncated") as caught:
        batches_of(CocoDataset(copy, "train"), f"--data.workers={workers}")
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)


def test_batches_before_a_broken_image_still_come(
    dataset: CocoDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = [index for batch in EpochBatches(IMAGES, 2, range(1), 0) for _, index in batch]
    load = dataset.load

    def fail_at_third(index: int, _: object) -> Sample:
        if index == order[2]:
            raise UserError("broken")
        return load(index)

    monkeypatch.setattr(dataset, "load", fail_at_third)
    batches, _ = training_batches(dataset, config())
    assert len(list(islice(batches, 1))) == 1
    with raises("broken"):
        next(batches)


def blank(height: int, width: int) -> Sample:
    image = np.zeros((height, width, 3), np.uint8)
    return Sample(
        image, np.array([[0, 0, width, height]], np.float32), np.zeros(1, np.int64), 0, ""
    )


@pytest.mark.parametrize(
    ("size", "wanted"), [((40, 80), (50, 100)), ((300, 200), (100, 67)), ((900, 2), (100, 1))]
)
def test_longer_side_is_brought_to_its_length(
    size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    found = scaled_to_long_side(blank(*size), 100)
    assert found.image.shape[:2] == wanted
    assert found.boxes.tolist() == [pytest.approx([0, 0, wanted[1], wanted[0]])]


def test_images_keep_their_size_unless_a_length_is_set() -> None:
    original = blank(40, 80)
    assert scaled_to_long_side(original, 0) is original


def test_images_are_resized_before_they_are_augmented(dataset: CocoDataset) -> None:
    # At 12 times the size, a crop of 32 pixels shows less than 3 of the image's 48 columns.
    smooth = batches_of(dataset, "--data.long_side=576", "--augment.crop_ratios=[1.0]")
    rough = batches_of(dataset, "--augment.crop_ratios=[1.0]")

    def roughness(batches: list[Batch]) -> float:
        images = torch.cat([batch.images for batch in batches])
        return float(images.diff(dim=3).abs().mean())

    assert roughness(smooth) < 0.3 * roughness(rough)


def odd_images(directory: Path) -> dict[str, tuple[int, int]]:
    """Images as they come, by name: width and height as a person sees them."""
    y, x = np.mgrid[0:48, 0:64]
    rgb = Image.fromarray(np.stack([x * 4, y * 5, 255 - x - y], axis=2).astype(np.uint8))
    opacity = Image.fromarray((x * 4).astype(np.uint8))
    glass = rgb.copy()
    glass.putalpha(opacity)
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = Image.fromarray((x * 1000 + y).astype(np.uint16))
    made = {
        "point.png": Image.new("RGB", (1, 1)),
        "upright.png": Image.new("RGB", (1, 5000)),
        "flat.jpg": Image.new("RGB", (5000, 1)),
        "grey.jpg": rgb.convert("L"),
        "grey-glass.png": Image.merge("LA", (rgb.convert("L"), opacity)),
        "deep.png": deep,
        "palette.png": rgb.quantize(16),
        "glass.png": glass,
        "print.jpg": rgb.convert("CMYK"),
    }
    for name, image in made.items():
        image.save(directory / name)
    rgb.save(directory / "turned.jpg", exif=turned)
    rgb.save(
        directory / "film.png",
        save_all=True,
        append_images=[rgb.transpose(Image.Transpose.FLIP_LEFT_RIGHT)],
    )
    sizes = {name: image.size for name, image in made.items()}
    return sizes | {"turned.jpg": (48, 64), "film.png": (64, 48)}


def test_images_of_every_kind_are_trained_on_and_evaluated(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    sizes = odd_images(tmp_path / "train")
    images = [
        {"id": number, "file_name": name, "width": width, "height": height}
        for number, (name, (width, height)) in enumerate(sizes.items())
    ]
    annotations = [
        {"id": item["id"], "image_id": item["id"], "category_id": 1,
         "bbox": [0, 0, item["width"], item["height"]]}
        for item in images
    ]  # fmt: skip
    content = {"images": images, "annotations": annotations,
               "categories": [{"id": 1, "name": "thing"}]}  # fmt: skip
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_train.json").write_text(json.dumps(content))
    dataset = CocoDataset(tmp_path, "train")
    for batch in batches_of(dataset):
        assert batch.images.shape[1:] == (3, 32, 32) and batch.images.isfinite().all()
        for boxes in batch.boxes:
            assert len(boxes) == 1 and (boxes >= 0).all() and (boxes <= 32).all()
    settings = config_from_dict({"model": SMALL_MODEL, "test": {"pad_multiple": 16}})
    model = Detector(settings.model, 1)
    found = detect_split(FusedDetector(model), dataset, settings)
    assert set(found) == set(range(len(images)))
