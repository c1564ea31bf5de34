"""Decides what of csrc/ to compile, says what it decided, and hands over to setuptools.

Everything that does not depend on the machine stands in pyproject.toml. The torch that this
compiles against is the one build_backend.py has put in reach. CORNERNET_OPS_BUILD forces the
decision:

    auto    what there is a torch and a compiler for (the default)
    none    nothing: the package runs on its references in plain torch
    cpu     the CPU kernels; no compiler is an error
    cuda, sdaa   the CPU kernels and those of the device; a missing compiler is an error

The kernels for CUDA are part of the CPU's module. Those for SDAA are a module of their own, built
by the vendor's extension builder, so that nothing of the CPU's build depends on how that one works.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PACKAGE = "cornernet_ops"
SDAA_MODULE = f"{PACKAGE}._sdaa"
CHOICES = ("auto", "none", "cpu", "cuda", "sdaa")

# -fopenmp: without it at::parallel_for is silently serial.
# -g0: debug symbols are ten times the code.
# -ffp-contract=off: no fused multiply-adds, so that results are the reference's on every processor.
# -fvisibility=hidden is what pybind11 asks of a module.
OPENMP = [] if sys.platform == "darwin" else ["-fopenmp"]  # Apple's compiler has none
COMPILE_FLAGS = ["-O3", "-g0", *OPENMP, "-ffp-contract=off", "-fvisibility=hidden", "-Wall"]
LINK_FLAGS = OPENMP
# --fmad=false is nvcc's word for -ffp-contract=off.
NVCC_FLAGS = ["-O3", "--fmad=false", "-Xcompiler=-fvisibility=hidden"]
SDAA_COMPILE_FLAGS = {
    "cxx": ["-O3", "-g0", "-fvisibility=hidden", "-Wall"],
    "tecocc": ["-O3", "-std=c++17"],
}


@dataclass(frozen=True)
class Decision:
    """What is built and why; recorded in _build.json, where cornernet_ops/extension.py reads it."""

    wanted: str
    built: list[str]
    reason: str
    torch: str | None
    python: str


@dataclass(frozen=True)
class Toolkit:
    """What there is to build kernels for a vendor's device with."""

    compiler: str | None  # the path of the device's compiler, None if something is missing
    missing: str = ""  # what, as half a sentence
    plugin: bool = True  # whether this PyTorch can use the device at all


def decide(
    environment: Mapping[str, str],
    torch: str | None,
    compiler: str | None,
    sources: set[str],
    sdaa: Toolkit,
    cuda: Toolkit,
) -> Decision:
    """The decision, from what was asked for and what is there.

    Args:
        environment: os.environ; CORNERNET_OPS_BUILD and CXX are read.
        torch: the version of the torch to build against, None if there is none.
        compiler: the path of the C++ compiler, None if there is none.
        sources: the devices that csrc/ has kernels for.
        sdaa: what `sdaa_toolkit` found.
        cuda: what `cuda_toolkit` found.

    Raises:
        SystemExit: with one sentence, if what was asked for cannot be built.
    """
    wanted = environment.get("CORNERNET_OPS_BUILD", "auto") or "auto"
    name = shlex.split(environment.get("CXX", "c++"))[0]

    def decision(built: list[str], reason: str) -> Decision:
        return Decision(wanted, built, reason, torch, platform.python_version())

    if wanted not in CHOICES:
        raise SystemExit(
            f"cornernet: expected CORNERNET_OPS_BUILD to be one of {', '.join(CHOICES)}, "
            f'got "{wanted}"'
        )
    if wanted == "none":
        return decision([], "CORNERNET_OPS_BUILD=none was set when this was installed")
    device = "cpu" if wanted == "auto" else wanted
    if device not in sources:
        raise SystemExit(
            f"cornernet: CORNERNET_OPS_BUILD={wanted} asks for kernels, and csrc/{device}/ holds "
            f"none; the devices there are: {', '.join(sorted(sources))}"
        )
    if torch is None:
        raise SystemExit(
            "cornernet: torch is not installed: install the torch you want to use first, or set "
            "CORNERNET_OPS_BUILD=none"
        )
    if compiler is None:
        if wanted != "auto":
            raise SystemExit(
                f"cornernet: CORNERNET_OPS_BUILD={wanted} needs a C++ compiler, and {name} was not "
                "found: install one or name it in CXX"
            )
        return decision(
            [], f"no C++ compiler ({name}) was found when this was installed: install one"
        )
    reason = f"compiled with {compiler}"
    built = {"cpu", device}
    for other, toolkit in (("cuda", cuda), ("sdaa", sdaa)):
        if other not in sources or wanted not in ("auto", other):
            continue
        if toolkit.compiler is not None:
            built.add(other)
            reason += f" and {toolkit.compiler}"
        elif wanted == other:
            raise SystemExit(
                f"cornernet: CORNERNET_OPS_BUILD={other} cannot be done: {toolkit.missing}"
            )
        elif toolkit.plugin:
            reason += f"; none for {other}, where the references will serve: {toolkit.missing}"
    return decision(sorted(built), reason)


