"""A golden file as the cases that it holds; what conftest.py gives to tests, by its types."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cornernet.model.detector import Detector
from cornernet.parts.corners.structures import Outputs, Targets

MAPS = ("tl_heat", "br_heat", "tl_emb", "br_emb", "tl_off", "br_off")


class Case:
    """The arrays of one case: those of its file whose names start with its prefix."""

    def __init__(self, arrays: dict[str, np.ndarray], meta: Any, prefix: str = "") -> None:
        self.arrays = arrays
        self.meta = meta
        self.prefix = prefix

    def __contains__(self, name: str) -> bool:
        return self.prefix + name in self.arrays

    def array(self, name: str) -> np.ndarray:
        return self.arrays[self.prefix + name]

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(np.array(self.array(name)))

    def image(self, name: str) -> np.ndarray:
        """A picture as RGB."""
        return np.ascontiguousarray(self.array(name)[..., ::-1])

    def outputs(self, before: str = "", after: str = "") -> Outputs:
        """The six maps called `{before}{map}{after}`, with gradients wanted."""
        return Outputs(*(self.tensor(before + name + after).requires_grad_() for name in MAPS))

    def per_image(self, name: str) -> list[Tensor]:
        """`{name}0`, `{name}1`, … as long as there are any."""
        found: list[Tensor] = []
        while f"{name}{len(found)}" in self:
            found.append(self.tensor(f"{name}{len(found)}"))
        return found


def read_case(folder: Path, file: str) -> Case | None:
    path = folder / f"{file}.npz"
    if not path.is_file():
        return None
    with np.load(path) as content:
        arrays = dict(content)
    return Case(arrays, json.loads(str(arrays.pop("meta"))))


# The fixtures `golden`, `build_model`, `all_stacks`, `embedding_targets`, `assert_same_detections`.
Golden = Callable[[str], Case]
BuildModel = Callable[[dict[str, Any], dict[str, Tensor]], Detector]
AllStacks = Callable[[Detector, Tensor], list[Outputs]]
EmbeddingTargets = Callable[[list[Tensor], int], Targets]
AssertSameDetections = Callable[..., None]
