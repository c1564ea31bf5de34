"""Every op on every case on an NVIDIA GPU; left out where there is none."""

from __future__ import annotations

import pytest
import torch

import cornernet_ops
from cornernet_ops import testing

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

OPS = sorted(cornernet_ops.reference.__all__)


def test_what_was_built_for_cuda_is_what_runs_there() -> None:
    record = cornernet_ops.extension.read_record()
    if record is None or "cuda" not in record["built"]:
        pytest.skip("the kernels for CUDA were not built, so the references are tested here")
    backends = cornernet_ops.backends()
    assert {op: backends[op]["cuda"] for op in OPS} == dict.fromkeys(OPS, "compiled")


@pytest.mark.parametrize("op", OPS)
def test_results_are_those_of_the_cpu(op: str) -> None:
    testing.assert_matches_cpu(op, "cuda")


@pytest.mark.parametrize("op", OPS)
def test_ops_are_recorded_in_a_graph(op: str) -> None:
    """Recording fails where an op waits for the device."""
    case = next(testing.cases_of(op, "cuda"))
    call = getattr(torch.ops.cornernet, op)
    expected = case.call(call)  # also loads the kernels
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        actual = case.call(call)
    graph.replay()
    testing.assert_identical(actual, expected)


@pytest.mark.parametrize("direction", testing.DIRECTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_large_batch_of_maps(
    direction: str, dtype: torch.dtype, layout: torch.memory_format
) -> None:
    x = torch.randn(4, 128, 128, 128, device="cuda", dtype=dtype).contiguous(memory_format=layout)
    pooled = cornernet_ops.corner_pool(x, direction)
    testing.assert_identical(pooled, cornernet_ops.reference.corner_pool(x, direction))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one CUDA device")
def test_work_goes_to_the_tensors_device() -> None:
    x = testing.random_values((1, 2, 8, 9)).to("cuda:1")
    testing.assert_identical(
        cornernet_ops.corner_pool(x, "top").cpu(), cornernet_ops.corner_pool(x.cpu(), "top")
    )
