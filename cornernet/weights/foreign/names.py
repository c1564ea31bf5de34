"""Which layout the names of tensors are of, and the tensors under our names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from cornernet.errors import UserError
from cornernet.weights.foreign.mmdetection import name_of_mmdet
from cornernet.weights.foreign.original import name_of_original


def our_names(tensors: Mapping[str, Tensor], source: str) -> tuple[str, dict[str, Tensor]]:
    """The layout of tensors, and the tensors under our names."""
    parts = {key.removeprefix("hg.").partition(".")[0] for key in tensors}
    if "hourglass_modules" in {key.split(".")[1] for key in tensors if "." in key}:
        if "bbox_head" in parts or "head" not in parts:
            return "MMDetection", _renamed(tensors, name_of_mmdet, source)
        return "cornernet", dict(tensors)
    if parts & {"kps", "hgs"}:
        return "CornerNet", _renamed(tensors, name_of_original, source)
    raise UserError(
        f"{source}: expected the tensors of a CornerNet (of MMDetection, with names such as "
        "backbone.hourglass_modules.0.up1.0.conv1.weight, or of the original, such as "
        f"kps.0.up1.0.conv1.weight), found names such as {', '.join(list(tensors)[:3])}"
    )


def _renamed(
    tensors: Mapping[str, Tensor], name: Callable[[str], str], source: str
) -> dict[str, Tensor]:
    """Tensors under our names, each of which must be the name of one of them alone."""
    origin: dict[str, str] = {}
    for key in tensors:
        other = origin.setdefault(name(key), key)
        if other != key:
            raise UserError(
                f"{source}: expected one tensor for {name(key)}, found {other} and {key}; take out "
                "the one that is not meant"
            )
    return {ours: tensors[theirs] for ours, theirs in origin.items()}
