"""Trains CornerNet with the settings of this contribution.

    python run_scripts/run_cornernet.py --data DIR --output DIR [--nproc_per_node N] [...]

What follows changes settings, as in `cornernet train`: --train.epochs 1.
"""

import subprocess
import sys

from argument import parse


def main() -> int:
    arguments, settings = parse()
    command = [
        *(sys.executable, "-m", "torch.distributed.run"),
        *("--nproc_per_node", str(arguments.nproc_per_node)),
        *("-m", "cornernet", "train", arguments.recipe),
        *("--data", arguments.data, "--output", arguments.output, "--device", arguments.device),
        *settings,
    ]
    print(" ".join(command), flush=True)
    return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main())
