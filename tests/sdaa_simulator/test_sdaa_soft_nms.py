"""soft_nms' kernel for SDAA, run by its launcher in the simulator, against the CPU's."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest
import torch
from toolkit_host import Buffer, Runtime
from torch import Tensor

from cornernet_ops import soft_nms

Suppress = Callable[..., "tuple[Tensor, Tensor, Tensor] | None"]
METHODS = ("gaussian", "linear", "hard", "none")


class Arguments(ctypes.Structure):
    """cornernet_sdaa_soft_nms_arguments of csrc/sdaa/soft_nms.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("boxes", "scores", "labels")),
        *((name, ctypes.c_void_p) for name in ("picked_index", "picked_boxes", "picked_scores")),
        *((name, ctypes.c_int64) for name in ("pictures", "candidates", "limit")),
        ("method", ctypes.c_int),
        *((name, ctypes.c_float) for name in ("iou_threshold", "sigma", "min_score", "exponent")),
    )


@pytest.fixture
def suppress(runtime: Runtime, kernels: ctypes.CDLL) -> Suppress:
    """soft_nms on the simulated device; None where the kernel says that it cannot."""
    kernels.cornernet_sdaa_soft_nms_fits.restype = ctypes.c_bool

    def suppress(
        boxes: Tensor, scores: Tensor, labels: Tensor, *, method: str, iou_threshold: float,
        sigma: float, min_score: float, max_detections: int, merge_exponent: float
    ) -> tuple[Tensor, Tensor, Tensor] | None:  # fmt: skip
        n, count = scores.shape
        if not kernels.cornernet_sdaa_soft_nms_fits(ctypes.c_int64(count)):
            return None
        inputs = [Buffer.of(runtime, tensor) for tensor in (boxes, scores, labels)]
        results = (
            torch.empty(n, max_detections, dtype=torch.int64),
            torch.empty(n, max_detections, 4),
            torch.empty(n, max_detections),
        )
        outputs = [Buffer(runtime, t.numel() * t.element_size()) for t in results]
        pointers = (buffer.pointer for buffer in (*inputs, *outputs))
        numbers = (METHODS.index(method), iou_threshold, sigma, min_score, merge_exponent)
        arguments = Arguments(*pointers, n, count, max_detections, *numbers)
        kernels.cornernet_sdaa_soft_nms(runtime.stream, arguments)
        assert runtime.error() == ""
        return tuple(b.into(t) for b, t in zip(outputs, results, strict=True))

    return suppress


def crowd(n: int, count: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes that overlap much, with equal scores, NaN and candidates that are none among them."""
    random = torch.Generator().manual_seed(seed)
    corner = torch.rand(n, count, 2, generator=random) * 50
    boxes = torch.cat([corner, corner + torch.rand(n, count, 2, generator=random) * 40], 2)
    scores = (torch.rand(n, count, generator=random) * 64).round() / 64
    labels = torch.randint(-1, classes, (n, count), generator=random)
    scores[:, ::17] = torch.nan
    boxes[:, ::13, 2] = torch.nan
    boxes[:, ::11] = boxes[:, :1].clone()
    return boxes, scores, labels


def options(**changes: float | str) -> dict:
    defaults = {"method": "gaussian", "iou_threshold": 0.5, "sigma": 0.5, "min_score": 0.05}
    return defaults | {"max_detections": 60, "merge_exponent": 0.0} | changes


def assert_same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    assert torch.equal(found[0], expected[0])
    for one, other in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("merge_exponent", [0.0, 4.0])
@pytest.mark.parametrize("method", METHODS)
def test_it_picks_what_the_cpu_picks(suppress: Suppress, method: str, merge_exponent: float):
    for changes in ({}, {"iou_threshold": 0.0}, {"min_score": -1.0}):
        tensors = crowd(3, 200, 4)
        chosen = options(method=method, merge_exponent=merge_exponent, **changes)
        assert_same(suppress(*tensors, **chosen), soft_nms(*tensors, **chosen))


@pytest.mark.parametrize(
    ("n", "count", "limit"), [(1, 1, 1), (1, 0, 5), (70, 9, 12), (2, 1000, 300), (1, 5000, 10)]
)
def test_every_size_works(suppress: Suppress, n: int, count: int, limit: int) -> None:
    tensors = crowd(n, count, 3) if count else crowd(n, 1, 3)
    tensors = tuple(tensor[:, :count].contiguous() for tensor in tensors)
    chosen = options(max_detections=limit)
    assert_same(suppress(*tensors, **chosen), soft_nms(*tensors, **chosen))


def test_more_candidates_than_a_scratchpad_holds_are_refused(suppress: Suppress) -> None:
    assert suppress(*crowd(1, 5001, 3), **options()) is None


def test_the_scratchpad_is_not_exceeded(suppress: Suppress, runtime: Runtime) -> None:
    runtime.launches()
    suppress(*crowd(1, 5000, 3), **options(max_detections=1))
    (launch,) = runtime.launches()
    assert launch.peak <= 220 * 1024
