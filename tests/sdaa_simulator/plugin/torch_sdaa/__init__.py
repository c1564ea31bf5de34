"""A stand-in for Tecorigin's torch_sdaa, for tests without a card.

`import torch_sdaa` gives PyTorch the device `sdaa`: four devices whose memory is the simulated
toolkit's (../../toolkit) and whose ATen runs on the CPU. What the real plug-in offers and this
project does not use is missing; what is here goes by the public names.
"""

from __future__ import annotations

import torch

from . import _C, sdaa  # loading _C registers the device, under PyTorch's name for any plug-in
from .distributed import create_tccl

__version__ = "0.0+simulator"

torch.utils.rename_privateuse1_backend("sdaa")
torch._register_device_module("sdaa", sdaa)
torch.utils.generate_methods_for_privateuse1_backend()
if torch.distributed.is_available():
    torch.distributed.Backend.register_backend("tccl", create_tccl, devices=["sdaa"])


def fallback_counts() -> dict[str, int]:
    """ATen ops that have run on the CPU, and how often. The simulator's own; no card has this."""
    return dict(_C.fallback_counts())


def clear_fallback_counts() -> None:
    _C.clear_fallback_counts()


def host_waits() -> int:
    """How often the host has waited for a device. The simulator's own; no card has this."""
    return _C.host_waits()


def clear_host_waits() -> None:
    _C.clear_host_waits()
