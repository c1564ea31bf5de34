"""Name rules: tables of patterns that say how another program's tensors are called here."""

from __future__ import annotations

import pytest
import torch

from cornernet.weights.foreign import mmdetection, original
from cornernet.weights.foreign.names import Rule, inverse, matching, rename, renamed
from cornernet.weights.foreign.sizes import sizes_of
from tests.errors import raises

RULES = (
    Rule("(hg.)?pre.0.*", "stem.0.*"),
    Rule("{corner}_(a|b).{stack}.skip.*", "{corner}.{stack}.downsample.*"),
    Rule("{corner}_(a|b).*", "{corner}.*"),
)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("pre.0.conv.weight", "stem.0.conv.weight"),
        ("hg.pre.0.conv.weight", "stem.0.conv.weight"),
        ("tl_a.1.skip.0.weight", "tl.1.downsample.0.weight"),
        ("br_b.1.conv.weight", "br.1.conv.weight"),
        # No rule describes these.
        ("pre.1.conv.weight", "pre.1.conv.weight"),
        ("xhg.pre.0.conv.weight", "xhg.pre.0.conv.weight"),
        ("att_a.1.conv.weight", "att_a.1.conv.weight"),
        ("tl_a", "tl_a"),
        ("preX0.conv", "preX0.conv"),
    ],
)
def test_the_first_rule_that_describes_a_name_is_applied(theirs: str, ours: str) -> None:
    assert rename(theirs, RULES) == ours


def test_a_pattern_describes_whole_names() -> None:
    found = matching("{corner}_heat.{stack}.bias", ["tl_heat.0.bias", "tl_heat.0.bias.x", "br"])
    assert [(match.string, match["stack"]) for match in found] == [("tl_heat.0.bias", "0")]


def test_two_tensors_may_not_get_the_same_name() -> None:
    tensors = {"tl_a.1.x": torch.ones(1), "tl_b.1.x": torch.ones(1)}
    with raises("x.pth", "tl.1.x", "tl_a.1.x", "tl_b.1.x"):
        renamed(tensors, RULES, "x.pth")


def test_rules_without_alternatives_can_be_inverted() -> None:
    name = "bbox_head.tl_heat.0.1.conv.bias"
    ours = rename(name, mmdetection.RULES)
    assert ours == "head.tl_heat.0.1.conv.bias"
    assert rename(ours, inverse(mmdetection.RULES)) == name


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("pre.1.skip.1.weight", "backbone.stem.1.0.downsample.1.weight"),
        ("kps.0.low2.up1.0.bn1.bias", "backbone.hourglass_modules.0.low2.up1.0.bn1.bias"),
        (
            "hg.hgs.1.low1.0.skip.0.weight",
            "backbone.hourglass_modules.1.low1.0.downsample.0.weight",
        ),
        ("inters_.0.1.weight", "backbone.conv1x1s.0.bn.weight"),
        ("hg.cnvs_.0.0.weight", "backbone.remap_convs.0.conv.weight"),
        ("tl_modules.0.p2_conv1.conv.weight", "head.tl_pool.0.direction2_conv.conv.weight"),
        ("br_cnvs.1.p_bn1.bias", "head.br_pool.1.aftpool_conv.bn.bias"),
        ("tl_offs.1.1.bias", "head.tl_off.1.1.conv.bias"),
        ("br_regrs.0.0.conv.bias", "head.br_off.0.0.conv.bias"),
    ],
)
def test_names_of_the_original(theirs: str, ours: str) -> None:
    assert rename(theirs, original.RULES) == ours


def test_channels_of_a_stage_are_those_that_its_blocks_hand_out() -> None:
    """A fire block is narrower inside, where its first convolution ends."""
    root = "backbone.hourglass_modules.0"
    state = {
        f"{block}.{layer}.weight": torch.ones(channels)
        for block, outputs in ((f"{root}.up1.0", 8), (f"{root}.low2.0", 12))
        for layer, channels in (("conv1", outputs // 2), ("bn1", outputs // 2), ("bn2", outputs))
    }
    found = sizes_of(state, "x.pth")
    assert found == {"stacks": 1, "stage_channels": [8, 12], "stage_blocks": [1, 1]}
