"""ONNX files in int8: what is quantised, and that roughly the same is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cornernet import CornerNet
from cornernet.export.verify import Agreement
from cornernet.model.fuse import FusedDetector
from cornernet.model.layers import Float32Conv2d
from tests.errors import raises
from tests.export.test_onnx import CLASSES, detector, image, onnx


def test_convolutions_but_the_last_are_quantised(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    one = detector("--test.flip", "false", parts=("corners",))
    seen = [image(96, 96), image(64, 96), image(96, 70)]
    agreement = one.export(path, precision="int8", images=seen, calibrate=seen)
    assert isinstance(agreement, Agreement)
    assert agreement.boxes > 5 and agreement.shared > 0.5 and agreement.score_difference > 1e-5
    model = onnx.load(path)
    made_by = {output: node.op_type for node in model.graph.node for output in node.output}
    weights = [made_by.get(node.input[1]) for node in model.graph.node if node.op_type == "Conv"]
    assert isinstance(one.model, FusedDetector)
    last = sum(isinstance(module, Float32Conv2d) for module in one.model.modules())
    assert weights.count("DequantizeLinear") > 5
    assert len(weights) - weights.count("DequantizeLinear") == last > 0

    graph = CornerNet.from_pretrained(path)
    assert graph.classes == CLASSES and graph.model.precision == "int8"
    assert graph.optimize("fp32") is graph
    with raises("exported graph", field="precision"):
        graph.optimize("bf16")
    found, wanted = graph.detect(seen[0]), one.detect(seen[0])
    np.testing.assert_allclose(found.scores[:5], wanted.scores[:5], atol=0.1)
