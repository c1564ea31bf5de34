"""What a training on COCO costs on several devices, estimated: `python -m benchmarks.scaling`.

The network's operations are counted; what a device sustains, how fast devices exchange gradients
and how fast images are loaded is given on the command line. A step takes the time of the largest
share of its images and of the exchange, which is taken not to overlap with anything, or that of
loading, if it is longer.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table

from cornernet.data.loader import share
from cornernet.model.detector import Detector, count_parameters

from .networks import SIDE, count_flops, recipe

IMAGES = 117_266  # of COCO's train2017, with at least one object
VALIDATION_IMAGES = 5_000
# Devices and images in a step: those of the recipes, and six images on each of 64.
CASES = ((1, 48), (4, 48), (8, 48), (64, 96), (64, 384))


@dataclass(frozen=True)
class Machine:
    """What is given.

    Attributes:
        tflops: 10¹² operations that a device sustains in a second.
        gigabytes: 10⁹ bytes that a device sends in a second while gradients are exchanged.
        loader_ms: milliseconds in which one loader process makes an image.
        loaders: loader processes of each device.
    """

    tflops: float
    gigabytes: float
    loader_ms: float
    loaders: int


@dataclass(frozen=True)
class Step:
    """Seconds of a step, by what takes them."""

    network: float
    exchange: float
    loading: float

    @property
    def seconds(self) -> float:
        return max(self.network + self.exchange, self.loading)

    @property
    def limit(self) -> str:
        """What takes most."""
        if self.loading > self.network + self.exchange:
            return "loader"
        return "network" if self.network >= self.exchange else "exchange"


def step(
    machine: Machine, devices: int, batch_size: int, micro: int, flops: int, size: int
) -> Step:
    """A step of training.

    Args:
        machine: what a device does.
        devices: their number.
        batch_size: images in a step.
        micro: `train.micro_batch`.
        flops: operations of the network's forward pass on one image; backward takes twice as many.
        size: bytes of the gradients.
    """
    most = max(len(share(batch_size, rank, devices, micro)) for rank in range(devices))
    return Step(
        network=3 * flops * most / (machine.tflops * 1e12),
        exchange=2 * (devices - 1) / devices * size / (machine.gigabytes * 1e9),
        loading=most * machine.loader_ms / 1e3 / machine.loaders,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--tflops", type=float, required=True, help="sustained by a device")
    parser.add_argument("--gigabytes", type=float, default=10.0, help="a second, of the exchange")
    parser.add_argument("--loader-ms", type=float, default=2.4, help="an image, in one process")
    parser.add_argument("--loaders", type=int, default=3, help="processes of each device")
    parser.add_argument("--epochs", type=int, default=210)
    options = parser.parse_args()
    machine = Machine(options.tflops, options.gigabytes, options.loader_ms, options.loaders)
    config = recipe()
    with torch.device("meta"):
        model = Detector(config.model, config.model.num_classes)
        flops = count_flops(lambda: model(torch.empty(1, 3, SIDE, SIDE)))
    size = 4 * count_parameters(model)
    table = Table(
        "devices", "images a step", "step, s", "images/s", "days", "validation", "limit",
        title=f"{flops / 1e9:.0f} GFLOP forward, {size / 1e6:.0f} MB of gradients",
    )  # fmt: skip
    for devices, batch_size in CASES:
        micro = min(config.train.micro_batch, -(-batch_size // devices))
        one = step(machine, devices, batch_size, micro, flops, size)
        steps = -(-IMAGES // batch_size)
        validation = VALIDATION_IMAGES * flops / (machine.tflops * 1e12) / devices
        epoch = steps * one.seconds + validation
        table.add_row(
            str(devices), str(batch_size), f"{one.seconds:.3g}", f"{batch_size / one.seconds:.3g}",
            f"{options.epochs * epoch / 86400:.3g}", f"{100 * validation / epoch:.0f} %", one.limit,
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
