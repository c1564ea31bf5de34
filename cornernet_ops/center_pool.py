"""Centre pooling: every cell sees the largest values of its column and of its row.

Duan et al., "CenterNet: Keypoint Triplets for Object Detection", ICCV 2019, section 3.3 and
figure 4: the centre of an object often carries nothing that tells its class; the sum of the largest
responses in its column and in its row does.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .checks import FLOATING, check_tensors
from .corner_pool import _layout
from .registration import batch_first, register


def center_pool(vertical: Tensor, horizontal: Tensor) -> Tensor:
    """The largest value of each column of one map, plus that of each row of another.

    In value the sum of corner_pool(corner_pool(vertical, "top"), "bottom") and
    corner_pool(corner_pool(horizontal, "left"), "right"), as the paper's authors compute it. A NaN
    is the largest value. A sum of zeros is +0, whatever their signs. float16 and bfloat16 are added
    in float32 and rounded once.

    The gradient of a column goes to its maximum: of equal ones to the last, the lowest cell, and in
    a row to the rightmost; of several NaN likewise. (The chain of scans would spread it over the
    tied cells.) Only the two inputs are kept for the backward pass. Gradients below float32 are
    summed in float32 and rounded once. Deterministic; differentiable any number of times, also by
    torch.func.

    Args:
        vertical: [N, C, H, W], float16, bfloat16, float32 or float64; any of the sizes may be 0.
            Any strides: contiguous and channels_last tensors are read in place, others copied once.
        horizontal: of the same shape, dtype and device; copied once where its layout is another.

    Returns:
        [N, C, H, W], of their dtype: channels_last where `vertical` has its channels innermost,
        else contiguous.

    Raises:
        ValueError: vertical has not 4 dimensions, or horizontal is of another shape or on another
            device.
        TypeError: vertical is not floating, or horizontal is of another dtype.
    """
    return _pool(vertical, horizontal)


def center_pool_backward(
    grad_out: Tensor, vertical: Tensor, horizontal: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients of `center_pool`.

    Args:
        grad_out: [N, C, H, W], the gradient of the result; dtype and device of the maps, any
            strides.
        vertical, horizontal: what `center_pool` was called with.

    Returns:
        The gradients of vertical and of horizontal, [N, C, H, W] each, of their dtype, laid out as
        center_pool's result: at the maximum of each column (row) the sum of grad_out over that
        column (row), elsewhere 0.

    Raises:
        ValueError: as center_pool; or grad_out is of another shape or on another device.
        TypeError: as center_pool; or grad_out is of another dtype.
    """
    return _pool_backward(grad_out, vertical, horizontal)


def _check_maps(op: str, a: Any, **others: Tensor) -> None:
    same = {name: (tensor, "N C H W", a.vertical.dtype) for name, tensor in others.items()}
    check_tensors(op, vertical=(a.vertical, "N C H W", FLOATING), **same)


def _check(a: Any) -> None:
    _check_maps("center_pool", a, horizontal=a.horizontal)


def _check_backward(a: Any) -> None:
    _check_maps("center_pool_backward", a, horizontal=a.horizontal, grad_out=a.grad_out)


def _positions(x: Tensor, dim: int) -> Tensor:
    """Where the last of the largest elements along a dimension is; the dimension is kept."""
    # torch.argmax gives the first.
    return x.shape[dim] - 1 - x.detach().flip(dim).argmax(dim, keepdim=True)


# torch reduces in an order of its own, and which of two zeros of different signs it gives is left
# open: adding zero makes both +0.
def _reference(a: Any) -> Tensor:
    if a.vertical.numel() == 0:
        return _fake(a)
    columns = a.vertical.amax(2, keepdim=True) + 0.0
    total = columns + a.horizontal.amax(3, keepdim=True)
    return total.contiguous(memory_format=_layout(a.vertical))


def _backward_reference(a: Any) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(a.grad_out.dtype, torch.float32)

    def scatter(x: Tensor, dim: int) -> Tensor:
        grad = torch.zeros(x.shape, dtype=dtype, device=x.device)
        if x.numel() > 0:
            total = a.grad_out.sum(dim, keepdim=True, dtype=dtype)
            grad = grad.scatter(dim, _positions(x, dim), total)
        return grad.to(x.dtype).contiguous(memory_format=_layout(a.vertical))

    return scatter(a.vertical, 2), scatter(a.horizontal, 3)


def _fake(a: Any) -> Tensor:
    return torch.empty_like(a.vertical, memory_format=_layout(a.vertical))


def _backward_fake(a: Any) -> tuple[Tensor, Tensor]:
    return _fake(a), _fake(a)


def _setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, Tensor]:
    return center_pool_backward(grad_out, *ctx.saved_tensors)


def _backward_setup_context(
    ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: tuple[Tensor, Tensor]
) -> None:
    ctx.save_for_backward(*inputs[1:])


def _double_backward(
    ctx: Any, grad_vertical: Tensor, grad_horizontal: Tensor
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The transpose of summing a column into one cell: that cell's gradient, all along the column.

    In both maps center_pool_backward is constant wherever it has a derivative.
    """
    vertical, horizontal = ctx.saved_tensors
    _, wants_vertical, wants_horizontal = ctx.needs_input_grad
    zeros_vertical = torch.zeros_like(vertical) if wants_vertical else None
    zeros_horizontal = torch.zeros_like(horizontal) if wants_horizontal else None
    if vertical.numel() == 0:
        return torch.zeros_like(vertical), zeros_vertical, zeros_horizontal
    down = grad_vertical.gather(2, _positions(vertical, 2))
    along = grad_horizontal.gather(3, _positions(horizontal, 3))
    return down + along, zeros_vertical, zeros_horizontal


def _vmap(
    info: Any, dims: tuple[int | None, int | None], vertical: Tensor, horizontal: Tensor
) -> tuple[Tensor, int]:
    maps = batch_first(info.batch_size, dims, vertical, horizontal)
    total = center_pool(maps[0].flatten(0, 1), maps[1].flatten(0, 1))
    return total.unflatten(0, maps[0].shape[:2]), 0


def _backward_vmap(
    info: Any,
    dims: tuple[int | None, int | None, int | None],
    grad_out: Tensor,
    vertical: Tensor,
    horizontal: Tensor,
) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
    maps = batch_first(info.batch_size, dims, grad_out, vertical, horizontal)
    grad_v, grad_h = center_pool_backward(*(x.flatten(0, 1) for x in maps))
    batch = maps[0].shape[:2]
    return (grad_v.unflatten(0, batch), grad_h.unflatten(0, batch)), (0, 0)


_pool, center_pool_reference = register(
    center_pool,
    "center_pool(Tensor vertical, Tensor horizontal) -> Tensor",
    check=_check,
    reference=_reference,
    fake=_fake,
    setup_context=_setup_context,
    backward=_backward,
    vmap=_vmap,
)
_pool_backward, center_pool_backward_reference = register(
    center_pool_backward,
    "center_pool_backward(Tensor grad_out, Tensor vertical, Tensor horizontal) -> (Tensor, Tensor)",
    check=_check_backward,
    reference=_backward_reference,
    fake=_backward_fake,
    setup_context=_backward_setup_context,
    backward=_double_backward,
    vmap=_backward_vmap,
)
