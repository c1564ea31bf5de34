"""Loads the compiled kernels, or keeps the reason why not.

Loading `_C` is what registers the kernels with the dispatcher; from then on they shadow the
references on their device. What the build decided and saw stands in `_build.json` beside `_C`: a
`_C` that was compiled against another torch had better not be loaded to be asked.

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

from .registration import NAMESPACE, OPS

FORCE_REFERENCE = "CORNERNET_OPS_FORCE_REFERENCE"
REBUILD = "`pip install --force-reinstall --no-deps .` in cornernet's source folder"

# PyTorch's plug-in for each device that has a module of its own.
_PLUGINS = {"sdaa": "torch_sdaa"}

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
    record: Mapping[str, Any] | None, running: str, environment: Mapping[str, str]
) -> Refusal | None:
    """Why not to load the compiled kernels, or None if they are to be loaded.

    Args:
        record: what `read_record` returned.
        running: the version of the torch that runs.
        environment: os.environ, or what a test puts in its place.
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
    return None


def _load() -> tuple[ModuleType | None, str | None]:
    refused = refusal(read_record(), torch.__version__, os.environ)
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
    try:
        importlib.import_module(_PLUGINS[device])  # before torch 2.5 nobody else has done that
    except Exception as error:  # a plug-in looks for its driver when it is imported
        return f"{_PLUGINS[device]} does not load ({type(error).__name__}: {error})"
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
    for device in _PLUGINS.keys() & set(record["built"]):
        refused = _load_device(device)
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
        {op: {device: "compiled" or "reference"}}, with the devices "cpu" and, where there is one,
        "cuda" and the device of a torch plug-in under its own name.
    """
    keys = _dispatch_keys()
    return {op: {device: _implementation(op, key) for device, key in keys.items()} for op in OPS}


def _implementation(op: str, key: str) -> str:
    has = torch._C._dispatch_has_kernel_for_dispatch_key(f"{NAMESPACE}::{op}", key)
    return "compiled" if has else "reference"


def _dispatch_keys() -> dict[str, str]:
    keys = {"cpu": "CPU"}
    if torch.cuda.is_available():
        keys["cuda"] = "CUDA"
    # A plug-in renames PrivateUse1 and puts its module at torch.<name>.
    plugin = torch._C._get_privateuse1_backend_name()
    if hasattr(torch, plugin) and getattr(torch, plugin).is_available():
        keys[plugin] = "PrivateUse1"
    return keys
