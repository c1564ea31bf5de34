"""How many images a device has memory for at a time, found by trying."""

from __future__ import annotations

import dataclasses
import gc
import math
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
# What a training starts with must also fit for images with more objects, and beside what processes
# exchange their gradients with: so many times more images than it takes have fitted.
_RESERVE = 9 / 8


@dataclass(frozen=True)
class LargestBatch:
    """The most images that fit, and the most bytes that the device held, where it counts."""

    batch_size: int
    peak: int | None


def find_batch_size(config: Config, world: World) -> LargestBatch:
    """Find the largest `train.micro_batch` for which the device has memory.

    Whole steps are made, on noise with random boxes, with batches of 1, 2, 4, … images until
    memory runs out, and then with what lies between.

    Args:
        config: with `model.num_classes` set; `train.batch_size` and `train.micro_batch` are left
            aside.
        world: one process and its device.

    Raises:
        UserError: on the CPU, whose system stops processes instead of refusing memory.
        OutOfMemory: one image is too much.
    """
    if not has_own_memory(world.device):
        raise UserError(
            "must be an accelerator with memory of its own to find a batch size on, got "
            f"{world.device}, where the system stops a process that takes too much; set "
            "train.micro_batch",
            field="device",
        )
    if world.size > 1:
        raise UserError(
            f"the batch size is found by one process, got {world.size}; start it without torchrun: "
            "what fits one device fits each of them"
        )
    attempts = _Attempts(config, world.device)
    return _search(attempts.run, attempts.free_gradients)


def fitting_micro_batch(config: Config, world: World, share: int) -> int:
    """Find how many images of its share each process puts through the network at a time.

    All processes call this and get the same number.

    Args:
        config: with `model.num_classes` set.
        world: this process, its device and its peers.
        share: the most images that a process has in a step.

    Returns:
        `train.micro_batch` where it is set. Otherwise 0, which stands for all, or the number of
        images in each of the fewest equal parts that fit the memory of every process's device.

    Raises:
        OutOfMemory: one image is too much for a device.
    """
    if config.train.micro_batch or not has_own_memory(world.device):
        return config.train.micro_batch
    # A process whose device is too small tells the others before it raises an error.
    error: OutOfMemory | None = None
    most = share
    attempts = _Attempts(config, world.device)
    try:
        attempts.run(math.ceil(share * _RESERVE))
    except OutOfMemory:
        attempts.free_gradients()
        try:
            fitting = _search(attempts.run, attempts.free_gradients).batch_size
            most = max(1, min(share, int(fitting / _RESERVE)))
        except OutOfMemory as found:
            error, most = found, 0
    attempts.free_gradients()
    if world.size > 1:
        least = torch.tensor(most, device=world.device)
        torch.distributed.all_reduce(least, torch.distributed.ReduceOp.MIN)
        most = int(least)
    if most == 0:
        raise error or OutOfMemory("one image is too much for the memory of another process")
    return 0 if most == share else math.ceil(share / math.ceil(share / most))


class _Attempts:
    """Steps on noise, of a process that knows no others."""

    def __init__(self, config: Config, device: torch.device) -> None:
        train = dataclasses.replace(config.train, micro_batch=0)
        self._config = dataclasses.replace(config, train=train)
        self._trainer = Trainer(self._config, World(device))

    def run(self, number: int) -> int | None:
        """Make whole steps with so many images; returns the peak of memory.

        Raises:
            OutOfMemory: they are too many.
        """
        device = self._trainer.world.device
        release_memory(device)
        batch = _noise(number, self._config)
        for _ in range(_STEPS):
            self._trainer.train_step(batch, steps_per_epoch=1)
        return peak_memory(device)

    def free_gradients(self) -> None:
        """Return the memory of an attempt."""
        self._trainer.optimizer.zero_grad(set_to_none=True)
        gc.collect()
        release_memory(self._trainer.world.device)


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
