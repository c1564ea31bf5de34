"""Maps that the cases of several ops are made of: values, sizes and strides."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..checks import FLOATING, dtype_name


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_values(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def tied_values(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Few different values, so that most maxima are shared; zeros of both signs among them."""
    values = torch.randint(-2, 3, shape, generator=seeded(seed)).double()
    signs = torch.randint(0, 2, shape, generator=seeded(seed + 1)).double() * 2 - 1
    return values * signs


def special_values(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Random values with NaN, both infinities, both zeros and the smallest denormals strewn in."""
    values = random_values(shape, seed).flatten()
    special = torch.tensor([torch.nan, torch.inf, -torch.inf, 0.0, -0.0, 1e-45, -1e-45, 6e-8])
    count = values.numel() // 6
    where = torch.randint(0, max(1, values.numel()), (count,), generator=seeded(seed + 1))
    what = torch.randint(0, len(special), (count,), generator=seeded(seed + 2))
    values[where] = special[what].double()
    return values.reshape(shape)


_VALUES = {"random": random_values, "ties": tied_values, "special": special_values}

# Odd sizes, single rows and columns, sizes below, at and above those of the kernels' blocks.
_SHAPES = [(1, 1, 1, 1), (2, 3, 5, 7), (1, 2, 1, 9), (2, 1, 9, 1), (2, 5, 33, 40), (1, 70, 8, 16)]
_EMPTY = [(0, 2, 3, 4), (2, 0, 3, 4), (2, 3, 0, 4), (2, 3, 4, 0)]


def layouts(x: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The values of x [N, C, H, W] under several strides."""
    yield "contiguous", x.contiguous()
    yield "channels_last", x.contiguous(memory_format=torch.channels_last)
    yield "transposed", x.transpose(2, 3).contiguous().transpose(2, 3)
    twice = torch.cat([x, x], dim=1)
    yield "half the channels", twice[:, : x.shape[1]]
    half = twice.contiguous(memory_format=torch.channels_last)[:, : x.shape[1]]
    yield "half the channels of channels_last", half
    yield "every second column", x.repeat_interleave(2, dim=3)[..., ::2]


def feature_maps(device: torch.device | str = "cpu") -> Iterator[tuple[str, Tensor]]:
    """Maps [N, C, H, W] of all dtypes, kinds of values, sizes and strides."""
    for dtype in FLOATING:
        for kind, values in _VALUES.items():
            for shape in _SHAPES:
                x = values(shape, seed=sum(shape)).to(device=device, dtype=dtype)
                name = f"{dtype_name(dtype)} {kind} {list(shape)}"
                yield name, x
                if shape == (2, 3, 5, 7):
                    for layout, laid_out in layouts(x):
                        yield f"{name} {layout}", laid_out
        for shape in _EMPTY:
            yield (
                f"{dtype_name(dtype)} empty {list(shape)}",
                torch.zeros(shape, dtype=dtype, device=device),
            )
    constant = torch.ones(1, 1, 1, 1, device=device)
    yield "expanded", constant.expand(2, 3, 4, 5)
    yield "one NaN", _with(torch.zeros(1, 1, 5, 6, device=device), torch.nan)
    yield "one infinity", _with(torch.zeros(1, 1, 5, 6, device=device), torch.inf)


def _with(x: Tensor, value: float) -> Tensor:
    x[0, 0, 2, 3] = value
    return x
