"""Installs MMDetection 3.3.0 for comparisons: `python -m benchmarks.install_mmdet`.

Into the environment that runs it; use one of its own. mmcv 2.1.0, which mmdet 3.3.0 asks for, has
no wheel for current PyTorch and does not build against it. CornerNet needs little of it: its Python
code, and one compiled function, soft-NMS. So mmcv's Python is taken from its released sources, of
its C++ the two files with (soft-)NMS are compiled as they are, and its other compiled functions
fail when they are called.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

from torch.utils import cpp_extension

PACKAGES = ["mmdet==3.3.0", "mmengine==0.10.7", "mmcv-lite==2.1.0"]
# What these import on the way to CornerNet, beside what cornernet has brought.
IMPORTED = ["addict", "yapf", "terminaltables", "termcolor", "shapely", "scipy", "six", "tqdm"]

BINDING = """
#include <pybind11/pybind11.h>
#include <torch/csrc/utils/pybind.h>

#include "nms.cpp"
#include "cpu/nms.cpp"

PYBIND11_MODULE(_mmcv_nms, m) {
  namespace py = pybind11;
  m.def("nms", &nms, py::arg("boxes"), py::arg("scores"), py::arg("iou_threshold"),
        py::arg("offset"));
  m.def("softnms", &softnms, py::arg("boxes"), py::arg("scores"), py::arg("dets"),
        py::arg("iou_threshold"), py::arg("sigma"), py::arg("min_score"), py::arg("method"),
        py::arg("offset"));
}
"""

EXT = '''
"""mmcv's compiled functions: nms and softnms; the others are not there."""

import torch  # noqa: F401
from _mmcv_nms import nms, softnms


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)

    def missing(*args, **kwargs):
        raise NotImplementedError(f"{name} of mmcv was not compiled")

    return missing
'''


def pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    subprocess.run([*command, "--quiet"], check=True)


def mmcv_sources(folder: Path) -> Path:
    """Downloads mmcv's released sources and unpacks them."""
    pip("install", "setuptools<80", "wheel")  # mmcv's setup.py imports pkg_resources
    pip("download", "mmcv==2.1.0", "--no-deps", "--no-binary", "mmcv", "--no-build-isolation",
        "--dest", str(folder))  # fmt: skip
    (archive,) = folder.glob("mmcv-*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz") / "mmcv"


def install() -> None:
    site = Path(sysconfig.get_path("purelib"))
    pip("install", "--no-deps", *PACKAGES)
    pip("install", *IMPORTED)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mmcv = mmcv_sources(folder)
        ops = mmcv / "ops"
        binding = folder / "binding.cpp"
        binding.write_text(BINDING)
        cpp_extension.load(
            "_mmcv_nms",
            [str(binding)],
            extra_include_paths=[str(ops / "csrc" / part) for part in ("common", "pytorch")],
            extra_cflags=["-O3"],
            build_directory=str(folder),
            is_python_module=False,
        )
        shutil.copy(folder / "_mmcv_nms.so", site)
        ignored = shutil.ignore_patterns("csrc")
        shutil.copytree(ops, site / "mmcv" / "ops", ignore=ignored, dirs_exist_ok=True)
    (site / "mmcv" / "_ext.py").write_text(EXT)


if __name__ == "__main__":
    install()
