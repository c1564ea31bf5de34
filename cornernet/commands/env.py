"""`cornernet env`: what is installed, and whether a device can run the detector."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from cornernet.commands.parser import Command
from cornernet.runtime.text import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--probe",
        dest="device",
        metavar="DEVICE",
        help="also call every op that the detector needs on this device, such as sdaa, and compare "
        "with the CPU; the exit status is 1 if one is wrong or missing",
    )


def run(arguments: argparse.Namespace, _: Sequence[str]) -> int | None:
    if arguments.device is None:
        say(environment())
        return None
    from cornernet.runtime.probe import find_device, is_fit, probe

    device = find_device(arguments.device)
    say(environment(), end="\n\n", flush=True)
    return 0 if is_fit(probe(device)) else 1


def environment() -> str:
    """What is installed and which devices are there, for a report."""
    from importlib import metadata

    from cornernet import __version__
    from cornernet.runtime.device import available_kinds, describe
    from cornernet_ops.__main__ import report

    lines = [f"cornernet {__version__}"]
    for name in ("numpy", "opencv-python-headless", "pycocotools", "PyYAML", "matplotlib"):
        try:
            lines.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{name} is not installed")
    lines += [f"device {kind}: {describe(kind)}" for kind in available_kinds()]
    return "\n".join([*lines, report()])


COMMAND = Command(
    "env", "Print versions, devices and back ends, for bug reports.", add_arguments, run
)
