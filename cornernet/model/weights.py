"""Weights files: tensors, class names and configuration as plain data.

A weights file is what `torch.save` makes of a dictionary with the keys `format`, `version`,
`state_dict`, `classes`, `config` and `metrics`, and is read with `weights_only=True`: opening it
executes nothing. A checkpoint of training is such a file with one more key, `training`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cornernet.config import Config
from cornernet.errors import UserError
from cornernet.files import replacing
from cornernet.model.detector import CornerDetector

FORMAT = "cornernet"
VERSION = 1
_KEYS = ("version", "state_dict", "classes", "config", "metrics")


@dataclass
class Weights:
    """The contents of a weights file."""

    state_dict: dict[str, Tensor]
    classes: list[str]
    config: Config
    metrics: dict[str, float] = field(default_factory=dict)
    training: dict[str, Any] | None = None

    def build_model(self) -> CornerDetector:
        """The network with these weights, in evaluation mode, on the CPU."""
        model = CornerDetector(self.config.model, len(self.classes))
        load_state(model, self.state_dict, "weights")
        return model.eval()


def load_state(model: torch.nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load every tensor or none.

    Raises:
        UserError: keys are missing, left over, or of another shape.
    """
    own = model.state_dict()
    missing = [key for key in own if key not in state]
    extra = [key for key in state if key not in own]
    shapes = [
        f"{key} {list(state[key].shape)} instead of {list(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    problems = [
        f"{len(keys)} {what}, the first is {keys[0]}"
        for what, keys in (("missing", missing), ("unknown", extra), ("of another shape", shapes))
        if keys
    ]
    if problems:
        raise UserError(
            f"{source}: expected the tensors of the configured network, found keys "
            + "; ".join(problems)
            + "; use weights made with the same model settings and classes"
        )
    model.load_state_dict(state)


def save_atomically(content: Any, path: Path) -> None:
    """`torch.save` that leaves either the old file or the whole new one."""
    try:
        with replacing(path) as temporary, open(temporary, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # the latter is torch's word for a full disk
        raise UserError(
            f"{path}: expected to write weights here, got {error}; make room, or check the folder"
        ) from None


def save_weights(weights: Weights, path: Path) -> None:
    """Write a weights file, or a checkpoint where `weights.training` is set."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "state_dict": {k: v.detach().cpu().contiguous() for k, v in weights.state_dict.items()},
        "classes": list(weights.classes),
        "config": weights.config.to_dict(),
        "metrics": dict(weights.metrics),
    }
    if weights.training is not None:
        content["training"] = weights.training
    save_atomically(content, path)


def load_weights(path: str | Path) -> Weights:
    """Read a weights file or a checkpoint.

    Raises:
        UserError: no such file, or not a weights file of this package.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: expected a weights file, found none; check the path")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise UserError(
            f"{path}: expected a weights file of cornernet, got something that cannot be read as "
            f"plain tensors ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
        ) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        keys = sorted(map(str, content))[:5] if isinstance(content, dict) else type(content)
        raise UserError(
            f"{path}: expected a weights file of cornernet (format: {FORMAT!r}), found {keys}"
        )
    missing = [key for key in _KEYS if key not in content]
    if missing:
        raise UserError(
            f"{path}: expected the keys {', '.join(_KEYS)}, found no {', '.join(missing)}; the "
            "file was not written by cornernet as it is: get it again"
        )
    if content["version"] > VERSION:
        raise UserError(
            f"{path}: expected version {VERSION} or older of the weights format, found "
            f"{content['version']}; install a newer cornernet"
        )
    return Weights(
        content["state_dict"],
        content["classes"],
        Config.from_dict(content["config"]),
        content["metrics"],
        content.get("training"),
    )
