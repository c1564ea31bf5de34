"""Decides what of csrc/ to compile, says what it decided, and hands over to setuptools.

Everything that does not depend on the machine stands in pyproject.toml. The torch that this
compiles against is the one build_backend.py has put in reach. CORNERNET_OPS_BUILD forces the
decision:

    auto    what there is a torch and a compiler for (the default)
    none    nothing: the package runs on its references in plain torch
    cpu     the CPU kernels; no compiler is an error
    cuda, sdaa   the CPU kernels and those of the device; a missing compiler is an error

What there is to know of a device stands in cornernet_ops/devices.py, and here the function that
finds its toolkit (TOOLKITS). Kernels that a vendor's extension builder compiles are a module of
their own, so that nothing of the CPU's build depends on how that one works; the others' are part of
the CPU's.

Objects are kept in build/ and compiled again only when something that they are made of has changed,
whatever starts the build: pip's builds in directories of their own would compile everything each
time.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PACKAGE = "cornernet_ops"
DEVICES = runpy.run_path(str(ROOT / PACKAGE / "devices.py"))["DEVICES"]
digest = runpy.run_path(str(ROOT / PACKAGE / "sources.py"))["digest"]
CHOICES = ("auto", "none", *sorted(kind for kind, device in DEVICES.items() if device.compiler))

# One for each Python, as its modules are.
OBJECTS = ROOT / "build" / f"objects.{sysconfig.get_platform()}-{sys.implementation.cache_tag}"

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
    """What there is to build kernels for a device with."""

    compiler: str | None  # the path of the device's compiler, None if something is missing
    missing: str = ""  # what, as half a sentence
    plugin: bool = True  # whether this PyTorch can use the device at all
    extension: Any = None  # makes the setuptools.Extension of a module with its kernels
    build_ext: Any = None  # the command that builds its own module, where it has one
    flags: Mapping[str, list[str]] = field(default_factory=dict)  # for its compilers


def decide(
    environment: Mapping[str, str],
    torch: str | None,
    compiler: str | None,
    sources: set[str],
    toolkits: Mapping[str, Toolkit],
) -> Decision:
    """The decision, from what was asked for and what is there.

    Args:
        environment: os.environ; CORNERNET_OPS_BUILD and CXX are read.
        torch: the version of the torch to build against, None if there is none.
        compiler: the path of the C++ compiler, None if there is none.
        sources: the devices that csrc/ has kernels for.
        toolkits: what the functions in TOOLKITS found.

    Raises:
        SystemExit: with one sentence, if what was asked for cannot be built.
    """
    wanted = environment.get("CORNERNET_OPS_BUILD", "auto") or "auto"
    _check_wanted(wanted, sources)
    built: set[str] = set()
    if wanted == "none":
        reason = "CORNERNET_OPS_BUILD=none was set when this was installed"
    elif torch is None:
        raise SystemExit(
            "cornernet: torch is not installed: install the torch you want to use first, or set "
            "CORNERNET_OPS_BUILD=none"
        )
    elif compiler is None:
        reason = _without_compiler(wanted, compiler_name(environment))
    else:
        built, reason = _with_compiler(wanted, compiler, sources, toolkits)
    return Decision(wanted, sorted(built), reason, torch, platform.python_version())


def _check_wanted(wanted: str, sources: set[str]) -> None:
    if wanted not in CHOICES:
        raise SystemExit(
            f"cornernet: expected CORNERNET_OPS_BUILD to be one of {', '.join(CHOICES)}, "
            f'got "{wanted}"'
        )
    device = "cpu" if wanted == "auto" else wanted
    if device not in sources | {"none"}:
        raise SystemExit(
            f"cornernet: CORNERNET_OPS_BUILD={wanted} asks for kernels, and csrc/{device}/ holds "
            f"none; the devices there are: {', '.join(sorted(sources))}"
        )


def _without_compiler(wanted: str, name: str) -> str:
    if wanted != "auto":
        raise SystemExit(
            f"cornernet: CORNERNET_OPS_BUILD={wanted} needs a C++ compiler, and {name} was not "
            "found: install one or name it in CXX"
        )
    return f"no C++ compiler ({name}) was found when this was installed: install one"


def _with_compiler(
    wanted: str, compiler: str, sources: set[str], toolkits: Mapping[str, Toolkit]
) -> tuple[set[str], str]:
    built, reason = {"cpu"}, f"compiled with {compiler}"
    for kind, toolkit in toolkits.items():
        if kind not in sources or wanted not in ("auto", kind):
            continue
        if toolkit.compiler is not None:
            built.add(kind)
            reason += f" and {toolkit.compiler}"
        elif wanted == kind:
            raise SystemExit(
                f"cornernet: CORNERNET_OPS_BUILD={kind} cannot be done: {toolkit.missing}"
            )
        elif toolkit.plugin:
            reason += f"; none for {kind}, where the references will serve: {toolkit.missing}"
    return built, reason


def torch_version() -> str | None:
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    return torch.__version__


def compiler_name(environment: Mapping[str, str]) -> str:
    return shlex.split(environment.get("CXX", DEVICES["cpu"].compiler))[0]


def find_compiler(environment: Mapping[str, str]) -> str | None:
    return shutil.which(compiler_name(environment))


def sdaa_toolkit(environment: Mapping[str, str]) -> Toolkit:
    """Tecorigin's plug-in, its extension builder and its compiler, or the first that is missing."""
    sdaa = DEVICES["sdaa"]
    if importlib.util.find_spec(sdaa.plugin) is None:
        missing = f"{sdaa.plugin} is not installed: install {sdaa.plugin_source}"
        return Toolkit(None, missing, plugin=False)
    # Also what is no ImportError: a plug-in looks for its driver when it is imported.
    try:
        from torch_sdaa.utils import cpp_extension

        extension, build_ext = cpp_extension.TecoExtension, cpp_extension.BuildExtension
        home = getattr(cpp_extension, "SDAA_HOME", None) or environment.get("SDAA_HOME") or ""
    except Exception as error:
        return Toolkit(
            None,
            "torch_sdaa.utils.cpp_extension with TecoExtension and BuildExtension cannot be "
            f"imported ({type(error).__name__}: {error})",
        )
    directories = [os.path.join(home, "bin")] if home else []
    path = os.pathsep.join([*directories, environment.get("PATH", os.defpath)])
    compiler = shutil.which(sdaa.compiler, path=path)
    if compiler is None:
        return Toolkit(
            None,
            f"the compiler {sdaa.compiler} is neither in {home or '$SDAA_HOME'}/bin nor on the "
            "PATH; install the SDAA toolkit and run `source /opt/tecoai/setvars.sh`",
        )
    return Toolkit(compiler, extension=extension, build_ext=build_ext, flags=SDAA_COMPILE_FLAGS)


