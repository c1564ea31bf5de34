"""The command line: `python -m benchmarks [NAME ...]`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from cornernet.errors import UserError
from cornernet.runtime.device import resolve_device

from .measure import Disagreement, Result, measure
from .report import print_table, save_json, save_plot

PREFIX = "bench_"

# Seconds for each contender of a case with each number of threads.
_QUICK_SECONDS = 0.05
_FULL_SECONDS = 0.1


# What is measured only when it is named: it takes minutes, gigabytes of memory, or both.
NAMED_ONLY = ("inference", "loader", "threads", "train")


def names() -> list[str]:
    """What there are benchmarks of: the stems of the files bench_<name>.py."""
    files = Path(__file__).parent.glob(f"{PREFIX}*.py")
    return sorted(file.stem.removeprefix(PREFIX) for file in files)


def run(
    chosen: Sequence[str],
    device: torch.device,
    full: bool,
    threads: Sequence[int] | None,
    console: Console,
) -> list[Result]:
    """Measures the cases of what was chosen and prints a table for each name."""
    results: list[Result] = []
    for name in chosen:
        module = importlib.import_module(f"{__package__}.{PREFIX}{name}")
        mine = []
        for case in module.cases(device, full):
            for count in threads or _usual_threads(name, device):
                if console.is_terminal:
                    console.print(f"{case}, {count} threads", end="\r", overflow="crop")
                seconds = _FULL_SECONDS if full else _QUICK_SECONDS
                mine.append(measure(case, device, count, seconds))
                if console.is_terminal:
                    console.print(" " * console.width, end="\r")
        print_table(mine, console)
        results += mine
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"one of {', '.join(names())}; all but {', '.join(NAMED_ONLY)} by default",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a bar chart (PNG) there")
    parser.add_argument("--device", default="cpu", help="where to measure (default: cpu)")
    parser.add_argument(
        "--full", action="store_true", help="all dtypes, layouts and sizes; takes long"
    )
    parser.add_argument(
        "--threads",
        type=int,
        nargs="+",
        metavar="N",
        help="numbers of threads (default for ops on the CPU: 1 and all; else all)",
    )
    options = parser.parse_args(arguments)
    try:
        chosen = _chosen(options.names)
        for path in filter(None, (options.json, options.plot)):
            if not path.parent.is_dir():
                raise UserError(f"{path}: expected its folder {path.parent} to be there")
        device = resolve_device(options.device)
        threads = _checked_threads(options.threads)
        # Where nobody looks at it line by line, the table is as wide as it needs.
        console = Console() if sys.stdout.isatty() else Console(width=160)
        results = run(chosen, device, options.full, threads, console)
        if options.json:
            save_json(results, device, options.json)
        if options.plot:
            save_plot(results, device, options.plot)
    except (UserError, Disagreement) as error:
        # An error about an argument starts with its name.
        flag = "--" if getattr(error, "field", None) in vars(options) else ""
        print(f"benchmarks: {flag}{error}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    return 0


def _chosen(wanted: Sequence[str]) -> list[str]:
    known = names()
    for name in wanted:
        if name not in known:
            raise UserError(f"expected NAME to be one of {', '.join(known)}, got {name!r}")
    return list(dict.fromkeys(wanted)) or [name for name in known if name not in NAMED_ONLY]


def _checked_threads(wanted: Sequence[int] | None) -> list[int] | None:
    if wanted is not None and min(wanted) < 1:
        raise UserError(f"must be at least 1, got {min(wanted)}", field="threads")
    return None if wanted is None else sorted(set(wanted))


def _usual_threads(name: str, device: torch.device) -> list[int]:
    everything = torch.get_num_threads()
    if device.type != "cpu" or name in NAMED_ONLY:
        return [everything]
    return sorted({1, everything})


if __name__ == "__main__":
    sys.exit(main())
