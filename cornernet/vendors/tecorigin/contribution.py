"""What Tecorigin's model zoo asks of a contribution, made from a run: a folder to copy.

Its rules, as far as they are public: a README with environment, data, commands and results, the
requirements, scripts that start the training, and the losses beside those of a reference device.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cornernet.errors import UserError
from cornernet.runtime.files import new_folder
from cornernet.train.compare import (
    TOLERANCE,
    LossError,
    compare_losses,
    passes,
    training_records,
    verdict,
)
from cornernet.train.log import read_records
from cornernet.train.run_directory import RunDirectory

# The zoo's logger, which is not on PyPI.
LOGGER = "git+https://github.com/Tecorigin/tcap_dllogger.git"

_RUN = '''"""Trains CornerNet with the settings of this contribution.

    python run_scripts/run_cornernet.py --data DIR --output DIR [--nproc_per_node N] [...]

What follows changes settings, as in `cornernet train`: --train.epochs 1.
"""

from argument import parse

import subprocess
import sys


def main() -> int:
    arguments, settings = parse()
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node",
        str(arguments.nproc_per_node), "-m", "cornernet", "train", arguments.recipe, "--data",
        arguments.data, "--output", arguments.output, "--device", arguments.device, *settings,
    ]
    print(" ".join(command), flush=True)
    return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main())
'''

_ARGUMENT = '''"""The arguments of run_cornernet.py."""

import argparse
from pathlib import Path

RECIPE = Path(__file__).resolve().parents[1] / "config.yaml"


def parse() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True, help="a folder in COCO's format")
    parser.add_argument("--output", required=True, help="the run's folder, which must be new")
    parser.add_argument("--recipe", default=str(RECIPE), help="name or file of a recipe")
    parser.add_argument("--device", default="sdaa", help="sdaa, cpu, …, or auto")
    parser.add_argument("--nproc_per_node", type=int, default={processes}, help="4 are one card")
    return parser.parse_known_args()
'''

_TEST = """#!/bin/bash
# An epoch with the losses of each step: bash run_scripts/test.sh DATA OUTPUT
set -euo pipefail
cd "$(dirname "$0")/.."
pip install -r requirements.txt
python run_scripts/run_cornernet.py --data "$1" --output "$2" --train.epochs 1 \\
  --train.log_every 1 2>&1 | tee "$2.log"
"""

_README = """# CornerNet

## Overview

CornerNet (Law and Deng, ECCV 2018) finds each object as a pair of corners. Source: {source}.
Nothing of PyTorch or of another package is edited to run it.

## Environment

```
{environment}
```

Inside Tecorigin's image of torch_sdaa, after `source /opt/tecoai/setvars.sh`:

```bash
pip install -r requirements.txt
```

## Data

A folder in COCO's format: `annotations/instances_train2017.json` and `instances_val2017.json`, and
the pictures in `train2017/` and `val2017/`.

## Training

```bash
python run_scripts/run_cornernet.py --data /data/coco --output runs/cornernet   # one card
bash run_scripts/test.sh /data/coco runs/test                                   # an epoch
```

`config.yaml` has every setting; each can be changed on the command line, such as
`--train.precision fp32`. Four processes are one card.

## Results