def torch_version() -> str | None:
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    return torch.__version__


def find_compiler(environment: Mapping[str, str]) -> str | None:
    return shutil.which(shlex.split(environment.get("CXX", "c++"))[0])


def sdaa_toolkit(environment: Mapping[str, str]) -> Toolkit:
    """Tecorigin's plug-in, its extension builder and its compiler, or the first that is missing."""
    if importlib.util.find_spec("torch_sdaa") is None:
        return Toolkit(
            None,
            "torch_sdaa is not installed; it comes with Tecorigin's Docker images, not from PyPI",
            plugin=False,
        )
    # Also what is no ImportError: a plug-in looks for its driver when it is imported.
    try:
        from torch_sdaa.utils import cpp_extension

        for name in ("TecoExtension", "BuildExtension"):
            getattr(cpp_extension, name)
        home = getattr(cpp_extension, "SDAA_HOME", None) or environment.get("SDAA_HOME") or ""
    except Exception as error:
        return Toolkit(
            None,
            "torch_sdaa.utils.cpp_extension with TecoExtension and BuildExtension cannot be "
            f"imported ({type(error).__name__}: {error})",
        )
    folders = [os.path.join(home, "bin")] if home else []
    path = os.pathsep.join([*folders, environment.get("PATH", os.defpath)])
    compiler = shutil.which("tecocc", path=path)
    if compiler is None:
        return Toolkit(
            None,
            f"the compiler tecocc is neither in {home or '$SDAA_HOME'}/bin nor on the PATH; "
            "install the SDAA toolkit and run `source /opt/tecoai/setvars.sh`",
        )
    return Toolkit(compiler)


def cuda_toolkit() -> Toolkit:
    """An nvcc of the CUDA that torch was built with, or what is wrong with the one there is."""
    if importlib.util.find_spec("torch") is None:
        return Toolkit(None, "torch is not installed", plugin=False)
    import torch
    from torch.utils import cpp_extension

    if torch.version.cuda is None:
        return Toolkit(
            None,
            f"torch {torch.__version__} is one without CUDA: install one with it",
            plugin=False,
        )
    home = cpp_extension.CUDA_HOME
    compiler = shutil.which("nvcc", path=os.path.join(home, "bin")) if home else None
    if compiler is None:
        return Toolkit(
            None,
            f"the compiler nvcc is not in {home or '$CUDA_HOME'}/bin; install the toolkit of CUDA "
            f"{torch.version.cuda} and set CUDA_HOME to its folder",
        )
    if home and not Path(home, "include", "cuda_runtime.h").exists():
        return Toolkit(
            None,
            f"{home}/include holds no cuda_runtime.h; set CUDA_HOME to the folder of the toolkit",
        )
    return matching_nvcc(compiler, torch.version.cuda)


def matching_nvcc(compiler: str, wanted: str) -> Toolkit:
    """The nvcc at this path, if it is of the major version of the CUDA that is wanted."""
    said = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"release (\d+)\.(\d+)", said)
    version = ".".join(found.groups()) if found else "an unknown version"
    if version.partition(".")[0] != wanted.partition(".")[0]:
        return Toolkit(
            None,
            f"{compiler} is of CUDA {version} and torch of CUDA {wanted}; install a toolkit of "
            f"CUDA {wanted.partition('.')[0]} and set CUDA_HOME to its folder",
        )
    return Toolkit(compiler)


def device_sources() -> set[str]:
    return {
        folder.name
        for folder in (ROOT / "csrc").iterdir()
        if folder.is_dir() and folder.name != "common" and any(folder.glob("*.cpp"))
    }


def announce(decision: Decision) -> None:
    built = ", ".join(decision.built) or "nothing"
    text = f"cornernet_ops: kernels to compile: {built} ({decision.reason})"
    if not decision.built and decision.wanted == "auto":
        bar = "!" * 80
        text = f"{bar}\n{text}\nThe package will work, on slow references in plain torch.\n{bar}"
    print(text, file=sys.stderr, flush=True)


def files(folder: str, *suffixes: str) -> list[str]:
    return sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "csrc" / folder).iterdir()
        if path.suffix in suffixes
    )


