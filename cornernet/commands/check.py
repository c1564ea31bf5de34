"""`cornernet check`: compare one batch on a device with the CPU."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from cornernet.commands.common import (
    add_device,
    apply_runtime,
    check_writable,
    conclude,
    write_json,
)
from cornernet.commands.parser import Command
from cornernet.config import load_recipe
from cornernet.runtime.text import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="as for train, with its settings")
    parser.add_argument("--data", required=True, metavar="DIR", help="as for train")
    add_device(parser)
    parser.add_argument("--json", metavar="FILE", help="write the figures there")


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    from cornernet.runtime.device import resolve_device
    from cornernet.runtime.distributed import World
    from cornernet.train.agreement import TOLERANCE, compare_batch

    check_writable(arguments.json)
    config = load_recipe(arguments.recipe, words)
    apply_runtime(config)
    found = compare_batch(config, arguments.data, World(resolve_device(arguments.device)))
    summary = found.summary()
    say(f"one batch on {found.device} in {found.precision}, against the CPU in fp32")
    for name, (value, wanted) in found.losses.items():
        say(f"  {name:12s} {value:.6f}  CPU {wanted:.6f}")
    say(f"  all gradients are {found.gradient_error:.2e} off")
    say(f"  the worst is {found.worst_error:.2e} off: {found.worst}")
    if arguments.json is not None:
        write_json(arguments.json, summary)
    if found.rounding:
        say(f"  the CPU's in {found.precision} are {found.rounding:.2e} off")
    limits = f"wanted at most {TOLERANCE} in the loss and {found.tolerance:.3g} in all gradients"
    return conclude(summary["passes"], limits)


COMMAND = Command(
    "check",
    "Compare a batch's losses and gradients on a device with the CPU's.",
    add_arguments,
    run,
    takes_settings=True,
)
