"""The back end `tccl` of torch.distributed: gloo, between copies from and to the devices.

Every call is done when it returns, and gives a finished piece of work with its results. Tensors of
the CPU are refused, as the card's links would refuse them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def create_tccl(store: dist.Store, rank: int, size: int, timeout: timedelta) -> ProcessGroupTCCL:
    if size > torch.sdaa.device_count():
        raise RuntimeError(f"tccl: {size} processes on {torch.sdaa.device_count()} devices")
    return ProcessGroupTCCL(store, rank, size, timeout)


def _finished(result: Any, device: torch.device) -> dist.Work:
    future: torch.futures.Future = torch.futures.Future(devices=[device])
    future.set_result(result)
    # Not a subclass of Work: one in Python is destroyed too early by torch 2.4.
    return torch._C._distributed_c10d._create_work_from_future(future)


def _host(tensors: Sequence[Tensor]) -> list[Tensor]:
    for tensor in tensors:
        if tensor.device.type != "sdaa":
            raise RuntimeError(f"tccl: expected tensors on sdaa, got one on {tensor.device}")
    return [tensor.cpu().contiguous() for tensor in tensors]


def _back(tensors: Sequence[Tensor], hosts: Sequence[Tensor]) -> None:
    for tensor, host in zip(tensors, hosts, strict=True):
        tensor.copy_(host)


class ProcessGroupTCCL(dist.ProcessGroup):
    """The processes of a run; each works on a device of its own."""

    def __init__(self, store: dist.Store, rank: int, size: int, timeout: timedelta) -> None:
        super().__init__(rank, size)
        self._gloo = dist.ProcessGroupGloo(store, rank, size, timeout)

    @property
    def _device_types(self) -> list[torch.device]:
        # What torch.distributed asks for to know where pickled objects travel.
        return [torch.device("sdaa")]

    def getBackendName(self) -> str:
        return "tccl"

    def _in_place(self, name: str, tensors: list[Tensor], *args: Any) -> dist.Work:
        hosts = _host(tensors)
        getattr(self._gloo, name)(hosts, *args).wait()
        _back(tensors, hosts)
        return _finished(tensors, tensors[0].device)

    def allreduce(self, tensors: Any, opts: Any = None) -> dist.Work:
        tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
        options = dist.AllreduceOptions()
        options.reduceOp = dist.ReduceOp.SUM if opts is None else getattr(opts, "reduceOp", opts)
        return self._in_place("allreduce", tensors, options)

    def broadcast(self, tensors: Any, opts: Any = None) -> dist.Work:
        tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
        options = dist.BroadcastOptions()
        options.rootRank = opts.rootRank if hasattr(opts, "rootRank") else int(opts or 0)
        return self._in_place("broadcast", tensors, options)

    def reduce(self, tensors: list[Tensor], opts: Any = None) -> dist.Work:
        return self._in_place("reduce", tensors, opts)

    def allgather(
        self, outputs: list[list[Tensor]], inputs: list[Tensor], opts: Any = None
    ) -> dist.Work:
        received = [[torch.empty_like(one, device="cpu") for one in row] for row in outputs]
        self._gloo.allgather(received, _host(inputs)).wait()
        for row, hosts in zip(outputs, received, strict=True):
            _back(row, hosts)
        return _finished(outputs, inputs[0].device)

    def barrier(self, opts: Any = None) -> dist.Work:
        self._gloo.barrier().wait()
        return _finished(None, torch.device("sdaa", torch.sdaa.current_device()))
