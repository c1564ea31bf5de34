"""Everything that depends on the kind of device: names, communication, autocast, memory.

No other module of `cornernet` asks which device it runs on.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cornernet.errors import UserError

# The communication library of each kind of device; every other kind, the CPU included, uses gloo.
_BACKENDS = {"sdaa": "tccl", "cuda": "nccl"}

# `auto` takes the first of these that is there. SDAA comes before CUDA because the vendor's
# migration shim may answer under CUDA's names.
_PREFERRED = ("sdaa", "cuda", "xpu", "mps")


# Devices that PyTorch knows through a plug-in: its package, and where that comes from.
_PLUGINS = {"sdaa": ("torch_sdaa", "Tecorigin's torch_sdaa from its Docker images (not on PyPI)")}

# Devices that say they support bfloat16 and compute it in other arithmetic.
_EMULATED_BF16 = {"sdaa"}


def _import_plugins() -> dict[str, str]:
    """Let plug-ins register their devices; torch before 2.5 does not load plug-ins itself.

    Returns:
        For each device without its plug-in what to do about it.
    """
    missing = {}
    for kind, (package, source) in _PLUGINS.items():
        if importlib.util.find_spec(package) is None:
            missing[kind] = f"install {source}"
            continue
        try:
            importlib.import_module(package)
        except Exception as error:  # a plug-in looks for its driver when it is imported
            missing[kind] = f"{package} cannot be imported ({type(error).__name__}: {error})"
    return missing


def _module(kind: str) -> Any:
    """The device's own module, such as torch.sdaa; None where torch has none."""
    return getattr(torch, kind, None)


def is_available(kind: str) -> bool:
    """Whether a device of this kind can be used in this process."""
    if kind == "cpu":
        return True
    _import_plugins()
    module = _module(kind)
    return module is not None and hasattr(module, "is_available") and bool(module.is_available())


def available_kinds() -> list[str]:
    """The kinds of device present here, best first; the last is always `cpu`."""
    return [kind for kind in _PREFERRED if is_available(kind)] + ["cpu"]


def _count(kind: str) -> int:
    module = _module(kind)
    return int(module.device_count()) if hasattr(module, "device_count") else 1


def resolve_device(name: str, local_rank: int = 0) -> torch.device:
    """Turn `auto`, `cpu`, `sdaa`, `cuda:1`, … into a device that is there, and make it current.

    Args:
        name: a kind, with or without an index, or `auto`.
        local_rank: number of this process on this machine; without an index in `name` the process
            takes the device of this number.

    Raises:
        UserError: the device is not there.
    """
    kind, _, index = name.partition(":")
    found = available_kinds()
    if kind == "auto":
        kind = found[0]
    if (index and not index.isdigit()) or kind not in found:
        hint = _import_plugins().get(kind, f"use one of {found}")
        raise UserError(
            f"--device: expected auto or a device that is there ({', '.join(found)}), "
            f"got {name!r}; {hint}"
        )
    if kind == "cpu":
        return torch.device("cpu")
    number = int(index) if index else local_rank
    if number >= _count(kind):
        raise UserError(
            f"--device: this process needs {kind}:{number}, but there are {_count(kind)} devices "
            f"of that kind; start no more processes than devices"
        )
    device = torch.device(kind, number)
    set_device = getattr(_module(kind), "set_device", None)
    if set_device is not None:
        set_device(number)
    return device


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
        backend = _BACKENDS.get(device.type, "gloo")
        try:
            torch.distributed.init_process_group(backend)
        except (RuntimeError, ValueError, AssertionError) as error:  # the last: no such back end
            raise UserError(
                f"{size} processes on {device.type} communicate through {backend}, which could not "
                f"be started: {error}"
            ) from None
    return World(device, rank, size)


def end_world() -> None:
    """Leave the process group, if there is one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        # Old versions of gloo (torch 2.4's at least) wait here for their threads without letting
        # them into the interpreter, which they need to let go of the last exchange's tensors.
        time.sleep(0.1)
        torch.distributed.destroy_process_group()


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
    supported = getattr(_module(device.type), "is_bf16_supported", None)
    if supported is None or device.type in _EMULATED_BF16:
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
    own = getattr(getattr(_module(device.type), "amp", None), "autocast", None)
    try:
        if device.type not in ("cpu", "cuda") and own is not None:
            return own(dtype=_DTYPES[precision])
        return torch.autocast(device.type, dtype=_DTYPES[precision])
    except RuntimeError as error:
        raise UserError(
            f"train.precision: {precision} is not to be had on {device.type} ({error}); use fp32"
        ) from None


def grad_scaler(device: torch.device, precision: str) -> Any:
    """The device's gradient scaler: active for fp16, a pass-through otherwise."""
    own = getattr(getattr(_module(device.type), "amp", None), "GradScaler", None)
    enabled = precision == "fp16"
    if device.type not in ("cpu", "cuda") and own is not None:
        return own(enabled=enabled)
    return torch.amp.GradScaler(device.type, enabled=enabled)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device or the machine has no memory left."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and ("out of memory" in str(error).lower() or "can't allocate memory" in str(error))
    )


def has_fused_optimizer(device: torch.device) -> bool:
    """Whether torch steps an optimiser on this device in one kernel instead of several a tensor.

    A plug-in's device may announce it too, but which of them keep the promise is not known.
    """
    return device.type in ("cpu", "cuda")


def has_own_memory(device: torch.device) -> bool:
    """Whether the device refuses what its memory cannot hold; the CPU's system stops processes."""
    return device.type != "cpu"


def free_memory(device: torch.device) -> int | None:
    """Bytes that may still be taken before the system stops processes.

    None where the device refuses what it does not have, or where the system does not tell.
    """
    meminfo = Path("/proc/meminfo")
    if has_own_memory(device) or not meminfo.is_file():
        return None
    for line in meminfo.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def peak_memory(device: torch.device) -> int | None:
    """Most bytes the device's allocator has held at once; None where it does not count."""
    counter = getattr(_module(device.type), "max_memory_allocated", None)
    return int(counter()) if has_own_memory(device) and counter is not None else None


def release_memory(device: torch.device) -> None:
    """Give the device back what its allocator keeps in reserve, and count the peak anew."""
    for name in ("empty_cache", "reset_peak_memory_stats"):
        function = getattr(_module(device.type), name, None)
        if has_own_memory(device) and function is not None:
            function()


def describe(kind: str) -> str:
    """The device's name for a bug report."""
    if kind == "cpu":
        return f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    module = _module(kind)
    names = [
        str(module.get_device_name(i)) if hasattr(module, "get_device_name") else f"{kind}:{i}"
        for i in range(_count(kind))
    ]
    return ", ".join(names)
