"""corner_pool_pair: the sum of two poolings bit for bit, gradients, layouts, errors, torch.func."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.library import opcheck

from cornernet_ops import (
    corner_pool,
    corner_pool_backward,
    corner_pool_pair,
    corner_pool_pair_backward,
    reference,
    testing,
)
from cornernet_ops.checks import FLOATING
from tests.ops.processors import assert_matches_on_any_processor

OPS = torch.ops.cornernet
DIRECTIONS = {"top_left": ("top", "left"), "bottom_right": ("bottom", "right")}


def maps(shape: tuple[int, ...] = (2, 3, 4, 5), seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return testing.random_values(shape, seed), testing.random_values(shape, seed + 100)


def two_pools(vertical: torch.Tensor, horizontal: torch.Tensor, corner: str) -> torch.Tensor:
    down, along = DIRECTIONS[corner]
    return reference.corner_pool(vertical, down) + reference.corner_pool(horizontal, along)


@pytest.mark.parametrize("op", ["corner_pool_pair", "corner_pool_pair_backward"])
def test_native_matches_reference(op: str) -> None:
    testing.assert_matches_reference(op)


def test_kernels_for_any_processor_match_reference() -> None:
    assert_matches_on_any_processor("corner_pool_pair", "corner_pool_pair_backward")


@pytest.mark.parametrize("corner", testing.CORNERS)
@pytest.mark.parametrize("dtype", FLOATING)
def test_is_the_sum_of_two_pools_bit_for_bit(corner: str, dtype: torch.dtype) -> None:
    down, along = DIRECTIONS[corner]
    for shape in [(2, 3, 20, 37), (1, 40, 9, 11)]:
        for layout in (torch.contiguous_format, torch.channels_last):
            vertical, horizontal = (
                x.to(dtype).contiguous(memory_format=layout) for x in maps(shape, seed=1)
            )
            testing.assert_identical(
                corner_pool_pair(vertical, horizontal, corner),
                corner_pool(vertical, down) + corner_pool(horizontal, along),
            )


@pytest.mark.parametrize("corner", testing.CORNERS)
def test_gradients_are_those_of_two_pools(corner: str) -> None:
    down, along = DIRECTIONS[corner]
    vertical, horizontal = maps(seed=2)
    g = testing.random_values(vertical.shape, seed=3)
    expected = corner_pool_backward(g, vertical, down), corner_pool_backward(g, horizontal, along)
    testing.assert_identical(corner_pool_pair_backward(g, vertical, horizontal, corner), expected)


@pytest.mark.parametrize("wanted", [(True, False), (False, True), (True, True)])
def test_gradient_of_one_map_alone(wanted: tuple[bool, bool]) -> None:
    inputs = [x.requires_grad_(wants) for x, wants in zip(maps(seed=4), wanted, strict=True)]
    corner_pool_pair(inputs[0], inputs[1], "top_left").pow(2).sum().backward()
    expected = [x.detach().clone().requires_grad_() for x in inputs]
    two_pools(expected[0], expected[1], "top_left").pow(2).sum().backward()
    for x, e, wants in zip(inputs, expected, wanted, strict=True):
        if wants:
            testing.assert_close(x.grad, e.grad)
        else:
            assert x.grad is None


@pytest.mark.parametrize("corner", testing.CORNERS)
def test_gradcheck_and_gradgradcheck(corner: str) -> None:
    inputs: Any = (*(x.requires_grad_() for x in maps((1, 2, 3, 4), seed=5)), corner)
    assert torch.autograd.gradcheck(corner_pool_pair, inputs)
    assert torch.autograd.gradgradcheck(corner_pool_pair, inputs)


@pytest.mark.parametrize("corner", testing.CORNERS)
def test_double_backward_of_ties_matches_cummax(corner: str) -> None:
    vertical = testing.tied_values((2, 2, 4, 5), seed=6)
    horizontal = testing.tied_values((2, 2, 4, 5), seed=8)
    weights = testing.random_values(vertical.shape, seed=9)

    def second(pool: Callable[..., Tensor]) -> torch.Tensor:
        leaves = [x.clone().requires_grad_() for x in (vertical, horizontal)]
        upstream = weights.clone().requires_grad_()
        a, b = torch.autograd.grad(pool(*leaves, corner), leaves, upstream, create_graph=True)
        return torch.autograd.grad((a**3 + b**2).sum(), upstream)[0]

    testing.assert_close(second(corner_pool_pair), second(two_pools))


def test_only_the_inputs_are_kept_for_backward() -> None:
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    vertical, horizontal = (x.requires_grad_() for x in maps())
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        corner_pool_pair(vertical, horizontal, "top_left")
    assert [t.data_ptr() for t in kept] == [vertical.data_ptr(), horizontal.data_ptr()]


def test_func_grad_vmap_and_both() -> None:
    shape = (3, 2, 3, 4, 5)
    vertical, horizontal = maps(shape, seed=10)

    def of(pool: Callable[..., Tensor]) -> Iterator[Any]:
        def loss(v: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
            return (pool(v, h, "top_left") ** 3).sum()

        both = torch.func.grad(loss, argnums=(0, 1))
        yield both(vertical[0], horizontal[0])
        yield torch.func.vmap(both)(vertical, horizontal)
        yield torch.func.vmap(both, in_dims=(0, None))(vertical, horizontal[0])
        yield torch.func.grad(lambda v, h: torch.func.vmap(loss)(v, h).sum(), argnums=(0, 1))(
            vertical, horizontal
        )

    for actual, expected in zip(of(corner_pool_pair), of(two_pools), strict=True):
        for a, e in zip(actual, expected, strict=True):
            testing.assert_close(a, e)


def test_deterministic_over_thread_counts() -> None:
    threads = torch.get_num_threads()
    for layout in (torch.contiguous_format, torch.channels_last):
        vertical, horizontal = (
            x.float().contiguous(memory_format=layout) for x in maps((1, 40, 65, 64), seed=11)
        )
        results = []
        try:
            for count in (1, 2, 3):
                torch.set_num_threads(count)
                results.append(corner_pool_pair(vertical, horizontal, "top_left"))
        finally:
            torch.set_num_threads(threads)
        testing.assert_identical(results[1:], [results[0]] * 2)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(0, 3), st.integers(0, 40), *[st.integers(0, 40)] * 2),
    values=st.sampled_from([testing.random_values, testing.tied_values, testing.special_values]),
    orders=st.tuples(*[st.permutations(range(4))] * 2),
    dtype=st.sampled_from(FLOATING),
    corner=st.sampled_from(testing.CORNERS),
)
def test_any_shape_and_strides(
    shape: tuple[int, ...],
    values: Callable[..., Tensor],
    orders: tuple[list[int], ...],
    dtype: torch.dtype,
    corner: str,
) -> None:
    inputs = []
    for seed, order in enumerate(orders):
        inverse = [order.index(d) for d in range(4)]
        x = values(tuple(shape[d] for d in order), seed=seed).to(dtype).permute(inverse)
        assert x.shape == shape
        inputs.append(x)
    v, h = inputs
    testing.assert_identical(
        corner_pool_pair(v, h, corner), reference.corner_pool_pair(v, h, corner)
    )
    g = testing.tied_values(shape).to(dtype)
    testing.assert_identical(
        corner_pool_pair_backward(g, v, h, corner),
        reference.corner_pool_pair_backward(g, v, h, corner),
    )


@pytest.mark.parametrize("corner", testing.CORNERS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_opcheck(corner: str, layout: torch.memory_format) -> None:
    vertical, horizontal = (
        x.float().contiguous(memory_format=layout).requires_grad_() for x in maps(seed=12)
    )
    opcheck(OPS.corner_pool_pair.default, (vertical, horizontal, corner))
    g = torch.randn(2, 3, 4, 5)
    opcheck(OPS.corner_pool_pair_backward.default, (g, vertical, horizontal, corner))


def test_compiles_as_one_graph_with_dynamic_shapes() -> None:
    def model(x: torch.Tensor) -> torch.Tensor:
        return corner_pool_pair(x * 2, x + 1, "bottom_right").relu()

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
            assert corner_pool_pair(x, x, "top_left").dtype == dtype
