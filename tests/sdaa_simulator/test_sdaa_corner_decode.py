"""corner_decode's kernel for SDAA, run by its launcher in the simulator, against the CPU's."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest
import torch
from toolkit_host import Buffer, Runtime
from torch import Tensor

from cornernet_ops import corner_decode, testing

Decode = Callable[..., "tuple[Tensor, ...] | None"]


class Corners(ctypes.Structure):
    """cornernet_sdaa_corners of csrc/sdaa/corner_decode.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("scores", "indices", "embedding", "offset")),
        ("count", ctypes.c_int64),
    )


@pytest.fixture
def decode(runtime: Runtime, kernels: ctypes.CDLL) -> Decode:
    """corner_decode on the simulated device; None where the kernel says that it cannot."""
    kernels.cornernet_sdaa_corner_decode_fits.restype = ctypes.c_bool
    kernels.cornernet_sdaa_corner_decode_workspace.restype = ctypes.c_int64

    def decode(*tensors: Tensor, distance_threshold: float, max_pairs: int):
        tl_scores, tl_indices, br_scores, br_indices, tl_tag, br_tag, tl_off, br_off = tensors
        n, channels, h, w = tl_tag.shape
        k, l = tl_scores.shape[1], br_scores.shape[1]  # noqa: E741
        sizes = [ctypes.c_int64(v) for v in (channels, k, l, max_pairs)]
        if not kernels.cornernet_sdaa_corner_decode_fits(*sizes):
            return None
        held: list[Buffer] = []

        def on_device(tensor: Tensor) -> ctypes.c_void_p:
            wide = tensor.float() if tensor.is_floating_point() else tensor
            held.append(Buffer.of(runtime, wide.contiguous()))
            return held[-1].pointer

        kinds = [
            Corners(*(on_device(t).value for t in four), count)
            for four, count in [
                ((tl_scores, tl_indices, tl_tag, tl_off), k),
                ((br_scores, br_indices, br_tag, br_off), l),
            ]
        ]
        boxes = torch.empty(n, max_pairs, 4)
        scores = torch.empty(n, max_pairs)
        labels = torch.empty(n, max_pairs, dtype=torch.int64)
        results = [Buffer(runtime, t.numel() * t.element_size()) for t in (boxes, scores, labels)]
        size = kernels.cornernet_sdaa_corner_decode_workspace(ctypes.c_int64(n), *sizes)
        workspace = Buffer(runtime, size)
        kernels.cornernet_sdaa_corner_decode(
            runtime.stream,
            *kinds,
            ctypes.c_float(distance_threshold),
            *(buffer.pointer for buffer in results),
            workspace.pointer,
            *(ctypes.c_int64(v) for v in (n, channels, h, w, max_pairs)),
        )
        assert runtime.error() == ""
        pairs = zip(results, (boxes, scores, labels), strict=True)
        return tuple(buffer.into(tensor) for buffer, tensor in pairs)

    return decode


def is_for_the_kernel(case: testing.Case) -> bool:
    return all(t.dtype != torch.float64 and t.numel() > 0 for t in case.args[:4]) and all(
        t.dtype != torch.float64 and t.shape[2] * t.shape[3] > 0 for t in case.args[4:]
    )


def test_every_case_is_that_of_the_cpu_bit_for_bit(decode: Decode) -> None:
    cases = [case for case in testing.corner_decode_cases() if is_for_the_kernel(case)]
    assert len(cases) > 15
    for case in cases:
        testing.assert_identical(
            decode(*case.args, **case.kwargs), corner_decode(*case.args, **case.kwargs)
        )


@pytest.mark.parametrize(
    "sizes",
    [
        {"n": 40, "k": 7, "l": 9},  # more pictures than SPEs
        {"n": 1, "k": 1, "l": 1, "height": 1, "width": 1},
        {"n": 1, "k": 700, "l": 900, "classes": 80},  # records in several pieces
        {"n": 3, "k": 60, "l": 60, "channels": 501, "classes": 1},
    ],
    ids=str,
)
def test_every_size_works(decode: Decode, sizes: dict[str, int]) -> None:
    arguments = testing.decode_arguments(**sizes)
    tensors = [t.float() if t.is_floating_point() else t for t in arguments.values()]
    options = {"distance_threshold": 0.9 * sizes.get("channels", 1) ** 0.5, "max_pairs": 150}
    testing.assert_identical(decode(*tensors, **options), corner_decode(*tensors, **options))


def test_lists_beyond_the_scratchpad_are_refused(decode: Decode) -> None:
    tensors = [t.float() if t.is_floating_point() else t for t in
               testing.decode_arguments().values()]  # fmt: skip
    assert decode(*tensors, distance_threshold=1.0, max_pairs=8193) is None


def test_cost(decode: Decode, runtime: Runtime) -> None:
    """It is a matter of microseconds. `pytest -s` prints the figures."""
    arguments = testing.decode_arguments(n=1, height=128, width=128, classes=80, k=100, l=100)
    tensors = [t.float() if t.is_floating_point() else t for t in arguments.values()]
    runtime.launches()
    decode(*tensors, distance_threshold=0.5, max_pairs=1000)
    (launch,) = runtime.launches()
    print(f"\n{launch.report(must_move=1000 * 28)}")
    assert launch.peak <= 220 * 1024
    assert launch.seconds() <= 10e-6
