"""The precision of weights and arithmetic: what a device supports, and autocast to it."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

from cornernet.errors import UserError
from cornernet.runtime.device import device_module, facts

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def weight_dtype(precision: str) -> torch.dtype:
    """The dtype of weights kept in `fp32`, `bf16` or `fp16`."""
    return _DTYPES[precision]


# What Linux calls bfloat16 arithmetic among a processor's features: x86 (two kinds) and Arm.
_CPU_BF16_FEATURES = {"avx512_bf16", "amx_bf16", "bf16"}


def resolve_precision(precision: str, device: torch.device) -> str:
    """Turn `auto` into bf16 where the device computes in it natively, into fp32 elsewhere."""
    if precision != "auto":
        return precision
    if device.type == "cpu":
        cpuinfo = Path("/proc/cpuinfo")
        words = set(cpuinfo.read_text().split()) if cpuinfo.is_file() else set()
        return "bf16" if words & _CPU_BF16_FEATURES else "fp32"
    supported = getattr(device_module(device.type), "is_bf16_supported", None)
    if supported is None or facts(device.type).emulates_bf16:
        return "fp32"
    try:
        native = supported(including_emulation=False)
    except TypeError:  # not every device's function knows the word
        native = supported()
    return "bf16" if native else "fp32"


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The context in which a forward pass runs in `fp32`, `bf16` or `fp16`."""
    if precision == "fp32":
        return contextlib.nullcontext()
    own = getattr(getattr(device_module(device.type), "amp", None), "autocast", None)
    try:
        if device.type not in ("cpu", "cuda") and own is not None:
            return own(dtype=_DTYPES[precision])
        return torch.autocast(device.type, dtype=_DTYPES[precision])
    except RuntimeError as error:
        raise UserError(
            f"must be a precision that {device.type} supports, got {precision!r} ({error}); "
            "use fp32",
            field="train.precision",
        ) from None


def grad_scaler(device: torch.device, precision: str) -> Any:
    """The device's gradient scaler: active for fp16, a pass-through otherwise."""
    own = getattr(getattr(device_module(device.type), "amp", None), "GradScaler", None)
    enabled = precision == "fp16"
    if device.type not in ("cpu", "cuda") and own is not None:
        return own(enabled=enabled)
    return torch.amp.GradScaler(device.type, enabled=enabled)
