"""The kinds of device, their plug-ins, and the choice of one.

No module outside `cornernet.runtime` asks which kind of device it runs on.
"""

from __future__ import annotations

from typing import Any

import torch

from cornernet.errors import UserError
from cornernet_ops.devices import DEVICES, Device, import_plugin


def facts(kind: str) -> Device:
    """What the table of devices says of a kind; the defaults of one that it does not list."""
    return DEVICES.get(kind, Device(kind.upper()))


def _import_plugins() -> dict[str, str]:
    """Let plug-ins register their devices.

    Returns:
        For each device whose plug-in does not load: why, and what to do.
    """
    return {kind: why for kind in DEVICES if (why := import_plugin(kind)) is not None}


def device_module(kind: str) -> Any:
    """The device's own module, such as torch.sdaa; None where torch has none."""
    return getattr(torch, kind, None)


def is_available(kind: str) -> bool:
    """Whether a device of this kind can be used in this process."""
    if kind == "cpu":
        return True
    _import_plugins()
    module = device_module(kind)
    return module is not None and hasattr(module, "is_available") and bool(module.is_available())


def available_kinds() -> list[str]:
    """The kinds of device that are available, best first; the last is always `cpu`."""
    return [kind for kind in DEVICES if is_available(kind)]


def _count(kind: str) -> int:
    module = device_module(kind)
    return int(module.device_count()) if hasattr(module, "device_count") else 1


def resolve_device(name: str, local_rank: int = 0) -> torch.device:
    """Turn `auto`, `cpu`, `sdaa`, `cuda:1`, … into an available device, and make it current.

    Args:
        name: a kind, with or without an index, or `auto`.
        local_rank: number of this process on this machine; without an index in `name` the process
            takes the device of this number.

    Raises:
        UserError: the device is not available.
    """
    kind, _, index = name.partition(":")
    found = available_kinds()
    if kind == "auto":
        kind = found[0]
    if (index and not index.isdigit()) or kind not in found:
        hint = _import_plugins().get(kind, f"use one of {', '.join(found)}")
        raise UserError(
            f"must be auto or an available device ({', '.join(found)}), got {name!r}; {hint}",
            field="device",
        )
    if kind == "cpu":
        return torch.device("cpu")
    number = int(index) if index else local_rank
    count = _count(kind)
    if number >= count:
        hint = "choose a lower index" if index else "start no more processes than devices"
        raise UserError(
            f"must be one of the {count} {kind} devices, got {kind}:{number}; {hint}",
            field="device",
        )
    device = torch.device(kind, number)
    set_device = getattr(device_module(kind), "set_device", None)
    if set_device is not None:
        set_device(number)
    return device


def has_fused_optimizer(device: torch.device) -> bool:
    """Whether torch steps an optimiser on this device in one kernel instead of several a tensor.

    A plug-in's device may announce it too, but which of them keep the promise is not known.
    """
    return device.type in ("cpu", "cuda")


def describe(kind: str) -> str:
    """The device's name for a bug report."""
    if kind == "cpu":
        return f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    module = device_module(kind)
    names = [
        str(module.get_device_name(i)) if hasattr(module, "get_device_name") else f"{kind}:{i}"
        for i in range(_count(kind))
    ]
    return ", ".join(names)
