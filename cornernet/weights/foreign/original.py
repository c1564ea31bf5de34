"""The layouts of the original repositories.

These are princeton-vl/CornerNet, CornerNet-Lite and Duankaiwen/CenterNet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cornernet.weights.foreign.layout import Layout
from cornernet.weights.foreign.names import Rule
from cornernet.weights.foreign.pixels import Pixels

# Statistics of COCO's pixels in the order BGR, in 0..255.
_MEAN = [255 * value for value in (0.40789654, 0.44719302, 0.47026115)]
_STD = [255 * value for value in (0.28863828, 0.27408164, 0.27809835)]

# CornerNet-Lite puts `hg.` before the backbone's names and uses the second of two alternatives.
# Its fire blocks and its transposed convolutions have our names.
_BACKBONE = (
    ("pre.0.*", "stem.0.*"),
    ("pre.{index}.skip.*", "stem.{index}.0.downsample.*"),
    ("pre.{index}.*", "stem.{index}.0.*"),
    ("(kps|hgs).{path}.skip.*", "hourglass_modules.{path}.downsample.*"),
    ("(kps|hgs).*", "hourglass_modules.*"),
    ("cnvs.*", "out_convs.*"),
    ("inters.*", "inters.*"),
    ("inters_.{stack}.0.*", "conv1x1s.{stack}.conv.*"),
    ("inters_.{stack}.1.*", "conv1x1s.{stack}.bn.*"),
    ("cnvs_.{stack}.0.*", "remap_convs.{stack}.conv.*"),
    ("cnvs_.{stack}.1.*", "remap_convs.{stack}.bn.*"),
)
_POOL = (
    ("p1_conv1.*", "direction1_conv.*"),
    ("p2_conv1.*", "direction2_conv.*"),
    ("p_conv1.*", "aftpool_conv.conv.*"),
    ("p_bn1.*", "aftpool_conv.bn.*"),
    ("conv1.*", "conv1.conv.*"),
    ("bn1.*", "conv1.bn.*"),
    ("conv2.*", "conv2.*"),
    # CenterNet's cascade: what is pooled into the object, and the convolutions behind that.
    ("look_conv1.*", "look1_conv.*"),
    ("look_conv2.*", "look2_conv.*"),
    ("P1_look_conv.*", "pool.conv1.*"),
    ("P2_look_conv.*", "pool.conv2.*"),
)
_BRANCH = (
    ("0.*", "0.*"),
    ("1.*", "1.conv.*"),
)
# One branch for each of several resolutions.
_BRANCHES = tuple((f"{{index}}.{theirs}", f"{{index}}.{ours}") for theirs, ours in _BRANCH)
# Modules of the heads, of each of which there is one per stack, and the names inside.
_HEADS = (
    ("{corner}_(cnvs|modules)", "head.{corner}_pool", _POOL),
    ("{corner}_heats", "head.{corner}_heat", _BRANCH),
    ("{corner}_tags", "head.{corner}_emb", _BRANCH),
    ("{corner}_(regrs|offs)", "head.{corner}_off", _BRANCH),
    ("ct_cnvs", "centers.pool", _POOL),
    ("ct_heats", "centers.heat", _BRANCH),
    ("ct_regrs", "centers.off", _BRANCH),
    ("att_modules", "attention.heat", _BRANCHES),
)
RULES = (
    *(Rule(f"(hg.)?{theirs}", f"backbone.{ours}") for theirs, ours in _BACKBONE),
    *(
        Rule(f"{theirs}.{{stack}}.{inner}", f"{ours}.{{stack}}.{our_inner}")
        for theirs, ours, inside in _HEADS
        for inner, our_inner in inside
    ),
)


def _pixels(meta: Mapping[str, Any], source: str) -> tuple[Pixels, str]:
    said = "colours: reordered from BGR; the original's mean and deviation, black canvas"
    return Pixels(_MEAN, _STD, [0.0, 0.0, 0.0], rgb=False), said


def _layout(name: str, *present: str, absent: tuple[str, ...] = (), recipe: str = "") -> Layout:
    return Layout(name, present, absent, RULES, _pixels, recipe=recipe)


# The most particular first: the last one describes all of them.
ORIGINALS = (
    _layout("CornerNet-Squeeze", "(hg.)?hgs.{path}.conv_3x3.*", recipe="cornernet_squeeze"),
    _layout("CornerNet-Saccade", "(hg.)?hgs.*", "att_modules.*", recipe="cornernet_saccade"),
    _layout("CenterNet-52", "kps.*", "ct_cnvs.*", absent=("kps.1.*",), recipe="centernet52"),
    _layout("CenterNet-104", "kps.*", "ct_cnvs.*", recipe="centernet104"),
    _layout("CornerNet", "(hg.)?(kps|hgs).*"),
)
