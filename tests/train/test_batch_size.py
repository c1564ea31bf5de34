"""The largest batch is found whatever it is, and not looked for where looking would harm."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cornernet.config import Config, config_from_dict, with_overrides
from cornernet.data.synthetic import synthesize
from cornernet.errors import OutOfMemory, UserError
from cornernet.runtime.distributed import World
from cornernet.structures import Batch
from cornernet.train import batch_size
from cornernet.train.loop import train
from cornernet.train.trainer import Trainer
from tests.errors import raises
from tests.small import small_config


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    return synthesize(tmp_path / "shapes", train=8, val=1, min_side=96, max_side=128)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 8, 21, 64, 100])
def test_largest_batch_is_found(limit: int) -> None:
    tried: list[int] = []
    freed: list[int] = []

    def step(number: int) -> int:
        tried.append(number)
        if number > limit:
            raise OutOfMemory("no memory")
        return 10 * number

    found = batch_size._search(step, lambda: freed.append(tried[-1]))
    assert found == batch_size.LargestBatch(limit, 10 * limit)
    assert freed == [number for number in tried if number > limit]
    assert len(tried) == len(set(tried)) <= 16


def test_search_ends_where_memory_does_not() -> None:
    assert batch_size._search(lambda number: None, lambda: None).batch_size == batch_size.MOST


def test_one_picture_too_much_is_an_error() -> None:
    def starve(number: int) -> int:
        raise OutOfMemory("no memory")

    with pytest.raises(OutOfMemory):
        batch_size._search(starve, lambda: None)


def test_memory_of_the_host_is_not_tried_out() -> None:
    with raises("memory of its own", "cpu", field="device"):
        batch_size.find_batch_size(Config(), World(torch.device("cpu")))


def test_processes_do_not_try_at_once() -> None:
    with pytest.raises(UserError, match="one process, got 2; start it without torchrun"):
        batch_size.find_batch_size(Config(), World(torch.device("meta"), 0, 2))


def test_batches_to_try_have_boxes_inside_the_picture() -> None:
    config = config_from_dict({"model": {"num_classes": 3}, "augment": {"crop_size": 64}})
    batch = batch_size._noise(2, config)
    boxes = torch.cat(batch.boxes)
    assert batch.images.shape == (2, 3, 64, 64) and len(batch.labels) == 2
    assert (boxes[:, :2] <= boxes[:, 2:]).all() and boxes.min() >= 0 and boxes.max() <= 64


# --- train.micro_batch 0 ---

SIX = config_from_dict({"model": {"num_classes": 1}, "train": {"batch_size": 6}})


class Device:
    """Stands for `_Attempts` on a device whose memory holds a number of images."""

    def __init__(self, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.limit = limit
        self.tried: list[int] = []
        monkeypatch.setattr(batch_size, "has_own_memory", lambda device: True)
        monkeypatch.setattr(batch_size, "_Attempts", lambda config, device: self)

    def run(self, number: int) -> None:
        self.tried.append(number)
        if number > self.limit:
            raise OutOfMemory("no memory")

    def free_gradients(self) -> None:
        pass


@pytest.mark.parametrize(
    ("limit", "share", "wanted"),
    [
        (9, 8, 0),  # all, and one more in reserve
        (8, 8, 4),  # all, but for the reserve: two equal parts
        (20, 48, 16),  # 17 with the reserve; three parts of 16, not 17, 17 and 14
        (1, 5, 1),
    ],
)
def test_as_many_images_go_through_the_network_as_fit(
    monkeypatch: pytest.MonkeyPatch, limit: int, share: int, wanted: int
) -> None:
    Device(limit, monkeypatch)
    assert batch_size.fitting_micro_batch(SIX, World(torch.device("cpu")), share) == wanted


def test_a_share_that_fits_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(100, monkeypatch)
    batch_size.fitting_micro_batch(SIX, World(torch.device("cpu")), 6)
    assert device.tried == [7]


def test_where_not_one_image_fits_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    Device(0, monkeypatch)
    with pytest.raises(OutOfMemory):
        batch_size.fitting_micro_batch(SIX, World(torch.device("cpu")), 6)


def test_what_is_set_or_on_the_cpu_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(torch.device("cpu"))
    monkeypatch.setattr(batch_size, "_Attempts", None)
    assert batch_size.fitting_micro_batch(SIX, world, 6) == 0
    monkeypatch.setattr(batch_size, "has_own_memory", lambda device: True)
    assert (
        batch_size.fitting_micro_batch(with_overrides(SIX, ["--train.micro_batch=2"]), world, 6)
        == 2
    )


def test_a_run_uses_and_keeps_what_was_found(
    shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The steps of a device that is full with three images; the run goes on without a search."""
    parts: list[int] = []
    step = Trainer.backward

    def backward(self: Trainer, batch: Batch) -> torch.Tensor:
        number = len(batch.paths)
        parts.append(min(self.micro_batch or number, number))
        if parts[-1] > 3:
            raise MemoryError
        return step(self, batch)

    monkeypatch.setattr(batch_size, "has_own_memory", lambda device: True)
    monkeypatch.setattr(Trainer, "backward", backward)
    config = small_config("--train.batch_size=4", "--train.epochs=1")
    train(config, shapes, tmp_path / "run", World(torch.device("cpu")))
    assert parts[-2:] == [2, 2]
    assert "2 images at a time" in " ".join(capsys.readouterr().out.split())
    parts.clear()
    longer = with_overrides(config, ["--train.epochs=2"])
    train(longer, shapes, tmp_path / "run", World(torch.device("cpu")), resume="auto")
    assert parts == [2, 2]
