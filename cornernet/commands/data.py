"""`cornernet data`: make datasets, check and show them, and write them in other ways."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from cornernet.commands import data_check, data_show
from cornernet.commands.parser import Command
from cornernet.runtime.text import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind in (data_check.COMMAND, data_show.COMMAND, CONVERT, SPLIT, SYNTHESIZE):
        kinds.add_parser(
            kind.name, help=kind.summary, description=kind.summary, command=kind, epilog=kind.epilog
        )


def _add_synthesize_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", metavar="DIR", help="new directory")
    parser.add_argument("--train", type=int, default=400, help="images (default 400)")
    parser.add_argument("--val", type=int, default=100, help="images (default 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--style",
        choices=("shapes", "scenes"),
        default="shapes",
        help="shapes of five classes, or scenes: objects of one class with any outline on rich "
        "backgrounds, to learn weights from that other trainings start with (default shapes)",
    )


def synthesize(arguments: argparse.Namespace, _: Sequence[str]) -> None:
    from cornernet.data.synthetic import synthesize

    synthesize(
        arguments.root,
        train=arguments.train,
        val=arguments.val,
        style=arguments.style,
        seed=arguments.seed,
    )
    say(f"{arguments.root}: {arguments.train} training and {arguments.val} validation images")


def _add_convert_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help="dataset in any known layout")
    parser.add_argument("target", metavar="DST", help="new directory")
    parser.add_argument(
        "--to", choices=("coco", "voc", "yolo"), default="coco", help="layout (default coco)"
    )


def convert(arguments: argparse.Namespace, _: Sequence[str]) -> None:
    from cornernet.data.export import convert

    for line in convert(arguments.source, arguments.target, arguments.to):
        say(line)


def _add_split_arguments(parser: argparse.ArgumentParser) -> None:
    _add_convert_arguments(parser)
    parser.add_argument(
        "--val", type=float, default=0.2, metavar="SHARE", help="share for validation (default 0.2)"
    )
    parser.add_argument(
        "--test", type=float, default=0.0, metavar="SHARE", help="share for a test (default 0)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the choice (default 0)")
    parser.add_argument(
        "--group",
        default="",
        metavar="PATTERN",
        help="regular expression; images in whose file names it matches the same text stay in one "
        "split, such as the frames of a film: '^film[0-9]+'",
    )


def split(arguments: argparse.Namespace, _: Sequence[str]) -> None:
    from cornernet.data.resplit import split_dataset
    from cornernet.runtime.terminal import console, image_progress
    from cornernet.runtime.threads import available_cpus

    with image_progress("images", None, console(error=True)) as done:
        lines = split_dataset(
            arguments.source,
            arguments.target,
            {"val": arguments.val, "test": arguments.test},
            to=arguments.to,
            seed=arguments.seed,
            group=arguments.group,
            threads=available_cpus(),
            progress=lambda: done(1),
        )
    for line in lines:
        say(line)


CONVERT = Command(
    "convert",
    "Copy a dataset in any known layout to a new directory as COCO, Pascal VOC or YOLO.",
    _add_convert_arguments,
    convert,
)
SPLIT = Command(
    "split",
    "Copy a dataset to a new directory with its images shared out among training, validation and "
    "test, with the same mix of classes in each and images of the same content in one.",
    _add_split_arguments,
    split,
)
SYNTHESIZE = Command(
    "synthesize",
    "Write a COCO dataset of generated images, the same for the same seed.",
    _add_synthesize_arguments,
    synthesize,
)
COMMAND = Command("data", "Make, check, show, convert and split datasets.", add_arguments, None)
