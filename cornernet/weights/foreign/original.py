"""The layout of the original repository (princeton-vl/CornerNet) and of CornerNet-Lite."""

from __future__ import annotations

# The original's statistics of COCO's pixels, here in the order RGB and in 0..255.
ORIGINAL_MEAN = [255 * value for value in (0.47026115, 0.44719302, 0.40789654)]
ORIGINAL_STD = [255 * value for value in (0.27809835, 0.27408164, 0.28863828)]
# First part of a name in the original or in CornerNet-Lite → ours.
_ORIGINAL_PARTS = {
    "kps": "backbone.hourglass_modules",
    "hgs": "backbone.hourglass_modules",
    "cnvs": "backbone.out_convs",
    "inters": "backbone.inters",
    "inters_": "backbone.conv1x1s",
    "cnvs_": "backbone.remap_convs",
} | {
    theirs.format(corner): ours.format(corner)
    for corner in ("tl", "br")
    for theirs, ours in (
        ("{}_cnvs", "head.{}_pool"),
        ("{}_modules", "head.{}_pool"),
        ("{}_heats", "head.{}_heat"),
        ("{}_tags", "head.{}_emb"),
        ("{}_regrs", "head.{}_off"),
        ("{}_offs", "head.{}_off"),
    )
}
_ORIGINAL_POOL = {
    "p1_conv1": "direction1_conv",
    "p2_conv1": "direction2_conv",
    "p_conv1": "aftpool_conv.conv",
    "p_bn1": "aftpool_conv.bn",
    "conv1": "conv1.conv",
    "bn1": "conv1.bn",
    "conv2": "conv2",
}


def name_of_original(key: str) -> str:
    """Our name of a tensor of the original repository or of CornerNet-Lite.

    Both have a residual block whose projection is called `skip`, a pooling module with its own
    names, and convolutions without a wrapper between stacks and at the end of branches.
    """
    part, _, rest = key.removeprefix("hg.").partition(".")
    if part == "pre":
        number, _, rest = rest.partition(".")
        ours = "backbone.stem." + {"0": "0.", "1": "1.0."}.get(number, f"{number}.") + rest
        return ours.replace(".skip.", ".downsample.")
    if part not in _ORIGINAL_PARTS:
        return key
    ours = _ORIGINAL_PARTS[part]
    stack, _, rest = rest.partition(".")
    first, _, last = rest.partition(".")
    if part in ("inters_", "cnvs_"):
        first = {"0": "conv", "1": "bn"}.get(first, first)
    elif ours.endswith("_pool"):
        first = _ORIGINAL_POOL.get(first, first)
    elif ours.startswith("head.") and first == "1":
        first = "1.conv"
    return f"{ours}.{stack}.{first}.{last}".replace(".skip.", ".downsample.")
