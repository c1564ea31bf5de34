"""Corner pooling added to another map, in one pass.

Duan et al., "CenterNet: Keypoint Triplets for Object Detection", ICCV 2019, section 3.3: cascade
corner pooling looks into the object before it looks along its boundary. The pooled map of the first
look is added to the map of the second, which is pooled in turn. Done one after the other, pooling
and addition go through memory five times the size of a map; together it is three times.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .checks import FLOATING, check_tensors
from .corner_pool import _check_direction, _layout, corner_pool_backward, corner_pool_reference
from .registration import batch_first, register


def corner_pool_add(addend: Tensor, x: Tensor, direction: str) -> Tensor:
    """The sum `addend + corner_pool(x, direction)`, for cascade corner pooling.

    Bit for bit this sum, in every dtype: float16 and bfloat16 are added in float32 and rounded
    once, as torch adds them. Ties, NaN and the gradient of `x` are those of corner_pool; the
    gradient of `addend` is that of the result. The op keeps only `x` for the backward pass.
    Differentiable any number of times, also by torch.func.

    Args:
        addend: [N, C, H, W], of x's shape, dtype and device; copied once where its layout is
            another.
        x: [N, C, H, W], float16, bfloat16, float32 or float64; any of the sizes may be 0. Any
            strides: contiguous and channels_last tensors are read in place, others copied once.
        direction: "top", "bottom", "left" or "right"; see corner_pool.

    Returns:
        [N, C, H, W], of x's dtype: channels_last where x has its channels innermost, else
        contiguous.

    Raises:
        ValueError: x has not 4 dimensions, addend is of another shape or on another device, or the
            direction is another word.
        TypeError: x is not floating, or addend is of another dtype.
    """
    return _pool_add(addend, x, direction)


def _check(a: Any) -> None:
    op = "corner_pool_add"
    check_tensors(op, x=(a.x, "N C H W", FLOATING), addend=(a.addend, "N C H W", a.x.dtype))
    _check_direction(op, "direction", a.direction)


# The definition of the op, and nothing more.
def _reference(a: Any) -> Tensor:
    total = a.addend + corner_pool_reference(a.x, a.direction)
    return total.contiguous(memory_format=_layout(a.x))


def _fake(a: Any) -> Tensor:
    return torch.empty_like(a.x, memory_format=_layout(a.x))


def _setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, str], output: Tensor) -> None:
    _, x, ctx.direction = inputs
    ctx.save_for_backward(x)


def _backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, Tensor | None, None]:
    (x,) = ctx.saved_tensors
    _, wants_x, _ = ctx.needs_input_grad
    grad_x = corner_pool_backward(grad_out, x, ctx.direction) if wants_x else None
    return grad_out, grad_x, None


def _vmap(
    info: Any,
    dims: tuple[int | None, int | None, None],
    addend: Tensor,
    x: Tensor,
    direction: str,
) -> tuple[Tensor, int]:
    addend, x = batch_first(info.batch_size, dims[:2], addend, x)
    total = corner_pool_add(addend.flatten(0, 1), x.flatten(0, 1), direction)
    return total.unflatten(0, x.shape[:2]), 0


_pool_add, corner_pool_add_reference = register(
    corner_pool_add,
    "corner_pool_add(Tensor addend, Tensor x, str direction) -> Tensor",
    check=_check,
    reference=_reference,
    fake=_fake,
    setup_context=_setup_context,
    backward=_backward,
    vmap=_vmap,
)
