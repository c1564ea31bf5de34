"""The processes of a run, and how they communicate."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import torch

from cornernet.errors import UserError
from cornernet.runtime.device import facts, resolve_device


@dataclass(frozen=True)
class World:
    """The processes of a run: how many, which one this is, and on what device it works."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        return self.rank == 0


def start_world(name: str) -> World:
    """Join the processes that torchrun started, if it did, and choose this process's device."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = resolve_device(name, local_rank)
    if size > 1:
        backend = facts(device.type).communication
        try:
            torch.distributed.init_process_group(backend)
        except (RuntimeError, ValueError, AssertionError) as error:  # the last: no such backend
            raise UserError(
                f"{size} processes on {device.type} communicate through {backend}, which could not "
                f"be started: {error}"
            ) from None
    return World(device, rank, size)


def end_world() -> None:
    """Leave the process group, if there is one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        # Old versions of gloo (torch 2.4's at least) wait here for their threads without letting
        # them into the interpreter, which they need to free the last exchange's tensors.
        time.sleep(0.1)
        torch.distributed.destroy_process_group()
