"""The kinds of prediction that a detector may consist of, one directory each."""

from __future__ import annotations

from cornernet.config import ModelConfig
from cornernet.errors import UserError
from cornernet.parts.attention.part import Attention
from cornernet.parts.centers.part import Centers
from cornernet.parts.corners.part import Corners
from cornernet.parts.interface import Head, Part, SharedConvolution

# In the order in which parts decode: a later one may refine what an earlier one has found.
PARTS: dict[str, type[Part]] = {part.name: part for part in (Corners, Centers, Attention)}

__all__ = ["PARTS", "Head", "Part", "SharedConvolution", "build_parts"]


def build_parts(config: ModelConfig, num_classes: int) -> list[Part]:
    """The parts that `model.parts` names, in the order in which they decode.

    Raises:
        UserError: one is unknown, or the one that proposes boxes is missing.
    """
    unknown = [name for name in config.parts if name not in PARTS]
    if unknown or Corners.name not in config.parts:
        raise UserError(
            f"must name parts out of {', '.join(PARTS)}, {Corners.name} among them, got "
            f"{config.parts}",
            field="model.parts",
        )
    return [kind(config, num_classes) for name, kind in PARTS.items() if name in config.parts]
