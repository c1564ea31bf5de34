"""`cornernet data check`: what a dataset holds, what is wrong with it, and settings for it."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cornernet.commands.common import check_writable, write_json
from cornernet.commands.parser import Command
from cornernet.config import (
    Config,
    check_recipe_name,
    load_recipe,
    save_recipe,
    with_overrides,
)
from cornernet.runtime.text import say, shown

if TYPE_CHECKING:
    from cornernet.data.capacity import Capacity
    from cornernet.data.proposal import Proposal
    from cornernet.data.reader import Split
    from cornernet.data.survey import Survey


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", metavar="DIR", help="dataset in any known layout")
    parser.add_argument(
        "--base", default="tiny", metavar="RECIPE", help="recipe to check it for (default tiny)"
    )
    parser.add_argument(
        "--recipe", metavar="FILE", help="write the proposed settings as a recipe for train (.yaml)"
    )
    parser.add_argument("--json", metavar="FILE", help="write everything that was found")
    parser.add_argument(
        "--threads", type=int, default=0, help="images to decode at a time (default: processors)"
    )


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    from cornernet.data.capacity import capacity
    from cornernet.data.proposal import propose
    from cornernet.data.splits import chosen_splits, learnt_share
    from cornernet.data.survey import survey
    from cornernet.runtime.terminal import console, image_progress
    from cornernet.runtime.threads import available_cpus

    check_writable(arguments.json)
    check_writable(arguments.recipe, (".yaml", ".yml"))
    if arguments.recipe:
        check_recipe_name(arguments.base, Path(arguments.recipe))
    config = load_recipe(arguments.base, words)
    splits = chosen_splits(config, arguments.root)
    images = sum(len(split.parsed.records) for split in splits.values())
    threads = arguments.threads if arguments.threads > 0 else available_cpus()
    with image_progress("images", images, console(error=True)) as done:
        found = survey(splits, threads, lambda: done(1))
    _say_survey(found)
    learnt = _learnt(splits).parsed.records
    now = capacity(learnt, config, config.data.long_side)
    share = learnt_share(config, splits)
    proposal = propose(learnt, config, config.model.size_multiple, share)
    _say_fit(arguments, config, now, proposal)
    if arguments.recipe and proposal is not None:
        changes = [f"--{name}={value}" for name, value in proposal.settings.items()]
        save_recipe(with_overrides(config, changes), arguments.base, Path(arguments.recipe))
    verdict = "can be trained on" if found.usable else "correct the errors before training"
    say(f"{arguments.root} ({found.layout}): {verdict}")
    if arguments.json:
        content: dict[str, Any] = dataclasses.asdict(found) | {"usable": found.usable}
        content |= {"base": arguments.base, "capacity": dataclasses.asdict(now)}
        content["proposal"] = None if proposal is None else dataclasses.asdict(proposal)
        write_json(arguments.json, content)
    return 0 if found.usable else 1


def _learnt(splits: Mapping[str, Split]) -> Split:
    return splits.get("train") or next(iter(splits.values()))


def _say_survey(found: Survey) -> None:
    for name, counts in found.splits.items():
        say(f"{shown(name)}: {counts['images']} images, {counts['objects']} objects")
        for title in ("objects by class", "objects by size"):
            numbers = ", ".join(f"{shown(key)} {count}" for key, count in counts[title].items())
            say(f"  {title}: {numbers}")
        for title in ("images without objects", "crowds", "ignored"):
            if counts[title]:
                say(f"  {title}: {counts[title]}")
    for finding in found.findings:
        say(
            f"{finding.severity}: {shown(finding.split)}: {finding.count} {finding.kind}: "
            f"{finding.text}"
        )


def _say_fit(
    arguments: argparse.Namespace, config: Config, now: Capacity, proposal: Proposal | None
) -> None:
    name = Path(arguments.base).stem
    say(f"with {name}, {now}")
    if proposal is None:
        return
    say(f"proposed for this dataset, from {name}:")
    for reason in proposal.reasons:
        say(f"  {reason}")
    if proposal.capacity.long_side != now.long_side:
        say(f"  {proposal.capacity}")
    if proposal.work != 1:
        say(f"  an image costs {proposal.work:.1f} times as much as with {name}")
    if arguments.recipe:
        say(f"  written to {arguments.recipe}: cornernet train {arguments.recipe} --data ...")
    else:
        say("  --recipe FILE writes this as a recipe")


COMMAND = Command(
    "check",
    "Read all annotations and images of a dataset, say what it holds and what is wrong, and "
    "propose settings for it.",
    add_arguments,
    run,
    takes_settings=True,
    epilog="The exit status is 1 if a training would stop at an error.",
)
