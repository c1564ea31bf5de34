"""Weights of other CornerNets: from their files to our network, and back to MMDetection's layout.

Three layouts of tensors are known. Module names of ours are MMDetection's but for the head, which
is called `bbox_head` there. The original repository (princeton-vl/CornerNet) and its successor
(CornerNet-Lite, its CornerNet alone) have names of their own, take colours in the order BGR and
normalise them by other constants.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cornernet.config import ModelConfig
from cornernet.errors import UserError
from cornernet.model.detector import CornerDetector

# The categories of COCO in the order of their ids, which is every CornerNet's order of classes.
COCO_CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella",
    "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange",
    "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant",
    "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip

# The original's statistics of COCO's pixels, here in the order RGB and in 0..255.
_ORIGINAL_MEAN = [255 * value for value in (0.47026115, 0.44719302, 0.40789654)]
_ORIGINAL_STD = [255 * value for value in (0.27809835, 0.27408164, 0.28863828)]

# Where MMDetection keeps the block between stacks that its networks of one stack never run.
_UNUSED_BLOCK = "backbone.inters.0."
# Widths that MMDetection writes into its head and that no setting of it changes.
_MMDET_POOL_CHANNELS, _MMDET_HEAD_CHANNELS = 128, 256

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


@dataclass
class Foreign:
    """Weights of another program, in our layout.

    Args:
        state_dict: every tensor of the network.
        model: the network, found from the tensors' shapes.
        classes: names by label.
        layout: where the tensors' names come from.
        notes: what was done beside renaming, a sentence each.
    """

    state_dict: dict[str, Tensor]
    model: ModelConfig
    classes: list[str]
    layout: str
    notes: list[str] = field(default_factory=list)


@dataclass
class Mismatch:
    """How given tensors differ from a network's, as lines of text."""

    missing: list[str]
    left_over: list[str]
    of_another_shape: list[str]

    def __bool__(self) -> bool:
        return bool(self.missing or self.left_over or self.of_another_shape)

    def groups(self) -> list[tuple[str, list[str]]]:
        """The kinds that have entries, with their names."""
        kinds = (
            ("missing", self.missing),
            ("left over", self.left_over),
            ("of another shape", self.of_another_shape),
        )
        return [(kind, lines) for kind, lines in kinds if lines]


def compare(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Mismatch:
    """Which of the tensors that a network has are not among the given ones, and the reverse."""
    return Mismatch(
        [key for key in wanted if key not in given],
        [key for key in given if key not in wanted],
        [
            f"{key} {list(given[key].shape)} instead of {list(wanted[key].shape)}"
            for key in wanted
            if key in given and given[key].shape != wanted[key].shape
        ],
    )


def is_foreign(content: Any) -> bool:
    """Whether a file's content could be weights of another program: are there named tensors?"""
    return isinstance(content, Mapping) and any(
        isinstance(part, Mapping) and any(isinstance(value, Tensor) for value in part.values())
        for part in (content, content.get("state_dict"), content.get("ema_state_dict"))
    )


def from_foreign(
    content: Mapping[str, Any],
    source: str,
    *,
    state: str | None = None,
    classes: Sequence[str] | None = None,
    allow_partial: bool = False,
) -> Foreign:
    """Bring another program's weights into our layout; every tensor is used or accounted for.

    Args:
        content: what the file holds: a checkpoint of MMDetection 2.x or 3.x, or the bare tensors.
        source: the file's name, for messages.
        state: "state_dict" or "ema_state_dict"; by default the first of these that is there. An
            MMEngine run that averages its weights keeps the average under `state_dict`.
        classes: names by label, where the file does not hold the right ones.
        allow_partial: initialise what is missing or of another shape as in a new network and leave
            out what is left over, instead of refusing.

    Raises:
        UserError: not CornerNet's tensors; or some are missing, left over or of another shape.
    """
    tensors, notes = _named_tensors(content, source, state)
    layout, renamed = _our_names(tensors, source)
    meta = content.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}

    model = _sizes(renamed, source)
    names, note = _class_names(meta, model.num_classes, classes, source)
    notes.append(note)
    model.num_classes = 0  # a weights file's classes say it
    if layout == "CornerNet":
        renamed, model.pixel_mean, model.pixel_std = _in_rgb(
            renamed, _ORIGINAL_MEAN[::-1], _ORIGINAL_STD[::-1]
        )
        model.padding_color = [0.0, 0.0, 0.0]
        notes.append("colours: reordered from BGR; the original's mean and deviation, black canvas")
    elif layout == "MMDetection":
        renamed, note = _with_pixels_of(meta, renamed, model)
        notes.append(note)
    renamed = {k: v.float() if v.is_floating_point() else v for k, v in renamed.items()}

    unused = [key for key in renamed if model.stacks == 1 and key.startswith(_UNUSED_BLOCK)]
    if unused:
        renamed = {key: value for key, value in renamed.items() if key not in unused}
        notes.append(
            f"dropped the {len(unused)} tensors {_UNUSED_BLOCK}*: a block between stacks that a "
            "network of one stack never runs"
        )
    with torch.device("meta"):
        wanted = CornerDetector(model, len(names)).state_dict()
    counters = [k for k in wanted if k.endswith(".num_batches_tracked") and k not in renamed]
    if counters:  # files of PyTorch before 0.4.1
        renamed |= {key: torch.zeros((), dtype=torch.int64) for key in counters}
        notes.append(f"set {len(counters)} num_batches_tracked, which nothing reads, to 0")
    mismatch = compare(wanted, renamed)
    if mismatch and not allow_partial:
        raise UserError(
            f"{source}: expected the {len(wanted)} tensors of this network, found some "
            + ", some ".join(kind for kind, _ in mismatch.groups())
            + "".join(_listed(kind, lines) for kind, lines in mismatch.groups())
            + "\nuse the whole file, or convert it with --allow-partial, which initialises what "
            "is missing or does not fit and leaves out what is left over"
        )
    if mismatch:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            new = CornerDetector(model, len(names)).state_dict()
        for kind, lines in mismatch.groups():
            done = "left out" if kind == "left over" else "initialised anew"
            notes.append(done + _listed(kind, lines))
        kept = {k: v for k, v in renamed.items() if k in wanted and v.shape == wanted[k].shape}
        renamed = new | kept
    return Foreign({key: renamed[key] for key in wanted}, model, names, layout, notes)


