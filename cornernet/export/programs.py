"""A detector as a program of torch, which runs without this package but not without the ops.

Its inputs are the canvases on which images lie and where they lie there, as `inputs_of` makes them:
torch cannot trace resizing to a size that depends on the image.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cornernet.errors import UserError
from cornernet.export.network import example_of, inputs_of, network_of, trace
from cornernet.export.request import Request

METADATA = "cornernet.json"
"""The extra file in a program's archive that describes the detector."""


def export_program(request: Request, path: Path) -> None:
    """Write a detector as torch.export.save or torch.jit.save do, or as AOTInductor's package.

    The outputs are those of `ToBoxes`, or those of `ToMaps`.

    Args:
        request: what to write, in the format pt2, torchscript or aoti.
        path: the file to write.

    Raises:
        UserError: AOTInductor cannot compile, such as without a C++ compiler.
    """
    network, extra = network_of(request), {METADATA: request.metadata()}
    if request.format == "pt2":
        with path.open("wb") as file:
            torch.export.save(trace(request, network), file, extra_files=extra)
        return
    if request.format == "aoti":
        _compile(trace(request, network), extra, path)
        return
    with warnings.catch_warnings(), torch.no_grad():
        # Sizes in Python's numbers are traced as tensors.
        warnings.simplefilter("ignore")
        scripted = torch.jit.trace(network.eval(), example_of(request), check_trace=False)
        torch.jit.save(scripted, str(path), _extra_files=extra)


def _compile(program: torch.export.ExportedProgram, metadata: dict[str, str], path: Path) -> None:
    from torch import _inductor

    compiler: Any = _inductor
    with tempfile.TemporaryDirectory() as directory:
        package = Path(directory) / "package.pt2"  # no other ending will do
        try:
            compiler.aoti_compile_and_package(
                program,
                package_path=str(package),
                inductor_configs={"aot_inductor.metadata": metadata},
            )
        except Exception as error:  # whatever a compiler may raise
            raise UserError(
                f"AOTInductor could not compile the network ({type(error).__name__}: "
                f"{str(error).partition(chr(10))[0]}); it needs torch 2.6 or newer and a C++ "
                "compiler; the format pt2 needs none"
            ) from None
        shutil.copyfile(package, path)


def _load_package(path: Path) -> Any:
    from torch import _inductor

    with tempfile.TemporaryDirectory() as directory:
        package = Path(directory) / "package.pt2"
        shutil.copyfile(path, package)
        loader: Any = _inductor
        return loader.aoti_load_package(str(package))


def run_program(request: Request, path: Path) -> Callable[[Sequence[np.ndarray]], list[Tensor]]:
    """A written program: from images of one size, [H, W, 3] RGB uint8 each, to its outputs."""
    loaded: Any
    if request.format == "pt2":
        with path.open("rb") as file:
            loaded = torch.export.load(file).module()
    elif request.format == "aoti":
        loaded = _load_package(path)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = torch.jit.load(str(path))

    @torch.no_grad()
    def run(images: Sequence[np.ndarray]) -> list[Tensor]:
        return list(loaded(*inputs_of(images, request.config, request.multiple)))

    return run
