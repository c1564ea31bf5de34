"""`cornernet compare`: runs side by side."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from cornernet.commands.common import check_writable, write_json
from cornernet.commands.parser import Command
from cornernet.runtime.text import say, shown

# More classes are left to the files.
_SHOWN_CLASSES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", help="directories of runs, finished or not; two or more"
    )
    parser.add_argument("--html", metavar="FILE", help="write a page with tables and curves")
    parser.add_argument("--png", metavar="FILE", help="write the curves as an image")
    parser.add_argument("--json", metavar="FILE", help="write all of it as JSON")


def run(arguments: argparse.Namespace, _: Sequence[str]) -> None:
    from cornernet.report.comparison import render_comparison
    from cornernet.report.curves import save_comparison
    from cornernet.runtime.files import write_text
    from cornernet.train.experiments import compare_runs

    check_writable(arguments.html, (".html", ".htm"))
    check_writable(arguments.png, (".png",))
    check_writable(arguments.json)
    comparison = compare_runs(arguments.runs)
    for note in comparison.notes:
        say(note)
    _print("results", comparison.names, comparison.results)
    if comparison.settings:
        _print("settings that differ", comparison.names, comparison.settings)
    else:
        say("no setting differs")
    if 0 < len(comparison.classes) <= _SHOWN_CLASSES:
        _print("AP by class", comparison.names, comparison.classes)
    if arguments.html is not None:
        write_text(Path(arguments.html), render_comparison(comparison))
    if arguments.png is not None:
        save_comparison(comparison.curves, Path(arguments.png))
    if arguments.json is not None:
        write_json(arguments.json, comparison.to_dict())
    say("(whether two devices log the same losses is told by cornernet check-losses)")


def _print(title: str, names: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    from rich.table import Table

    from cornernet.runtime.terminal import console

    table = Table(title=title, title_justify="left")
    table.add_column("", overflow="fold")
    for name in names:
        table.add_column(shown(name), justify="right", overflow="fold")
    for name, values in rows.items():
        table.add_row(shown(name), *map(shown, values))
    console().print(table)


COMMAND = Command(
    "compare",
    "Compare runs: the settings that differ, AP, curves.",
    add_arguments,
    run,
    epilog="The check of a device's losses against another's is cornernet check-losses.",
)
