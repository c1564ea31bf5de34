"""Joining the processes of a run."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from cornernet.runtime.distributed import World, end_world, start_world
from tests.errors import raises

CPU = torch.device("cpu")


@pytest.fixture
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)


def test_single_process_is_a_world_of_its_own(no_launcher: None) -> None:
    world = start_world("cpu")
    assert world == World(CPU, rank=0, size=1)
    assert world.is_main
    assert not torch.distributed.is_initialized()
    end_world()


@pytest.mark.parametrize(("kind", "backend"), [("cpu", "gloo"), ("xpu", "gloo"), ("cuda", "nccl")])
def test_processes_join_with_the_devices_own_communication(
    no_launcher: None,
    pretend: Callable[[str], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    backend: str,
) -> None:
    if kind != "cpu":
        pretend(kind)
    joined: list[str] = []
    monkeypatch.setattr(torch.distributed, "init_process_group", joined.append)
    for name, value in (("WORLD_SIZE", "4"), ("RANK", "3"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    world = start_world(kind)
    assert joined == [backend]
    assert (world.rank, world.size) == (3, 4)
    assert world.device == (CPU if kind == "cpu" else torch.device(kind, 1))
    assert not world.is_main


def test_processes_that_cannot_meet_are_told_so(
    no_launcher: None, only_cpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")  # and no address to meet at
    with raises("2 processes", "cpu", "gloo"):
        start_world("cpu")


def test_missing_communication_library_is_a_sentence(
    no_launcher: None, pretend: Callable[[str], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend("sdaa")
    monkeypatch.setattr(torch, "device", lambda kind, index: SimpleNamespace(type=kind))
    for name, value in (("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    with raises("sdaa", "tccl", "could not be started"):
        start_world("sdaa")
