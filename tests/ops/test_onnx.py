"""The ops in ONNX: the same results in ONNX Runtime, by standard operators alone."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import cornernet_ops

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
if torch.__version__ < (2, 7):
    pytest.skip("the exporter takes translations from torch 2.7 on", allow_module_level=True)

SIZES = [(9, 7), (1, 12), (17, 2)]


class Calls(nn.Module):
    """Calls of ops, whose results are put in a row."""

    def __init__(self, calls: dict[str, Callable[..., Any]]) -> None:
        super().__init__()
        self.calls = calls

    def forward(self, *arguments: Tensor) -> tuple[Tensor, ...]:
        results: list[Tensor] = []
        for call in self.calls.values():
            result = call(*arguments)
            results += result if isinstance(result, tuple) else (result,)
        return tuple(results)


def exported(module: nn.Module, arguments: tuple[Tensor, ...], path: Path, dynamic: Any) -> Any:
    from cornernet_ops.onnx import translations

    program = torch.onnx.export(
        module.eval(), arguments, dynamo=True, opset_version=18, dynamic_shapes=dynamic,
        custom_translation_table=translations(), verbose=False,
    )  # fmt: skip
    assert program is not None
    program.save(str(path))
    onnx.checker.check_model(str(path), full_check=True)
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def run(session: Any, arguments: tuple[Tensor, ...]) -> list[np.ndarray]:
    names = [argument.name for argument in session.get_inputs()]
    values = (argument.numpy() for argument in arguments)
    return list(session.run(None, dict(zip(names, values, strict=True))))


POOLS: dict[str, Callable[..., Any]] = {
    **{
        direction: lambda a, b, d=direction: cornernet_ops.corner_pool(a, d)
        for direction in ("top", "bottom", "left", "right")
    },
    **{
        corner: lambda a, b, c=corner: cornernet_ops.corner_pool_pair(a, b, c)
        for corner in ("top_left", "bottom_right")
    },
    "add": lambda a, b: cornernet_ops.corner_pool_add(a, b, "right"),
    "center": lambda a, b: cornernet_ops.center_pool(a, b),
    "peaks": lambda a, b: cornernet_ops.corner_peaks(a, 20),
    "every cell": lambda a, b: cornernet_ops.corner_peaks(a, 500, 1),
    "limits": lambda a, b: cornernet_ops.corner_peaks(a, 20, 3, torch.tensor([0.5, -1.0, 9.0])),
}


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Any]:
    size = {2: torch.export.Dim("h", max=4096), 3: torch.export.Dim("w", max=4096)}
    module, maps = Calls(POOLS), (torch.randn(2, 3, 5, 6), torch.randn(2, 3, 5, 6))
    path = tmp_path_factory.mktemp("onnx") / "pools.onnx"
    return module, exported(module, maps, path, {"arguments": (size, size)})


@pytest.mark.parametrize("size", SIZES)
def test_pools_and_peaks_are_equal_at_any_size(
    pools: tuple[nn.Module, Any], size: tuple[int, int]
) -> None:
    module, session = pools
    torch.manual_seed(sum(size))
    # Few different values, so that many are equal.
    maps = tuple(torch.randint(-4, 5, (2, 3, *size)).float() for _ in range(2))
    for found, wanted in zip(run(session, maps), module(*maps), strict=True):
        np.testing.assert_array_equal(found, wanted.numpy())


def test_only_standard_operators_are_used(pools: tuple[nn.Module, Any], tmp_path: Path) -> None:
    from cornernet_ops.onnx import translations

    program = torch.onnx.export(
        Calls({"left": POOLS["left"]}).eval(), (torch.zeros(1, 1, 3, 3),) * 2, dynamo=True,
        custom_translation_table=translations(), verbose=False,
    )  # fmt: skip
    assert program is not None
    model = program.model_proto
    assert not model.functions
    assert {node.domain for node in model.graph.node} == {""}


def test_translations_take_all_arguments_of_the_ops() -> None:
    from cornernet_ops.onnx import translations

    for op, translation in translations().items():
        wanted = [argument.name for argument in getattr(op, "_schema").arguments]  # noqa: B009
        assert list(inspect.signature(translation).parameters) == wanted, op


def decode(*maps: Tensor, skip_border: bool = False) -> tuple[Tensor, ...]:
    tl_heat, br_heat, *others = maps
    tl_scores, tl_cells = cornernet_ops.corner_peaks(tl_heat, 15)
    br_scores, br_cells = cornernet_ops.corner_peaks(br_heat, 12)
    corners = (tl_scores.sigmoid(), tl_cells, br_scores.sigmoid(), br_cells)
    return cornernet_ops.corner_decode(
        *corners, *others, distance_threshold=0.5, max_pairs=60, skip_border=skip_border
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_pairs_of_corners_are_equal(tmp_path: Path, channels: int) -> None:
    torch.manual_seed(channels)
    heats = torch.randn(2, 2, 2, 12, 10)
    embeddings = torch.randn(2, 2, channels, 12, 10) * 0.4
    maps = (*heats, *embeddings, *torch.rand(2, 2, 2, 12, 10))
    module = Calls({"all": decode, "inner": partial(decode, skip_border=True)})
    found = run(exported(module, maps, tmp_path / "decode.onnx", None), maps)
    for place in (0, 3):
        boxes, scores, labels = module(*maps)[place : place + 3]
        assert (labels >= 0).any() and (labels < 0).any()
        np.testing.assert_array_equal(found[place + 2], labels.numpy())
        np.testing.assert_allclose(found[place + 1], scores.numpy(), atol=1e-6)
        np.testing.assert_allclose(found[place], boxes.numpy(), atol=1e-5)
    assert not np.array_equal(found[0], found[3])


def suppression(method: str, exponent: float) -> Callable[..., Any]:
    def suppress(boxes: Tensor, scores: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        return cornernet_ops.soft_nms(
            boxes, scores, labels, method=method, iou_threshold=0.3, sigma=0.5, min_score=0.05,
            max_detections=40, merge_exponent=exponent,
        )  # fmt: skip

    return suppress


def test_suppression_is_equal_in_every_way(tmp_path: Path) -> None:
    torch.manual_seed(0)
    corners = torch.rand(2, 30, 2) * 20
    boxes = torch.cat([corners, corners + 3 + 10 * torch.rand(2, 30, 2)], 2)
    boxes[:, :3] = boxes[:, 3:6]  # equal boxes
    scores = torch.randint(0, 12, (2, 30)) / 12  # of which many are equal
    labels = torch.randint(-1, 2, (2, 30))
    calls = {
        f"{method} {exponent}": suppression(method, exponent)
        for method in ("gaussian", "linear", "hard", "none")
        for exponent in (0.0, 2.0)
    }
    module = Calls(calls)
    session = exported(module, (boxes, scores, labels), tmp_path / "nms.onnx", None)
    found = run(session, (boxes, scores, labels))
    for value, wanted in zip(found, module(boxes, scores, labels), strict=True):
        np.testing.assert_allclose(value, wanted.numpy(), atol=1e-5)


POOL_ALONE = """
import sys, torch
from cornernet_ops import CornerPool, backends
from cornernet_ops.onnx import translations
torch.onnx.export(
    CornerPool("top"), (torch.randn(1, 1, 3, 3),), sys.argv[1], dynamo=True,
    custom_translation_table=translations(), verbose=False,
)
print(backends()["corner_pool"]["cpu"])
"""


def test_a_pool_is_exported_without_compiled_ops(tmp_path: Path) -> None:
    path = tmp_path / "pool.onnx"
    environment = os.environ | {"CORNERNET_OPS_FORCE_REFERENCE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", POOL_ALONE, str(path)], env=environment, check=True, timeout=300,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.split()[-1] == "reference"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    maps = torch.randn(1, 1, 3, 3)
    (found,) = run(session, (maps,))
    np.testing.assert_array_equal(found, cornernet_ops.corner_pool(maps, "top").numpy())
