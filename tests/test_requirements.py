"""What pip is asked for leaves a vendor's packages alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("version", ["2.4.0a0", "2.4.0a0+git1a2b3c4", "2.7.1+cpu-cxx11-abi", "2.4"])
def test_vendors_torch_is_not_replaced(version: str) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (wanted,) = re.findall(r'"torch([<>=!~]\S+)"', text)
    assert SpecifierSet(wanted).contains(version)
    assert not SpecifierSet(wanted).contains("2.3.1")
