"""How long a checkpoint keeps training waiting: `python -m benchmarks.checkpoint`.

Hourglass-104 with Adam's two averages makes the checkpoint of a run. Training waits for the copy to
the host's memory; the file is written meanwhile.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from cornernet.runtime.device import resolve_device
from cornernet.runtime.distributed import World
from cornernet.train.checkpoints import Checkpoints
from cornernet.train.run_directory import RunDirectory
from cornernet.train.trainer import Trainer

from .networks import recipe


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkpoint", description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    world = World(resolve_device(options.device))
    trainer = Trainer(recipe(), world)
    for parameter in trainer.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    trainer.optimizer.step()  # makes the averages
    trainer.optimizer.zero_grad(set_to_none=True)
    waited, busy, wrote = [], [], []
    with tempfile.TemporaryDirectory() as directory:
        run = RunDirectory(Path(directory))
        checkpoints = Checkpoints(run, trainer, ["thing"] * 80, {})
        for _ in range(options.times):
            begun, processor = time.perf_counter(), time.thread_time()
            checkpoints.save([])
            busy.append(time.thread_time() - processor)
            waited.append(time.perf_counter() - begun)
            checkpoints.wait()
            wrote.append(time.perf_counter() - begun)
        size = run.last.stat().st_size
    minutes = trainer.config.train.checkpoint_minutes
    each = ", ".join(f"{seconds:.2f}" for seconds in waited)
    wait = statistics.median(waited)
    print(
        f"{size / 1e9:.2f} GB on {world.device}: training waits {wait:.2f} s (of {each}), "
        f"{100 * wait / (60 * minutes):.2f} % of {minutes:g} minutes; a processor is busy for "
        f"{statistics.median(busy):.2f} s of it; written after {statistics.median(wrote):.1f} s"
    )


if __name__ == "__main__":
    main()
