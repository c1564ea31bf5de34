"""Whether two processes load and train faster than one: `python -m benchmarks.processes`.

A network so small that loading takes most of the time, on images whose decoding and augmentation
take as long as those of COCO. Runs of one and of several processes take turns, each with the same
images in a step and one thread, and read their images per second from metrics.jsonl. Each process
loads its own images (`data.workers` 0), so that one process uses one core.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from cornernet.data.synthetic import synthesize

SETTINGS = [
    "--model.parts=[corners]", "--model.stage_channels=[8,8]", "--model.stage_blocks=[1,1]",
    "--model.feature_channels=8", "--model.pool_channels=8", "--model.head_channels=8",
    "--data.workers=0", "--data.long_side=0", "--augment.crop_size=128", "--train.batch_size=8",
    "--train.epochs=1", "--train.eval_every=0", "--train.checkpoint_minutes=0",
    "--train.log_every=10", "--train.precision=fp32", "--runtime.threads=1",
]  # fmt: skip


def images_per_second(data: Path, output: Path, processes: int) -> float:
    """The median over the lines of a run's log but the first, in which everything starts."""
    launcher = [sys.executable, "-m"]
    if processes > 1:
        launcher += ["torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        launcher += ["-m"]
    command = [*launcher, "cornernet", "train", "tiny", "--data", str(data), "--output",
               str(output), "--device", "cpu", *SETTINGS]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    rates = [line["images_per_second"] for line in lines if line["kind"] == "train"]
    return statistics.median(rates[1:])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.processes", description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=400)
    options = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as directory:
        data = synthesize(
            Path(directory) / "data", train=options.images, val=1, min_side=640, max_side=640
        )
        for number in range(options.rounds):
            one, several = (
                images_per_second(data, Path(directory) / f"{number}-{processes}", processes)
                for processes in (1, options.processes)
            )
            ratios.append(several / one)
            print(f"{one:.1f} and {several:.1f} images/s: {ratios[-1]:.2f} ×", flush=True)
    print(f"{options.processes} processes: {statistics.median(ratios):.2f} × one, by the median")


if __name__ == "__main__":
    main()
