"""Loads the compiled kernels, or keeps the reason why not.

Loading `_C` is what registers the kernels with the dispatcher; from then on they shadow the
references on their device. What the build decided and saw stands in `_build.json` beside `_C`: a
`_C` that was compiled against another torch, or from sources that have changed since, should not be
loaded to be asked. Schemas may have changed with the sources, and a kernel for another schema ends
the process.

Kernels for a vendor's device are a module of their own, `_<device>`. They go under PrivateUse1, the
one dispatch key for all of PyTorch's plug-ins, so they are loaded only where that key is the device
they were made for.
"""

from __future__ import annotations

import importlib
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch

from .devices import DEVICES, import_plugin
from .registration import NAMESPACE, OPS
from .sources import digest

FORCE_REFERENCE = "CORNERNET_OPS_FORCE_REFERENCE"
REBUILD = "`pip install --force-reinstall --no-deps .` in cornernet's source directory"

_RECORD = Path(__file__).with_name("_build.json")


class Refusal(NamedTuple):
    """Why the compiled kernels are left out."""

    reason: str
    asked_for: bool  # then it is no surprise, and nobody is warned


def read_record(path: Path = _RECORD) -> dict[str, Any] | None:
    """The decision that setup.py recorded (its class Decision), or None if it never ran here."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def refusal(
    record: Mapping[str, Any] | None,
    running: str,
    environment: Mapping[str, str],
    sources: str | None = None,
) -> Refusal | None:
    """Why not to load the compiled kernels, or None if they are to be loaded.

    Args:
        record: what `read_record` returned.
        running: the version of the torch that runs.
        environment: os.environ, or what a test puts in its place.
        sources: the digest of the C++ sources beside the package; None where there are none.
    """
    if environment.get(FORCE_REFERENCE, "0") not in ("", "0"):
        return Refusal(f"{FORCE_REFERENCE} is set", asked_for=True)
    if record is None:
        return Refusal(f"nothing was built here: run {REBUILD}", asked_for=False)
    if not record["built"]:
        return Refusal(record["reason"], asked_for=record["wanted"] == "none")
    if record["torch"] != running:
        return Refusal(
            f"built for torch {record['torch']}, running {running}: rebuild with {REBUILD}",
            asked_for=False,
        )
    built_from = record.get("sources")
    if sources is not None and built_from is not None and sources != built_from:
        return Refusal(
            f"the C++ sources have changed since it was built: rebuild with {REBUILD}",
            asked_for=False,
        )
    return None


def _load() -> tuple[ModuleType | None, str | None]:
    refused = refusal(read_record(), torch.__version__, os.environ, digest())
    if refused is None:
        try:
            return importlib.import_module("._C", __package__), None
        except ImportError as error:
            refused = Refusal(f"_C does not load ({error}): rebuild with {REBUILD}", False)
    if not refused.asked_for:
        warnings.warn(f"cornernet_ops runs on its slow references: {refused.reason}", stacklevel=2)
    return None, refused.reason


def _load_device(device: str) -> str | None:
    """Loads the module of a vendor's device; returns why not, or None."""
    refused = import_plugin(device)
    if refused is not None:
        return refused
    owner = torch._C._get_privateuse1_backend_name()
    if owner != device:
        return f"PyTorch's plug-in device is {owner}, not {device}"
    try:
        importlib.import_module(f"._{device}", __package__)
    except ImportError as error:
        return f"_{device} does not load ({error}): rebuild with {REBUILD}"
    return None


def _load_devices() -> dict[str, str]:
    record = read_record()
    if module is None or record is None:
        return {}
    reasons = {}
    for device in record["built"]:
        refused = _load_device(device) if DEVICES[device].own_module else None
        if refused is not None:
            reasons[device] = refused
            warnings.warn(
                f"cornernet_ops runs on its slow references on {device}: {refused}", stacklevel=2
            )
    return reasons


# The module, or None and the sentence that says why.
module, reason = _load()

# Devices whose kernels were built and are not loaded, and why.
device_reasons = _load_devices()


def backends() -> dict[str, dict[str, str]]:
    """Which implementation the dispatcher has for each op on each device that is present.

    Returns:
        {op: {device: "compiled" or "reference"}}, with the device "cpu" first, then the others of
        `devices.DEVICES` that are present, and that of a torch plug-in under its own name.
    """
    keys = _dispatch_keys()
    return {op: {device: _implementation(op, key) for device, key in keys.items()} for op in OPS}


def _implementation(op: str, key: str) -> str:
    has = torch._C._dispatch_has_kernel_for_dispatch_key(f"{NAMESPACE}::{op}", key)
    return "compiled" if has else "reference"


def _dispatch_keys() -> dict[str, str]:
    keys = {kind: device.dispatch_key for kind, device in DEVICES.items() if kind != "cpu"}
    # A plug-in, which may be none of ours, renames PrivateUse1.
    keys.setdefault(torch._C._get_privateuse1_backend_name(), "PrivateUse1")
    return {"cpu": "CPU", **{kind: key for kind, key in keys.items() if _is_present(kind)}}


def _is_present(kind: str) -> bool:
    """Whether torch has a module for a device of this kind, and that says that there is one."""
    module: Any = getattr(torch, kind, None)
    return hasattr(module, "is_available") and bool(module.is_available())
