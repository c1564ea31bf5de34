"""csrc/cuda through the compilers that it is written for. `make cuda-compile` runs this."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch.utils import cpp_extension

from tests.cuda_on_host import build_on_host

CUDA = build_on_host.CSRC / "cuda"
KERNELS = sorted(CUDA.glob("*.cu"))
LAUNCHERS = sorted(CUDA.glob("*.cpp"))
OUTPUT = build_on_host.ROOT / "build" / "cuda_compile"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nvcc() -> str:
    """Where nvcc is."""
    home = os.environ.get("CUDA_HOME")
    found = shutil.which("nvcc", path=f"{home}/bin" if home else None)
    if found is None:
        pytest.skip("nvcc is neither in $CUDA_HOME/bin nor on the PATH")
    return found


def nvcc_flags() -> list[str]:
    path = build_on_host.ROOT / "setup.py"
    spec = importlib.util.spec_from_file_location("setup_for_flags", path)
    assert spec is not None and spec.loader is not None
    setup = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = setup
    spec.loader.exec_module(setup)
    return setup.NVCC_FLAGS


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def headers_of(nvcc: str) -> str:
    """CUDA's headers: nvcc on the PATH may be a link, or a script."""
    said = subprocess.run([nvcc, "-dryrun", "-x", "cu", os.devnull], capture_output=True, text=True)
    found = re.search(r"^#\$ _HERE_=(.*)$", said.stderr, re.MULTILINE)
    assert found is not None, said.stderr
    return str(Path(found[1]).parent / "include")


def architectures(nvcc: str) -> list[int]:
    """Those of the A100 and the H100, and the oldest that this nvcc knows."""
    known = re.findall(r"compute_(\d+)\b", run([nvcc, "--list-gpu-arch"]))
    return sorted({80, 90, min(map(int, known))})


# Kernels that spill registers would wait for memory that the op does not need.
@pytest.mark.parametrize("source", KERNELS, ids=[path.name for path in KERNELS])
def test_kernels_compile_without_warnings(nvcc: str, source: Path) -> None:
    output = OUTPUT / f"{source.name}.o"
    inputs = [source, Path(__file__), build_on_host.ROOT / "setup.py", *CUDA.glob("*.h")]
    inputs += (build_on_host.CSRC / "common").glob("*.h")
    if output.exists() and output.stat().st_mtime > max(path.stat().st_mtime for path in inputs):
        return  # as it was
    OUTPUT.mkdir(parents=True, exist_ok=True)
    partial = output.with_suffix(f".{os.getpid()}")
    code = [f"-gencode=arch=compute_{n},code=sm_{n}" for n in architectures(nvcc)]
    command = [nvcc, "-std=c++17", *nvcc_flags(), *code, "--threads=2", "-Werror=all-warnings"]
    command += ["-Xcompiler=-Wall,-Wextra,-Werror,-Wno-unknown-pragmas", "-Xptxas=-v", "-c"]
    done = subprocess.run(
        [*command, str(source), "-o", str(partial)], capture_output=True, text=True
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
    spilt = re.findall(r"(\d+) bytes spill stores", done.stdout + done.stderr)
    assert spilt, "nvcc no longer says how many registers are spilt"
    assert max(map(int, spilt)) <= 64, "a kernel spills registers"
    os.replace(partial, output)


def has_cuda_headers() -> bool:
    return any(
        Path(path, "c10/cuda/CUDAStream.h").exists() for path in cpp_extension.include_paths()
    )


@pytest.mark.skipif(not has_cuda_headers(), reason="this torch is without the headers for CUDA")
def test_torch_side_compiles(nvcc: str, tmp_path: Path) -> None:
    # The one header that only torch's builds for CUDA have.
    macros = tmp_path / "c10" / "cuda" / "impl" / "cuda_cmake_macros.h"
    macros.parent.mkdir(parents=True)
    macros.write_text("#define C10_CUDA_BUILD_SHARED_LIBS\n")
    includes = [*cpp_extension.include_paths(), headers_of(nvcc)]
    if torch.version.cuda is None:
        includes.append(str(tmp_path))
    flags = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
    flags += [f"-isystem{path}" for path in includes]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda path: run([*build_on_host.compiler(), *flags, str(path)]), LAUNCHERS))
