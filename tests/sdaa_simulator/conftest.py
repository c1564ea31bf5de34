"""The simulated runtime, and the product's kernels compiled for it, once per session."""

from __future__ import annotations

import ctypes

import pytest
from toolkit_host import KERNELS, Runtime, build


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture(scope="session")
def kernels(runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """All of csrc/sdaa/*.scpp in one library, with their C launchers."""
    sources = sorted(KERNELS.glob("*.scpp"))
    library = tmp_path_factory.mktemp("kernels") / "kernels.so"
    return ctypes.CDLL(str(build.compile_kernels(sources, library)))
