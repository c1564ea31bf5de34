"""Corner pooling: every cell sees the largest value in one direction.

Law & Deng, "CornerNet: Detecting Objects as Paired Keypoints", ECCV 2018, section 3.5 and figure 6.
A corner of a box often lies where nothing of the object can be seen; looking along the row and the
column for the largest response is how the network finds the object that the corner belongs to.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .checks import FLOATING, check_tensors
from .registration import batch_first, register

# Direction: the dimension that is scanned, and whether from its end to its beginning.
SCANS: dict[str, tuple[int, bool]] = {
    "top": (2, True),
    "bottom": (2, False),
    "left": (3, True),
    "right": (3, False),
}


def corner_pool(x: Tensor, direction: str) -> Tensor:
    """The running maximum of `x` along rows or columns (CornerNet, section 3.5).

    - `"top"`: out[y] is the maximum over the rows at or below y (a scan upwards);
    - `"bottom"`: over the rows at or above y;
    - `"left"`: over the columns at or right of x (a scan leftwards);
    - `"right"`: over the columns at or left of x.

    Values, ties and NaN are those of torch.cummax: of equal elements the last one along the scan is
    the maximum and receives the gradient, and once a NaN is met everything after it is NaN. Only
    `x` itself is kept for backward. Gradients below float32 are summed in float32 and rounded once.
    Deterministic; differentiable any number of times, also by torch.func.

    Args:
        x: [N, C, H, W], float16, bfloat16, float32 or float64; any of the sizes may be 0. Any
            strides: contiguous and channels_last tensors are read in place, others copied once.
        direction: "top", "bottom", "left" or "right".

    Returns:
        [N, C, H, W], of x's dtype: channels_last where x has its channels innermost, else
        contiguous.

    Raises:
        ValueError: x has not 4 dimensions, or the direction is another word.
        TypeError: x is not floating.
    """
    return _pool(x, direction)


def corner_pool_backward(grad_out: Tensor, x: Tensor, direction: str) -> Tensor:
    """The gradient of `corner_pool`: each cell of `grad_out` is added where its maximum came from.

    Args:
        grad_out: [N, C, H, W], the gradient of the result; x's dtype and device, any strides.
        x, direction: what `corner_pool` was called with.

    Returns:
        [N, C, H, W], the gradient of x, of x's dtype, laid out as corner_pool's result.

    Raises:
        ValueError: as corner_pool; or grad_out is of another shape or on another device than x.
        TypeError: as corner_pool; or grad_out is of another dtype than x.
    """
    return _pool_backward(grad_out, x, direction)


class CornerPool(nn.Module):
    """`corner_pool` as a module; takes the place of mmcv's `CornerPool(mode)`.

    Args:
        mode: "top", "bottom", "left" or "right".

    Raises:
        ValueError: mode is another word.
    """

    def __init__(self, mode: str) -> None:
        super().__init__()
        _check_direction("CornerPool", "mode", mode)
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        return corner_pool(x, self.mode)

    def extra_repr(self) -> str:
        return f"mode={self.mode!r}"


def _check_direction(op: str, name: str, direction: str) -> None:
    if direction not in SCANS:
        raise ValueError(
            f'{op}: expected {name} to be "top", "bottom", "left" or "right", got "{direction}"'
        )


def _check(a: Any) -> None:
    check_tensors("corner_pool", x=(a.x, "N C H W", FLOATING))
    _check_direction("corner_pool", "direction", a.direction)


def _check_backward(a: Any) -> None:
    op = "corner_pool_backward"
    check_tensors(op, x=(a.x, "N C H W", FLOATING), grad_out=(a.grad_out, "N C H W", a.x.dtype))
    _check_direction(op, "direction", a.direction)


def _layout(x: Tensor) -> torch.memory_format:
    """The memory format of the results; `layout_of` in csrc/common/corner_pool_args.h is its twin.

    Channels innermost means channels_last, also for a part of such a tensor that is not dense.
    """
    if x.shape[1] > 1 and x.stride(1) == 1 and not x.is_contiguous():
        return torch.channels_last
    return torch.contiguous_format


def _scan(x: Tensor, direction: str) -> tuple[Tensor, Tensor]:
    """The running maximum, and the position along the scanned dimension that each comes from."""
    dim, reverse = SCANS[direction]
    if not reverse:
        values, positions = x.cummax(dim)
        return values, positions
    values, positions = x.flip(dim).cummax(dim)
    return values.flip(dim), x.shape[dim] - 1 - positions.flip(dim)


def _positions(x: Tensor, direction: str) -> Tensor:
    """The position along the scanned dimension that each maximum comes from."""
    _, positions = _scan(x.detach(), direction)
    return positions


# torch.cummax is the definition of this op, so the reference is that and nothing more. It is slow
# (it fills an index tensor twice the size of a float32 input, and scans columns with large strides)
# but exact on every device, and autograd can look into it when it is called directly.
def _reference(a: Any) -> Tensor:
    values, _ = _scan(a.x, a.direction)
    return values.contiguous(memory_format=_layout(a.x))


# The positions are computed again from x, so that forward keeps nothing but its input. Sums of low
# precision are taken in float32: a maximum that wins a whole row collects hundreds of terms.
def _backward_reference(a: Any) -> Tensor:
    dim, _ = SCANS[a.direction]
    dtype = torch.promote_types(a.x.dtype, torch.float32)
    grad = torch.zeros(a.x.shape, dtype=dtype, device=a.x.device)
    grad = grad.scatter_add(dim, _positions(a.x, a.direction), a.grad_out.to(dtype))
    return grad.to(a.x.dtype).contiguous(memory_format=_layout(a.x))


def _fake(a: Any) -> Tensor:
    return torch.empty_like(a.x, memory_format=_layout(a.x))


def _setup_context(ctx: Any, inputs: tuple[Tensor, str], output: Tensor) -> None:
    x, ctx.direction = inputs
    ctx.save_for_backward(x)


def _backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, None]:
    (x,) = ctx.saved_tensors
    return corner_pool_backward(grad_out, x, ctx.direction), None


def _backward_setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, str], output: Tensor) -> None:
    _, x, ctx.direction = inputs
    ctx.save_for_backward(x)


def _double_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
    """corner_pool_backward is linear in grad_out (it scatters), so its transpose gathers.

    In x it is constant wherever it has a derivative. Plain torch ops, which autograd can follow.
    """
    (x,) = ctx.saved_tensors
    dim, _ = SCANS[ctx.direction]
    grad_x = torch.zeros_like(x) if ctx.needs_input_grad[1] else None
    return grad.gather(dim, _positions(x, ctx.direction)), grad_x, None


# Images are pooled one by one, so a batch of batches is a larger batch.
def _vmap(
    info: Any, dims: tuple[int | None, None], x: Tensor, direction: str
) -> tuple[Tensor, int]:
    (x,) = batch_first(info.batch_size, dims[:1], x)
    return corner_pool(x.flatten(0, 1), direction).unflatten(0, x.shape[:2]), 0


def _backward_vmap(
    info: Any,
    dims: tuple[int | None, int | None, None],
    grad_out: Tensor,
    x: Tensor,
    direction: str,
) -> tuple[Tensor, int]:
    grad_out, x = batch_first(info.batch_size, dims[:2], grad_out, x)
    grad_x = corner_pool_backward(grad_out.flatten(0, 1), x.flatten(0, 1), direction)
    return grad_x.unflatten(0, x.shape[:2]), 0


_pool, corner_pool_reference = register(
    corner_pool,
    "corner_pool(Tensor x, str direction) -> Tensor",
    check=_check,
    reference=_reference,
    fake=_fake,
    setup_context=_setup_context,
    backward=_backward,
    vmap=_vmap,
)
_pool_backward, corner_pool_backward_reference = register(
    corner_pool_backward,
    "corner_pool_backward(Tensor grad_out, Tensor x, str direction) -> Tensor",
    check=_check_backward,
    reference=_backward_reference,
    fake=_fake,
    setup_context=_backward_setup_context,
    backward=_double_backward,
    vmap=_backward_vmap,
)
