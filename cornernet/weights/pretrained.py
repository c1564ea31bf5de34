"""Weights that travel with the package, to start a training from."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from cornernet.config import ModelConfig
from cornernet.weights.file import load_weights
from cornernet.weights.state import differences

AUTO = "auto"
"""The name for whichever of the package's weights are of the network to be trained."""


def pretrained() -> dict[str, Path]:
    """The packaged weights files, by the name that `train.init` may have."""
    directory = Path(str(resources.files("cornernet") / "pretrained"))
    return {path.stem: path for path in sorted(directory.glob("*.pt"))}


def start_file(name: str, model: ModelConfig) -> Path | None:
    """The file that `train.init` names.

    Args:
        name: of one of `pretrained`, or of a file; or `AUTO`.
        model: the network to be trained.

    Returns:
        The file; None where `AUTO` finds no weights of this network.
    """
    known = pretrained()
    if name != AUTO:
        return known.get(name, Path(name))
    for path in known.values():
        if not differences(model, load_weights(path).config.model):
            return path
    return None
