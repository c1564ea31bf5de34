"""Builds csrc/cuda, kernels and launchers as they are, for the host.

The result is a library that registers the ops under a dispatch key of its own. It needs a C++
compiler (CXX, by default c++) and torch's headers. What is newer than its sources is kept, under
build/cuda_on_host.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch.utils import cpp_extension

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CSRC = ROOT / "csrc"
OUTPUT = ROOT / "build" / "cuda_on_host"

# C++20: newer torch's headers ask for it. -ffp-contract=off: as --fmad=false has it on the GPU.
FLAGS = ["-std=c++20", "-O1", "-g0", "-fPIC", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]
# As torch's own strings are.
FLAGS += [f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"]
# CUDA has pragmas of its own; glibc's checked longjmp takes another fiber's stack for a broken one.
FLAGS += ["-Wno-unknown-pragmas", "-U_FORTIFY_SOURCE"]


def compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX", "c++"))


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(command)}\n{done.stdout}{done.stderr}")


def build() -> Path:
    """The library, with what is older than its sources compiled anew.

    Raises:
        RuntimeError: with what the compiler said.
    """
    includes = [f"-I{HERE / 'include'}"]
    includes += [f"-isystem{path}" for path in cpp_extension.include_paths()]
    common = [*(CSRC / "common").glob("*.h"), *(CSRC / "cuda").glob("*.h"), Path(__file__)]
    headers = [*common, *HERE.rglob("*.h")]
    newest = max(path.stat().st_mtime for path in headers)
    sources = sorted([*(CSRC / "cuda").glob("*.cu"), *(CSRC / "cuda").glob("*.cpp")])
    sources += [HERE / "cuda_on_host.cpp", HERE / "rules.cu"]
    objects = [OUTPUT / f"{source.name}.o" for source in sources]
    OUTPUT.mkdir(parents=True, exist_ok=True)

    def compile(source: Path, object: Path) -> bool:
        if object.exists() and object.stat().st_mtime > max(newest, source.stat().st_mtime):
            return False
        torch_side = source.suffix == ".cpp" and source.parent != HERE
        first = ["-include", str(HERE / "on_host.h")] if torch_side else []
        partial = object.with_suffix(f".{os.getpid()}")
        command = [*compiler(), *FLAGS, *includes, *first, "-x", "c++", "-c", str(source)]
        run([*command, "-o", str(partial)])
        os.replace(partial, object)
        return True

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        changed = list(pool.map(compile, sources, objects))
    library = OUTPUT / "libcuda_on_host.so"
    if any(changed) or not library.exists():
        partial = library.with_suffix(f".{os.getpid()}")
        paths = cpp_extension.library_paths()
        link = [f for path in paths for f in (f"-L{path}", f"-Wl,-rpath,{path}")]
        run([*compiler(), "-shared", *map(str, objects), "-o", str(partial), *link,
             "-lc10", "-ltorch_cpu"])  # fmt: skip
        os.replace(partial, library)
    return library


if __name__ == "__main__":
    print(build())
