"""Argument checks of the references and fake kernels; `csrc/common/checks.h` says the same in C++.

Every message is one sentence that names the op, the argument, what was wanted and what came. Values
and shapes raise ValueError, dtypes raise TypeError.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_shape(op: str, name: str, tensor: Tensor, wanted: Sequence[str | int]) -> None:
    """`wanted` holds a letter for a dimension of any size, a number for one of that size."""
    fits = tensor.dim() == len(wanted) and all(
        isinstance(want, str) or size == want
        for size, want in zip(tensor.shape, wanted, strict=True)
    )
    if not fits:
        shape = ", ".join(str(want) for want in wanted)
        raise ValueError(f"{op}: expected {name} to have shape [{shape}], got {_shape(tensor)}")


def check_floating(op: str, name: str, tensor: Tensor) -> None:
    if tensor.dtype not in FLOATING:
        raise TypeError(
            f"{op}: expected {name} to be float16, bfloat16, float32 or float64, "
            f"got {dtype_name(tensor.dtype)}"
        )


def check_dtype(op: str, name: str, tensor: Tensor, wanted: torch.dtype) -> None:
    if tensor.dtype != wanted:
        raise TypeError(
            f"{op}: expected {name} to be {dtype_name(wanted)}, got {dtype_name(tensor.dtype)}"
        )


def check_device(op: str, name: str, tensor: Tensor, wanted: torch.device) -> None:
    if tensor.device != wanted:
        raise ValueError(f"{op}: expected {name} to be on {wanted}, got {tensor.device}")


def check_at_least(op: str, name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{op}: expected {name} to be at least {least}, got {value}")


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _shape(tensor: Tensor) -> str:
    return "[" + ", ".join(str(size) for size in tensor.shape) + "]"
