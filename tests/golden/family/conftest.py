"""Numbers of CornerNet-Lite's and CenterNet's own modules as fixtures.

`pytest tests/golden/family --golden-family DIR` runs on other files of the same form. The directory
of the repository holds the small files; a test whose file is not there is skipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.golden.cases import Case, read_case
from tests.golden.family.recipe import Keys


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("family_cases")
    if marker is None:
        return
    (file,) = marker.args
    content = read_case(metafunc.config.getoption("golden_family"), file)
    if content is None:
        cases = [pytest.param(None, marks=pytest.mark.skip(reason=_absent(file)))]
    else:
        cases = [
            pytest.param(Case(content.arrays, meta, meta["name"] + "_"), id=meta["name"])
            for meta in content.meta["cases"]
        ]
    metafunc.parametrize("case", cases)


def _absent(file: str) -> str:
    return f"there is no {file}.npz; give a directory that holds it by --golden-family"


@pytest.fixture(scope="session")
def family(pytestconfig: pytest.Config) -> Callable[[str], Case]:
    """A golden file by name; the test is skipped where the directory has none of that name."""

    def read(file: str) -> Case:
        content = read_case(pytestconfig.getoption("golden_family"), file)
        if content is None:
            pytest.skip(_absent(file))
        return content

    return read


@pytest.fixture(scope="session")
def published_keys(pytestconfig: pytest.Config) -> dict[str, Keys]:
    """Names, shapes and dtypes of the tensors in the published files, by network."""
    path: Path = pytestconfig.getoption("golden_family") / "keys.json"
    if not path.is_file():
        pytest.skip("there is no keys.json; give a directory that holds it by --golden-family")
    keys: dict[str, Keys] = json.loads(path.read_text())
    return keys
