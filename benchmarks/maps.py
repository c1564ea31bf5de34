"""Feature maps that several benchmarks pool or search."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cornernet_ops.checks import FLOATING, dtype_name

from .measure import Call, Case

_LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True)
class Setting:
    """How the maps of a case look."""

    dtype: torch.dtype
    layout: str
    shape: tuple[int, int, int, int]

    def __str__(self) -> str:
        return f"{dtype_name(self.dtype)} {self.layout} {list(self.shape)}"

    @property
    def peers_are_timed(self) -> bool:
        """Peers take hundreds of times as long as we do, and much the same in all settings."""
        return self.dtype == torch.float32 and self.layout == "contiguous"

    def random(self, device: torch.device, seed: int = 0) -> Tensor:
        """Normal values without any order; they are made on the CPU, the same for all devices."""
        generator = torch.Generator().manual_seed(seed)
        return self._laid_out(torch.randn(self.shape, generator=generator), device)

    def integers(self, device: torch.device, seed: int = 0) -> Tensor:
        """From -2 to 2, so that sums along a row are exact in any order and dtype."""
        generator = torch.Generator().manual_seed(seed)
        return self._laid_out(torch.randint(-2, 3, self.shape, generator=generator), device)

    def _laid_out(self, x: Tensor, device: torch.device) -> Tensor:
        return x.to(device, self.dtype).contiguous(memory_format=_LAYOUTS[self.layout])


# The maps that a batch of six gives the pools of Hourglass-104 (511 pixels, 128 channels), and what
# has about as many bytes at other sizes. Quick: those of one picture.
FULL_SHAPES = [(24, 128, 64, 64), (6, 128, 128, 128), (2, 128, 256, 256), (1, 64, 512, 512)]
QUICK_SHAPES = [(1, 128, 128, 128)]


def settings(full: bool) -> Iterator[Setting]:
    """Quick: float32 and bfloat16. Full: dtypes and layouts at one size, sizes in one dtype."""
    if not full:
        for shape in QUICK_SHAPES:
            for dtype in (torch.float32, torch.bfloat16):
                yield Setting(dtype, "contiguous", shape)
        return
    for shape in FULL_SHAPES:
        if shape[-1] == 128:
            for dtype in FLOATING:
                for layout in _LAYOUTS:
                    yield Setting(dtype, layout, shape)
        else:
            yield Setting(torch.float32, "contiguous", shape)


@dataclass(frozen=True)
class Contest:
    """An op and its peers on maps of one setting."""

    op: str
    variant: str
    setting: Setting
    size: int  # bytes of a map
    full: bool
    ours: Callable[..., Tensor]
    peers: Mapping[str, Callable[..., Tensor]]

    def case(
        self,
        part: str,
        passes: int,
        make: Callable[[Any], Call],
        reference: Call,
        floor: Call,
    ) -> Case:
        """What `make` makes of the op and of each peer; `passes` maps are read or written.

        The reference takes so long that in full runs it is only compared.
        """
        compared = {"reference": reference}
        return Case(
            op=self.op,
            part=part,
            variant=self.variant,
            setting=str(self.setting),
            moved=passes * self.size,
            call=make(self.ours),
            others=({} if self.full else compared)
            | {name: make(peer) for name, peer in self.peers.items()},
            floor=floor,
            compared=compared if self.full else {},
        )
