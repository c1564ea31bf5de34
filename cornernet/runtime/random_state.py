"""The states of all random number generators of a process, as tensors and plain data."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from cornernet.runtime.device import device_module


def random_states(device: torch.device) -> dict[str, Any]:
    """The states of Python's, NumPy's and torch's generators, the device's among them."""
    version, numbers, gauss = random.getstate()
    numpy: Any = np.random.get_state(legacy=True)
    kind, keys, position, has_gauss, cached = numpy
    states: dict[str, Any] = {
        "python": [version, torch.tensor(numbers), gauss],
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
    }
    own = getattr(device_module(device.type), "get_rng_state", None)
    if own is not None:
        states["device"] = own(device)
    return states


def restore_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Put all generators into states that `random_states` has returned."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers.tolist()), gauss))
    kind, keys, position, has_gauss, cached = states["numpy"]
    state = (kind, keys.numpy().astype(np.uint32), position, has_gauss, cached)
    np.random.set_state(state)
    torch.set_rng_state(states["torch"])
    own = getattr(device_module(device.type), "set_rng_state", None)
    # A run may have begun on another kind of device, whose state this one cannot take.
    if own is not None and "device" in states:
        own(states["device"], device)