{results}
{comparison}"""


def write_contribution(
    run: str | Path,
    output: str | Path,
    source: str,
    environment: str,
    reference: str | Path | None = None,
    batch: Mapping[str, Any] | None = None,
    processes: int = 4,
) -> bool | None:
    """Write the folder of a contribution.

    Args:
        run: the folder of the training on SDAA.
        output: the folder to make; must be new or empty.
        source: where pip installs this package from, with the commit.
        environment: what was installed, as `cornernet env` prints it.
        reference: the folder of the same training on another device.
        batch: what `cornernet check --json` has written.
        processes: of the training.

    Returns:
        Whether the comparisons pass; None without any.

    Raises:
        UserError: a folder has no run, the output is taken, or the runs cannot be compared.
    """
    folder, target = RunDirectory(Path(run)), Path(output)
    records = training_records(run)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"--output: expected a new or empty folder, found {target}; choose another")
    errors = None if reference is None else compare_losses(records, training_records(reference))
    verdicts = []
    parts = []
    if errors is not None:
        verdicts.append(losses_pass(errors))
        parts.append(_losses_table(errors))
    if batch is not None:
        verdicts.append(bool(batch["passes"]))
        parts.append(_batch_paragraph(batch))
    best = max(
        (r for r in read_records(folder.path / "metrics.jsonl") if r["kind"] == "val"),
        key=lambda record: record.get("AP", -1.0),
        default=None,
    )
    try:
        with new_folder(target) as unfinished:
            scripts = unfinished / "run_scripts"
            scripts.mkdir()
            (scripts / "run_cornernet.py").write_text(_RUN)
            (scripts / "argument.py").write_text(_ARGUMENT.format(processes=processes))
            (scripts / "test.sh").write_text(_TEST)
            (unfinished / "requirements.txt").write_text(f"{source}\n{LOGGER}\n")
            (unfinished / "README.md").write_text(
                _README.format(
                    source=source,
                    environment=environment.strip(),
                    results=_results(best, max(records), len(records)),
                    comparison="\n".join(["", *parts]) if parts else "",
                )
            )
            shutil.copy(folder.config, unfinished / "config.yaml")
            for file in (folder.path / "metrics.jsonl", folder.curves):
                if file.is_file():
                    shutil.copy(file, unfinished / file.name)
            if errors is not None:
                assert reference is not None
                shutil.copy(Path(reference) / "metrics.jsonl", unfinished / "reference.jsonl")
                text = json.dumps([vars(error) for error in errors], indent=1)
                (unfinished / "losses.json").write_text(text + "\n")
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error}); choose another place") from None
    return all(verdicts) if verdicts else None


def _results(best: Mapping[str, Any] | None, steps: int, lines: int) -> str:
    trained = (
        f"{steps} steps; `metrics.jsonl` has {lines} lines of losses, `curves.png` shows them."
    )
    if best is None:
        return f"Not evaluated. Trained for {trained}"
    return (
        "| AP | AP50 | AP75 |\n|---|---|---|\n"
        f"| {best['AP']:.3f} | {best['AP50']:.3f} | {best['AP75']:.3f} |\n\nTrained for {trained}"
    )


def losses_pass(errors: Sequence[LossError]) -> bool:
    """Whether the total loss is near the reference's, step by step."""
    return passes([error.mean for error in errors if error.name == "total"])


def losses_summary(errors: Sequence[LossError]) -> str:
    """How far the total loss is off, and how far it may be."""
    total = next(error for error in errors if error.name == "total")
    return (
        f"the mean of the total loss's absolute relative errors is {total.mean:.4f} over "
        f"{total.steps} lines, wanted at most {TOLERANCE}"
    )


def _losses_table(errors: Sequence[LossError]) -> str:
    rows = "\n".join(
        f"| {error.name} | {error.mean:.4f} | {error.largest:.4f} (step {error.largest_step}) "
        f"| {error.signed_mean:.4f} |"
        for error in errors
    )
    return (
        "### Losses beside the reference device's\n\n"
        "| loss | mean absolute relative error | largest | mean signed relative error |\n"
        f"|---|---|---|---|\n{rows}\n\n{verdict(losses_pass(errors), losses_summary(errors))}. "
        "Signed errors cancel each other, so they do not count here.\n"
    )


def _batch_paragraph(batch: Mapping[str, Any]) -> str:
    text = (
        f"on {batch['device']} in {batch['precision']}, all gradients together are "
        f"{batch['gradient_error']:.2e} off, those of {batch['worst']} {batch['worst_error']:.2e}, "
        f"the total loss {batch['loss_error']:.2e}; wanted at most {batch['tolerance']:.3g} in the "
        f"gradients, where the CPU's own in {batch['precision']} are {batch['rounding']:.2e} off, "
        f"and {TOLERANCE} in the loss."
    )
    return (
        "### Gradients of one batch beside the CPU's in float32\n\n"
        f"{verdict(bool(batch['passes']), text)}\n"
    )
