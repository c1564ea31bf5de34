"""The build backend: setuptools', with the torch of the environment that is installed into.

pip builds in an isolated environment. If torch were among the build requirements, pip would
download the newest one there, gigabytes of it, and the kernels would be compiled against a torch
other than the one that is to load them; a vendor's torch is on no index at all. So torch is not a
requirement: in isolation, sys.executable is still the Python that is installed into, and a process
of it that is freed of pip's overlay can say where its torch lies. That folder is appended to
sys.path, the last place to look, so that the isolated setuptools stays first.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from typing import Any

from setuptools import build_meta

# Every hook that is not about torch is setuptools' own.
from setuptools.build_meta import build_sdist, get_requires_for_build_sdist  # noqa: F401

NO_TORCH = (
    "cornernet: torch is not installed for {python}: install the torch you want to use first "
    "(for example `pip install torch`), then cornernet; with uv or another installer that builds "
    "in an environment of its own add --no-build-isolation; CORNERNET_OPS_BUILD=none needs no torch"
)

# pip's isolation works through these; without them the interpreter sees its own site-packages.
_OVERLAY = ("PYTHONPATH", "PYTHONNOUSERSITE", "PYTHONHOME")

_ASK = (
    "import importlib.util, os; spec = importlib.util.find_spec('torch'); "
    "print(os.path.dirname(os.path.dirname(spec.origin)) if spec and spec.origin else '')"
)


def find_torch() -> str | None:
    """The site directory with the torch of the environment that is installed into, or None."""
    spec = importlib.util.find_spec("torch")
    if spec is not None and spec.origin is not None:
        return os.path.dirname(os.path.dirname(spec.origin))
    environment = {key: value for key, value in os.environ.items() if key not in _OVERLAY}
    # From a folder of its own, since `python -c` looks into the current one first.
    with tempfile.TemporaryDirectory() as folder:
        answer = subprocess.run(
            [sys.executable, "-c", _ASK],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    return answer.stdout.strip() or None


def _provide_torch() -> None:
    if os.environ.get("CORNERNET_OPS_BUILD", "auto") == "none":
        return
    folder = find_torch()
    if folder is None:
        raise SystemExit(NO_TORCH.format(python=sys.executable))
    if folder not in sys.path:
        sys.path.append(folder)


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    # Asked first of all: better to stop here than after pip has downloaded the dependencies.
    _provide_torch()
    return build_meta.get_requires_for_build_wheel(config_settings)


def get_requires_for_build_editable(config_settings: Any = None) -> list[str]:
    _provide_torch()
    return build_meta.get_requires_for_build_editable(config_settings)


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Any = None) -> str:
    _provide_torch()
    return build_meta.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def prepare_metadata_for_build_editable(
    metadata_directory: str, config_settings: Any = None
) -> str:
    _provide_torch()
    return build_meta.prepare_metadata_for_build_editable(metadata_directory, config_settings)


def build_wheel(
    wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None
) -> str:
    _provide_torch()
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None
) -> str:
    _provide_torch()
    return build_meta.build_editable(wheel_directory, config_settings, metadata_directory)
