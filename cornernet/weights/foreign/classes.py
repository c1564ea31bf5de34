"""Class names, from a file of another program or as given."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from cornernet.errors import UserError
from cornernet.weights.pickles import Stub

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


def _stored_names(meta: Mapping[str, Any]) -> Any:
    """What a file of MMDetection 2.x or 3.x stores as its class names; None for nothing."""
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


def class_names(
    meta: Mapping[str, Any], number: int | None, given: Sequence[str] | None, source: str
) -> tuple[list[str], str]:
    """The names of a network's classes by label, and where they are from.

    Args:
        meta: metadata of the file.
        number: of heat-maps for each corner; None where the file has no tensor that tells.
        given: the user's names, which win.
        source: the file's name, for messages.

    Raises:
        UserError: the names are not one for each heat-map.
    """
    stored = _stored_names(meta)
    unread = " (the file's cannot be read)" if isinstance(stored, Stub) else ""
    stored = [stored] if isinstance(stored, str) else stored
    if given is not None:
        names, origin = list(given), "as given"
    elif isinstance(stored, (list, tuple)) and stored:
        names, origin = [str(name) for name in stored], "as stored in the file"
    elif number in (None, len(COCO_CLASSES)):
        names, origin = list(COCO_CLASSES), f"not in the file{unread}; 80 of them, so COCO's"
    else:
        assert number is not None
        names, origin = [f"class {label}" for label in range(number)], f"not in the file{unread}"
        warnings.warn(
            f"{source}: holds no class names; they are called 'class 0' to 'class {number - 1}' "
            "(the argument classes gives them names)",
            UserWarning,
            stacklevel=3,
        )
    number = len(names) if number is None else number
    found = f"{len(names)}: {', '.join(names)}"
    if not names or len(set(names)) < len(names) or not all(names):
        wanted = "a different name for each class"
    elif len(names) != number:
        wanted = f"the names of {number} classes, for which the network has heat-maps"
    else:
        return names, f"names of the {number} classes: {origin}"
    if given is not None:
        raise UserError(f"must hold {wanted} in {source}, got {found}", field="classes")
    raise UserError(
        f"{source}: expected {wanted}, found {found} ({origin}); give the right ones as the "
        "argument classes"
    )
