"""What all tests share: the option `--golden` and its marker."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        metavar="DIR",
        type=Path,
        default=Path(__file__).parent / "data" / "golden",
        help="folder with MMDetection's inputs and outputs; tests/golden is run on it",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "golden_cases(file, key, prefix): one test for each entry of a golden file's meta[key]; "
        "the entry's arrays are called prefix, with its name or index filled in, and their name",
    )