def to_mmdet(
    state_dict: Mapping[str, Tensor], model: ModelConfig, classes: Sequence[str], source: str
) -> tuple[dict[str, Any], list[str]]:
    """A checkpoint that MMDetection 2.x and 3.x load, with all keys they expect.

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
    widths = (model.pool_channels, model.head_channels)
    if widths != (_MMDET_POOL_CHANNELS, _MMDET_HEAD_CHANNELS):
        raise UserError(
            f"{source}: expected model.pool_channels {_MMDET_POOL_CHANNELS} and "
            f"model.head_channels {_MMDET_HEAD_CHANNELS}, which MMDetection's head always has, "
            f"found {widths[0]} and {widths[1]}; this network cannot go there"
        )
    theirs = {
        f"bbox_{key}" if key.startswith("head.") else key: value.detach().cpu().clone()
        for key, value in state_dict.items()
    }
    notes = [
        f"model=dict(backbone=dict(downsample_times={len(model.stage_channels) - 1}, "
        f"num_stacks={model.stacks}, stage_channels={model.stage_channels}, "
        f"stage_blocks={model.stage_blocks}, feat_channel={model.feature_channels}), "
        f"bbox_head=dict(num_classes={len(classes)}, in_channels={model.feature_channels}, "
        f"num_feat_levels={model.stacks}, corner_emb_channels={model.embedding_channels}))",
        f"mean={model.pixel_mean}, std={model.pixel_std}, RGB, in the preprocessor and in "
        "RandomCenterCropPad"
        + (f"; our canvas is {model.padding_color}" if model.padding_color else ""),
    ]
    if model.stacks == 1:
        theirs |= _unused_block(model.stage_channels[0])
        notes.append(f"added {_UNUSED_BLOCK}*, zeros, which MMDetection holds and never runs")
    names = tuple(classes)
    return {"meta": {"CLASSES": names, "dataset_meta": {"classes": names}}, "state_dict": theirs}, (
        notes
    )


def _unused_block(channels: int) -> dict[str, Tensor]:
    block: dict[str, Tensor] = {}
    for number in (1, 2):
        block[f"{_UNUSED_BLOCK}conv{number}.weight"] = torch.zeros(channels, channels, 3, 3)
        norm = torch.nn.BatchNorm2d(channels).state_dict()
        block |= {f"{_UNUSED_BLOCK}bn{number}.{key}": value for key, value in norm.items()}
    return block


def _listed(kind: str, lines: Sequence[str]) -> str:
    return f"\n{kind} ({len(lines)}):\n  " + "\n  ".join(lines)


def _named_tensors(
    content: Mapping[str, Any], source: str, state: str | None
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of a file by name, without the wrappers' prefixes."""
    there = [key for key in ("state_dict", "ema_state_dict") if key in content]
    if state is not None and state not in there:
        raise UserError(f"{source}: expected the entry {state}, found {sorted(map(str, content))}")
    chosen = state or (there[0] if there else None)
    entries = content if chosen is None else content[chosen]
    entries = entries if isinstance(entries, Mapping) else {}
    notes = [f"took {chosen}; the file has {' and '.join(there)}"] if there[1:] else []
    found = {str(key): value for key, value in entries.items()}
    found.pop("steps", None)  # MMEngine's averages count their updates
    # MMCV's hook keeps its second set of weights as buffers named after the first.
    second = [key for key in found if key.startswith(("ema_backbone_", "ema_bbox_head_"))]
    if second:
        found = {key: value for key, value in found.items() if key not in second}
        notes.append(f"dropped {len(second)} tensors ema_*, a second set of weights of MMCV")
    # DataParallel and DistributedDataParallel put `module.` before every name, once each.
    while found and all(key.startswith("module.") for key in found):
        found = {key.removeprefix("module."): value for key, value in found.items()}
    other = [key for key, value in found.items() if not isinstance(value, Tensor)]
    if other or not found:
        what = f"no tensors under {other[:5]}" if other else "none"
        raise UserError(f"{source}: expected named tensors of a CornerNet, found {what}")
    return found, notes


