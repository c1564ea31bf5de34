"""The processes of a run: how they join, wait for each other and part."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch

from cornernet.errors import UserError
from cornernet.runtime.device import facts, resolve_device

_POLL_SECONDS = 0.05
# Of the time for joining, what one attempt gets, so that there is another; and at least this much.
_ATTEMPT_SHARE = 0.25
_ATTEMPT_SECONDS = 30.0


@dataclass(frozen=True)
class World:
    """The processes of a run: how many, which one this is, and on what device it works."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        return self.rank == 0


def start_world(name: str, timeout_minutes: float = 10.0) -> World:
    """Join the processes that torchrun started, if it did, and choose this process's device.

    Args:
        name: of the device, see `resolve_device`.
        timeout_minutes: how long this process waits for the others, here and in all that they do
            together afterwards.

    Raises:
        UserError: the device is not available, or the others did not join.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = resolve_device(name, local_rank)
    world = World(device, rank, size)
    if size > 1:
        backend = facts(device.type).communication
        try:
            _join(world, backend, 60 * timeout_minutes)
        except UserError:
            raise
        except (RuntimeError, ValueError, AssertionError) as error:  # the last: no such backend
            raise UserError(
                f"{size} processes on {device.type} communicate through {backend}, which could not "
                f"be started: {error}"
            ) from None
    return world


def _join(world: World, backend: str, seconds: float) -> None:
    """Make the process group.

    gloo connects the processes with each other at once, which may fail; then all try again with
    new addresses.
    """
    deadline = time.monotonic() + seconds
    store = _open_store(world.rank, seconds)
    tried: set[str] = set()
    while True:
        name = _meet(store, world, deadline, tried)
        tried.add(name)
        left = max(1.0, deadline - time.monotonic())
        attempt = seconds
        if backend == "gloo":
            attempt = min(left, max(_ATTEMPT_SECONDS, _ATTEMPT_SHARE * seconds))
        try:
            torch.distributed.init_process_group(
                backend,
                store=torch.distributed.PrefixStore(name, store),
                rank=world.rank,
                world_size=world.size,
                timeout=timedelta(seconds=attempt),
            )
            torch.distributed.all_reduce(torch.zeros(1, device=world.device))
        except RuntimeError:
            end_world()
            if backend != "gloo" or time.monotonic() >= deadline:
                raise
            continue
        if attempt != seconds:
            from torch.distributed import distributed_c10d as c10d

            c10d._set_pg_timeout(timedelta(seconds=seconds))
        return


def _open_store(rank: int, seconds: float) -> torch.distributed.Store:
    """The key-value store through which the processes find each other.

    Raises:
        UserError: no launcher has said where it is, or it does not answer.
    """
    host, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT", "")
    if not host or not port.isdigit():
        raise UserError(
            "several processes are started with torchrun, which sets MASTER_ADDR and MASTER_PORT, "
            f"found {host!r} and {port!r}"
        )
    # torchrun's agent may hold the store, see torch.distributed.rendezvous.
    holds_it = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    try:
        return torch.distributed.TCPStore(
            host,
            int(port),
            is_master=holds_it,
            timeout=timedelta(seconds=seconds),
            wait_for_workers=False,
            multi_tenant=True,
        )
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"process {rank} found no store at {host}:{port} in {_minutes(seconds)} ({reason}); "
            "see that the first process runs, and that this address can be reached"
        ) from None


def _meet(store: torch.distributed.Store, world: World, deadline: float, tried: set[str]) -> str:
    """Agree on a name for the keys of one attempt to connect.

    torchrun keeps one store for all its restarts, and from an earlier one the store still holds the
    addresses of processes that are dead: gloo reads them, and finds nobody there or waits for ever.
    Its count of restarts does not tell the attempts apart, since each node counts its own. So the
    first process draws a name, the others answer with a word of their own, and when all have
    answered, the first one shows these words: a process that does not find its own has read an
    old name.

    Raises:
        UserError: not all processes have come in time.
    """
    root = "cornernet"
    word = uuid.uuid4().hex
    if world.is_main:
        name = f"{root}/{word}"
        store.set(f"{root}/name", name)
        missing = set(range(1, world.size))
        while missing:
            missing = {rank for rank in missing if not store.check([f"{name}/{rank}"])}
            if missing:
                _wait(deadline, f"process(es) {', '.join(map(str, sorted(missing)))}", world)
        words = {rank: store.get(f"{name}/{rank}").decode() for rank in range(1, world.size)}
        store.set(f"{name}/all", json.dumps(words))
        return name
    answered: set[str] = set()
    while True:
        name = store.get(f"{root}/name").decode() if store.check([f"{root}/name"]) else ""
        if name and name not in tried:
            if name not in answered:
                store.set(f"{name}/{world.rank}", word)
                answered.add(name)
            if store.check([f"{name}/all"]):
                words = json.loads(store.get(f"{name}/all"))
                if words[str(world.rank)] == word:
                    return name
        _wait(deadline, "process 0", world)


def _wait(deadline: float, whom: str, world: World) -> None:
    if time.monotonic() >= deadline:
        raise UserError(
            f"process {world.rank} of {world.size} waited in vain for {whom} to join the run; see "
            "what was said there, and start all processes at the same time"
        )
    time.sleep(_POLL_SECONDS)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g} minutes"


@contextmanager
def peers(world: World, timeout_minutes: float) -> Iterator[None]:
    """A context in which it is a sentence that another process has died or does not answer.

    Raises:
        UserError: it has, or does not.
    """
    try:
        yield
    except RuntimeError as error:
        if world.size == 1 or not _is_from_communication(error):
            raise
        reason = str(error).partition("\n")[0]
        what = f"process {world.rank} of {world.size} has lost the connection to another one"
        advice = "see what was said there; "
        if "timed out" in reason.lower() or "timeout" in reason.lower():
            what = (
                f"process {world.rank} of {world.size} had no answer from another one for "
                f"{timeout_minutes:g} minutes (train.timeout_minutes)"
            )
            advice = "see whether it hangs, or is that much slower; "
        raise UserError(
            f"{what} ({reason}); {advice}the run can be continued from its last checkpoint"
        ) from None


def _is_from_communication(error: RuntimeError) -> bool:
    """Whether an error is one of torch.distributed; gloo's have no type of their own."""
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error).lower()


def end_world() -> None:
    """Leave the process group, if there is one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        # Old versions of gloo (torch 2.4's at least) wait here for their threads without letting
        # them into the interpreter, which they need to free the last exchange's tensors.
        time.sleep(0.1)
        torch.distributed.destroy_process_group()
