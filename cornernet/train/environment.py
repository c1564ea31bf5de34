"""What a run runs on: versions, machine, device."""

from __future__ import annotations

import json
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from cornernet import __version__
from cornernet.runtime.device import describe
from cornernet.runtime.distributed import World
from cornernet.runtime.files import write_json

_PACKAGES = ("numpy", "opencv-python-headless", "pycocotools", "pillow", "matplotlib")


def environment(world: World, precision: str) -> dict[str, str]:
    """Versions, machine and device, by name, as text for people.

    Args:
        world: the processes of the run.
        precision: that it computes in.
    """
    found = {
        "cornernet": __version__,
        "torch": torch.__version__,
        "Python": platform.python_version(),
        "system": platform.platform(terse=True),
        "machine": platform.machine(),
        "device": f"{world.device.type}: {describe(world.device.type)}",
        "processes": str(world.size),
        "precision": precision,
    }
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def record_environment(path: Path, step: int, world: World, precision: str) -> None:
    """Add what a part of a run runs on to those before it.

    Args:
        path: a JSON file; made if there is none.
        step: number of steps done before this part.
        world: the processes.
        precision: that it computes in.
    """
    parts = read_environments(path) if step else []
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    parts.append({"step": step, "started": now} | environment(world, precision))
    write_json(path, parts, indent=1)


def read_environments(path: Path) -> list[dict[str, Any]]:
    """What the parts of a run ran on, first first; none for a run of an older version."""
    try:
        parts: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return parts