def _our_names(tensors: Mapping[str, Tensor], source: str) -> tuple[str, dict[str, Tensor]]:
    """The layout of tensors, and the tensors under our names."""
    parts = {key.removeprefix("hg.").partition(".")[0] for key in tensors}
    if "hourglass_modules" in {key.split(".")[1] for key in tensors if "." in key}:
        if "bbox_head" in parts:
            return "MMDetection", {
                key.removeprefix("bbox_") if key.startswith("bbox_head.") else key: value
                for key, value in tensors.items()
            }
        return "cornernet", dict(tensors)
    if parts & {"kps", "hgs"}:
        return "CornerNet", {_name_of_original(key): value for key, value in tensors.items()}
    raise UserError(
        f"{source}: expected the tensors of a CornerNet (of MMDetection, with names such as "
        "backbone.hourglass_modules.0.up1.0.conv1.weight, or of the original, such as "
        f"kps.0.up1.0.conv1.weight), found names such as {', '.join(list(tensors)[:3])}"
    )


def _name_of_original(key: str) -> str:
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


def _sizes(state: Mapping[str, Tensor], source: str) -> ModelConfig:
    """The network that tensors under our names belong to."""

    def size(key: str, dim: int = 0) -> int:
        if key not in state or state[key].ndim <= dim:
            raise UserError(
                f"{source}: expected the tensors of a CornerNet, found no {key} of a convolution"
            )
        return state[key].shape[dim]

    def count(prefix: str) -> int:
        start = len(prefix)
        return len({key[start:].partition(".")[0] for key in state if key.startswith(prefix)})

    level = "backbone.hourglass_modules.0"
    stage_channels, stage_blocks = [], []
    while True:
        stage_channels.append(size(f"{level}.up1.0.conv1.weight"))
        stage_blocks.append(count(f"{level}.up1."))
        if f"{level}.low2.up1.0.conv1.weight" not in state:
            break
        level += ".low2"
    stage_channels.append(size(f"{level}.low2.0.conv1.weight"))
    stage_blocks.append(count(f"{level}.low2."))
    return ModelConfig(
        stacks=count("backbone.hourglass_modules."),
        stage_channels=stage_channels,
        stage_blocks=stage_blocks,
        feature_channels=size("backbone.out_convs.0.conv.weight"),
        pool_channels=size("head.tl_pool.0.direction1_conv.conv.weight"),
        head_channels=size("head.tl_heat.0.0.conv.weight"),
        embedding_channels=size("head.tl_emb.0.1.conv.weight"),
        num_classes=size("head.tl_heat.0.1.conv.weight"),
    )


