"""CPU threads of tensor operations: how many, and what they do between two operations.

Importing this module does not load torch: OpenMP reads the wait policy when torch loads it.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# What tells an OpenMP library how long its threads spin when they have nothing to do: OpenMP's own
# variable, and those of GCC's, Intel's and LLVM's library.
_POLICIES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")

# Idle threads spin for about ten microseconds, long enough for the next operation of the same
# network, and sleep then. The first variable is for the libraries that do not know the second.
WAIT_POLICY = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}


def set_wait_policy() -> None:
    """Let idle OpenMP threads sleep soon, unless the user's environment says what they should do.

    By default they spin for milliseconds, and where other processes compete for the same cores,
    every parallel region waits for a thread that the system has suspended in favour of a spinning
    one. `docs/benchmarks.md` has the measurement.

    For programs, before they import torch, which loads OpenMP; afterwards this does nothing. A
    library should not change the environment of the process that imports it, so `import cornernet`
    does not call this. Child processes inherit the setting.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in _POLICIES):
        os.environ.update(WAIT_POLICY)


def apply_threads(threads: int) -> int:
    """Set the CPU threads of tensor operations in this process.

    Args:
        threads: number of threads, or 0: OMP_NUM_THREADS where the environment sets it; otherwise
            torch's own choice (a thread for each physical core), but no more than this process's
            share of the CPUs that are available.

    Returns:
        The number of threads.
    """
    import torch

    if threads == 0 and "OMP_NUM_THREADS" not in os.environ:
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # set by torchrun
        share = max(1, available_cpus() // processes)
        threads = min(torch.get_num_threads(), share)
    if threads:
        torch.set_num_threads(threads)
    return torch.get_num_threads()


def available_cpus(root: Path = Path("/")) -> int:
    """CPUs that this process may use: those of its affinity, or fewer by its container's quota.

    Args:
        root: directory that holds `proc` and `sys`.
    """
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    # A quota of 1.5 CPUs is used up by two threads, which are suspended for part of the time.
    return min([cpus, *(max(1, math.ceil(quota)) for quota in _quotas(root))])


def _quotas(root: Path) -> Iterator[float]:
    """Limits in CPUs that Linux's control groups set for this process, one for each level.

    A limit of any level counts. In a container, the group's path may be the host's and not exist
    inside; the container's own limits then stand at the top.
    """
    mounts = root / "sys" / "fs" / "cgroup"
    for line in _read(root / "proc" / "self" / "cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        inside = [] if ".." in Path(path).parts else Path(path.lstrip("/")).parts
        levels = [Path(*inside[:length]) for length in range(len(inside) + 1)]
        if number == "0":
            for level in levels:
                quota, _, period = _read(mounts / level / "cpu.max").partition(" ")
                if quota.isdigit():
                    yield int(quota) / int(period)
        elif "cpu" in controllers.split(","):
            for level in levels:
                directory = mounts / "cpu" / level
                quota = _read(directory / "cpu.cfs_quota_us").strip()
                if quota.isdigit():  # -1: no limit
                    yield int(quota) / int(_read(directory / "cpu.cfs_period_us"))


def _read(file: Path) -> str:
    """The file's text; "" where it does not exist or may not be read."""
    try:
        return file.read_text()
    except OSError:
        return ""
