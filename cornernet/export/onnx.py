"""A detector as one ONNX file: from images as uint8 to boxes, by standard operators alone."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import cornernet
from cornernet.errors import UserError
from cornernet.export.network import network_of, trace
from cornernet.export.request import Request
from cornernet.inference.graph import METADATA

OPSET = 18
"""The version of ONNX's operators that files use."""
_NEEDED = ("onnx", "onnxscript", "onnxruntime")


def export_onnx(request: Request, path: Path) -> None:
    """Write a detector as ONNX.

    The file's input `images` is [N, H, W, 3] uint8 RGB, images of one size. With the stage "boxes"
    its outputs are those of `ToBoxes`; with "maps" those of `ToMaps`.

    Args:
        request: what to write.
        path: the file to write.
    """
    from onnx import checker, compose, helper, inliner

    from cornernet.export.views import views_model
    from cornernet_ops import onnx as translations

    network = network_of(request)
    program = trace(request, network)
    with quiet():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=["canvases", "geometry"],
            output_names=network.output_names,
            custom_translation_table=translations.translations(),
            verbose=False,
        )
    assert exported is not None
    before = views_model(request.config, request.multiple, request.size, request.batch)
    after = inliner.inline_local_functions(exported.model_proto)
    after.ir_version = before.ir_version = min(after.ir_version, before.ir_version)
    # Names within both graphs must not meet; that of the input stays.
    before = compose.add_prefix(before, "views_", rename_inputs=False)
    joints = zip(before.graph.output, after.graph.input, strict=True)
    whole = compose.merge_models(before, after, [(a.name, b.name) for a, b in joints])
    # The functions that the graphs were written with are inlined; nothing is left of their domains.
    del whole.opset_import[:]
    whole.opset_import.append(helper.make_opsetid("", OPSET))
    helper.set_model_props(whole, {METADATA: request.metadata()})
    whole.producer_name, whole.producer_version = "cornernet", cornernet.__version__
    checker.check_model(whole, full_check=True)
    path.write_bytes(whole.SerializeToString())


def run_onnx(path: Path) -> Callable[[Sequence[np.ndarray]], list[Tensor]]:
    """An exported graph of any stage: from images of one size, [H, W, 3] uint8, to its outputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(images: Sequence[np.ndarray]) -> list[Tensor]:
        outputs = session.run(None, {"images": np.stack(images)})
        return [torch.from_numpy(output) for output in outputs]

    return run


def check_onnx() -> None:
    """Refuse an environment that cannot write ONNX files.

    Raises:
        UserError: a package is missing, or torch is too old.
    """
    from importlib.util import find_spec

    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise UserError(
            f"export to ONNX needs the packages {', '.join(_NEEDED)}, found no "
            f"{', '.join(missing)}; install them with pip install 'cornernet[onnx]'"
        )
    release = tuple(int(number) for number in torch.__version__.split("+")[0].split(".")[:2])
    if release < (2, 7):
        raise UserError(
            f"export to ONNX needs torch 2.7 or newer, whose exporter takes translations of the "
            f"ops, found {torch.__version__}; export with a newer torch: the weights are the same"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what the exporter says of packages that it does not find, and of its own insides."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