def pybind11_headers() -> list[str]:
    # torch brings pybind11's headers; where pybind11 itself is there too, it is the newer one and
    # knows newer Pythons.
    if importlib.util.find_spec("pybind11") is None:
        return []
    import pybind11

    return [pybind11.get_include()]


def extensions(decision: Decision) -> list[Any]:
    """The module _C, and _sdaa where the vendor's tools are there to build it."""
    from torch.utils.cpp_extension import CppExtension, CUDAExtension

    devices = [device for device in decision.built if device != "sdaa"]
    extension = CUDAExtension if "cuda" in devices else CppExtension
    compiled = extension(
        f"{PACKAGE}._C",
        ["csrc/module.cpp", *(file for device in devices for file in files(device, ".cpp", ".cu"))],
        include_dirs=pybind11_headers(),
        define_macros=[
            ("CORNERNET_TORCH_VERSION", f'"{decision.torch}"'),
            ("CORNERNET_DEVICES", f'"{" ".join(devices)}"'),
            ("CORNERNET_FLAGS", f'"{" ".join(COMPILE_FLAGS)}"'),
        ],
        extra_compile_args={"cxx": COMPILE_FLAGS, "nvcc": NVCC_FLAGS},
        extra_link_args=LINK_FLAGS,
    )
    if "sdaa" not in decision.built:
        return [compiled]
    from torch_sdaa.utils.cpp_extension import TecoExtension

    return [
        compiled,
        TecoExtension(
            SDAA_MODULE,
            files("sdaa", ".cpp", ".scpp"),
            include_dirs=pybind11_headers(),
            extra_compile_args=SDAA_COMPILE_FLAGS,
        ),
    ]


def commands(decision: Decision) -> dict[str, Any]:
    """setuptools commands that leave the decision beside the package they build."""

    def record(folder: str | Path) -> None:
        path = Path(folder) / PACKAGE / "_build.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(decision), indent=2) + "\n", encoding="utf-8")

    class BuildPy(build_py):
        def run(self) -> None:
            super().run()
            record(ROOT if self.editable_mode else self.build_lib)

        def get_outputs(self, include_bytecode: bool = True) -> list[str]:
            outputs = super().get_outputs(include_bytecode)
            return [*outputs, os.path.join(self.build_lib, PACKAGE, "_build.json")]

    if not decision.built:
        return {"build_py": BuildPy}

    from torch.utils.cpp_extension import BuildExtension

    class BuildExt(BuildExtension):
        def run(self) -> None:
            super().run()
            if self.inplace:  # `python setup.py build_ext --inplace` runs no build_py
                record(ROOT)

        def build_extensions(self) -> None:
            every: list[Any] = self.distribution.ext_modules
            self.extensions = [ext for ext in every if ext.name != SDAA_MODULE]
            self._name_objects_apart()
            super().build_extensions()
            self.extensions = every
            own = [ext for ext in every if ext.name == SDAA_MODULE]
            if own:
                self._run_vendors_build(own)

        def _name_objects_apart(self) -> None:
            """An op's kernels and their torch side have one stem, and so would their objects."""
            compiler: Any = self.compiler
            by_stem = compiler.object_filenames

            def by_name(sources: list[str], *args: Any, **kwargs: Any) -> list[str]:
                objects = [Path(name) for name in by_stem(sources, *args, **kwargs)]
                return [
                    str(path.with_suffix(f".cu{path.suffix}") if source.endswith(".cu") else path)
                    for source, path in zip(sources, objects, strict=True)
                ]

            compiler.object_filenames = by_name

        def _run_vendors_build(self, own: list[Any]) -> None:
            from torch_sdaa.utils.cpp_extension import BuildExtension as VendorsBuildExtension

            command = VendorsBuildExtension(self.distribution)
            for option in ("build_lib", "build_temp", "force", "debug", "parallel"):
                setattr(command, option, getattr(self, option))
            command.ensure_finalized()
            command.extensions = own
            command.run()

    return {"build_py": BuildPy, "build_ext": BuildExt}


def main() -> None:
    if "sdist" in sys.argv or "egg_info" in sys.argv or "dist_info" in sys.argv:
        setup()  # packs files and names dependencies; nothing to decide
        return
    decision = decide(
        os.environ,
        torch_version(),
        find_compiler(os.environ),
        device_sources(),
        sdaa_toolkit(os.environ),
        cuda_toolkit(),
    )
    announce(decision)
    setup(
        ext_modules=extensions(decision) if decision.built else [],
        cmdclass=commands(decision),
    )


if __name__ == "__main__":
    main()
