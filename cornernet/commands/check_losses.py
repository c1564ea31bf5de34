"""`cornernet check-losses`: whether two runs, such as of two devices, have the same losses."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from cornernet.commands.common import conclude
from cornernet.commands.parser import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="RUN", help="directory of a run")
    parser.add_argument("reference", metavar="REFERENCE", help="directory of another one")


def run(arguments: argparse.Namespace, _: Sequence[str]) -> int:
    from rich.table import Table

    from cornernet.runtime.terminal import console
    from cornernet.train.agreement import (
        compare_losses,
        losses_pass,
        losses_summary,
        training_records,
    )

    errors = compare_losses(
        training_records(arguments.source), training_records(arguments.reference)
    )
    table = Table("loss", "mean absolute relative error", "largest", "at step", "signed mean")
    for error in errors:
        numbers = (error.mean, error.largest, error.largest_step, error.signed_mean)
        table.add_row(error.name, *(f"{value:.4g}" for value in numbers))
    console().print(table)
    return conclude(losses_pass(errors), losses_summary(errors))


COMMAND = Command(
    "check-losses",
    "Check that two runs, such as of two devices, log the same losses.",
    add_arguments,
    run,
)
