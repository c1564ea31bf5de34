"""One step of training, from pixels to new weights, against plain settings and MMDetection.

The floor are large matrix products of as many floating-point operations in the same precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from cornernet.runtime.distributed import World
from cornernet.structures import Batch
from cornernet.train.trainer import Trainer
from cornernet.weights.foreign import to_mmdet

from . import mmdetection, networks
from .measure import Case
from .networks import arithmetic, count_flops, recipe

OBJECTS = 7  # a picture
STEPS = 100_000  # of an epoch: the learning rate stays where it is


def random_batch(number: int, device: torch.device) -> Batch:
    """Noise of the recipe's size with some boxes."""
    random = torch.Generator().manual_seed(0)
    boxes, labels = [], []
    for _ in range(number):
        corner = torch.rand(OBJECTS, 2, generator=random) * 300
        size = torch.rand(OBJECTS, 2, generator=random) * 200 + 10
        boxes.append(torch.cat([corner, corner + size], 1))
        labels.append(torch.randint(80, (OBJECTS,), generator=random))
    pixels = torch.randint(256, (number, 3, networks.SIDE, networks.SIDE), generator=random).float()
    return Batch(pixels, boxes, labels, [str(i) for i in range(number)]).to(device)


def close_losses(actual: Tensor, expected: Tensor) -> None:
    """Losses of the first step; in low precision they differ."""
    torch.testing.assert_close(actual, expected, rtol=0.05, atol=0, check_dtype=False)


def cases(device: torch.device, full: bool) -> Iterator[Case]:
    for number in (1, 3) if full and device.type != "cpu" else (1,):
        for precision in ("fp32", "bf16"):
            yield _case(device, number, precision)


def _case(device: torch.device, number: int, precision: str) -> Case:
    batch = random_batch(number, device)
    size = ("--loss.embedding_batch", str(number))

    def trainer(*words: str) -> Trainer:
        return Trainer(recipe(*size, *words), World(device))

    def step(trainer: Trainer) -> Callable[[], Tensor]:
        return lambda: torch.tensor(trainer.train_step(batch, STEPS)["loss/total"])

    plain = trainer("--train.precision", "fp32", "--train.channels_last", "false")
    others = {"plain": step(plain)}
    if mmdetection.available():
        names = [str(label) for label in range(80)]
        theirs, _ = to_mmdet(plain.model.state_dict(), plain.config.model, names, "random weights")
        model = mmdetection.detector(theirs["state_dict"], device)
        others["mmdetection"] = mmdetection.train_step(
            model, batch.images, batch.boxes, batch.labels
        )
    flops = count_flops(lambda: plain.backward(batch))
    return Case(
        op="train",
        part="step",
        variant=precision,
        setting=f"Hourglass-104, {networks.SIDE}×{networks.SIDE}, batch {number}",
        moved=0,
        call=step(trainer("--train.precision", precision)),
        others=others,
        floor=arithmetic(flops, precision, device),
        same=close_losses,
        pictures=number,
    )
