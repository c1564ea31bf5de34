"""The two corner poolings of a corner and their sum, in one pass.

Law & Deng, ECCV 2018, section 3.5 and figure 7: for top-left corners one feature map is pooled
upwards, another leftwards, and the two are added. Done one after the other, that goes through
memory seven times the size of a map; together it is three times: each map is read once, the sum
written once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .checks import FLOATING, check_tensors
from .corner_pool import (
    _layout,
    _positions,
    corner_pool_backward,
    corner_pool_backward_reference,
    corner_pool_reference,
)
from .registration import batch_first, register

# Corner: the direction in which `vertical` is pooled, and that of `horizontal`.
CORNERS: dict[str, tuple[str, str]] = {
    "top_left": ("top", "left"),
    "bottom_right": ("bottom", "right"),
}


def corner_pool_pair(vertical: Tensor, horizontal: Tensor, corner: str) -> Tensor:
    """The sum of two corner poolings, which gives the evidence for one corner of a box.

    - `"top_left"`: corner_pool(vertical, "top") + corner_pool(horizontal, "left");
    - `"bottom_right"`: corner_pool(vertical, "bottom") + corner_pool(horizontal, "right").

    Bit for bit this sum, in every dtype: maxima are exact, and float16 and bfloat16 are added in
    float32 and rounded once, as torch adds them. Ties, NaN and gradients are those of corner_pool.
    Only the two inputs are kept for backward. Differentiable any number of times, also by
    torch.func.

    Args:
        vertical: [N, C, H, W], float16, bfloat16, float32 or float64; any of the sizes may be 0.
            Any strides: contiguous and channels_last tensors are read in place, others copied once.
        horizontal: of the same shape, dtype and device; copied once where its layout is another.
        corner: "top_left" or "bottom_right".

    Returns:
        [N, C, H, W], of their dtype: channels_last where `vertical` has its channels innermost,
        else contiguous.

    Raises:
        ValueError: vertical has not 4 dimensions, horizontal is of another shape or on another
            device, or the corner is another word.
        TypeError: vertical is not floating, or horizontal is of another dtype.
    """
    return _pool_pair(vertical, horizontal, corner)


def corner_pool_pair_backward(
    grad_out: Tensor, vertical: Tensor, horizontal: Tensor, corner: str
) -> tuple[Tensor, Tensor]:
    """The gradients of `corner_pool_pair`.

    Args:
        grad_out: [N, C, H, W], the gradient of the result; dtype and device of the maps, any
            strides.
        vertical, horizontal, corner: what `corner_pool_pair` was called with.

    Returns:
        The gradients of vertical and of horizontal, [N, C, H, W] each, of their dtype, laid out as
        corner_pool_pair's result.

    Raises:
        ValueError: as corner_pool_pair; or grad_out is of another shape or on another device.
        TypeError: as corner_pool_pair; or grad_out is of another dtype.
    """
    return _pool_pair_backward(grad_out, vertical, horizontal, corner)


def _check_maps(op: str, a: Any, **others: Tensor) -> None:
    same = {name: (tensor, "N C H W", a.vertical.dtype) for name, tensor in others.items()}
    check_tensors(op, vertical=(a.vertical, "N C H W", FLOATING), **same)
    if a.corner not in CORNERS:
        raise ValueError(
            f'{op}: expected corner to be "top_left" or "bottom_right", got "{a.corner}"'
        )


def _check(a: Any) -> None:
    _check_maps("corner_pool_pair", a, horizontal=a.horizontal)


def _check_backward(a: Any) -> None:
    _check_maps("corner_pool_pair_backward", a, horizontal=a.horizontal, grad_out=a.grad_out)


# The definition of the op, and nothing more.
def _reference(a: Any) -> Tensor:
    down, along = CORNERS[a.corner]
    total = corner_pool_reference(a.vertical, down) + corner_pool_reference(a.horizontal, along)
    return total.contiguous(memory_format=_layout(a.vertical))


def _backward_reference(a: Any) -> tuple[Tensor, Tensor]:
    down, along = CORNERS[a.corner]
    grad_horizontal = corner_pool_backward_reference(a.grad_out, a.horizontal, along)
    return (
        corner_pool_backward_reference(a.grad_out, a.vertical, down),
        grad_horizontal.contiguous(memory_format=_layout(a.vertical)),
    )


def _fake(a: Any) -> Tensor:
    return torch.empty_like(a.vertical, memory_format=_layout(a.vertical))


def _backward_fake(a: Any) -> tuple[Tensor, Tensor]:
    return _fake(a), _fake(a)


def _setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, str], output: Tensor) -> None:
    vertical, horizontal, ctx.corner = inputs
    ctx.save_for_backward(vertical, horizontal)


def _backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    vertical, horizontal = ctx.saved_tensors
    down, along = CORNERS[ctx.corner]
    wants_vertical, wants_horizontal, _ = ctx.needs_input_grad
    if not wants_horizontal:
        return corner_pool_backward(grad_out, vertical, down), None, None
    if not wants_vertical:
        return None, corner_pool_backward(grad_out, horizontal, along), None
    return *corner_pool_pair_backward(grad_out, vertical, horizontal, ctx.corner), None


def _backward_setup_context(
    ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, str], output: tuple[Tensor, Tensor]
) -> None:
    _, vertical, horizontal, ctx.corner = inputs
    ctx.save_for_backward(vertical, horizontal)


def _double_backward(
    ctx: Any, grad_vertical: Tensor, grad_horizontal: Tensor
) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
    """As corner_pool's: the transpose of the scattering is a gathering, of both gradients."""
    vertical, horizontal = ctx.saved_tensors
    down, along = CORNERS[ctx.corner]
    total = grad_vertical.gather(2, _positions(vertical, down))
    total = total + grad_horizontal.gather(3, _positions(horizontal, along))
    # In both maps the scattering is constant wherever it has a derivative.
    _, wants_vertical, wants_horizontal, _ = ctx.needs_input_grad
    zeros_vertical = torch.zeros_like(vertical) if wants_vertical else None
    zeros_horizontal = torch.zeros_like(horizontal) if wants_horizontal else None
    return total, zeros_vertical, zeros_horizontal, None


