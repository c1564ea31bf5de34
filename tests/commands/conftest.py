"""A small dataset and weights of a small network for its classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cornernet.data.shapes import CLASSES
from cornernet.data.synthetic import synthesize

from .helpers import save_random_weights


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(
        tmp_path_factory.mktemp("data") / "shapes", train=4, val=3, min_side=64, max_side=96
    )


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save_random_weights(tmp_path / "weights.pt", list(CLASSES))


@pytest.fixture(autouse=True)
def quick_reports(without_figures: None) -> None:
    """Commands that train write a report each."""
