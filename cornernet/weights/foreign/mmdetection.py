"""MMDetection's layout: our names, but for the head, which is called `bbox_head` there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cornernet.config import ModelConfig
from cornernet.errors import UserError
from cornernet.weights.foreign.layout import Layout
from cornernet.weights.foreign.mmdet_config import pixels_of
from cornernet.weights.foreign.names import Rule, inverse, renamed

RULES = (Rule("bbox_head.*", "head.*"),)
# The block between stacks that MMDetection's networks of one stack hold and never run.
_UNUSED_BLOCK = "backbone.inters.0.*"
# Widths that MMDetection writes into its head and that no setting of it changes.
_POOL_CHANNELS, _HEAD_CHANNELS = 128, 256
# Settings of which it knows only what is our default.
_KINDS = ("parts", "stem_stride", "block", "upsampling", "corner_pooling", "branch_kernel")

MMDETECTION = Layout(
    "MMDetection",
    present=("backbone.hourglass_modules.*",),
    rules=RULES,
    pixels=pixels_of,
    unused=(_UNUSED_BLOCK,),
)


def to_mmdet(
    state_dict: Mapping[str, Tensor], model: ModelConfig, classes: Sequence[str], source: str
) -> tuple[dict[str, Any], list[str]]:
    """Make a checkpoint that MMDetection 2.x and 3.x load, with all keys they expect.

    Args:
        state_dict: all tensors of a network of ours.
        model: its sizes.
        classes: names by label.
        source: the file's name, for messages.

    Returns:
        The checkpoint, and what its configuration has to say there, a sentence each.

    Raises:
        UserError: MMDetection has no such network.
    """
    usual = ModelConfig()
    different = [
        f"model.{name} {getattr(model, name)!r} instead of {getattr(usual, name)!r}"
        for name in _KINDS
        if getattr(model, name) != getattr(usual, name)
    ]
    if different:
        raise UserError(
            f"{source}: expected a CornerNet as MMDetection has it, found {', '.join(different)}; "
            "MMDetection cannot hold this network"
        )
    widths = (model.pool_channels, model.head_channels)
    if widths != (_POOL_CHANNELS, _HEAD_CHANNELS):
        raise UserError(
            f"{source}: expected pool_channels {_POOL_CHANNELS} and head_channels "
            f"{_HEAD_CHANNELS}, which MMDetection's head always has, found {widths[0]} and "
            f"{widths[1]}; MMDetection cannot hold this network"
        )
    copies = {key: value.detach().cpu().clone() for key, value in state_dict.items()}
    theirs = renamed(copies, inverse(RULES), source)
    settings = (
        "model = dict(data_preprocessor=dict(type='DetDataPreprocessor', "
        f"mean={model.pixel_mean}, std={model.pixel_std}, bgr_to_rgb=True), "
        f"backbone=dict(downsample_times={len(model.stage_channels) - 1}, "
        f"num_stacks={model.stacks}, stage_channels={model.stage_channels}, "
        f"stage_blocks={model.stage_blocks}, feat_channel={model.feature_channels}), "
        f"bbox_head=dict(num_classes={len(classes)}, in_channels={model.feature_channels}, "
        f"num_feat_levels={model.stacks}, corner_emb_channels={model.embedding_channels}))",
        "crop = dict(type='RandomCenterCropPad', "
        f"mean={list(model.canvas_color)}, std={model.pixel_std}, to_rgb=True)",
    )
    notes = list(settings)
    if model.stacks == 1:
        theirs |= _unused_block(model.stage_channels[0])
        notes.append(f"added {_UNUSED_BLOCK}, zeros, which MMDetection holds and never runs")
    names = tuple(classes)
    text = "\n".join(settings)  # so that the constants come back with the weights
    meta = {"CLASSES": names, "dataset_meta": {"classes": names}, "cfg": text, "config": text}
    return {"meta": meta, "state_dict": theirs}, notes


def _unused_block(channels: int) -> dict[str, Tensor]:
    prefix = _UNUSED_BLOCK.removesuffix("*")
    block: dict[str, Tensor] = {}
    for number in (1, 2):
        block[f"{prefix}conv{number}.weight"] = torch.zeros(channels, channels, 3, 3)
        norm = torch.nn.BatchNorm2d(channels).state_dict()
        block |= {f"{prefix}bn{number}.{key}": value for key, value in norm.items()}
    return block
