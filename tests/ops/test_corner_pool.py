"""corner_pool: values, gradients, layouts, errors, and what torch makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.library import opcheck

from cornernet_ops import CornerPool, corner_pool, corner_pool_backward, reference, testing
from cornernet_ops.checks import FLOATING
from tests.ops.processors import assert_matches_on_any_processor

OPS = torch.ops.cornernet
IMPLEMENTATIONS = [corner_pool, reference.corner_pool]


def scan_order(direction: str, length: int) -> list[int]:
    return list(range(length)) if direction in ("bottom", "right") else list(range(length))[::-1]


def brute_force(x: np.ndarray, g: np.ndarray, direction: str) -> tuple[np.ndarray, np.ndarray]:
    """Values and gradient by walking every line, one element after the other."""
    axis = 2 if direction in ("top", "bottom") else 3
    x, g = np.moveaxis(x, axis, -1), np.moveaxis(g, axis, -1)
    y, dx = np.empty_like(x), np.zeros_like(x)
    for line in np.ndindex(x.shape[:-1]):
        best = None
        for p in scan_order(direction, x.shape[-1]):
            value = x[line][p]
            if best is None or math.isnan(value) or value >= x[line][best]:
                best = p
            y[line][p] = x[line][best]
            dx[line][best] += g[line][p]
    return np.moveaxis(y, -1, axis), np.moveaxis(dx, -1, axis)


@pytest.mark.parametrize("op", ["corner_pool", "corner_pool_backward"])
def test_native_matches_reference(op: str) -> None:
    testing.assert_matches_reference(op)


def test_kernels_for_any_processor_match_reference() -> None:
    assert_matches_on_any_processor("corner_pool", "corner_pool_backward")


@pytest.mark.parametrize("direction", testing.DIRECTIONS)
@pytest.mark.parametrize("values", [testing.random_values, testing.tied_values])
def test_matches_brute_force(direction: str, values: Callable[..., Tensor]) -> None:
    x = values((2, 3, 6, 5), seed=3)
    g = testing.random_values(x.shape, seed=4)
    expected, expected_grad = brute_force(x.numpy(), g.numpy(), direction)
    testing.assert_identical(corner_pool(x, direction), torch.from_numpy(expected).contiguous())
    testing.assert_close(corner_pool_backward(g, x, direction), torch.from_numpy(expected_grad))


@pytest.mark.parametrize("direction", testing.DIRECTIONS)
def test_special_values_match_brute_force(direction: str) -> None:
    x = testing.special_values((2, 3, 8, 9), seed=5)
    g = torch.ones_like(x)
    expected, expected_grad = brute_force(x.numpy(), g.numpy(), direction)
    testing.assert_identical(corner_pool(x, direction), torch.from_numpy(expected).contiguous())
    testing.assert_close(corner_pool_backward(g, x, direction), torch.from_numpy(expected_grad))


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ("top", [[7.0, 8.0, 9.0], [7.0, 4.0, 9.0], [7.0, 2.0, 3.0]]),
        ("bottom", [[1.0, 8.0, 5.0], [6.0, 8.0, 9.0], [7.0, 8.0, 9.0]]),
        ("left", [[8.0, 8.0, 5.0], [9.0, 9.0, 9.0], [7.0, 3.0, 3.0]]),
        ("right", [[1.0, 8.0, 8.0], [6.0, 6.0, 9.0], [7.0, 7.0, 7.0]]),
    ],
)
@pytest.mark.parametrize("pool", IMPLEMENTATIONS)
def test_directions_are_cornernets(
    pool: Callable[..., Tensor], direction: str, expected: list[list[float]]
) -> None:
    x = torch.tensor([[[[1.0, 8.0, 5.0], [6.0, 4.0, 9.0], [7.0, 2.0, 3.0]]]])
    assert pool(x, direction)[0, 0].tolist() == expected


@pytest.mark.parametrize("pool", IMPLEMENTATIONS)
def test_nan_spreads_along_the_scan_only(pool: Callable[..., Tensor]) -> None:
    x = torch.tensor([[[[1.0, math.nan, 3.0, 2.0]]]])
    assert pool(x, "right").isnan().flatten().tolist() == [False, True, True, True]
    assert pool(x, "left").isnan().flatten().tolist() == [True, True, False, False]


# The scan to the right meets 5 at 0, again at 1 (which also wins at 2) and at 3; the one to the
# left meets it at 3 (which also wins at 2), at 1 and at 0.
@pytest.mark.parametrize("backward", [corner_pool_backward, reference.corner_pool_backward])
@pytest.mark.parametrize(
    ("direction", "expected"), [("right", [1.0, 6.0, 0.0, 8.0]), ("left", [1.0, 2.0, 0.0, 12.0])]
)
def test_ties_send_the_gradient_to_the_last_along_the_scan(
    backward: Callable[..., Tensor], direction: str, expected: list[float]
) -> None:
    x = torch.tensor([[[[5.0, 5.0, 1.0, 5.0]]]])
    g = torch.tensor([[[[1.0, 2.0, 4.0, 8.0]]]])
    assert backward(g, x, direction).flatten().tolist() == expected


@pytest.mark.parametrize("direction", testing.DIRECTIONS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_gradient_close_to_float64(direction: str, dtype: torch.dtype) -> None:
    x = testing.random_values((2, 4, 40, 40), seed=6).to(dtype)
    g = testing.random_values(x.shape, seed=7).to(dtype)
    exact = reference.corner_pool_backward(g.double(), x.double(), direction)
    testing.assert_close(corner_pool_backward(g, x, direction).double(), exact, dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("backward", [corner_pool_backward, reference.corner_pool_backward])
def test_low_precision_gradient_is_rounded_once(
    backward: Callable[..., Tensor], dtype: torch.dtype
) -> None:
    # 4096 ones, which would stand still at 2048 or 256 if they were added up in the dtype.
    x = torch.zeros(1, 1, 1, 4096, dtype=dtype)
    x[..., 0] = 1
    grad = backward(torch.ones_like(x), x, "right")
    assert grad[0, 0, 0, 0].item() == 4096


# Two gradients meet in one sum, so that the order of adding up has no say: bit for bit the rounding
# that torch does, denormals, ties and overflow included. 70 and 3: in vectors, and one by one.
@pytest.mark.parametrize("direction", testing.DIRECTIONS)
@pytest.mark.parametrize("lines", [3, 70])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_gradient_is_rounded_as_torch_does(
    direction: str, lines: int, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(12)
    bits = torch.randint(-(2**15), 2**15, (60, 1, 2, lines), generator=generator)
    g = bits.to(torch.int16).view(dtype)
    x = torch.zeros_like(g)
    x[:, :, scan_order(direction, 2)[0]] = 1
    if direction in ("left", "right"):
        g, x = g.transpose(2, 3).contiguous(), x.transpose(2, 3).contiguous()
    testing.assert_identical(
        corner_pool_backward(g, x, direction), reference.corner_pool_backward(g, x, direction)
    )


@pytest.mark.parametrize("direction", testing.DIRECTIONS)
def test_gradcheck(direction: str) -> None:
    x = testing.random_values((2, 2, 4, 5), seed=8).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: corner_pool(x, direction), x)


@pytest.mark.parametrize("direction", testing.DIRECTIONS)
def test_gradgradcheck(direction: str) -> None:
    x = testing.random_values((2, 2, 3, 4), seed=9).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: corner_pool(x, direction), x)


@pytest.mark.parametrize("direction", testing.DIRECTIONS)
def test_double_backward_of_ties_matches_cummax(direction: str) -> None:
    x = testing.tied_values((2, 2, 4, 5), seed=10)
    weights = testing.random_values(x.shape, seed=11)

    def second(pool: Callable[..., Tensor]) -> torch.Tensor:
        leaf = x.clone().requires_grad_()
        upstream = weights.clone().requires_grad_()
        (grad,) = torch.autograd.grad(pool(leaf, direction), leaf, upstream, create_graph=True)
        return torch.autograd.grad((grad**3).sum(), upstream)[0]

    testing.assert_close(second(corner_pool), second(reference.corner_pool))


def loss(pool: Callable[..., Tensor], x: torch.Tensor, direction: str) -> torch.Tensor:
    return (pool(x, direction) ** 3).sum()


@pytest.mark.parametrize("direction", testing.DIRECTIONS)
def test_func_grad_is_autograds(direction: str) -> None:
    x = testing.random_values((2, 3, 4, 5), seed=12)
    expected = torch.func.grad(lambda x: loss(reference.corner_pool, x, direction))(x)
    assert torch.equal(torch.func.grad(lambda x: loss(corner_pool, x, direction))(x), expected)


@pytest.mark.parametrize("in_dim", [0, 2, 4])
@pytest.mark.parametrize("direction", testing.DIRECTIONS)
def test_vmap_is_a_loop(direction: str, in_dim: int) -> None:
    x = testing.random_values((2, 3, 4, 5, 6), seed=13)
    pooled = torch.func.vmap(lambda x: corner_pool(x, direction), in_dims=in_dim)(x)
    assert torch.equal(
        pooled, torch.stack([corner_pool(one, direction) for one in x.unbind(in_dim)])
    )


@pytest.mark.parametrize("shape", [(0, 2, 3, 4, 5), (2, 0, 3, 4, 5), (2, 3, 4, 5, 0)])
def test_vmap_of_nothing(shape: tuple[int, ...]) -> None:
    assert torch.func.vmap(lambda x: corner_pool(x, "top"))(torch.zeros(shape)).shape == shape


@pytest.mark.parametrize("direction", testing.DIRECTIONS)
def test_grad_of_vmap_and_vmap_of_grad(direction: str) -> None:
    x = testing.random_values((3, 2, 3, 4, 5), seed=14)

    def of(pool: Callable[..., Tensor]) -> Iterator[Any]:
        def one(x: torch.Tensor) -> torch.Tensor:
            return loss(pool, x, direction)

        yield torch.func.vmap(torch.func.grad(one))(x)
        yield torch.func.grad(lambda x: torch.func.vmap(one)(x).sum())(x)
        yield torch.func.vmap(torch.func.vmap(torch.func.grad(one)))(x[None])[0]

    for actual, expected in zip(of(corner_pool), of(reference.corner_pool), strict=True):
        testing.assert_close(actual, expected)


def test_vmap_of_backward_takes_what_is_shared() -> None:
    x, g = testing.random_values((2, 3, 4, 5)), testing.random_values((3, 2, 3, 4, 5), seed=1)
    grads = torch.func.vmap(lambda g: corner_pool_backward(g, x, "left"))(g)
    assert torch.equal(grads, torch.stack([corner_pool_backward(one, x, "left") for one in g]))


def test_func_differentiates_twice() -> None:
    x = testing.random_values((1, 2, 3, 4), seed=15)

    def second(pool: Callable[..., Tensor]) -> torch.Tensor:
        first = torch.func.grad(lambda x: loss(pool, x, "left"))
        return torch.func.grad(lambda x: (first(x) ** 2).sum())(x)

    testing.assert_close(second(corner_pool), second(reference.corner_pool))


def test_only_the_input_is_kept_for_backward() -> None:
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    x = torch.randn(2, 3, 4, 5, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        corner_pool(x, "top")
    assert [t.data_ptr() for t in kept] == [x.data_ptr()]


@pytest.mark.parametrize("direction", testing.DIRECTIONS)
def test_channels_last_stays(direction: str) -> None:
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = corner_pool(x, direction)
    assert y.is_contiguous(memory_format=torch.channels_last)
    y.sum().backward()
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


def test_deterministic_over_thread_counts() -> None:
    x, g = testing.random_values((2, 8, 64, 64)).float(), testing.random_values((2, 8, 64, 64), 1)
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(corner_pool_backward(g.float(), x, "left"))
    finally:
        torch.set_num_threads(threads)
    testing.assert_identical(*results)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    shape=st.tuples(*[st.integers(0, 3)] * 2, *[st.integers(0, 70)] * 2),
    values=st.sampled_from([testing.random_values, testing.tied_values, testing.special_values]),
    order=st.permutations(range(4)),
    dtype=st.sampled_from(FLOATING),
    direction=st.sampled_from(testing.DIRECTIONS),
)
def test_any_shape_and_strides(
    shape: tuple[int, ...],
    values: Callable[..., Tensor],
    order: list[int],
    dtype: torch.dtype,
    direction: str,
) -> None:
    inverse = [order.index(d) for d in range(4)]
    x = values(tuple(shape[d] for d in order)).to(dtype).permute(inverse)
    assert x.shape == shape
    testing.assert_identical(corner_pool(x, direction), reference.corner_pool(x, direction))
    g = testing.tied_values(shape).to(dtype)
    testing.assert_identical(
        corner_pool_backward(g, x, direction), reference.corner_pool_backward(g, x, direction)
    )


def test_module_pools_and_shows_its_mode() -> None:
    x = torch.randn(1, 2, 3, 4)
    module = CornerPool("left")
    assert torch.equal(module(x), corner_pool(x, "left"))
    assert repr(module) == "CornerPool(mode='left')"


@pytest.mark.parametrize("direction", testing.DIRECTIONS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_opcheck(direction: str, layout: torch.memory_format) -> None:
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=layout).requires_grad_()
    opcheck(OPS.corner_pool.default, (x, direction))


def test_opcheck_backward() -> None:
    x = torch.randn(2, 3, 4, 5, requires_grad=True)
    opcheck(OPS.corner_pool_backward.default, (torch.randn_like(x), x, "top"))


def test_compiles_as_one_graph_with_dynamic_shapes() -> None:
    def model(x: torch.Tensor) -> torch.Tensor:
        return (corner_pool(x * 2, "top") + corner_pool(x * 2, "left")).relu()

    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    for shape in [(2, 3, 4, 5), (1, 3, 9, 7)]:
        x = torch.randn(shape, requires_grad=True)
        y = torch.randn(shape).copy_(x.detach()).requires_grad_()
        compiled(x).sum().backward()
        model(y).sum().backward()
        testing.assert_identical(x.grad, y.grad)


@pytest.mark.slow
def test_compiles_with_inductor() -> None:
    compiled = torch.compile(lambda x: corner_pool(x * 2, "top") + 1, fullgraph=True)
    x = torch.randn(1, 3, 4, 5)
    testing.assert_identical(compiled(x), corner_pool(x * 2, "top") + 1)


def test_exports_with_dynamic_size() -> None:
    sizes = {2: torch.export.Dim("h", min=2, max=64), 3: torch.export.Dim("w", min=2, max=64)}
    program = torch.export.export(
        CornerPool("top"), (torch.randn(1, 3, 8, 9),), dynamic_shapes=({**sizes},), strict=False
    )
    x = torch.randn(1, 3, 12, 5)
    testing.assert_identical(program.module()(x), corner_pool(x, "top"))


def test_autocast_leaves_the_dtype_alone() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert corner_pool(torch.randn(1, 2, 3, 4), "top").dtype == torch.float32
        assert corner_pool(torch.randn(1, 2, 3, 4).bfloat16(), "top").dtype == torch.bfloat16
