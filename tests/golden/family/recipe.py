"""Weights that are computed from the names of published tensors."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from tests.golden.cases import Case

Keys = list[tuple[str, list[int], str]]
"""Name, without `module.`, shape and dtype of each tensor."""
Family = Callable[[str], Case]
"""The fixture `family`."""


def recipe_tensor(key: str, shape: Sequence[int], dtype: str, seed: int) -> Tensor:
    """The tensor of a name: random numbers seeded by it, of a size that suits its role."""
    if dtype == "int64":
        return torch.tensor(7)
    random = np.random.RandomState((zlib.crc32(key.encode()) + seed) % 2**32)
    name = key.rpartition(".")[2]
    limits = None
    if name == "running_var":
        limits = (0.5, 1.5)
    elif key.endswith("bn2.weight"):
        limits = (0.2, 0.6)
    elif name == "weight" and len(shape) == 1:
        limits = (0.7, 1.3)
    if limits is not None:
        return torch.from_numpy(random.uniform(*limits, shape).astype(np.float32))
    deviation = 0.1
    if len(shape) > 1:
        up_sampling = ".up2." in key  # transposed: four taps of each input channel reach a cell
        deviation = math.sqrt(1 / (shape[0] * 4) if up_sampling else 1.2 / math.prod(shape[1:]))
    values = random.standard_normal(shape) * deviation
    pieces = key.split(".")
    if name == "bias" and pieces[-2] == "1" and pieces[0].endswith("heats"):
        values -= 2.19
    return torch.from_numpy(values.astype(np.float32))


def published_state(keys: Keys, seed: int, prefix: str = "module.") -> dict[str, Tensor]:
    """The tensors of a published file; names are hashed without the prefix."""
    return {prefix + key: recipe_tensor(key, shape, dtype, seed) for key, shape, dtype in keys}
