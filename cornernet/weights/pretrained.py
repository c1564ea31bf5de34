"""Weights that travel with the package, to start a training from."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def pretrained() -> dict[str, Path]:
    """The packaged weights files, by the name that `train.init` may have."""
    directory = Path(str(resources.files("cornernet") / "pretrained"))
    return {path.stem: path for path in sorted(directory.glob("*.pt"))}


def start_file(name: str) -> Path:
    """The file that `train.init` names: one of `pretrained`, else a path."""
    return pretrained().get(name, Path(name))