def _vmap(
    info: Any,
    dims: tuple[int | None, int | None, None],
    vertical: Tensor,
    horizontal: Tensor,
    corner: str,
) -> tuple[Tensor, int]:
    maps = batch_first(info.batch_size, dims[:2], vertical, horizontal)
    total = corner_pool_pair(maps[0].flatten(0, 1), maps[1].flatten(0, 1), corner)
    return total.unflatten(0, maps[0].shape[:2]), 0


def _backward_vmap(
    info: Any,
    dims: tuple[int | None, int | None, int | None, None],
    grad_out: Tensor,
    vertical: Tensor,
    horizontal: Tensor,
    corner: str,
) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
    maps = batch_first(info.batch_size, dims[:3], grad_out, vertical, horizontal)
    g, v, h = (x.flatten(0, 1) for x in maps)
    grad_v, grad_h = corner_pool_pair_backward(g, v, h, corner)
    batch = maps[0].shape[:2]
    return (grad_v.unflatten(0, batch), grad_h.unflatten(0, batch)), (0, 0)


_pool_pair, corner_pool_pair_reference = register(
    corner_pool_pair,
    "corner_pool_pair(Tensor vertical, Tensor horizontal, str corner) -> Tensor",
    check=_check,
    reference=_reference,
    fake=_fake,
    setup_context=_setup_context,
    backward=_backward,
    vmap=_vmap,
)
_pool_pair_backward, corner_pool_pair_backward_reference = register(
    corner_pool_pair_backward,
    "corner_pool_pair_backward(Tensor grad_out, Tensor vertical, Tensor horizontal, str corner)"
    " -> (Tensor, Tensor)",
    check=_check_backward,
    reference=_backward_reference,
    fake=_backward_fake,
    setup_context=_backward_setup_context,
    backward=_double_backward,
    vmap=_backward_vmap,
)