def cuda_toolkit(environment: Mapping[str, str]) -> Toolkit:
    """An nvcc of the CUDA that torch was built with, or what is wrong with the one there is."""
    if importlib.util.find_spec("torch") is None:
        return Toolkit(None, "torch is not installed", plugin=False)
    import torch
    from torch.utils import cpp_extension

    if torch.version.cuda is None:
        missing = f"torch {torch.__version__} is one without CUDA: install one with it"
        return Toolkit(None, missing, plugin=False)
    home, nvcc = cpp_extension.CUDA_HOME, DEVICES["cuda"].compiler
    compiler = shutil.which(nvcc, path=os.path.join(home, "bin")) if home else None
    if compiler is None:
        return Toolkit(
            None,
            f"the compiler {nvcc} is not in {home or '$CUDA_HOME'}/bin; install the toolkit of "
            f"CUDA {torch.version.cuda} and set CUDA_HOME to its directory",
        )
    if home and not Path(home, "include", "cuda_runtime.h").exists():
        return Toolkit(
            None,
            f"{home}/include holds no cuda_runtime.h; set CUDA_HOME to the directory of the "
            "toolkit",
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
            f"CUDA {wanted.partition('.')[0]} and set CUDA_HOME to its directory",
        )
    from torch.utils.cpp_extension import CUDAExtension

    return Toolkit(compiler, extension=CUDAExtension, flags={"nvcc": NVCC_FLAGS})


TOOLKITS: dict[str, Callable[[Mapping[str, str]], Toolkit]] = {
    "cuda": cuda_toolkit,
    "sdaa": sdaa_toolkit,
}


def device_sources() -> set[str]:
    return {kind for kind in DEVICES if any((ROOT / "csrc" / kind).glob("*.cpp"))}


def announce(decision: Decision) -> None:
    built = ", ".join(decision.built) or "nothing"
    text = f"cornernet_ops: kernels to compile: {built} ({decision.reason})"
    if not decision.built and decision.wanted == "auto":
        bar = "!" * 80
        text = f"{bar}\n{text}\nThe package will work, on slow references in plain torch.\n{bar}"
    print(text, file=sys.stderr, flush=True)


def files(kind: str) -> list[str]:
    """The source files of a device's kernels, from ROOT."""
    return sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "csrc" / kind).iterdir()
        if path.suffix in (".cpp", DEVICES[kind].kernel_suffix)
    )


def pybind11_headers() -> list[str]:
    """A directory with pybind11's headers; none where torch's own have to do.

    torch brings pybind11's headers; where pybind11 itself is there too, it is the newer one and
    knows newer Pythons. It is copied, because pip's isolated environment lies in another directory
    each time: objects would seem to be made of other headers.
    """
    if importlib.util.find_spec("pybind11") is None:
        return []
    import pybind11

    copy = ROOT / "build" / f"pybind11-{pybind11.__version__}"
    if not copy.exists():
        part = copy.with_suffix(f".{os.getpid()}")
        shutil.copytree(pybind11.get_include(), part)
        part.rename(copy)
    return [str(copy)]


