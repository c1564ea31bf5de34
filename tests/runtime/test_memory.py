"""What is known of a device's memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cornernet.runtime.memory import free_memory, peak_memory

CPU = torch.device("cpu")


def test_memory_of_the_cpu_is_not_counted() -> None:
    assert peak_memory(CPU) is None


@pytest.mark.skipif(not Path("/proc/meminfo").is_file(), reason="the system does not tell")
def test_free_memory_of_the_cpu_is_the_machines() -> None:
    free = free_memory(CPU)
    assert free is not None and 10**7 < free < 10**14


def test_free_memory_of_an_accelerator_is_its_own_affair() -> None:
    assert free_memory(torch.device("xpu", 0)) is None


def test_memory_of_an_accelerator_is_counted(two_accelerators: list[int]) -> None:
    assert peak_memory(torch.device("xpu", 0)) == 12345


def system(root: Path, group: str, files: dict[str, object]) -> Path:
    """A file system as Linux shows it, with 8 GiB available."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable: 8388608 kB\n")
    (root / "proc/self/cgroup").write_text(group)
    for name, value in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return root


V1, V2 = "5:cpu:/x\n4:memory:/docker/ab\n", "0::/slice/job\n"
STAT = "anon 5\ninactive_file 100\ntotal_inactive_file 300"
GROUPS: dict[str, tuple[str, dict[str, object], int]] = {
    "none": ("", {}, 2**33),
    "version 2": (
        V2,
        {"slice/job/memory.max": 2**30, "slice/job/memory.current": 2**29,
         "slice/job/memory.stat": STAT},
        2**29 + 100,
    ),
    "version 2, a group above": (
        V2,
        {"slice/job/memory.max": "max", "slice/job/memory.current": 7, "slice/memory.max": 5000,
         "slice/memory.current": 4000, "slice/memory.stat": STAT},
        1100,
    ),
    "version 2, a container's root": (
        "0::/\n", {"memory.max": 900, "memory.current": 2000, "memory.stat": STAT}, 0
    ),
    "version 2, unlimited": (
        V2, {"slice/job/memory.max": "max", "slice/job/memory.current": 1}, 2**33
    ),
    "version 1": (
        V1,
        {"memory/docker/ab/memory.limit_in_bytes": 2**20,
         "memory/docker/ab/memory.usage_in_bytes": 2**19, "memory/docker/ab/memory.stat": STAT},
        2**19 + 300,
    ),
    "version 1, a container's root": (
        V1,
        {"memory/memory.limit_in_bytes": 2**20, "memory/memory.usage_in_bytes": 0,
         "memory/memory.stat": STAT},
        2**20 + 300,
    ),
    "version 1, unlimited": (
        V1,
        {"memory/memory.limit_in_bytes": 9223372036854771712, "memory/memory.usage_in_bytes": 0,
         "memory/memory.stat": STAT},
        2**33,
    ),
    "not as documented": (
        V2, {"slice/job/memory.max": "?", "slice/job/memory.current": "?"}, 2**33
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GROUPS)
def test_free_memory_is_the_least_of_the_machine_and_its_control_groups(
    tmp_path: Path, name: str
) -> None:
    group, files, wanted = GROUPS[name]
    assert free_memory(CPU, system(tmp_path, group, files)) == wanted
