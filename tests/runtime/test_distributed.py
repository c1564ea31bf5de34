"""Joining the processes of a run."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from torch.distributed import HashStore, distributed_c10d

from cornernet.runtime import distributed
from cornernet.runtime.distributed import World, end_world, peers, start_world
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
    joined: list[tuple[str, float]] = []
    monkeypatch.setattr(
        distributed, "_join", lambda world, backend, seconds: joined.append((backend, seconds))
    )
    for name, value in (("WORLD_SIZE", "4"), ("RANK", "3"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    world = start_world(kind, 5)
    assert joined == [(backend, 300)]
    assert (world.rank, world.size) == (3, 4)
    assert world.device == (CPU if kind == "cpu" else torch.device(kind, 1))
    assert not world.is_main


def test_processes_that_cannot_meet_are_told_so(
    no_launcher: None, only_cpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")  # and no address to meet at
    with raises("torchrun", "MASTER_ADDR"):
        start_world("cpu")


def test_missing_communication_library_is_a_sentence(
    no_launcher: None, pretend: Callable[[str], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend("sdaa")
    monkeypatch.setattr(torch, "device", lambda kind, index: SimpleNamespace(type=kind))
    monkeypatch.setattr(distributed, "_open_store", lambda rank, seconds: None)
    monkeypatch.setattr(distributed, "_meet", lambda *_: "name")
    monkeypatch.setattr(torch.distributed, "PrefixStore", lambda name, store: None)
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "0")):
        monkeypatch.setenv(name, value)
    with raises("sdaa", "tccl", "could not be started"):
        start_world("sdaa")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("rank", "words"),
    [
        ("0", ("process 0 of 3", "process(es) 1, 2 to join")),  # it holds the store
        ("1", ("process 1", "no store at 127.0.0.1", "0.02 minutes")),
    ],
)
def test_joining_ends_in_time(
    no_launcher: None,
    only_cpu: None,
    monkeypatch: pytest.MonkeyPatch,
    rank: str,
    words: tuple[str, ...],
) -> None:
    environment = {"WORLD_SIZE": "3", "RANK": rank, "MASTER_ADDR": "127.0.0.1",
                   "MASTER_PORT": str(free_port())}  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    begun = time.monotonic()
    with raises(*words):
        start_world("cpu", 0.02)
    assert time.monotonic() - begun < 30


def meet_all(store: HashStore, size: int) -> list[str]:
    """The names on which some processes agree."""
    with ThreadPoolExecutor(size) as pool:
        deadline = time.monotonic() + 60
        waiting = [
            pool.submit(distributed._meet, store, World(CPU, rank, size), deadline, set())
            for rank in reversed(range(size))
        ]
        return [one.result() for one in waiting]


def test_processes_agree_on_names_that_are_new_at_each_start() -> None:
    """torchrun's store lasts for all starts and still holds what dead processes have written."""
    store = HashStore()
    names = [meet_all(store, 3) for _ in range(5)]
    assert all(len(set(found)) == 1 for found in names)
    assert len({found[0] for found in names}) == 5


def test_the_name_of_a_dead_process_is_not_taken() -> None:
    """It died before all had answered; one answers before its successor is there."""
    store = HashStore()
    with raises("waited in vain for process(es) 1 to join"):
        distributed._meet(store, World(CPU, 0, 2), time.monotonic() + 0.01, set())
    old = store.get("cornernet/name").decode()
    with raises("waited in vain for process 0"):
        distributed._meet(store, World(CPU, 1, 2), time.monotonic() + 0.01, set())
    assert store.check([f"{old}/1"])
    (name, other) = meet_all(store, 2)
    assert name == other != old


def test_a_failed_attempt_is_followed_by_another(
    no_launcher: None, only_cpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gloo fails once; this process meets the others again, under another name."""
    names: list[str] = []

    def connect(*_: object, store: list[str], **__: object) -> None:
        names.append(store[0])
        if len(names) == 1:
            raise RuntimeError("gloo: connection refused")

    monkeypatch.setattr(distributed, "_open_store", lambda rank, seconds: HashStore())
    monkeypatch.setattr(torch.distributed, "PrefixStore", lambda name, store: [name])
    monkeypatch.setattr(torch.distributed, "init_process_group", connect)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: None)
    monkeypatch.setattr(distributed_c10d, "_set_pg_timeout", lambda timeout: None)
    monkeypatch.setattr(World, "size", 1)
    distributed._join(World(CPU), "gloo", 60)
    assert len(set(names)) == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("[gloo/unbound_buffer.cc:78] Timed out waiting 100ms", ("no answer", "3 minutes")),
        ("[gloo/pair.cc:538] Connection closed by peer", ("lost the connection", "checkpoint")),
    ],
)
def test_a_lost_process_is_a_sentence(error: str, words: tuple[str, ...]) -> None:
    with raises("process 1 of 2", *words), peers(World(CPU, 1, 2), 3):
        raise RuntimeError(error)


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(RuntimeError, match="shape"), peers(World(CPU, 1, 2), 3):
        raise RuntimeError("shape mismatch")
