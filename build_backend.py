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
import inspect
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
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

_DEVICES = runpy.run_path(str(Path(__file__).with_name("cornernet_ops") / "devices.py"))["DEVICES"]
# torch, and its plug-ins that kernels are built for; they may lie in folders of their own.
_PACKAGES = ("torch", *(device.plugin for device in _DEVICES.values() if device.plugin))


def site_folders(names: Sequence[str]) -> list[str]:
    """The folders on sys.path that the packages lie in, "" for one that is not there."""
    specs = [importlib.util.find_spec(name) for name in names]
    return [
        os.path.dirname(os.path.dirname(spec.origin)) if spec and spec.origin else ""
        for spec in specs
    ]


def find_torch() -> list[str]:
    """Site folders of torch and its plug-ins in the environment that is installed into.

    Returns:
        torch's first; empty if there is no torch.
    """
    folders = site_folders(_PACKAGES)
    if not folders[0]:
        environment = {key: value for key, value in os.environ.items() if key not in _OVERLAY}
        # From a folder of its own, since `python -c` looks into the current one first.
        code = "import importlib.util, os\nfrom collections.abc import Sequence\n"
        code += inspect.getsource(site_folders) + f"print(*site_folders({_PACKAGES!r}), sep='\\n')"
        with tempfile.TemporaryDirectory() as folder:
            answer = subprocess.run(
                [sys.executable, "-c", code],
                env=environment,
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
        folders = answer.stdout.splitlines() or [""]
    return [folder for folder in folders if folder] if folders[0] else []


def _provide_torch() -> None:
    if os.environ.get("CORNERNET_OPS_BUILD", "auto") == "none":
        return
    folders = find_torch()
    if not folders:
        raise SystemExit(NO_TORCH.format(python=sys.executable))
    sys.path += [folder for folder in dict.fromkeys(folders) if folder not in sys.path]


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
