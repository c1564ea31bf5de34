"""`cornernet modelzoo`: write a contribution to Tecorigin's model zoo."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cornernet.commands.common import conclude
from cornernet.commands.env import environment
from cornernet.commands.parser import Command
from cornernet.errors import UserError
from cornernet.runtime.text import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="RUN", help="directory of the run on SDAA")
    parser.add_argument("--output", required=True, metavar="DIR", help="the directory to make")
    parser.add_argument(
        "--package",
        required=True,
        metavar="SOURCE",
        help="where pip installs cornernet from, with the commit: git+https://…@COMMIT",
    )
    parser.add_argument("--reference", metavar="RUN", help="directory of the same run elsewhere")
    parser.add_argument("--check", metavar="FILE", help="what `cornernet check --json FILE` wrote")
    parser.add_argument(
        "--processes", type=int, default=4, metavar="N", help="of the training (default: 4, a card)"
    )


def run(arguments: argparse.Namespace, _: Sequence[str]) -> int | None:
    from cornernet.vendors.tecorigin.contribution import write_contribution

    batch = None if arguments.check is None else _read_check(Path(arguments.check))
    passed = write_contribution(
        arguments.source,
        arguments.output,
        arguments.package,
        environment(),
        arguments.reference,
        batch,
        arguments.processes,
    )
    say(f"{arguments.output}: README.md, config.yaml, requirements.txt, run_scripts, the losses")
    if passed is None:
        say("without a comparison: --reference RUN and --check FILE add them")
        return None
    return conclude(passed, "see README.md there")


def _read_check(path: Path) -> dict[str, Any]:
    try:
        batch: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        batch["passes"], batch["gradient_error"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"must be a file that `cornernet check --json` wrote, got {path} "
            f"({type(error).__name__}: {error})",
            field="check",
        ) from None
    return batch


COMMAND = Command(
    "modelzoo", "Write a contribution to Tecorigin's model zoo from a run.", add_arguments, run
)
