"""The sizes of a network, from the shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from cornernet.config import ModelConfig
from cornernet.errors import UserError
from cornernet.weights.foreign.classes import COCO_CLASSES


def sizes_of(
    state: Mapping[str, Tensor], classes: Sequence[str] | None, source: str
) -> ModelConfig:
    """The network that tensors under our names belong to.

    A size that no tensor tells, because all are missing that could, is the usual one, so that what
    is missing can be listed; the number of classes is then that of the given names.
    """
    usual = ModelConfig()

    def size(pattern: str, instead: int = 0) -> int:
        """Output channels of the first tensor whose name matches."""
        for key, value in state.items():
            if re.fullmatch(pattern, key) and value.ndim:
                return value.shape[0]
        return instead

    def count(prefix: str) -> int:
        start = len(prefix)
        return len({key[start:].partition(".")[0] for key in state if key.startswith(prefix)})

    level = "backbone.hourglass_modules.0"
    stage_channels, stage_blocks = [], []
    while count(f"{level}.up1."):
        stage_channels.append(size(rf"{re.escape(level)}\.up1\.\d+\.(conv|bn)\d\.(weight|bias)"))
        stage_blocks.append(count(f"{level}.up1."))
        level += ".low2"
    stage_channels.append(size(rf"{re.escape(level)}\.\d+\.(conv|bn)\d\.(weight|bias)"))
    stage_blocks.append(count(f"{level}."))
    if len(stage_channels) < 2 or min(stage_channels + stage_blocks) < 1:
        raise UserError(
            f"{source}: expected the tensors of a CornerNet, found no whole hourglass under "
            "backbone.hourglass_modules.0"
        )
    pool = r"head\.(tl|br)_pool\.\d+\.direction\d_conv\.(conv|bn)\.weight"
    hidden = r"head\.(tl|br)_(heat|off|emb)\.\d+\.0\.conv\.(weight|bias)"
    embedding = r"head\.(tl|br)_emb\.\d+\.1\.conv\.(weight|bias)"
    heat = r"head\.(tl|br)_heat\.\d+\.1\.conv\.(weight|bias)"
    features = r"backbone\.out_convs\.\d+\.(conv|bn)\.weight"
    return checked_model(
        source,
        stacks=count("backbone.hourglass_modules."),
        stage_channels=stage_channels,
        stage_blocks=stage_blocks,
        feature_channels=size(features, usual.feature_channels),
        pool_channels=size(pool, usual.pool_channels),
        head_channels=size(hidden, usual.head_channels),
        embedding_channels=size(embedding, usual.embedding_channels),
        num_classes=size(
            heat, len(classes if isinstance(classes, (list, tuple)) else COCO_CLASSES)
        ),
    )


def checked_model(source: str, **settings: Any) -> ModelConfig:
    try:
        return ModelConfig(**settings)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
