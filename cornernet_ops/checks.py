"""Argument checks of the references and fake kernels; `csrc/common/checks.h` says the same in C++.

Every message is one sentence that names the op, the argument, what was wanted and what came. Values
and shapes raise ValueError, dtypes raise TypeError.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# Of images, and of what is made of them.
PIXELS = (torch.uint8, torch.float16, torch.bfloat16, torch.float32)
NORMALISED = (torch.float16, torch.bfloat16, torch.float32)

Dtype = torch.dtype | tuple[torch.dtype, ...]


def check_tensors(op: str, **wanted: tuple[Tensor | None, str, Dtype]) -> None:
    """Check the shapes of an op's tensors, then their dtypes, then that one device holds them all.

    Args:
        op: the op's name, for the message.
        wanted: under the name of each argument the tensor (None is left out), its shape and its
            dtype. In a shape such as "N 2 H W" a letter stands for the size that the first tensor
            with this letter has there. The dtype is one, or a tuple of those that will do.
    """
    given = [
        (name, tensor, shape, dtype)
        for name, (tensor, shape, dtype) in wanted.items()
        if tensor is not None
    ]
    sizes: dict[str, int] = {}
    for name, tensor, shape, _ in given:
        dims = shape.split()
        check_shape(op, name, tensor, [int(d) if d.isdigit() else sizes.get(d, d) for d in dims])
        sizes.update(zip(dims, tensor.shape, strict=True))
    for name, tensor, _, dtype in given:
        if isinstance(dtype, tuple):
            check_one_of(op, name, tensor.dtype, dtype)
        else:
            check_dtype(op, name, tensor, dtype)
    for name, tensor, _, _ in given:
        check_device(op, name, tensor, given[0][1].device)


def check_shape(op: str, name: str, tensor: Tensor, wanted: Sequence[str | int]) -> None:
    """`wanted` holds a letter for a dimension of any size, a number for one of that size."""
    fits = tensor.dim() == len(wanted) and all(
        isinstance(want, str) or size == want
        for size, want in zip(tensor.shape, wanted, strict=True)
    )
    if not fits:
        shape = ", ".join(str(want) for want in wanted)
        raise ValueError(f"{op}: expected {name} to have shape [{shape}], got {_shape(tensor)}")


def check_one_of(op: str, name: str, dtype: torch.dtype, wanted: tuple[torch.dtype, ...]) -> None:
    if dtype not in wanted:
        *names, last = map(dtype_name, wanted)
        raise TypeError(
            f"{op}: expected {name} to be {', '.join(names)} or {last}, got {dtype_name(dtype)}"
        )


def check_dtype(op: str, name: str, tensor: Tensor, wanted: torch.dtype) -> None:
    if tensor.dtype != wanted:
        raise TypeError(
            f"{op}: expected {name} to be {dtype_name(wanted)}, got {dtype_name(tensor.dtype)}"
        )


def check_device(op: str, name: str, tensor: Tensor, wanted: torch.device) -> None:
    if tensor.device != wanted:
        raise ValueError(f"{op}: expected {name} to be on {wanted}, got {tensor.device}")


def check_at_least(op: str, name: str, value: float, least: int) -> None:
    if not value >= least:  # NaN is not
        got = f"{value:g}" if isinstance(value, float) else value
        raise ValueError(f"{op}: expected {name} to be at least {least}, got {got}")


def check_above(op: str, name: str, value: float, limit: int) -> None:
    if not value > limit:  # NaN is not
        raise ValueError(f"{op}: expected {name} to be above {limit}, got {value:g}")


def check_range(op: str, name: str, values: Tensor, limit: int) -> None:
    """For references alone: the host waits for the values."""
    values = values.cpu()
    outside = values[(values < 0) | (values >= limit)]
    if len(outside):
        raise ValueError(
            f"{op}: expected {name} to hold numbers from 0 to {limit - 1}, got {int(outside[0])}"
        )


def computation_dtype(*floating: Tensor) -> torch.dtype:
    """float64 if any of the tensors is float64, else float32."""
    return torch.float64 if any(t.dtype == torch.float64 for t in floating) else torch.float32


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _shape(tensor: Tensor) -> str:
    return "[" + ", ".join(str(size) for size in tensor.shape) + "]"
