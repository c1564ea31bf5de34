"""`cornernet report`: a run as one HTML page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cornernet.commands.common import add_inference, check_writable
from cornernet.commands.parser import Command
from cornernet.errors import UserError
from cornernet.runtime.text import say

if TYPE_CHECKING:
    from cornernet.train.run_directory import RunDirectory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_directory", metavar="RUN", help="directory of a run, finished or not")
    parser.add_argument("--output", metavar="FILE", help="default: report.html in the run")
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="evaluate best.pt on this dataset again, instead of taking what training has kept: "
        "for a run of an older version, or where the images have moved",
    )
    parser.add_argument("--split", help="with --data; default: the one of validation")
    add_inference(parser)


def run(arguments: argparse.Namespace, words: Sequence[str]) -> None:
    from cornernet.train.lock import is_held
    from cornernet.train.run_report import read_run, write_report

    if arguments.data is None and (words or arguments.split is not None):
        raise UserError("must be given with a split or with settings, which act on an evaluation",
                        field="data")  # fmt: skip
    files = read_run(arguments.run_directory)
    output = Path(arguments.output or files.directory.report)
    check_writable(str(output), (".html", ".htm"))
    review = None
    if arguments.data is not None:
        review = _evaluated(files.directory, arguments, words)
    write_report(files, output, is_held(files.directory.lock), review)
    say(f"{output}: open it in a browser")


def _evaluated(
    directory: RunDirectory, arguments: argparse.Namespace, words: Sequence[str]
) -> dict[str, Any]:
    """A review of the run's best weights on a dataset."""
    from cornernet.commands.evaluate import evaluate_file
    from cornernet.inference.matching import match_split
    from cornernet.inference.review import review
    from cornernet.inference.thresholds import best_thresholds

    dataset, evaluation, found = evaluate_file(directory.best, arguments, words)
    matches = match_split(dataset, found)
    thresholds = best_thresholds(matches, dataset.classes)
    return review(dataset, found, evaluation, matches, thresholds)


COMMAND = Command(
    "report",
    "Write a run as one HTML page: curves, AP by class, thresholds, errors, settings.",
    add_arguments,
    run,
    takes_settings=True,
)
