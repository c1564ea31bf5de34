"""What the tests of several commands share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from cornernet.cli import main
from cornernet.config import config_from_dict
from cornernet.data.shapes import CLASSES
from cornernet.model.detector import Detector
from cornernet.weights.file import Weights, save_weights
from tests.small import SMALL_MODEL

__all__ = [
    "LOSSES",
    "SMALL_MODEL",
    "mmdet_file",
    "refusal",
    "save_random_weights",
    "small_recipe",
    "train_words",
]

LOSSES = ("total", "focal", "pull", "push", "offset")


def save_random_weights(path: Path, classes: Sequence[str], *words: str) -> Path:
    """Weights of a small network for some classes; the words change its configuration."""
    torch.manual_seed(0)
    values = {"model": SMALL_MODEL, "test": {"pad_multiple": 16, "topk": 20}}
    config = config_from_dict(values, words)
    model = Detector(config.model, len(classes))
    save_weights(Weights(model.state_dict(), list(classes), config), path)
    return path


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that must fail with one line and no traceback; the line."""
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("cornernet ") and error.count("\n") == 1, error
    return error


def mmdet_file(path: Path, **changes: object) -> Path:
    """A checkpoint as MMDetection writes it, of a small network for the shapes' classes."""
    torch.manual_seed(0)
    sizes = SMALL_MODEL | {"pool_channels": 128, "head_channels": 256}
    state = Detector(config_from_dict({"model": sizes}).model, len(CLASSES)).state_dict()
    content = {
        "meta": {"dataset_meta": {"classes": tuple(CLASSES)}, "epoch": 12},
        "state_dict": {f"bbox_{k}" if k.startswith("head.") else k: v for k, v in state.items()},
    }
    torch.save(content | changes, path)
    return path


def small_recipe(directory: Path, sections: Mapping[str, Any]) -> Path:
    """A recipe of an epoch with a small network, with more sections."""
    file = directory / "mine.yaml"
    values = {
        "model": SMALL_MODEL,
        "augment": {"crop_size": 64, "crop_border": 32},
        "data": {"workers": 0},
        "train": {"epochs": 1, "batch_size": 2},
        "test": {"pad_multiple": 16},
    }
    file.write_text(json.dumps(values | sections))
    return file


def train_words(data: object, output: object, *settings: str) -> list[str]:
    """The words that train the recipe `tiny` on the CPU."""
    return ["train", "tiny", "--data", str(data), "--output", str(output), "--device", "cpu",
            *settings]  # fmt: skip
