"""`cornernet data`: make datasets, check them, and write them in another layout."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from cornernet.commands.common import check_writable, write_json
from cornernet.commands.parser import Command
from cornernet.runtime.text import say, shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind in (CHECK, CONVERT, SYNTHESIZE):
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


def _add_check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", metavar="DIR", help="dataset in any known layout")
    parser.add_argument("--json", metavar="FILE", help="write everything that was found")
    parser.add_argument(
        "--threads", type=int, default=0, help="images to decode at a time (default: processors)"
    )


def check(arguments: argparse.Namespace, _: Sequence[str]) -> int:
    import dataclasses
    import os

    from cornernet.data.reader import read_splits
    from cornernet.data.survey import survey
    from cornernet.runtime.terminal import console, image_progress

    check_writable(arguments.json)
    splits = read_splits(arguments.root)
    images = sum(len(split.parsed.records) for split in splits.values())
    threads = arguments.threads if arguments.threads > 0 else os.cpu_count() or 1
    with image_progress("images", images, console(error=True)) as done:
        found = survey(splits, threads, lambda: done(1))
    for name, counts in found.splits.items():
        say(f"{shown(name)}: {counts['images']} images, {counts['objects']} objects")
        for title in ("objects by class", "objects by size"):
            numbers = ", ".join(f"{shown(key)} {count}" for key, count in counts[title].items())
            say(f"  {title}: {numbers}")
        if counts["images without objects"]:
            say(f"  images without objects: {counts['images without objects']}")
    for finding in found.findings:
        say(f"{finding.severity}: {finding.split}: {finding.count} {finding.kind}: {finding.text}")
    verdict = "can be trained on" if found.usable else "correct the errors before training"
    say(f"{arguments.root} ({found.layout}): {verdict}")
    if arguments.json:
        write_json(arguments.json, dataclasses.asdict(found) | {"usable": found.usable})
    return 0 if found.usable else 1


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


CHECK = Command(
    "check",
    "Read all annotations and images of a dataset and say what it holds and what is wrong.",
    _add_check_arguments,
    check,
    epilog="The exit status is 1 if a training would stop at an error.",
)
CONVERT = Command(
    "convert",
    "Copy a dataset in any known layout to a new directory as COCO, Pascal VOC or YOLO.",
    _add_convert_arguments,
    convert,
)
SYNTHESIZE = Command(
    "synthesize",
    "Write a COCO dataset of generated images, the same for the same seed.",
    _add_synthesize_arguments,
    synthesize,
)
COMMAND = Command("data", "Make, check and convert datasets.", add_arguments, None)
