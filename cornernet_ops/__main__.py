"""`python -m cornernet_ops`: what was built, against what, and what runs where."""

from __future__ import annotations

import platform

import torch

from . import extension


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


if __name__ == "__main__":
    print(report())
