"""`cornernet train`: train a detector."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cornernet.commands.common import add_device, apply_runtime
from cornernet.commands.parser import Command
from cornernet.config import (
    Config,
    Setting,
    load_config,
    load_recipe,
    recipes,
    section_titles,
    settings,
    with_overrides,
)
from cornernet.errors import UserError
from cornernet.runtime.text import say

# The exit status of a run that a signal has stopped and whose state is saved: sysexits.h calls it
# EX_TEMPFAIL, a failure after which the same should be tried again.
STOPPED = 75


class _Resume(argparse.Action):
    """Stores True, or "auto" where that word follows."""

    def __call__(self, parser: Any, namespace: Any, value: Any, flag: Any = None) -> None:
        if value not in (True, "auto"):
            raise UserError(
                f"{flag} must be followed by auto or by another argument, got {value!r}; put the "
                "recipe first"
            )
        setattr(namespace, self.dest, value)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recipe", metavar="RECIPE", help="name of a recipe of the package, or a YAML file"
    )
    parser.add_argument(
        "--data",
        required=True,
        metavar="DIR",
        help="dataset as COCO, Roboflow, CVAT, Label Studio, Pascal VOC or YOLO have it",
    )
    parser.add_argument(
        "--output",
        required=True,
        metavar="DIR",
        help="directory for the run; must not hold another",
    )
    add_device(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const=True,
        default=False,
        action=_Resume,
        metavar="auto",
        help="continue the run in --output from its last checkpoint; with auto, start it if there "
        "is none, so that one command line does for both",
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
        help="do not train; try how many images at a time the device has memory for, and say so",
    )


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int | None:
    from cornernet.data.splits import training_splits
    from cornernet.runtime.distributed import end_world, start_world
    from cornernet.train.batch_size import find_batch_size
    from cornernet.train.loop import train
    from cornernet.train.signals import RunStopped
    from cornernet.train.start import resolved

    config = _configuration(arguments, words)
    apply_runtime(config)
    world = start_world(arguments.device, config.train.timeout_minutes)
    try:
        if arguments.find_batch:
            split, _ = training_splits(config, arguments.data)
            fit = find_batch_size(resolved(config, split), world)
            peak = "" if fit.peak is None else f" ({fit.peak / 2**30:.2f} GiB at its peak)"
            say(
                f"--train.micro_batch {fit.batch_size} is the largest that fits {world.device}"
                f"{peak}; leave some memory for images with more objects and for others"
            )
        else:
            train(config, arguments.data, arguments.output, world, arguments.resume)
    except RunStopped as stop:
        if world.is_main:
            again = continuing_command(arguments, words, world.size)
            say(f"{stop}; continue with\n  {again}", flush=True)
        return STOPPED
    finally:
        end_world()
    return None


def _configuration(arguments: argparse.Namespace, words: Sequence[str]) -> Config:
    """The recipe with its settings.

    A recipe of the package may change from one version to the next. So a run of such a recipe that
    is continued keeps the settings it was started with, but for those that are given again.
    """
    stored = Path(arguments.output, "config.yaml")
    if arguments.resume and arguments.recipe in recipes() and stored.is_file():
        config = load_config(stored)
        if config.recipe == arguments.recipe:
            return with_overrides(config, words)
    return load_recipe(arguments.recipe, words)


def continuing_command(
    arguments: argparse.Namespace, words: Sequence[str], processes: int = 1
) -> str:
    """The command line that continues a run; it would also start it."""
    launcher = ["cornernet"]
    if processes > 1:
        launcher = ["torchrun", "--nproc_per_node", str(processes), "-m", "cornernet"]
    command = [*launcher, "train", arguments.recipe, "--data", arguments.data,
               "--output", arguments.output, "--device", arguments.device, *words,
               "--resume", "auto"]  # fmt: skip
    return shlex.join(command)


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
    "Train a detector on a dataset in any common layout.",
    add_arguments,
    run,
    takes_settings=True,
    more_help=settings_help,
)
