"""The memory of devices: free, used at the peak, and the errors that say it is full."""

from __future__ import annotations

from pathlib import Path

import torch

from cornernet.runtime.device import device_module


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device or the machine has no memory left."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and ("out of memory" in str(error).lower() or "can't allocate memory" in str(error))
    )


def has_own_memory(device: torch.device) -> bool:
    """Whether the device refuses what its memory cannot hold; the CPU's system stops processes."""
    return device.type != "cpu"


def free_memory(device: torch.device) -> int | None:
    """Bytes that may still be taken before the system stops processes.

    None where the device refuses what it does not have, or where the system gives no figure.
    """
    meminfo = Path("/proc/meminfo")
    if has_own_memory(device) or not meminfo.is_file():
        return None
    for line in meminfo.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


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
