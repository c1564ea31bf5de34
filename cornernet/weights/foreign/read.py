"""Reading other programs' weights into our layout.

`LAYOUTS` lists the layouts that are known. Our module names are MMDetection's, except for the head,
which is `bbox_head` there. The original repository (princeton-vl/CornerNet) and its successors
(CornerNet-Lite and CenterNet) have their own names, take colours in the order BGR and normalise
them with other constants.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cornernet.config import Config, ModelConfig, load_recipe
from cornernet.errors import UserError
from cornernet.model.detector import Detector, without_memory
from cornernet.weights.foreign.classes import class_names
from cornernet.weights.foreign.layout import Layout
from cornernet.weights.foreign.mmdetection import MMDETECTION
from cornernet.weights.foreign.names import matching, renamed
from cornernet.weights.foreign.original import ORIGINALS
from cornernet.weights.foreign.pixels import with_reversed_colors
from cornernet.weights.foreign.sizes import sizes_of
from cornernet.weights.foreign.tensors import named_tensors
from cornernet.weights.state import compare

# The bare tensors of one of our networks, as `torch.save(model.state_dict())` writes them.
_BARE = Layout(
    "cornernet",
    present=("backbone.hourglass_modules.*", "head.*"),
    absent=("bbox_head.*",),
)
# Share of a network's values that a file must have for what is missing to be initialised.
_LEAST_SHARE = 0.01
# The first one that describes a file's tensors is taken.
LAYOUTS = (_BARE, MMDETECTION, *ORIGINALS)


@dataclass
class External:
    """Weights of another program, in our layout.

    Attributes:
        state_dict: every tensor of the network.
        config: the network, found from the tensors' shapes, and the settings of the layout's
            recipe.
        classes: names by label.
        layout: where the tensors' names come from.
        notes: what was done beside renaming, a sentence each.
    """

    state_dict: dict[str, Tensor]
    config: Config
    classes: list[str]
    layout: str
    notes: list[str] = field(default_factory=list)


def is_foreign(content: Any) -> bool:
    """Whether a file's content could be weights of another program: it has named tensors."""
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
) -> External:
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
    tensors, notes = named_tensors(content, source, state)
    layout = _layout_of(tensors, source)
    tensors = renamed(tensors, layout.rules, source)
    meta = content.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}

    settings = sizes_of(tensors, source)
    names, said = class_names(meta, settings.pop("num_classes", None), classes, source)
    notes.append(said)
    pixels, about_pixels = layout.pixels(meta, source)
    if about_pixels is not None:
        notes.append(about_pixels)
    if pixels is not None:
        settings |= pixels.settings()
        if not pixels.rgb:
            tensors = with_reversed_colors(tensors)
    try:
        model = ModelConfig(**settings)
    except UserError as error:
        raise UserError(error.message, field=error.field, source=source) from None
    tensors = {k: v.float() if v.is_floating_point() else v.long() for k, v in tensors.items()}
    network = functools.partial(Detector, model, len(names))
    fitted, done = _fitted(tensors, network, layout, allow_partial, source)
    config = load_recipe(layout.recipe) if layout.recipe else Config()
    if layout.recipe:
        done.append(f"settings of testing and training: those of the recipe {layout.recipe}")
    config = dataclasses.replace(config, model=model)
    return External(fitted, config, names, layout.name, notes + done)


def _layout_of(tensors: Mapping[str, Tensor], source: str) -> Layout:
    for layout in LAYOUTS:
        if layout.describes(tensors):
            return layout
    raise UserError(
        f"{source}: expected the tensors of a CornerNet (of MMDetection, with names such as "
        "backbone.hourglass_modules.0.up1.0.conv1.weight, or of the original, such as "
        f"kps.0.up1.0.conv1.weight), found names such as {', '.join(list(tensors)[:3])}"
    )


def _fitted(
    tensors: Mapping[str, Tensor],
    network: Callable[[], Detector],
    layout: Layout,
    allow_partial: bool,
    source: str,
) -> tuple[dict[str, Tensor], list[str]]:
    """Exactly the tensors of a network, in its order, and what was done to get them.

    Args:
        tensors: under our names.
        network: makes a new one.
        layout: of the file.
        allow_partial: see `from_foreign`.
        source: the file's name, for messages.
    """
    tensors, notes = dict(tensors), []
    with without_memory():
        wanted = network().state_dict()
    left_over = [key for key in tensors if key not in wanted]
    for pattern in layout.unused:
        unused = [match.string for match in matching(pattern, left_over)]
        if unused:
            tensors = {key: value for key, value in tensors.items() if key not in unused}
            notes.append(
                f"dropped the {len(unused)} tensors {pattern}, which {layout.name} stores and "
                "never runs"
            )
    counters = [k for k in wanted if k.endswith(".num_batches_tracked") and k not in tensors]
    if counters:  # files of PyTorch before 0.4.1
        tensors |= {key: torch.zeros((), dtype=torch.int64) for key in counters}
        notes.append(f"set {len(counters)} num_batches_tracked, which nothing reads, to 0")
    mismatch = compare(wanted, tensors)
    if mismatch and not allow_partial:
        raise UserError(
            f"{source}: expected the {len(wanted)} tensors of this network, found some "
            + ", some ".join(kind for kind, _ in mismatch.groups())
            + "".join(_listed(kind, lines) for kind, lines in mismatch.groups())
            + "\nuse the whole file, or set allow_partial, which initialises what is missing "
            "or does not fit and leaves out what is left over"
        )
    if mismatch:
        kept = {k: v for k, v in tensors.items() if k in wanted and v.shape == wanted[k].shape}
        present, whole = (sum(v.numel() for v in part.values()) for part in (kept, wanted))
        if present < _LEAST_SHARE * whole:
            raise UserError(
                f"{source}: expected at least {_LEAST_SHARE:.0%} of the {whole:,} values of this "
                f"network, found {present:,}; train from random weights instead"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            new = network().state_dict()
        for kind, lines in mismatch.groups():
            done = "left out" if kind == "left over" else "reinitialised"
            notes.append(done + _listed(kind, lines))
        tensors = new | kept
    return {key: tensors[key] for key in wanted}, notes


def _listed(kind: str, lines: Sequence[str]) -> str:
    return f"\n{kind} ({len(lines)}):\n  " + "\n  ".join(lines)
