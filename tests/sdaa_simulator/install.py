"""`python -m tests.sdaa_simulator.install` builds the simulated toolkit and installs torch_sdaa.

The package is compiled against the torch of the Python that runs this and copied into its
site-packages. $SDAA_HOME has to name ./toolkit afterwards, as on a real machine the vendor's.
Nothing is compiled again that is newer than its sources.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch.utils import cpp_extension

from tests.sdaa_simulator.toolkit import build

HERE = Path(__file__).resolve().parent
PLUGIN = HERE / "plugin" / "torch_sdaa"  # not beside tests, which would import it unbuilt


def compile_plugin(target: Path) -> None:
    """torch_sdaa/_C from csrc/*.cpp, against the torch that runs this.

    Raises:
        RuntimeError: with what the compiler said.
    """
    runtime = build.build()
    sources = sorted((PLUGIN / "csrc").glob("*.cpp"))
    inputs = [*sources, *(PLUGIN / "csrc").glob("*.h"), runtime]
    stamp = target.with_name("_C.torch")
    fresh = target.exists() and stamp.exists() and stamp.read_text() == torch.__version__
    if fresh and target.stat().st_mtime > max(path.stat().st_mtime for path in inputs):
        return
    includes = [*cpp_extension.include_paths(), sysconfig.get_path("include")]
    includes.append(str(build.TOOLKIT / "include"))
    abi = int(torch._C._GLIBCXX_USE_CXX11_ABI)
    standard = "c++20" if tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 13) else "c++17"
    flags = [f"-std={standard}", "-O1", "-g0", "-fPIC", "-fvisibility=hidden", "-w"]
    flags += [f"-D_GLIBCXX_USE_CXX11_ABI={abi}", *(f"-isystem{path}" for path in includes)]
    objects = [target.with_name(f"{source.stem}.o") for source in sources]

    def run(command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")

    def compile_one(source: Path, output: Path) -> None:
        run([*build.compiler(), *flags, "-c", str(source), "-o", str(output)])

    target.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compile_one, sources, objects))
    libraries = cpp_extension.library_paths()[0]
    link = [*build.compiler(), "-shared", *map(str, objects), "-o", str(target)]
    link += [f"-L{libraries}", "-lc10", "-ltorch_cpu", "-ltorch", "-ltorch_python"]
    link += [f"-L{runtime.parent}", "-lsdaart", f"-Wl,-rpath,{runtime.parent}"]
    run(link)
    stamp.write_text(torch.__version__)
    for output in objects:
        output.unlink()


def install() -> Path:
    """Puts the package into site-packages; returns its folder there."""
    target = Path(sysconfig.get_path("purelib")) / "torch_sdaa"
    compile_plugin(target / f"_C{sysconfig.get_config_var('EXT_SUFFIX')}")
    ignored = shutil.ignore_patterns("csrc", "__pycache__")
    shutil.copytree(PLUGIN, target, dirs_exist_ok=True, ignore=ignored)
    return target


if __name__ == "__main__":
    print(install())
