"""Weights files: tensors, class names and configuration as plain data.

A weights file is what `torch.save` makes of a dictionary with the keys `format`, `version`,
`state_dict`, `classes`, `config`, `metrics` and, since it was introduced, `thresholds`, and is read
by `unpickle`: opening it executes nothing. A checkpoint of training is such a file with one more
key, `training`. Files of MMDetection and of the original repository are read, too; see `foreign`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cornernet.config import Config, config_from_dict
from cornernet.errors import UserError
from cornernet.model.detector import Detector
from cornernet.runtime.files import replacing
from cornernet.structures import NO_THRESHOLDS, Thresholds
from cornernet.weights.contents import (
    check_classes,
    check_metrics,
    check_network,
    check_tensors,
)
from cornernet.weights.foreign import from_foreign, is_foreign
from cornernet.weights.state import load_state
from cornernet.weights.unpickle import read_tensors

FORMAT = "cornernet"
VERSION = 1
_KEYS = ("version", "state_dict", "classes", "config", "metrics")


@dataclass
class Weights:
    """The contents of a weights file.

    Attributes:
        state_dict: all tensors of the network.
        classes: names by label.
        config: of the run that made the weights.
        metrics: of the evaluation of these weights.
        training: what else is needed to continue the run; None in all files but checkpoints.
        thresholds: scores from which this network's detections are worth showing.
    """

    state_dict: dict[str, Tensor]
    classes: list[str]
    config: Config
    metrics: dict[str, float] = field(default_factory=dict)
    training: dict[str, Any] | None = None
    thresholds: Thresholds = NO_THRESHOLDS

    def build_model(self) -> Detector:
        """The network with these weights, in evaluation mode, on the CPU."""
        model = Detector(self.config.model, len(self.classes))
        load_state(model, self.state_dict, "weights")
        return model.eval()


def save_atomically(content: Any, path: Path) -> None:
    """`torch.save` that leaves either the old file or the whole new one."""
    try:
        with replacing(path) as temporary, open(temporary, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # the latter is torch's word for a full disk
        raise UserError(
            f"{path}: expected to write weights here, got {error}; free some space, or check the "
            "directory"
        ) from None


def halved(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Tensors with their floats in float16, for a file of half the size; others as they are.

    Values are rounded to 11 bits. Whatever reads the file computes in float32 as before.

    Raises:
        UserError: a value is beyond float16's 65,504.
    """
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    for key, value in half.items():
        if not value.isfinite().all():
            raise UserError(
                f"{source}: expected values that float16 can hold, up to 65,504, found "
                f"{state[key].abs().max().item():g} in {key}; keep them in float32"
            )
    return half


def save_weights(weights: Weights, path: Path) -> None:
    """Write a weights file, or a checkpoint where `weights.training` is set."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "state_dict": {k: v.detach().cpu().contiguous() for k, v in weights.state_dict.items()},
        "classes": list(weights.classes),
        "config": weights.config.to_dict(),
        "metrics": dict(weights.metrics),
        "thresholds": {
            "overall": weights.thresholds.overall,
            "by_class": dict(weights.thresholds.by_class),
        },
    }
    if weights.training is not None:
        content["training"] = weights.training
    save_atomically(content, path)


def load_weights(path: str | Path) -> Weights:
    """Read a weights file, a checkpoint, or weights of MMDetection or the original repository.

    Raises:
        UserError: no such file, or not weights of a CornerNet; or, of another program's tensors,
            some are missing, left over or of another shape.
    """
    return read_weights(path)[0]


def read_weights(
    path: str | Path,
    *,
    state: str | None = None,
    classes: Sequence[str] | None = None,
    allow_partial: bool = False,
) -> tuple[Weights, list[str]]:
    """Read weights as `load_weights` does, with choices for files of other programs.

    Args:
        path: the file.
        state, classes, allow_partial: see `from_foreign`; not for files of ours.

    Returns:
        The weights, and what was done to convert them, a sentence each.

    Raises:
        UserError: as `load_weights`; or a choice does not fit the file.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: expected a weights file, found none; check the path")
    content = read_tensors(path)
    if isinstance(content, Mapping) and content.get("format") == FORMAT:
        choices = {"state": state, "classes": classes, "allow_partial": allow_partial or None}
        if given := [name for name, value in choices.items() if value is not None]:
            raise UserError(
                f"must not be given for {path}, which is a weights file of cornernet already; "
                "state, classes and allow_partial are for files of other programs",
                field=given[0],
            )
        return _from_content(content, path), []
    if not is_foreign(content):
        keys = sorted(map(str, content))[:5] if isinstance(content, dict) else type(content)
        raise UserError(
            f"{path}: expected a weights file of cornernet (format: {FORMAT!r}), of MMDetection's "
            f"CornerNet or of the original, found {keys}"
        )
    external = from_foreign(
        content, str(path), state=state, classes=classes, allow_partial=allow_partial
    )
    check_tensors(external.state_dict, str(path))
    weights = Weights(external.state_dict, external.classes, external.config)
    return weights, [f"layout of names: {external.layout}", *external.notes]


def _from_content(content: Mapping[str, Any], path: Path) -> Weights:
    missing = [key for key in _KEYS if key not in content]
    if missing:
        raise UserError(
            f"{path}: expected the keys {', '.join(_KEYS)}, found no {', '.join(missing)}; the "
            "file was not written by cornernet as it is: get it again"
        )
    kinds = {"version": int, "state_dict": Mapping, "classes": list, "config": Mapping,
             "metrics": Mapping}  # fmt: skip
    wrong = [key for key, kind in kinds.items() if not isinstance(content[key], kind)]
    if wrong:
        raise UserError(
            f"{path}: expected {wrong[0]} to be of another kind, found "
            f"{type(content[wrong[0]]).__name__}; the file was not written by cornernet as it is"
        )
    if not 1 <= content["version"] <= VERSION:
        raise UserError(
            f"{path}: expected version {VERSION} or older of the weights format, found "
            f"{content['version']}; install a newer cornernet"
        )
    source, state = str(path), content["state_dict"]
    check_tensors(state, source)
    check_classes(content["classes"], source)
    check_metrics(content["metrics"], source)
    config = config_from_dict(content["config"], source=source, version=1)
    check_network(config.model, len(content["classes"]), state, source)
    return Weights(
        state,
        content["classes"],
        config,
        content["metrics"],
        content.get("training"),
        _thresholds(content.get("thresholds", {}), path),
    )


def _thresholds(content: Any, path: Path) -> Thresholds:
    """The thresholds of a file; none in one that was written before there were any."""
    try:
        overall, by_class = content.get("overall"), dict(content.get("by_class", {}))
        scores = [*by_class.values(), *([] if overall is None else [overall])]
        if all(0 <= score <= 1 for score in scores):
            return Thresholds(overall, by_class)
    except (AttributeError, TypeError, ValueError):
        pass
    raise UserError(
        f"{path}: expected thresholds to be scores from 0 to 1, found {content!r}; the file was "
        "not written by cornernet as it is"
    )
