"""Weights of other CornerNets: from their files to our network, and back to MMDetection's layout.

Three layouts of tensors are known. Module names of ours are MMDetection's but for the head, which
is called `bbox_head` there. The original repository (princeton-vl/CornerNet) and its successor
(CornerNet-Lite, its CornerNet alone) have names of their own, take colours in the order BGR and
normalise them by other constants.
"""

from __future__ import annotations

import ast
import dataclasses
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cornernet.config import ModelConfig
from cornernet.errors import UserError
from cornernet.model.detector import Detector
from cornernet.weights.unpickle import Inert

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

    model = _sizes(renamed, classes or _stored_names(meta), source)
    names, note = _class_names(meta, model.num_classes, classes, source)
    notes.append(note)
    pixels = None
    if layout == "CornerNet":
        pixels = Pixels(_ORIGINAL_MEAN[::-1], _ORIGINAL_STD[::-1], [0.0, 0.0, 0.0], rgb=False)
        notes.append("colours: reordered from BGR; the original's mean and deviation, black canvas")
    elif layout == "MMDetection":
        pixels, note = _pixels_of(meta, source)
        notes.append(note)
    settings: dict[str, Any] = {"num_classes": 0}  # a weights file's classes say it
    if pixels is not None:
        settings |= pixels.settings()
        if not pixels.rgb:
            renamed = _with_turned_colors(renamed)
    model = _checked_model(source, **dataclasses.asdict(model) | settings)
    renamed = {k: v.float() if v.is_floating_point() else v.long() for k, v in renamed.items()}

    unused = [key for key in renamed if model.stacks == 1 and key.startswith(_UNUSED_BLOCK)]
    if unused:
        renamed = {key: value for key, value in renamed.items() if key not in unused}
        notes.append(
            f"dropped the {len(unused)} tensors {_UNUSED_BLOCK}*: a block between stacks that a "
            "network of one stack never runs"
        )
    with torch.device("meta"):
        wanted = Detector(model, len(names)).state_dict()
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
            new = Detector(model, len(names)).state_dict()
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
        notes.append(f"added {_UNUSED_BLOCK}*, zeros, which MMDetection holds and never runs")
    names = tuple(classes)
    text = "\n".join(settings)  # so that the constants come back with the weights
    meta = {"CLASSES": names, "dataset_meta": {"classes": names}, "cfg": text, "config": text}
    return {"meta": meta, "state_dict": theirs}, notes


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
        names = ", ".join(sorted(map(str, content))[:5])
        raise UserError(f"{source}: expected the entry {state}, found {names}, …")
    chosen = state or (there[0] if there else None)
    held = content if chosen is None else content[chosen]
    entries: Mapping[Any, Any] = held if isinstance(held, Mapping) else {}
    notes = [f"took {chosen}; the file has {' and '.join(there)}"] if there[1:] else []
    found = {str(key): value for key, value in entries.items()}
    if len(found) != len(entries):
        raise UserError(f"{source}: expected one tensor of each name, found names that are alike")
    found.pop("steps", None)  # MMEngine's averages count their updates
    # DataParallel and DistributedDataParallel put `module.` before every name, once each.
    while found and all(key.startswith("module.") for key in found):
        found = {key.removeprefix("module."): value for key, value in found.items()}
    # MMCV's hook keeps its second set of weights as buffers named after the first.
    second = {key for key in found if key.startswith(("ema_backbone_", "ema_bbox_head_"))}
    if second:
        found = {key: value for key, value in found.items() if key not in second}
        notes.append(f"dropped {len(second)} tensors ema_*, a second set of weights of MMCV")
    other = [key for key, value in found.items() if not isinstance(value, Tensor)]
    if other or not found:
        what = f"no tensors under {other[:5]}" if other else "none"
        raise UserError(f"{source}: expected named tensors of a CornerNet, found {what}")
    for key, value in found.items():
        if not value.is_floating_point() and not key.endswith(".num_batches_tracked"):
            raise UserError(
                f"{source}: expected {key} to hold floating numbers, found {value.dtype}; this is "
                "no CornerNet's weight"
            )
    return found, notes


