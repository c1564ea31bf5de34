"""center_pool: values, ties, gradients, layouts, torch.func."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.library import opcheck

from cornernet_ops import center_pool, center_pool_backward, corner_pool, reference, testing
from cornernet_ops.checks import FLOATING
from tests.ops.processors import assert_matches_on_any_processor

OPS = torch.ops.cornernet
BOTH = [
    pytest.param((center_pool, center_pool_backward), id="native"),
    pytest.param((reference.center_pool, reference.center_pool_backward), id="reference"),
]


def maps(shape: tuple[int, ...] = (2, 3, 4, 5), seed: int = 0) -> tuple[Tensor, Tensor]:
    return testing.random_values(shape, seed), testing.random_values(shape, seed + 100)


def by_scans(vertical: Tensor, horizontal: Tensor) -> Tensor:
    """As the paper's authors compute it."""
    columns = corner_pool(corner_pool(vertical, "top"), "bottom")
    return columns + corner_pool(corner_pool(horizontal, "left"), "right")


def by_reductions(vertical: Tensor, horizontal: Tensor) -> Tensor:
    return vertical.amax(2, keepdim=True) + horizontal.amax(3, keepdim=True)


@pytest.mark.parametrize("op", ["center_pool", "center_pool_backward"])
def test_native_matches_reference(op: str) -> None:
    testing.assert_matches_reference(op)


def test_kernels_for_any_processor_match_reference() -> None:
    assert_matches_on_any_processor("center_pool", "center_pool_backward")


@pytest.mark.parametrize("ops", BOTH)
@pytest.mark.parametrize("dtype", FLOATING)
def test_is_the_sum_of_four_scans(ops: Any, dtype: torch.dtype) -> None:
    vertical, horizontal = (x.to(dtype) for x in maps((2, 3, 20, 37), seed=1))
    testing.assert_identical(ops[0](vertical, horizontal), by_scans(vertical, horizontal))


@pytest.mark.parametrize("ops", BOTH)
def test_without_ties_the_gradients_are_those_of_the_scans(ops: Any) -> None:
    inputs = [x.requires_grad_() for x in maps(seed=2)]
    g = testing.random_values(inputs[0].shape, seed=3)
    expected = torch.autograd.grad(by_scans(*inputs), inputs, g)
    testing.assert_close(ops[1](g, *inputs), expected)


@pytest.mark.parametrize("ops", BOTH)
def test_of_equal_maxima_the_last_has_the_gradient(ops: Any) -> None:
    vertical = torch.tensor([[1.0, 0], [1, 2], [0, 2]])[None, None]
    horizontal = torch.tensor([[3.0, 3], [-0.0, 0], [math.nan, math.nan]])[None, None]
    g = torch.arange(6.0).view(1, 1, 3, 2)
    grad_vertical, grad_horizontal = ops[1](g, vertical, horizontal)
    assert grad_vertical[0, 0].tolist() == [[0, 0], [6, 0], [0, 9]]
    assert grad_horizontal[0, 0].tolist() == [[0, 1], [0, 5], [0, 9]]


@pytest.mark.parametrize("ops", BOTH)
def test_a_sum_of_zeros_is_positive(ops: Any) -> None:
    zero = torch.tensor([[[[-0.0, 0.0, -0.0]]]])
    for vertical in (zero, -zero, zero.abs(), -zero.abs()):
        for horizontal in (zero, -zero.abs()):
            assert not ops[0](vertical, horizontal).signbit().any()


@pytest.mark.parametrize("ops", BOTH)
def test_nan_is_the_largest(ops: Any) -> None:
    x = torch.zeros(1, 1, 4, 5)
    x[0, 0, 1, 2] = math.nan
    found = ops[0](x, torch.zeros_like(x))
    assert found.isnan().nonzero()[:, 3].tolist() == [2] * 4
    found = ops[0](torch.zeros_like(x), x)
    assert found.isnan().nonzero()[:, 2].tolist() == [1] * 5


@pytest.mark.parametrize("ops", BOTH)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_gradient_is_rounded_once(ops: Any, dtype: torch.dtype) -> None:
    # 4096 ones would stay at 2048, or at 256, if they were added up in the dtype.
    for shape, which in [((1, 1, 4096, 1), 0), ((1, 1, 1, 4096), 1)]:
        x = torch.zeros(shape, dtype=dtype)
        assert ops[1](torch.ones_like(x), x, x)[which].view(-1)[-1].item() == 4096


