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