def _our_names(tensors: Mapping[str, Tensor], source: str) -> tuple[str, dict[str, Tensor]]:
    """The layout of tensors, and the tensors under our names."""
    parts = {key.removeprefix("hg.").partition(".")[0] for key in tensors}
    if "hourglass_modules" in {key.split(".")[1] for key in tensors if "." in key}:
        if "bbox_head" in parts or "head" not in parts:
            return "MMDetection", _renamed(tensors, _name_of_mmdet, source)
        return "cornernet", dict(tensors)
    if parts & {"kps", "hgs"}:
        return "CornerNet", _renamed(tensors, _name_of_original, source)
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


def _name_of_mmdet(key: str) -> str:
    return key.removeprefix("bbox_") if key.startswith("bbox_head.") else key


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


def _sizes(state: Mapping[str, Tensor], classes: Sequence[str] | None, source: str) -> ModelConfig:
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
    return _checked_model(
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


def _checked_model(source: str, **settings: Any) -> ModelConfig:
    try:
        return ModelConfig(**settings)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None


def _stored_names(meta: Mapping[str, Any]) -> Any:
    """What a file of MMDetection 2.x or 3.x holds as the names of its classes; None for nothing."""
    dataset = meta.get("dataset_meta")
    dataset = dataset if isinstance(dataset, Mapping) else {}
    return next(
        (
            part[key]
            for part in (dataset, meta)
            for key in ("classes", "CLASSES")
            if part.get(key) is not None
        ),
        None,
    )


def _class_names(
    meta: Mapping[str, Any], number: int, given: Sequence[str] | None, source: str
) -> tuple[list[str], str]:
    """Names by label, and where they are from."""
    stored = _stored_names(meta)
    unread = " (the file's cannot be read)" if isinstance(stored, Inert) else ""
    stored = [stored] if isinstance(stored, str) else stored
    if given is not None:
        names, origin = list(given), "as given"
    elif isinstance(stored, (list, tuple)) and stored:
        names, origin = [str(name) for name in stored], "as stored in the file"
    elif number == len(COCO_CLASSES):
        names, origin = list(COCO_CLASSES), f"not in the file{unread}; 80 of them, so COCO's"
    else:
        names, origin = [f"class {label}" for label in range(number)], f"not in the file{unread}"
        warnings.warn(
            f"{source}: holds no class names; they are called 'class 0' to 'class {number - 1}' "
            "(cornernet convert --classes NAME,NAME,… gives them names)",
            UserWarning,
            stacklevel=3,
        )
    if len(set(names)) < len(names) or not all(names):
        raise UserError(
            f"{source}: expected a name of its own for every class, found {', '.join(names)} "
            f"({origin}); give the right ones with cornernet convert --classes NAME,NAME,…"
        )
    if len(names) != number:
        raise UserError(
            f"{source}: expected the names of {number} classes, for which the network has "
            f"heat-maps, found {len(names)} ({origin}): {', '.join(names)}; give the right ones "
            "with cornernet convert --classes NAME,NAME,…"
        )
    return names, f"names of the {number} classes: {origin}"


@dataclass
class Pixels:
    """How a network wants its input, in the order of colours that it takes.

    Args:
        mean, std: subtracted from and divided by, 0..255.
        padding: the colour around pictures; None for the mean.
        rgb: whether the order is RGB, not BGR.
    """

    mean: Sequence[float]
    std: Sequence[float]
    padding: Sequence[float] | None
    rgb: bool

    def settings(self) -> dict[str, list[float]]:
        """As the settings of our network, which takes RGB."""
        colors = {"pixel_mean": self.mean, "pixel_std": self.std}
        if self.padding is not None and list(self.padding) != list(self.mean):
            colors["padding_color"] = self.padding
        return {
            name: [float(value) for value in (color if self.rgb else color[::-1])]
            for name, color in colors.items()
        }


def _with_turned_colors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A network for BGR as one for RGB: the first convolution's input channels change places."""
    first = "backbone.stem.0.conv.weight"
    return {key: value.flip(1) if key == first else value for key, value in state.items()}


def _pixels_of(meta: Mapping[str, Any], source: str) -> tuple[Pixels | None, str]:
    """What the configuration in an MMDetection file says of pixels, and a sentence about it.

    What the network is given is decided by the preprocessor (3.x) or by Normalize (2.x), whose
    arguments usually stand in a variable; the mean of the crop is the colour around pictures.
    """
    usual = "mean and deviation of pixels: ImageNet's, as in MMDetection's recipes"
    given = meta.get("cfg", meta.get("config"))
    steps = _steps_with_mean(given)
    paddings = {step[1] for step in steps if step[0] == "RandomCenterCropPad"}
    for kinds in (("DetDataPreprocessor",), ("Normalize", "")):
        found = {step[1:] for step in steps if step[0] in kinds}
        if len(found) == 1:
            mean, std, rgb = found.pop()
            pixels = Pixels(mean, std, paddings.pop() if len(paddings) == 1 else None, rgb)
            settings = ", ".join(f"{name} {color}" for name, color in pixels.settings().items())
            order = "" if rgb else ", reordered from BGR"
            return pixels, f"from the configuration in the file: {settings}{order}"
    if steps or "mean" in str(given) or isinstance(given, Inert):
        warnings.warn(
            f"{source}: its configuration does not say plainly how pixels are normalised; "
            "ImageNet's mean and deviation are taken (model.pixel_mean and model.pixel_std of "
            "cornernet evaluate set others)",
            UserWarning,
            stacklevel=3,
        )
    return None, usual


_Step = tuple[str, tuple[float, ...], tuple[float, ...], bool]

# The order of colours in which each kind of step takes its mean where it does not say: is it RGB?
_DEFAULT_ORDER = {"DetDataPreprocessor": False, "Normalize": True, "RandomCenterCropPad": False}


def _steps_with_mean(given: Any) -> set[_Step]:
    """Every (type, mean, deviation, is RGB) that an MMDetection configuration mentions."""
    found: set[_Step] = set()
    for entries in _dictionaries(given):
        colors: list[Any] = [entries.get("mean"), entries.get("std")]
        if not all(isinstance(color, (list, tuple)) and len(color) == 3 for color in colors):
            continue
        try:
            numbers = [float(value) for color in colors for value in color]
        except (TypeError, ValueError, OverflowError):
            continue
        if not all(map(math.isfinite, numbers)):
            continue
        kind = str(entries.get("type", "")).rpartition(".")[2]
        said = [entries[name] for name in ("to_rgb", "bgr_to_rgb") if name in entries]
        order = bool(said[0]) if said else _DEFAULT_ORDER.get(kind, True)
        found.add((kind, tuple(numbers[:3]), tuple(numbers[3:]), order))
    return found


def _dictionaries(given: Any) -> list[Mapping[str, Any]]:
    """All dictionaries in a configuration or in its text, as far as their values are plain.

    A text is parsed, not run: what only running it would tell is left out.
    """
    if isinstance(given, Mapping):
        return [given, *(part for value in given.values() for part in _dictionaries(value))]
    if isinstance(given, (list, tuple)):
        return [part for value in given for part in _dictionaries(value)]
    if not isinstance(given, str):
        return []
    try:
        nodes = list(ast.walk(ast.parse(given)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found: list[Mapping[str, Any]] = []
    for node in nodes:
        pairs: list[tuple[Any, ast.expr]] = []
        if isinstance(node, ast.Call):
            pairs = [(word.arg, word.value) for word in node.keywords]
        elif isinstance(node, ast.Dict):
            named = zip(node.keys, node.values, strict=True)
            pairs = [(key.value, value) for key, value in named if isinstance(key, ast.Constant)]
        entries = {}
        for key, value in pairs:
            if key in ("type", "mean", "std", "to_rgb", "bgr_to_rgb"):
                try:
                    entries[key] = ast.literal_eval(value)
                except (ValueError, TypeError, RecursionError, MemoryError):
                    continue  # names and calls
        found.append(entries)
    return found
