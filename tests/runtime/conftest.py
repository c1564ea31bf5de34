"""Devices that are pretended, where this machine has none, and those of this machine hidden."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from cornernet.runtime import device as module
from cornernet_ops.devices import DEVICES

Pretend = Callable[[str], list[int]]


@pytest.fixture
def no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in DEVICES.keys() - {"cpu"}:
        absent = SimpleNamespace(is_available=lambda: False)
        monkeypatch.setattr(torch, kind, absent, raising=False)


@pytest.fixture
def only_cpu(no_accelerator: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_import_plugins", dict)


@pytest.fixture
def pretend(only_cpu: None, monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Pretend that there are two devices of a kind; gives those that were made current."""

    def two_of(kind: str) -> list[int]:
        current: list[int] = []
        pretended = SimpleNamespace(
            is_available=lambda: True,
            device_count=lambda: 2,
            set_device=current.append,
            is_bf16_supported=lambda: True,
            max_memory_allocated=lambda: 12345,
            get_device_name=lambda index: f"pretended {index}",
        )
        monkeypatch.setattr(torch, kind, pretended, raising=False)
        return current

    return two_of


@pytest.fixture
def two_accelerators(pretend: Pretend) -> list[int]:
    return pretend("xpu")