def _class_names(
    meta: Mapping[str, Any], number: int, given: Sequence[str] | None, source: str
) -> tuple[list[str], str]:
    """Names by label, and where they are from."""
    dataset = meta.get("dataset_meta")
    dataset = dataset if isinstance(dataset, Mapping) else {}
    stored = next(
        (part[key] for part in (dataset, meta) for key in ("classes", "CLASSES") if key in part),
        None,
    )
    stored = [stored] if isinstance(stored, str) else stored
    if given is not None:
        names, origin = list(given), "as given"
    elif isinstance(stored, (list, tuple)) and stored:
        names, origin = [str(name) for name in stored], "as stored in the file"
    elif number == len(COCO_CLASSES):
        names, origin = list(COCO_CLASSES), "not in the file; 80 of them, so COCO's"
    else:
        names, origin = [f"class {label}" for label in range(number)], "not in the file"
        warnings.warn(
            f"{source}: holds no class names; they are called 'class 0' to 'class {number - 1}' "
            "(cornernet convert --classes NAME,NAME,… gives them names)",
            UserWarning,
            stacklevel=3,
        )
    if len(names) != number:
        raise UserError(
            f"{source}: expected the names of {number} classes, for which the network has "
            f"heat-maps, found {len(names)} ({origin}): {', '.join(names)}; give the right ones "
            "with cornernet convert --classes NAME,NAME,…"
        )
    return names, f"names of the {number} classes: {origin}"


def _in_rgb(
    state: Mapping[str, Tensor], mean: Sequence[float], std: Sequence[float]
) -> tuple[dict[str, Tensor], list[float], list[float]]:
    """A network for BGR as one for RGB: the first convolution's input channels change places."""
    first = "backbone.stem.0.conv.weight"
    turned = {key: value.flip(1) if key == first else value for key, value in state.items()}
    return turned, [float(v) for v in mean[::-1]], [float(v) for v in std[::-1]]


def _with_pixels_of(
    meta: Mapping[str, Any], state: dict[str, Tensor], model: ModelConfig
) -> tuple[dict[str, Tensor], str]:
    """Take mean, deviation and colour order from the configuration in an MMDetection file."""
    said = _normalisations(meta)
    if len(said) != 1:
        if len(said) > 1:
            warnings.warn(
                f"the file's configuration names {len(said)} ways to normalise pixels; ImageNet's "
                "mean and deviation are taken (model.pixel_mean and model.pixel_std set others)",
                UserWarning,
                stacklevel=3,
            )
        return state, "mean and deviation of pixels: ImageNet's, as in MMDetection's recipes"
    mean, std, rgb = said.pop()
    model.pixel_mean, model.pixel_std = list(mean), list(std)
    if not rgb:
        state, model.pixel_mean, model.pixel_std = _in_rgb(state, mean, std)
    return state, (
        f"mean {model.pixel_mean} and deviation {model.pixel_std} of pixels: from the "
        f"configuration in the file{'' if rgb else ', reordered from BGR'}"
    )


def _normalisations(
    meta: Mapping[str, Any],
) -> set[tuple[tuple[float, ...], tuple[float, ...], bool]]:
    """All (mean, deviation, is RGB) that the text of an MMDetection configuration mentions.

    The text is parsed, not run: it is looked through for `mean=`, `std=` and `to_rgb=` (2.x) or
    `bgr_to_rgb=` (3.x) that stand together.
    """
    text = meta.get("cfg", meta.get("config"))
    if not isinstance(text, str):
        return set()
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found: set[tuple[tuple[float, ...], tuple[float, ...], bool]] = set()
    for node in nodes:
        entries: dict[Any, ast.expr] = {}
        if isinstance(node, ast.Call):
            entries = {word.arg: word.value for word in node.keywords}
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            entries = {key.value: value for key, value in pairs if isinstance(key, ast.Constant)}
        order = entries.get("to_rgb", entries.get("bgr_to_rgb"))
        if order is None or "mean" not in entries or "std" not in entries:
            continue
        try:
            mean, std = (
                tuple(float(value) for value in ast.literal_eval(entries[name]))
                for name in ("mean", "std")
            )
            rgb = bool(ast.literal_eval(order))
        except (ValueError, TypeError):  # names and calls, which only running it would resolve
            continue
        if len(mean) == len(std) == 3:
            found.add((mean, std, rgb))
    return found
