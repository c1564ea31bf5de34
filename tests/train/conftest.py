"""What the tests of training share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def quick_reports(without_figures: None) -> None:
    """Every run that comes to its end writes a report."""
