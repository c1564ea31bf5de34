"""The simulated runtime, and the product's kernels compiled for it, once per session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sdaa_simulator.launchers import Launchers
from tests.sdaa_simulator.toolkit_host import Runtime, product_kernels


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture(scope="session")
def launchers(runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Launchers:
    folder: Path = tmp_path_factory.mktemp("kernels")
    return Launchers(runtime, product_kernels(folder))
