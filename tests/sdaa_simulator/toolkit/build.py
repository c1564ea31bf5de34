"""Builds the simulated toolkit: `python build.py` makes lib64/libsdaart.so beside this file.

The folder then serves as $SDAA_HOME: headers in include/, the runtime in lib64/. It needs a C++17
compiler (CXX, by default c++) and nothing else. Nothing is done if the library is newer than its
sources.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOOLKIT = Path(__file__).resolve().parent
LIBRARY = TOOLKIT / "lib64" / "libsdaart.so"
# The language's header comes first of all in a file of device code.
LANGUAGE = TOOLKIT / "include" / "sdaa_language.h"

# -ffp-contract=off: results that do not depend on the host's processor.
# -Wno-psabi: vectors wider than the host's are passed between functions of one compiler only.
COMPILE_FLAGS = ["-std=c++17", "-O2", "-fPIC", "-pthread", "-ffp-contract=off"]
COMPILE_FLAGS += ["-Wall", "-Wextra", "-Wno-psabi"]
DEVICE_FLAGS = ["-include", str(LANGUAGE), f"-I{TOOLKIT / 'include'}"]


def compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX", "c++"))


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(command)}\n{done.stderr}")


def compile_shared(
    sources: list[Path], output: Path, compile_flags: list[str], link_flags: list[str]
) -> None:
    """One shared object from C++ sources, whole or not at all.

    Raises:
        RuntimeError: with what the compiler said.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        objects = [f"{folder}/{number}.o" for number in range(len(sources))]

        def compile(source: Path, object: str) -> None:
            command = [*compiler(), *COMPILE_FLAGS, *compile_flags, "-x", "c++", "-c"]
            run([*command, str(source), "-o", object])

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(compile, sources, objects))
        partial = f"{folder}/{output.name}"
        run([*compiler(), "-shared", "-pthread", *objects, "-o", partial, *link_flags])
        os.replace(partial, output)


def build() -> Path:
    """The runtime, built if it is older than its sources."""
    sources = sorted((TOOLKIT / "src").glob("*.cpp"))
    inputs = [*sources, *(TOOLKIT / "src").glob("*.h"), *(TOOLKIT / "include").glob("*.h")]
    newest = max(path.stat().st_mtime for path in inputs)
    if not LIBRARY.exists() or LIBRARY.stat().st_mtime < newest:
        compile_shared(sources, LIBRARY, [], [])
    return LIBRARY


def compile_kernels(sources: list[Path], output: Path) -> Path:
    """A shared object of .scpp files, for ctypes."""
    build()
    link = [f"-L{LIBRARY.parent}", "-lsdaart", f"-Wl,-rpath,{LIBRARY.parent}"]
    compile_shared(sources, output, DEVICE_FLAGS, link)
    return output


if __name__ == "__main__":
    print(build())
