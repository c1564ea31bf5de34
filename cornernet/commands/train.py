"""`cornernet train`: train a detector."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from cornernet.commands.common import add_device
from cornernet.commands.parser import Command
from cornernet.config import Setting, load_recipe, recipes, section_titles, settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recipe", metavar="RECIPE", help="name of a recipe of the package, or a YAML file"
    )
    parser.add_argument(
        "--data",
        required=True,
        metavar="DIR",
        help="holds annotations/instances_<split>*.json and the images in <split>*/",
    )
    parser.add_argument(
        "--output",
        required=True,
        metavar="DIR",
        help="directory for the run; must not hold another",
    )
    add_device(parser)
    parser.add_argument(
        "--resume", action="store_true", help="continue the run in --output after its last epoch"
    )
    parser.add_argument(
        "--init",
        dest="train.init",
        metavar="WEIGHTS",
        help="start from these weights, also of MMDetection or the original repository; for other "
        "classes, what depends on them starts at random",
    )
    parser.add_argument(
        "--find-batch",
        action="store_true",
        help="do not train; try how many images a step the device has memory for, and say so",
    )


def run(arguments: argparse.Namespace, words: Sequence[str]) -> None:
    from cornernet.runtime.distributed import end_world, start_world
    from cornernet.runtime.threads import apply_threads
    from cornernet.train.batch_size import find_batch_size
    from cornernet.train.loop import read_data, resolved, train

    config = load_recipe(arguments.recipe, words)
    apply_threads(config.runtime.threads)
    world = start_world(arguments.device)
    try:
        if arguments.find_batch:
            split, _ = read_data(config, arguments.data)
            fit = find_batch_size(resolved(config, split), world)
            peak = "" if fit.peak is None else f" ({fit.peak / 2**30:.2f} GiB at its peak)"
            print(
                f"--train.batch_size {fit.batch_size} is the largest that fits {world.device}"
                f"{peak}; leave some memory for images with more objects and for others"
            )
        else:
            train(config, arguments.data, arguments.output, world, arguments.resume)
    finally:
        end_world()


def settings_help() -> str:
    """Every setting that a recipe may have, with its meaning, what it takes and its default."""
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, add_help=False)
    groups = {name: parser.add_argument_group(title) for name, title in section_titles().items()}
    for setting in settings().values():
        description = f"{setting.description}. (default: {_text(setting.default)})"
        groups[setting.section].add_argument(
            f"--{setting.name}",
            metavar=_placeholder(setting),
            help=description.replace("%", "%%"),  # argparse fills in what follows a single one
        )
    return (
        f"\nrecipes: {', '.join(recipes())}\n\nsettings, as --section.key value "
        f"(--section.key+ value adds to a list):\n{parser.format_help()}"
    )


def _placeholder(setting: Setting) -> str:
    """What stands for the value in the help."""
    if setting.item_type is not None:
        return f"[{_PLACEHOLDERS[setting.item_type]},…]"
    if setting.choices:
        return "{" + ",".join(setting.choices) + "}"
    return _PLACEHOLDERS[setting.type]


_PLACEHOLDERS = {int: "INTEGER", float: "NUMBER", bool: "{true,false}", str: "TEXT"}


def _text(value: object) -> str:
    """A default as it is typed."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value) or "''"


COMMAND = Command(
    "train",
    "Train a detector on a dataset in COCO's format.",
    add_arguments,
    run,
    takes_settings=True,
    more_help=settings_help,
)
