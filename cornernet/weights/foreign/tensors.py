"""The tensors of another program's file by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from cornernet.errors import UserError


def named_tensors(
    content: Mapping[str, Any], source: str, state: str | None
) -> tuple[dict[str, Tensor], list[str]]:
    """Find the tensors of a file by name, without the prefixes of wrappers.

    Args:
        content: of the file.
        source: the file's name, for messages.
        state: the entry to take; None for the first one there.

    Returns:
        The tensors, and what was left out, a sentence each.

    Raises:
        UserError: there are no named tensors, or not of the kind that weights are.
    """
    there = [key for key in ("state_dict", "ema_state_dict") if key in content]
    if state is not None and state not in there:
        entries = ", ".join(sorted(map(str, content))[:5])
        raise UserError(
            f"must be an entry of {source}, which holds {entries}, …; got {state!r}", field="state"
        )
    chosen = state or (there[0] if there else None)
    held = content if chosen is None else content[chosen]
    named: Mapping[Any, Any] = held if isinstance(held, Mapping) else {}
    notes = [f"took {chosen}; the file has {' and '.join(there)}"] if there[1:] else []
    found = {str(key): value for key, value in named.items()}
    if len(found) != len(named):
        raise UserError(f"{source}: expected one tensor of each name, found equal names")
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
                f"{source}: expected {key} to hold floating-point numbers, found {value.dtype}; "
                "use the weights of a CornerNet"
            )
    return found, notes
