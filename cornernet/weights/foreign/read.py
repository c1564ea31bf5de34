"""Weights of other CornerNets as ones of ours.

Three layouts of tensors are known. Module names of ours are MMDetection's but for the head, which
is called `bbox_head` there. The original repository (princeton-vl/CornerNet) and its successor
(CornerNet-Lite, its CornerNet alone) have names of their own, take colours in the order BGR and
normalise them by other constants.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cornernet.config import ModelConfig
from cornernet.errors import UserError
from cornernet.model.detector import Detector
from cornernet.weights.foreign.classes import class_names, stored_names
from cornernet.weights.foreign.mmdet_config import pixels_of
from cornernet.weights.foreign.mmdetection import UNUSED_BLOCK
from cornernet.weights.foreign.names import our_names
from cornernet.weights.foreign.original import ORIGINAL_MEAN, ORIGINAL_STD
from cornernet.weights.foreign.pixels import Pixels, with_turned_colors
from cornernet.weights.foreign.sizes import checked_model, sizes_of
from cornernet.weights.foreign.tensors import named_tensors
from cornernet.weights.state import compare


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
    tensors, notes = named_tensors(content, source, state)
    layout, renamed = our_names(tensors, source)
    meta = content.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}

    model = sizes_of(renamed, classes or stored_names(meta), source)
    names, note = class_names(meta, model.num_classes, classes, source)
    notes.append(note)
    pixels = None
    if layout == "CornerNet":
        pixels = Pixels(ORIGINAL_MEAN[::-1], ORIGINAL_STD[::-1], [0.0, 0.0, 0.0], rgb=False)
        notes.append("colours: reordered from BGR; the original's mean and deviation, black canvas")
    elif layout == "MMDetection":
        pixels, note = pixels_of(meta, source)
        notes.append(note)
    settings: dict[str, Any] = {"num_classes": 0}  # a weights file's classes say it
    if pixels is not None:
        settings |= pixels.settings()
        if not pixels.rgb:
            renamed = with_turned_colors(renamed)
    model = checked_model(source, **dataclasses.asdict(model) | settings)
    renamed = {k: v.float() if v.is_floating_point() else v.long() for k, v in renamed.items()}

    unused = [key for key in renamed if model.stacks == 1 and key.startswith(UNUSED_BLOCK)]
    if unused:
        renamed = {key: value for key, value in renamed.items() if key not in unused}
        notes.append(
            f"dropped the {len(unused)} tensors {UNUSED_BLOCK}*: a block between stacks that a "
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


def _listed(kind: str, lines: Sequence[str]) -> str:
    return f"\n{kind} ({len(lines)}):\n  " + "\n  ".join(lines)
