"""crop_resize against a loop of crops and interpolations, and against copying as many bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cornernet_ops import crop_resize, reference
from cornernet_ops.testing import assert_close

from .measure import Case

SIDE = 255
CROPS = 30
HEIGHT, WIDTH = 480, 640
MEAN, STD = (103.5, 116.3, 123.7), (57.4, 57.1, 58.4)


def windows(zoom: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Square windows all over an image, and the whole canvas for each."""
    random = torch.Generator().manual_seed(0)
    side = min(int(SIDE / zoom), HEIGHT)
    x = torch.randint(0, WIDTH - side + 1, (CROPS,), generator=random)
    y = torch.randint(0, HEIGHT - side + 1, (CROPS,), generator=random)
    sources = torch.stack([x, y, x + side, y + side], 1)
    targets = torch.tensor([0, 0, SIDE, SIDE]).expand(CROPS, 4)
    return sources.to(device), targets.contiguous().to(device)


def one_by_one(image: Tensor, sources: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    crops = []
    for x0, y0, x1, y1 in sources.tolist():
        part = image[:, :, y0:y1, x0:x1].float()
        crops.append(F.interpolate(part, (SIDE, SIDE), mode="bilinear", align_corners=False))
    return (torch.cat(crops) - mean[:, None, None]) / std[:, None, None]


def same(actual: Any, expected: Any) -> None:
    assert_close(actual, expected, torch.float16)  # sums in another order, of numbers up to 255


def cases(device: torch.device, full: bool) -> Iterator[Case]:
    random = torch.Generator().manual_seed(1)
    image = torch.randint(0, 256, (1, 3, HEIGHT, WIDTH), generator=random, dtype=torch.uint8)
    mean, std = torch.tensor(MEAN, device=device), torch.tensor(STD, device=device)
    for kind in (torch.uint8, torch.float32):
        for zoom in (2.0, 4.0) if not full else (0.6, 1.0, 2.0, 4.0):
            yield _case(image.to(device, kind), windows(zoom, device), zoom, (mean, std))


def _case(
    image: Tensor, places: tuple[Tensor, Tensor], zoom: float, normal: Sequence[Tensor]
) -> Case:
    mean, std = normal
    options: dict[str, Any] = {"height": SIDE, "width": SIDE, "mean": mean, "std": std}
    canvas = torch.zeros(CROPS, 3, SIDE, SIDE, device=image.device)
    return Case(
        op="crop_resize",
        part="all crops",
        variant=f"zoom {zoom:g}",
        setting=f"{str(image.dtype).removeprefix('torch.')} {CROPS} crops of {SIDE}x{SIDE}",
        moved=2 * canvas.nbytes,
        call=lambda: crop_resize(image, *places, **options),
        others={
            "reference": lambda: reference.crop_resize(image, *places, **options),
            "one by one": lambda: one_by_one(image, places[0], mean, std),
        },
        floor=canvas.clone,
        same=same,
    )