@pytest.mark.parametrize("wanted", [(True, False), (False, True), (True, True)])
def test_gradient_of_one_map_alone(wanted: tuple[bool, bool]) -> None:
    inputs = [x.requires_grad_(wants) for x, wants in zip(maps(seed=4), wanted, strict=True)]
    center_pool(inputs[0], inputs[1]).pow(2).sum().backward()
    expected = [x.detach().clone().requires_grad_() for x in inputs]
    by_reductions(expected[0], expected[1]).pow(2).sum().backward()
    for x, e, wants in zip(inputs, expected, wanted, strict=True):
        if wants:
            testing.assert_close(x.grad, e.grad)
        else:
            assert x.grad is None


def test_gradcheck_and_gradgradcheck() -> None:
    inputs = tuple(x.requires_grad_() for x in maps((1, 2, 3, 4), seed=5))
    assert torch.autograd.gradcheck(center_pool, inputs)
    assert torch.autograd.gradgradcheck(center_pool, inputs)


def test_only_the_inputs_are_kept_for_backward() -> None:
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    vertical, horizontal = (x.requires_grad_() for x in maps())
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        center_pool(vertical, horizontal)
    assert [t.data_ptr() for t in kept] == [vertical.data_ptr(), horizontal.data_ptr()]


def test_func_grad_vmap_and_both() -> None:
    vertical, horizontal = maps((3, 2, 3, 4, 5), seed=10)

    def of(pool: Callable[..., Tensor]) -> Iterator[Any]:
        def loss(v: Tensor, h: Tensor) -> Tensor:
            return (pool(v, h) ** 3).sum()

        both = torch.func.grad(loss, argnums=(0, 1))
        yield both(vertical[0], horizontal[0])
        yield torch.func.vmap(both)(vertical, horizontal)
        yield torch.func.vmap(both, in_dims=(0, None))(vertical, horizontal[0])

    for actual, expected in zip(of(center_pool), of(by_reductions), strict=True):
        testing.assert_close(actual, expected)


def test_deterministic_over_thread_counts() -> None:
    threads = torch.get_num_threads()
    for layout in (torch.contiguous_format, torch.channels_last):
        vertical, horizontal = (
            x.float().contiguous(memory_format=layout) for x in maps((1, 40, 65, 64), seed=11)
        )
        g = testing.random_values(vertical.shape, seed=12).float().contiguous(memory_format=layout)
        results = []
        try:
            for count in (1, 2, 3):
                torch.set_num_threads(count)
                grads = center_pool_backward(g, vertical, horizontal)
                results.append((center_pool(vertical, horizontal), *grads))
        finally:
            torch.set_num_threads(threads)
        testing.assert_identical(results[1:], [results[0]] * 2)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(0, 3), st.integers(0, 40), *[st.integers(0, 40)] * 2),
    values=st.sampled_from([testing.random_values, testing.tied_values, testing.special_values]),
    orders=st.tuples(*[st.permutations(range(4))] * 2),
    dtype=st.sampled_from(FLOATING),
)
def test_any_shape_and_strides(
    shape: tuple[int, ...],
    values: Callable[..., Tensor],
    orders: tuple[list[int], ...],
    dtype: torch.dtype,
) -> None:
    inputs = []
    for seed, order in enumerate(orders):
        inverse = [order.index(d) for d in range(4)]
        x = values(tuple(shape[d] for d in order), seed=seed).to(dtype).permute(inverse)
        inputs.append(x)
    testing.assert_identical(center_pool(*inputs), reference.center_pool(*inputs))
    g = testing.tied_values(shape).to(dtype)
    testing.assert_identical(
        center_pool_backward(g, *inputs), reference.center_pool_backward(g, *inputs)
    )


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_opcheck(layout: torch.memory_format) -> None:
    vertical, horizontal = (
        x.float().contiguous(memory_format=layout).requires_grad_() for x in maps(seed=12)
    )
    opcheck(OPS.center_pool.default, (vertical, horizontal))
    opcheck(OPS.center_pool_backward.default, (torch.randn(2, 3, 4, 5), vertical, horizontal))


def test_compiles_as_one_graph_with_dynamic_shapes() -> None:
    def model(x: Tensor) -> Tensor:
        return center_pool(x * 2, x + 1).relu()

    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    for shape in [(2, 3, 4, 5), (1, 3, 9, 7)]:
        x = torch.randn(shape, requires_grad=True)
        y = x.detach().clone().requires_grad_()
        compiled(x).sum().backward()
        model(y).sum().backward()
        testing.assert_identical(x.grad, y.grad)


def test_autocast_leaves_the_dtype_alone() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for dtype in (torch.float32, torch.bfloat16):
            x = torch.zeros(1, 2, 3, 4, dtype=dtype)
            assert center_pool(x, x).dtype == dtype
