"""Fuzz for as long as one likes: see the package."""

from __future__ import annotations

import argparse
import sys
import time

import torch

from tests.fuzz.harness import fuzz, generator
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Fuzz every target, or one input again; the status is 1 if there is a finding."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--target", choices=TARGETS, help="by default all")
    parser.add_argument(
        "--first-seed", type=int, help="by default one from the clock, so that each run is another"
    )
    parser.add_argument("--again", type=int, metavar="SEED", help="run one input, without a child")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [TARGETS[arguments.target]] if arguments.target else list(TARGETS.values())
    if arguments.again is not None:
        from pathlib import Path
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as directory:
            chosen[0].check(generator(chosen[0], arguments.again), Path(directory))
        return 0
    first = arguments.first_seed
    first = int(time.time()) * 1000 if first is None else first
    found = 0
    for target in chosen:
        report = fuzz(target, arguments.seconds / len(chosen), first)
        found += len(report.findings)
        print(f"{target.name}: {report.inputs} inputs, {len(report.findings)} findings", flush=True)
        for seed, text in report.findings[:20]:
            print(f"--target {target.name} --again {seed}\n{text}", flush=True)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
