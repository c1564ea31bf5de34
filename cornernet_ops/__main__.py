"""`python -m cornernet_ops`: what was built, against what, and what runs where.

`python -m cornernet_ops probe --device sdaa` starts the detector's `cornernet.runtime.probe`, which
tries every op that the detector needs on a device.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from collections.abc import Sequence

import torch

from . import extension

# A program and not a module: the ops know nothing of the detector.
PROBE = ("-m", "cornernet.runtime.probe")


def report() -> str:
    """The report: versions, the build, and a table with a line per op and a column per device."""
    lines = [
        f"torch    {torch.__version__}",
        f"python   {platform.python_version()} on {platform.machine()}",
    ]
    if extension.module is not None:
        lines.append("_C       loaded; built as follows")
        lines += [f"  {key}: {value}" for key, value in extension.module.build_info().items()]
    else:
        lines.append(f"_C       not loaded: {extension.reason}")
    for device, reason in extension.device_reasons.items():
        lines.append(f"_{device.ljust(7)} not loaded: {reason}")
    record = extension.read_record()
    if record is not None:
        lines.append("build    as setup.py recorded it")
        lines += [f"  {key}: {value}" for key, value in record.items()]

    table = extension.backends()
    devices = list(next(iter(table.values())))
    width = max(map(len, table)) + 2
    lines += ["", "op".ljust(width) + "".join(device.ljust(12) for device in devices)]
    for op, row in table.items():
        lines.append(op.ljust(width) + "".join(row[device].ljust(12) for device in devices))
    return "\n".join(line.rstrip() for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 1 if a probed op is wrong or missing."""
    parser = argparse.ArgumentParser(prog="python -m cornernet_ops", description=__doc__)
    parser.add_argument("verb", nargs="?", choices=["report", "probe"], default="report")
    parser.add_argument("--device", help="with probe: cpu, cuda, sdaa:1, …", metavar="NAME")
    chosen = parser.parse_args(arguments)
    if chosen.verb == "report":
        if chosen.device is not None:
            parser.error("--device goes with probe")
        print(report())
        return 0
    command = [sys.executable, *PROBE, chosen.device or "cpu"]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
