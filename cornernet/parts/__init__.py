"""The kinds of prediction that a detector may consist of, one directory each."""

from __future__ import annotations

from cornernet.config import ModelConfig
from cornernet.parts.corners.part import Corners
from cornernet.parts.interface import Head, Part, SharedConvolution

# In the order in which parts decode: a later one may refine what an earlier one has found.
PARTS: dict[str, type[Part]] = {part.name: part for part in (Corners,)}

__all__ = ["PARTS", "Head", "Part", "SharedConvolution", "build_parts"]


def build_parts(config: ModelConfig, num_classes: int) -> list[Part]:
    """The parts that `model.parts` names, in the order in which they decode."""
    return [kind(config, num_classes) for name, kind in PARTS.items() if name in config.parts]
