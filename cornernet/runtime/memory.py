"""The memory of devices: free, used at the peak, and the errors that say it is full."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from cornernet.runtime.device import device_module

_UNLIMITED = 2**60  # version 1 writes a limit of about 2^63 where there is none


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device or the machine has no memory left."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and ("out of memory" in str(error).lower() or "can't allocate memory" in str(error))
    )


def has_own_memory(device: torch.device) -> bool:
    """Whether the device refuses what its memory cannot hold; the CPU's system stops processes."""
    return device.type != "cpu"


def free_memory(device: torch.device, root: Path = Path("/")) -> int | None:
    """Bytes that may still be taken before the system stops processes.

    The least of what the machine has free and what the control groups of this process allow, as of
    a container or a batch system. None where the device refuses what it does not have, or where the
    system gives no figure.

    Args:
        device: whose memory.
        root: of the file system, for tests.
    """
    meminfo = root / "proc/meminfo"
    if has_own_memory(device) or not meminfo.is_file():
        return None
    figures = list(_free_by_groups(root))
    for line in meminfo.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            figures.append(int(value.split()[0]) * 1024)
    return min(figures, default=None)


def _free_by_groups(root: Path) -> Iterator[int]:
    """What each limited control group of this process, of version 1 or 2, still allows.

    A group's limit holds for the groups below it, so that all above count as well. In a container,
    the path of its group may be that of the host, of which its root is what can be seen.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base, files = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            base = root / "sys/fs/cgroup/memory"
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        group = base / path.strip("/")
        while group.is_relative_to(base):
            free = _free_of_group(group, *files)
            if free is not None:
                yield free
            group = group.parent


def _free_of_group(group: Path, limit: str, usage: str, reclaimable: str) -> int | None:
    """The limit of a control group without what it uses; None without a limit."""
    try:
        most, used = (group / limit).read_text().strip(), int((group / usage).read_text())
        if most == "max" or int(most) >= _UNLIMITED:
            return None
        entries = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # not there, or not in the form that Linux documents
        return None
    # Files that were read long ago are dropped when memory is wanted.
    return max(0, int(most) - used + int(entries.get(reclaimable, 0)))


def peak_memory(device: torch.device) -> int | None:
    """Most bytes that the device's allocator has held at once; None where it does not count."""
    counter = getattr(device_module(device.type), "max_memory_allocated", None)
    return int(counter()) if has_own_memory(device) and counter is not None else None


def release_memory(device: torch.device) -> None:
    """Return the allocator's cached memory to the device and start a new count of the peak."""
    for name in ("empty_cache", "reset_peak_memory_stats"):
        function = getattr(device_module(device.type), name, None)
        if has_own_memory(device) and function is not None:
            function()
