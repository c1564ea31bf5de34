"""The simulated toolkit from Python: device memory, launches and the meter, without torch's device.

Kernels are called by their C launchers on memory of `sdaaMalloc`. Device memory is protected here:
whoever touches it other than by a copy crashes.
"""

from __future__ import annotations

import ctypes
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.sdaa_simulator.meter import Launch
from tests.sdaa_simulator.toolkit import build

HERE = Path(__file__).resolve().parent
KERNELS = HERE.parent.parent / "csrc" / "sdaa"

_DTYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}


class Runtime:
    """libsdaart.so, with every call's answer checked."""

    def __init__(self) -> None:
        os.environ["SDAA_SIM_PROTECT"] = "1"
        self.library = ctypes.CDLL(str(build.build()), mode=ctypes.RTLD_GLOBAL)
        self.library.sdaaSimulatorError.restype = ctypes.c_char_p
        self.library.sdaaSimulatorMeter.restype = ctypes.c_char_p
        self.library.sdaaSimulatorThrow(0)
        self.stream = self.new_stream()

    def call(self, name: str, *args: Any) -> None:
        error = getattr(self.library, name)(*args)
        assert error == 0, f"{name} returned {error}"

    def new_stream(self, device: int = 0) -> ctypes.c_void_p:
        stream = ctypes.c_void_p()
        self.call("sdaaSetDevice", device)
        self.call("sdaaStreamCreate", ctypes.byref(stream))
        self.call("sdaaSetDevice", 0)
        return stream

    def error(self) -> str:
        """The sentence of the last broken rule, "" if there was none."""
        return self.library.sdaaSimulatorError().decode()

    def launches(self) -> list[Launch]:
        """What the kernels since the last call did."""
        return [Launch(**launch) for launch in json.loads(self.library.sdaaSimulatorMeter())]


class Buffer:
    """Device memory of exactly `size` bytes, filled with a pattern that no result may leave."""

    def __init__(self, runtime: Runtime, size: int, device: int = 0) -> None:
        self.runtime = runtime
        self.size = size
        self.pointer = ctypes.c_void_p()
        runtime.call("sdaaSetDevice", device)
        runtime.call("sdaaMalloc", ctypes.byref(self.pointer), ctypes.c_size_t(size))
        runtime.call("sdaaMemset", self.pointer, 0x5A, ctypes.c_size_t(size))
        runtime.call("sdaaSetDevice", 0)

    @classmethod
    def of(cls, runtime: Runtime, tensor: Tensor) -> Buffer:
        """A copy of a dense tensor's memory, in the order it lies in."""
        buffer = cls(runtime, tensor.numel() * tensor.element_size())
        to_device = 1
        source = ctypes.c_void_p(tensor.data_ptr())
        runtime.call("sdaaMemcpy", buffer.pointer, source, ctypes.c_size_t(buffer.size), to_device)
        return buffer

    def into(self, tensor: Tensor) -> Tensor:
        """Copies back into a dense tensor of the same size."""
        from_device = 2
        target = ctypes.c_void_p(tensor.data_ptr())
        self.runtime.call(
            "sdaaMemcpy", target, self.pointer, ctypes.c_size_t(self.size), from_device
        )
        return tensor

    def __del__(self) -> None:
        self.runtime.library.sdaaFree(self.pointer)


def product_kernels(folder: Path) -> ctypes.CDLL:
    """All of csrc/sdaa/*.scpp in one library in `folder`, with their C launchers."""
    sources = sorted(KERNELS.glob("*.scpp"))
    return ctypes.CDLL(str(build.compile_kernels(sources, folder / "kernels.so")))


def dtype_code(dtype: torch.dtype) -> int:
    """`dtype` of the launchers in csrc/sdaa/<op>.h."""
    return _DTYPES[dtype]
