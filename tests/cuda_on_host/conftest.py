"""The CUDA ops on the host, compiled once; see include/cuda_runtime.h."""

from __future__ import annotations

import ctypes
import mmap
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import cornernet_ops
from tests.cuda_on_host import build_on_host


class OnHost:
    """The ops of csrc/cuda, on tensors of the CPU."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        self.key = torch._C.DispatchKeySet(torch._C.DispatchKey.VE)

    def seed(self, number: int) -> None:
        """Draws the turns of threads from here on."""
        self.library.cuda_on_host_seed(number)

    def __getattr__(self, op: str) -> Callable[..., Any]:
        overload = getattr(torch.ops.cornernet, op).default
        return lambda *args, **kwargs: overload.redispatch(self.key, *args, **kwargs)


@pytest.fixture(scope="session")
def library() -> ctypes.CDLL:
    if shutil.which(build_on_host.compiler()[0]) is None:
        pytest.skip("no C++ compiler")
    if sys.platform != "linux":
        pytest.skip("the threads of a block are fibers made by what Linux's C library has")
    assert cornernet_ops.backends()  # the ops have their schemas
    path = str(build_on_host.build())
    torch.ops.load_library(path)
    return ctypes.CDLL(path)


@pytest.fixture
def on_host(library: ctypes.CDLL) -> Iterator[OnHost]:
    """The ops; memory that they do not write is NaN, or the largest number."""
    torch.use_deterministic_algorithms(True)
    ops = OnHost(library)
    ops.seed(0)
    yield ops
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def guarded() -> Iterator[Callable[[Tensor], Tensor]]:
    """Copies of tensors that end where memory ends: whoever reads beyond crashes."""
    libc = ctypes.CDLL(None, use_errno=True)
    held = []

    def copy(tensor: Tensor) -> Tensor:
        size = tensor.numel() * tensor.element_size()
        pages = -(-max(size, 1) // mmap.PAGESIZE)
        memory = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
        held.append(memory)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        end = address + pages * mmap.PAGESIZE
        assert libc.mprotect(ctypes.c_void_p(end), mmap.PAGESIZE, 0) == 0  # no access
        if size == 0:
            return tensor
        flat = torch.frombuffer(
            memory, dtype=tensor.dtype, count=tensor.numel(),
            offset=pages * mmap.PAGESIZE - size,
        )  # fmt: skip
        return flat.as_strided(tensor.shape, tensor.stride()).copy_(tensor)

    yield copy
