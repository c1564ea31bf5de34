"""Building extensions for SDAA, under the vendor's names.

Files in SDAA C (.scpp) are compiled by the toolkit's tecocc, the others by the host's compiler, as
torch.utils.cpp_extension does it. `extra_compile_args` is a dict of flags for "cxx" and "tecocc".
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import setuptools
from torch.utils import cpp_extension

__all__ = ["SDAA_HOME", "BuildExtension", "TecoExtension"]

SDAA_HOME: str | None = os.environ.get("SDAA_HOME")

_TECOCC_FLAGS = ["-O3", "-std=c++17", "-fPIC"]


def _home() -> Path:
    if SDAA_HOME is None:
        raise OSError("SDAA_HOME is not set: it names the folder of the SDAA toolkit")
    return Path(SDAA_HOME)


def TecoExtension(name: str, sources: list[str], *args: Any, **kwargs: Any) -> Any:
    """A setuptools.Extension that finds torch, torch_sdaa and the toolkit."""
    headers = [str(Path(__file__).resolve().parents[1] / "include"), str(_home() / "include")]
    libraries = str(_home() / "lib64")
    kwargs["include_dirs"] = [*kwargs.get("include_dirs", []), *headers]
    kwargs["library_dirs"] = [*kwargs.get("library_dirs", []), libraries]
    kwargs["libraries"] = [*kwargs.get("libraries", []), "sdaart"]
    kwargs["extra_link_args"] = [*kwargs.get("extra_link_args", []), f"-Wl,-rpath,{libraries}"]
    return cpp_extension.CppExtension(name, sources, *args, **kwargs)


class BuildExtension(cpp_extension.BuildExtension):
    """torch's, which also knows .scpp."""

    def build_extension(self, ext: setuptools.Extension) -> None:
        flags = ext.extra_compile_args or {}
        device = [source for source in ext.sources if source.endswith(".scpp")]
        ext.sources = [source for source in ext.sources if source not in device]
        for source in device:
            ext.extra_objects.append(self._compile_scpp(source, flags.get("tecocc", [])))
        if isinstance(flags, dict):
            ext.extra_compile_args = {key: flags[key] for key in flags if key != "tecocc"}
        super().build_extension(ext)

    def _compile_scpp(self, source: str, flags: list[str]) -> str:
        target = Path(self.build_temp).resolve() / (source + ".o")
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [str(_home() / "bin" / "tecocc"), *_TECOCC_FLAGS, *flags, "-x", "sdaa"]
        command += ["-c", source, "-o", str(target), "-I", str(_home() / "include")]
        print(" ".join(command), flush=True)
        subprocess.run(command, check=True)
        return str(target)
