"""corner_pool_add: the sum bit for bit, gradients, layouts, torch.func."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.library import opcheck

from cornernet_ops import corner_pool, corner_pool_add, reference, testing
from cornernet_ops.checks import FLOATING
from tests.ops.processors import assert_matches_on_any_processor


def maps(shape: tuple[int, ...] = (2, 3, 4, 5), seed: int = 0) -> tuple[Tensor, Tensor]:
    return testing.random_values(shape, seed), testing.random_values(shape, seed + 100)


def pool_then_add(addend: Tensor, x: Tensor, direction: str) -> Tensor:
    return addend + reference.corner_pool(x, direction)


def test_native_matches_reference() -> None:
    testing.assert_matches_reference("corner_pool_add")


def test_kernel_for_any_processor_matches_reference() -> None:
    assert_matches_on_any_processor("corner_pool_add")


@pytest.mark.parametrize("direction", testing.DIRECTIONS)
@pytest.mark.parametrize("dtype", FLOATING)
def test_is_the_sum_bit_for_bit(direction: str, dtype: torch.dtype) -> None:
    for shape in [(2, 3, 20, 37), (1, 40, 9, 11)]:
        for layout in (torch.contiguous_format, torch.channels_last):
            addend, x = (
                one.to(dtype).contiguous(memory_format=layout) for one in maps(shape, seed=1)
            )
            expected = addend + corner_pool(x, direction)
            testing.assert_identical(corner_pool_add(addend, x, direction), expected)


def test_the_addend_is_left_as_it_was() -> None:
    addend, x = maps(seed=2)
    before = addend.clone()
    corner_pool_add(addend, x, "left")
    testing.assert_identical(addend, before)


@pytest.mark.parametrize("wanted", [(True, False), (False, True), (True, True)])
def test_gradient_of_one_argument_alone(wanted: tuple[bool, bool]) -> None:
    inputs = [x.requires_grad_(wants) for x, wants in zip(maps(seed=4), wanted, strict=True)]
    corner_pool_add(inputs[0], inputs[1], "top").pow(2).sum().backward()
    expected = [x.detach().clone().requires_grad_() for x in inputs]
    pool_then_add(expected[0], expected[1], "top").pow(2).sum().backward()
    for x, e, wants in zip(inputs, expected, wanted, strict=True):
        if wants:
            testing.assert_close(x.grad, e.grad)
        else:
            assert x.grad is None


@pytest.mark.parametrize("direction", testing.DIRECTIONS)
def test_gradcheck_and_gradgradcheck(direction: str) -> None:
    inputs: Any = (*(x.requires_grad_() for x in maps((1, 2, 3, 4), seed=5)), direction)
    assert torch.autograd.gradcheck(corner_pool_add, inputs)
    assert torch.autograd.gradgradcheck(corner_pool_add, inputs)


def test_only_x_is_kept_for_backward() -> None:
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    addend, x = (one.requires_grad_() for one in maps())
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        corner_pool_add(addend, x, "top")
    assert [t.data_ptr() for t in kept] == [x.data_ptr()]


def test_func_grad_vmap_and_both() -> None:
    addend, x = maps((3, 2, 3, 4, 5), seed=10)

    def of(pool: Callable[..., Tensor]) -> Iterator[Any]:
        def loss(a: Tensor, x: Tensor) -> Tensor:
            return (pool(a, x, "left") ** 3).sum()

        both = torch.func.grad(loss, argnums=(0, 1))
        yield both(addend[0], x[0])
        yield torch.func.vmap(both)(addend, x)
        yield torch.func.vmap(both, in_dims=(None, 0))(addend[0], x)

    for actual, expected in zip(of(corner_pool_add), of(pool_then_add), strict=True):
        testing.assert_close(actual, expected)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(0, 3), st.integers(0, 40), *[st.integers(0, 40)] * 2),
    orders=st.tuples(*[st.permutations(range(4))] * 2),
    dtype=st.sampled_from(FLOATING),
    direction=st.sampled_from(testing.DIRECTIONS),
)
def test_any_shape_and_strides(
    shape: tuple[int, ...], orders: tuple[list[int], ...], dtype: torch.dtype, direction: str
) -> None:
    inputs = []
    for seed, order in enumerate(orders):
        inverse = [order.index(d) for d in range(4)]
        values = testing.special_values(tuple(shape[d] for d in order), seed=seed)
        inputs.append(values.to(dtype).permute(inverse))
    testing.assert_identical(
        corner_pool_add(inputs[0], inputs[1], direction),
        reference.corner_pool_add(inputs[0], inputs[1], direction),
    )


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_opcheck(layout: torch.memory_format) -> None:
    inputs = (x.float().contiguous(memory_format=layout).requires_grad_() for x in maps(seed=12))
    opcheck(torch.ops.cornernet.corner_pool_add.default, (*inputs, "bottom"))


def test_autocast_leaves_the_dtype_alone() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for dtype in (torch.float32, torch.bfloat16):
            x = torch.zeros(1, 2, 3, 4, dtype=dtype)
            assert corner_pool_add(x, x, "top").dtype == dtype