def own_module(kind: str) -> str:
    return f"{PACKAGE}._{kind}"


def extensions(decision: Decision, toolkits: Mapping[str, Toolkit]) -> list[Any]:
    """The module _C, and one for each device whose kernels are not part of it."""
    from torch.utils.cpp_extension import CppExtension

    inside = [kind for kind in decision.built if not DEVICES[kind].own_module]
    kits = [toolkits[kind] for kind in inside if kind in toolkits]
    flags = {"cxx": COMPILE_FLAGS}
    for kit in kits:
        flags |= kit.flags
    make = kits[0].extension if kits else CppExtension
    compiled = make(
        f"{PACKAGE}._C",
        ["csrc/module.cpp", *(file for kind in inside for file in files(kind))],
        include_dirs=pybind11_headers(),
        define_macros=[
            ("CORNERNET_TORCH_VERSION", f'"{decision.torch}"'),
            ("CORNERNET_DEVICES", f'"{" ".join(inside)}"'),
            ("CORNERNET_FLAGS", f'"{" ".join(COMPILE_FLAGS)}"'),
        ],
        extra_compile_args=flags,
        extra_link_args=LINK_FLAGS,
    )
    vendors = [
        toolkits[kind].extension(
            own_module(kind),
            files(kind),
            include_dirs=pybind11_headers(),
            extra_compile_args=toolkits[kind].flags,
        )
        for kind in decision.built
        if kind not in inside
    ]
    return [compiled, *vendors]


def record(decision: Decision, directory: str | Path) -> None:
    """Leave the decision beside the package that it was made for."""
    path = Path(directory) / PACKAGE / "_build.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = asdict(decision) | {"sources": digest(ROOT / "csrc")}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def build_py_command(decision: Decision) -> Any:
    class BuildPy(build_py):
        def run(self) -> None:
            super().run()
            record(decision, ROOT if self.editable_mode else self.build_lib)

        def get_outputs(self, include_bytecode: bool = True) -> list[str]:
            outputs = super().get_outputs(include_bytecode)
            return [*outputs, os.path.join(self.build_lib, PACKAGE, "_build.json")]

    return BuildPy


def build_ext_command(decision: Decision, toolkits: Mapping[str, Toolkit]) -> Any:
    from torch.utils.cpp_extension import BuildExtension

    vendors = {own_module(kind): toolkit for kind, toolkit in toolkits.items() if toolkit.build_ext}

    class BuildExt(BuildExtension):
        build_temp: Any

        def finalize_options(self) -> None:
            if self.build_temp is None:  # also where pip's build has one of its own
                self.build_temp = str(OBJECTS)
            super().finalize_options()

        def run(self) -> None:
            super().run()
            if self.inplace:  # `python setup.py build_ext --inplace` runs no build_py
                record(decision, ROOT)

        def build_extensions(self) -> None:
            every: list[Any] = self.distribution.ext_modules
            self.extensions = [ext for ext in every if ext.name not in vendors]
            self._name_objects_apart()
            super().build_extensions()
            self.extensions = every
            for ext in every:
                if ext.name in vendors:
                    self._run_vendors_build(ext, vendors[ext.name])

        def _name_objects_apart(self) -> None:
            """An op's kernels and their torch side have one stem, and so would their objects."""
            compiler: Any = self.compiler
            by_stem = compiler.object_filenames

            def by_name(sources: list[str], *args: Any, **kwargs: Any) -> list[str]:
                objects = [Path(name) for name in by_stem(sources, *args, **kwargs)]
                suffixes = [Path(source).suffix for source in sources]
                return [
                    str(path if suffix == ".cpp" else path.with_suffix(suffix + path.suffix))
                    for path, suffix in zip(objects, suffixes, strict=True)
                ]

            compiler.object_filenames = by_name

        def _run_vendors_build(self, ext: Any, toolkit: Toolkit) -> None:
            command = toolkit.build_ext(self.distribution)
            for option in ("build_lib", "force", "debug", "parallel"):
                setattr(command, option, getattr(self, option))
            # Of its own: ninja's log would forget the objects of the other module.
            command.build_temp = os.path.join(self.build_temp, ext.name)
            command.ensure_finalized()
            command.extensions = [ext]
            command.run()

    return BuildExt


def main() -> None:
    if "sdist" in sys.argv or "egg_info" in sys.argv or "dist_info" in sys.argv:
        setup()  # packs files and names dependencies; nothing to decide
        return
    toolkits = {kind: find(os.environ) for kind, find in TOOLKITS.items()}
    decision = decide(
        os.environ, torch_version(), find_compiler(os.environ), device_sources(), toolkits
    )
    announce(decision)
    commands = {"build_py": build_py_command(decision)}
    if decision.built:
        commands["build_ext"] = build_ext_command(decision, toolkits)
    setup(
        ext_modules=extensions(decision, toolkits) if decision.built else [],
        cmdclass=commands,
    )


if __name__ == "__main__":
    main()
