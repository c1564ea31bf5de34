"""The sizes of a network, from the names and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cornernet.errors import UserError
from cornernet.weights.foreign.names import matching


@dataclass(frozen=True)
class Size:
    """Where to read a setting of `ModelConfig`.

    Attributes:
        setting: its name.
        patterns: names of tensors, ours, the best ones first. With `{level}` in them the setting is
            a list with an entry for each resolution of an hourglass.
        axis: the setting is the size of the first tensor found along this axis; None: it is the
            number of different values of `{index}`.
    """

    setting: str
    patterns: tuple[str, ...]
    axis: int | None = 0


_HOURGLASS = "backbone.hourglass_modules.0"
SIZES = (
    Size("stacks", ("backbone.hourglass_modules.{index}.*",), axis=None),
    Size(
        "stage_channels",
        # The last layer of a block; the first is half as wide in fire blocks.
        ("{level}.(up1.)?{index}.bn2.(weight|bias)", "{level}.(up1.)?{index}.conv2.weight",
         "{level}.up2.(weight|bias)", "{level}.(up1.)?{index}.(conv1|bn1).(weight|bias)"),
    ),
    Size("stage_blocks", ("{level}.(up1.)?{index}.*",), axis=None),
    Size("feature_channels", ("backbone.out_convs.{stack}.(conv|bn).weight",)),
    Size("pool_channels", ("head.{corner}_pool.{stack}.direction{index}_conv.(conv|bn).weight",)),
    Size("head_channels", ("head.{corner}_(heat|off|emb).{stack}.0.conv.(weight|bias)",)),
    Size("embedding_channels", ("head.{corner}_emb.{stack}.1.conv.(weight|bias)",)),
    Size("branch_kernel", ("head.{corner}_(heat|off|emb).{stack}.0.conv.weight",), axis=2),
    Size("num_classes", ("head.{corner}_heat.{stack}.1.conv.(weight|bias)",)),
)  # fmt: skip
# Settings that have another value than by default where a tensor of a name is there.
CHOICES: tuple[tuple[str, str, Any], ...] = (
    ("stem_stride", "backbone.stem.2.*", 8),
    ("block", "backbone.hourglass_modules.{path}.conv_3x3.*", "fire"),
    ("upsampling", "backbone.hourglass_modules.{path}.up2.*", "transposed"),
    ("corner_pooling", "head.{corner}_pool.{stack}.look{index}_conv.*", "cascade"),
)
# Names of the tensors of parts that a network may have beside corners.
PARTS = (("centers", "centers.*"), ("attention", "attention.*"))


def sizes_of(state: Mapping[str, Tensor], source: str) -> dict[str, Any]:
    """The settings of the network that tensors under our names belong to.

    A setting that no tensor tells, because all that could are missing, is left out.

    Raises:
        UserError: there is no whole hourglass among the tensors.
    """
    levels = [_HOURGLASS]
    while any(key.startswith(f"{levels[-1]}.up1.") for key in state):
        levels.append(f"{levels[-1]}.low2")
    found: dict[str, Any] = {}
    for size in SIZES:
        if "{level}" in size.patterns[0]:
            of_levels = [_read(size, state, level) for level in levels]
            if len(levels) < 2 or not all(of_levels):
                raise UserError(
                    f"{source}: expected the tensors of a CornerNet, found no whole hourglass "
                    f"under {_HOURGLASS}"
                )
            found[size.setting] = of_levels
        elif value := _read(size, state):
            found[size.setting] = value
    for setting, pattern, value in CHOICES:
        if matching(pattern, state):
            found[setting] = value
    if parts := [part for part, pattern in PARTS if matching(pattern, state)]:
        found["parts"] = ["corners", *parts]
    return found


def _read(size: Size, state: Mapping[str, Tensor], level: str = "") -> int:
    """A setting, 0 where no tensor tells it."""
    for pattern in size.patterns:
        matches = matching(pattern.replace("{level}", level), state)
        if size.axis is None:
            if matches:
                return len({match["index"] for match in matches})
            continue
        for match in matches:
            shape = state[match.string].shape
            if len(shape) > size.axis:
                return shape[size.axis]
    return 0
