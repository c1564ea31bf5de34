"""The largest batch is found whatever it is, and not looked for where looking would harm."""

from __future__ import annotations

import pytest
import torch

from cornernet.config import Config, config_from_dict
from cornernet.errors import OutOfMemory, UserError
from cornernet.runtime.distributed import World
from cornernet.train import batch_size
from tests.errors import raises


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
