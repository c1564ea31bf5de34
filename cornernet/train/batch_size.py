"""The largest batch that a device has memory for, found by trying."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable
from dataclasses import dataclass

import torch

from cornernet.config import Config
from cornernet.errors import OutOfMemory, UserError
from cornernet.runtime.distributed import World
from cornernet.runtime.memory import has_own_memory, peak_memory, release_memory
from cornernet.structures import Batch
from cornernet.train.trainer import Trainer

# Images in a step beyond which nobody would go on.
MOST = 4096
_OBJECTS = 30  # in an image: more than nearly all images have
# The first step makes the optimiser's state, the second one shows what all later ones need.
_STEPS = 2


@dataclass(frozen=True)
class LargestBatch:
    """The largest batch that fits, and the most bytes that the device held, where it counts."""

    batch_size: int
    peak: int | None


def find_batch_size(config: Config, world: World) -> LargestBatch:
    """Find the largest `train.batch_size` for which the device has memory.

    Whole steps are made, on noise with random boxes, with batches of 1, 2, 4, … images until
    memory runs out, and then with what lies between.

    Args:
        config: with `model.num_classes` set; `train.batch_size` and `train.micro_batch`, which
            would hide it, are left aside.
        world: one process and its device.

    Raises:
        UserError: on the CPU, whose system stops processes instead of refusing memory.
        OutOfMemory: one image is too much.
    """
    if not has_own_memory(world.device):
        raise UserError(
            "must be an accelerator with memory of its own to find a batch size on, got "
            f"{world.device}, where the system stops a process that takes too much; lower "
            "train.batch_size or set train.micro_batch",
            field="device",
        )
    if world.size > 1:
        raise UserError(
            f"the batch size is found by one process, got {world.size}; start it without torchrun: "
            "what fits one device fits each of them"
        )
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, micro_batch=0))
    trainer = Trainer(config, world)

    def try_batch(number: int) -> int | None:
        release_memory(world.device)
        batch = _noise(number, config)
        for _ in range(_STEPS):
            trainer.train_step(batch, steps_per_epoch=1)
        return peak_memory(world.device)

    return _search(try_batch, lambda: _free_gradients(trainer))


def _search(
    try_batch: Callable[[int], int | None], free_gradients: Callable[[], None]
) -> LargestBatch:
    best = LargestBatch(1, try_batch(1))
    too_many: int | None = None

    def candidate() -> int:
        return 2 * best.batch_size if too_many is None else (best.batch_size + too_many) // 2

    while best.batch_size < (number := candidate()) <= MOST:
        try:
            best = LargestBatch(number, try_batch(number))
        except OutOfMemory:
            too_many = number
            free_gradients()
    return best


def _free_gradients(trainer: Trainer) -> None:
    trainer.optimizer.zero_grad(set_to_none=True)
    gc.collect()
    release_memory(trainer.world.device)


def _noise(number: int, config: Config) -> Batch:
    side = config.augment.crop_size
    random = torch.Generator().manual_seed(number)
    corners = (torch.rand(number, _OBJECTS, 2, 2, generator=random) * side).sort(dim=2).values
    labels = torch.randint(config.model.num_classes, (number, _OBJECTS), generator=random)
    return Batch(
        images=torch.rand(number, 3, side, side, generator=random) * 255,
        boxes=list(corners.flatten(2)),
        labels=list(labels),
        paths=[f"noise {index}" for index in range(number)],
    )
