"""ONNX files in int8: static quantisation for ONNX Runtime."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cornernet.export.request import Request
from cornernet.model.layers import Float32Conv2d

if TYPE_CHECKING:
    import onnx


def quantize(request: Request, path: Path, images: Sequence[np.ndarray]) -> None:
    """Replace an ONNX file by one whose convolutions compute in int8.

    Weights have a scale for each channel, activations one for each tensor, from the smallest and
    largest values in some images. The convolutions that compute the maps themselves stay in
    float32, since rounded heat-maps would tie. Quantised values are marked by QuantizeLinear and
    DequantizeLinear (QDQ), which a runtime joins with the convolutions.

    Args:
        request: what the file was made of.
        path: the file.
        images: [H, W, 3] RGB uint8 each, such as the network will see.
    """
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    batch = request.batch or 1

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._images = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self._images, None)
            return None if image is None else {"images": np.stack([image] * batch)}

    model = onnx.load(path)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    with _quiet():
        quantize_static(
            model,
            str(path),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_last_convolutions(request, model),
        )
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _last_convolutions(request: Request, model: onnx.ModelProto) -> list[str]:
    """The names of the nodes that stay in float32, found by their weights."""
    weights = {
        f"model.{name}.weight"
        for name, module in request.model.named_modules()
        if isinstance(module, Float32Conv2d)
    }
    found = {
        node.input[1]: node.name
        for node in model.graph.node
        if node.op_type == "Conv" and node.input[1] in weights
    }
    assert found.keys() == weights, weights - found.keys()
    return list(found.values())


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence advice about preparing a graph, which says nothing to a user of this one."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.root.setLevel(level)
