"""The kinds of device: what the build, the loader of kernels and the detector know of each.

A new device is an entry here, its kernels in csrc/<kind>/ and, in setup.py, the function that finds
its toolkit. This file imports neither torch nor the rest of the package: the build runs it by its
path, before either can be imported.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import NamedTuple


class Device(NamedTuple):
    """One kind of device.

    Attributes:
        dispatch_key: the dispatcher's name for its kernels.
        compiler: the compiler of its kernels; None where csrc/ has none for it.
        kernel_suffix: of the source files that only this compiler takes.
        own_module: whether its kernels are a module of their own, `_<kind>`, because the vendor's
            extension builder compiles them; otherwise they are part of `_C`.
        plugin: the package that registers the device with PyTorch; None where that is built in.
        plugin_source: what to install for it, with its origin.
        communication: its backend of torch.distributed.
        emulates_bf16: whether it says that it supports bfloat16 and computes in other arithmetic.
    """

    dispatch_key: str
    compiler: str | None = None
    kernel_suffix: str = ".cpp"
    own_module: bool = False
    plugin: str | None = None
    plugin_source: str = ""
    communication: str = "gloo"
    emulates_bf16: bool = False


# In order of preference, where several are present. SDAA comes before CUDA because the vendor's
# migration shim may answer under CUDA's names.
DEVICES = {
    "sdaa": Device(
        "PrivateUse1",
        compiler="tecocc",
        kernel_suffix=".scpp",
        own_module=True,
        plugin="torch_sdaa",
        plugin_source="Tecorigin's torch_sdaa from its Docker images (not on PyPI)",
        communication="tccl",
        emulates_bf16=True,
    ),
    "cuda": Device("CUDA", compiler="nvcc", kernel_suffix=".cu", communication="nccl"),
    "xpu": Device("XPU"),
    "mps": Device("MPS"),
    "cpu": Device("CPU", compiler="c++"),
}


def import_plugin(kind: str) -> str | None:
    """Import the plug-in of a device, if it has one: torch before 2.5 does not do that itself.

    Returns:
        Why the plug-in is not imported and what to do, as half a sentence; None if all is well.
    """
    plugin = DEVICES[kind].plugin
    if plugin is None:
        return None
    if importlib.util.find_spec(plugin) is None:
        return f"{plugin} is not installed: install {DEVICES[kind].plugin_source}"
    try:
        importlib.import_module(plugin)
    except Exception as error:  # a plug-in looks for its driver when it is imported
        return f"{plugin} cannot be imported ({type(error).__name__}: {error})"
    return None
