"""How much memory training takes: `python -m benchmarks.memory`.

Hourglass-104 at 511×511 makes two steps with each setting, in a process of its own: the first makes
the optimiser's state, the second shows what all later ones need. On the CPU the figure is the
process's peak, with Python and PyTorch in it; elsewhere what the device's allocator held at most.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

import torch
from rich.console import Console
from rich.table import Table

from cornernet.errors import UserError
from cornernet.runtime.device import resolve_device
from cornernet.runtime.distributed import World
from cornernet.runtime.memory import peak_memory
from cornernet.train.trainer import Trainer

from . import mmdetection
from .bench_train import STEPS, random_batch
from .networks import recipe

_CHECKPOINTS = ("--train.checkpoint_activations", "true")
SETTINGS: dict[str, tuple[str, ...]] = {
    "fp32": ("--train.precision", "fp32"),
    "fp32, checkpoints": ("--train.precision", "fp32", *_CHECKPOINTS),
    "bf16": ("--train.precision", "bf16"),
    "bf16, checkpoints": ("--train.precision", "bf16", *_CHECKPOINTS),
}
MMDETECTION = "mmdetection, fp32"


def peak_of(setting: str, batch_size: int, device: torch.device) -> int:
    """Bytes that this process has held at most after two steps with a setting."""
    batch = random_batch(batch_size, device)
    if setting == MMDETECTION:
        step = mmdetection.train_step(
            mmdetection.detector({}, device), batch.images, batch.boxes, batch.labels
        )
        for _ in range(2):
            step()
    else:
        trainer = Trainer(recipe(*SETTINGS[setting]), World(device))
        for _ in range(2):
            trainer.train_step(batch, STEPS)
    counted = peak_memory(device)
    if counted is not None:
        return counted
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _measured(setting: str, batch_size: int, device: torch.device) -> int:
    words = ["--device", str(device), "--batch-size", str(batch_size), "--only", setting]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", *words], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise UserError(f"{setting}: {done.stderr.strip().splitlines()[-1]}")
    return int(done.stdout.split()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", default="cpu", help="where to train (default: cpu)")
    parser.add_argument("--batch-size", type=int, default=1, metavar="N", help="pictures a step")
    parser.add_argument("--only", choices=[*SETTINGS, MMDETECTION], help="print this one's bytes")
    options = parser.parse_args()
    try:
        device = resolve_device(options.device)
        if options.only:
            print(peak_of(options.only, options.batch_size, device))
            return 0
        settings = [*SETTINGS, *([MMDETECTION] if mmdetection.available() else [])]
        peaks = {name: _measured(name, options.batch_size, device) for name in settings}
    except UserError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    table = Table("setting", "peak, GiB", title=f"{device}, batch {options.batch_size}")
    for name, peak in peaks.items():
        table.add_row(name, f"{peak / 2**30:.2f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
