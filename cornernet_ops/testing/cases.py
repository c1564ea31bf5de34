"""The cases of each op, made from fixed seeds on each call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..checks import FLOATING, NORMALISED, PIXELS, dtype_name
from ..corner_pool import SCANS
from ..corner_pool_pair import CORNERS as _CORNERS
from ..soft_nms import METHODS
from .values import feature_maps, layouts, random_values, seeded, special_values, tied_values

DIRECTIONS = tuple(SCANS)
CORNERS = tuple(_CORNERS)


@dataclass(frozen=True)
class Case:
    """Arguments of one call; `name` tells what is special about them."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def call(self, function: Callable[..., Any]) -> Any:
        """What the function makes of the arguments."""
        return function(*self.args, **self.kwargs)


def corner_pool_cases(device: torch.device | str = "cpu") -> Iterator[Case]:
    """Arguments of corner_pool. Results have to be identical with the reference's."""
    for name, x in (*feature_maps(device), *_large_planes(device)):
        for direction in DIRECTIONS:
            yield Case(f"{direction} {name}", (x, direction))


def _large_planes(device: torch.device | str) -> Iterator[tuple[str, Tensor]]:
    """Rows of several pages, and planes of many rows, which kernels may go through otherwise."""
    for dtype in FLOATING:
        for shape in [(1, 2, 3, 2100), (1, 2, 8, 4500), (1, 1, 300, 130)]:
            x = special_values(shape, seed=8).to(device=device, dtype=dtype)
            yield f"{dtype_name(dtype)} large planes {list(shape)}", x


def corner_pool_backward_cases(device: torch.device | str = "cpu") -> Iterator[Case]:
    """Arguments of corner_pool_backward.

    Gradients are small integers, whose sums are exact in any order: identical results again.
    """
    for case in corner_pool_cases(device):
        x, direction = case.args
        grad = torch.randint(-2, 3, x.shape, generator=seeded(7)).to(x)
        yield Case(case.name, (grad, x, direction))


def corner_pool_add_cases(device: torch.device | str = "cpu") -> Iterator[Case]:
    """Arguments of corner_pool_add. Results have to be identical with the reference's."""
    for case in corner_pool_cases(device):
        x, direction = case.args
        # The same kinds of values in another order, and of other strides where there are any.
        yield Case(case.name, (x.flip(0, 1, 2, 3), x, direction))
    yield from _other_layouts(device, "left", "bottom")


def _other_layouts(device: torch.device | str, *last: str) -> Iterator[Case]:
    """Two maps, the one channels_last and the other not, both ways, and the argument that follows
    them, if any."""
    format = torch.channels_last
    x = special_values((1, 37, 6, 7), seed=9).to(device).contiguous(memory_format=format)
    yield Case("layouts that differ", (x, x.contiguous() * 2, *last[:1]))
    yield Case("layouts that differ the other way", (x.contiguous(), x * 2, *last[1:]))


def corner_pool_pair_cases(device: torch.device | str = "cpu") -> Iterator[Case]:
    """Arguments of corner_pool_pair. Results have to be identical with the reference's."""
    for name, vertical in (*feature_maps(device), *_large_planes(device)):
        # The same kinds of values in another order, and of other strides where there are any.
        horizontal = vertical.flip(0, 1, 2, 3)
        for corner in CORNERS:
            yield Case(f"{corner} {name}", (vertical, horizontal, corner))
    yield from _other_layouts(device, "top_left", "bottom_right")
    for dtype in FLOATING:
        # More than a cache holds of a plane.
        large = tied_values((1, 2, 300, 257), seed=10).to(device=device, dtype=dtype)
        yield Case(f"{dtype_name(dtype)} large planes", (large, large.flip(3), "top_left"))


def corner_pool_pair_backward_cases(device: torch.device | str = "cpu") -> Iterator[Case]:
    """Arguments of corner_pool_pair_backward; see corner_pool_backward_cases."""
    for case in corner_pool_pair_cases(device):
        vertical, *others = case.args
        grad = torch.randint(-2, 3, vertical.shape, generator=seeded(7)).to(vertical)
        yield Case(case.name, (grad, vertical, *others))


def center_pool_cases(device: torch.device | str = "cpu") -> Iterator[Case]:
    """Arguments of center_pool. Results have to be identical with the reference's."""
    for name, vertical in (*feature_maps(device), *_large_planes(device)):
        yield Case(name, (vertical, vertical.flip(0, 1, 2, 3)))
    yield from _other_layouts(device)
    for dtype in FLOATING:
        large = tied_values((1, 2, 300, 257), seed=10).to(device=device, dtype=dtype)
        yield Case(f"{dtype_name(dtype)} large planes", (large, large.flip(3)))
        wide = special_values((2, 70, 20, 9), seed=11).to(device=device, dtype=dtype)
        wide = wide.contiguous(memory_format=torch.channels_last)
        yield Case(f"{dtype_name(dtype)} many channels innermost", (wide, wide.flip(2)))


def center_pool_backward_cases(device: torch.device | str = "cpu") -> Iterator[Case]:
    """Arguments of center_pool_backward; see corner_pool_backward_cases."""
    for case in center_pool_cases(device):
        vertical, horizontal = case.args
        grad = torch.randint(-2, 3, vertical.shape, generator=seeded(7)).to(vertical)
        yield Case(case.name, (grad, vertical, horizontal))


def corner_peaks_cases(device: torch.device | str = "cpu") -> Iterator[Case]:
    """Arguments of corner_peaks. Results have to be identical with the reference's."""
    for name, x in feature_maps(device):
        for k, kernel_size in [(1, 3), (4, 1), (20, 5), (3000, 3)]:
            yield Case(f"{name} k={k} kernel_size={kernel_size}", (x, k, kernel_size))
    plateau = torch.ones(2, 3, 6, 7, device=device)
    yield Case("plateau", (plateau, 50, 3))
    yield Case("plateau, all of it", (plateau, 200, 3))
    yield Case("nothing but -inf", (torch.full_like(plateau, -torch.inf), 5, 3))
    yield Case("nothing but NaN", (torch.full_like(plateau, torch.nan), 5, 3))
    yield Case("zeros of both signs", (plateau * 0 * (-1) ** torch.arange(7, device=device), 90, 1))
    rising = torch.arange(2.0 * 3 * 40 * 50, device=device).reshape(2, 3, 40, 50)
    yield Case("rising", (rising, 7, 1))
    yield Case("falling", (-rising, 7, 3))
    yield Case("window larger than the map", (random_values((2, 3, 5, 4)).to(device), 9, 11))
    for dtype in FLOATING:
        heat = tied_values((2, 3, 20, 30)).to(device, dtype)
        least = torch.tensor([0.0, -torch.inf, torch.nan], device=device, dtype=dtype)
        yield Case(f"{dtype_name(dtype)} minimum scores", (heat, 700, 3, least))
        yield Case(f"{dtype_name(dtype)} minimum score of -0", (heat, 700, 3, -least * 0))
    # Few peaks where most of the highest values are.
    slope = torch.linspace(1, 0, 3 * 64 * 64, device=device).reshape(1, 3, 64, 64)
    yield Case("slope", (slope + 1e-6 * torch.rand_like(slope), 20, 3))
    # Large enough for several threads to share an image.
    yield Case("large", (random_values((1, 12, 96, 128)).float().to(device), 100, 3))
    yield Case("large with ties", (tied_values((2, 6, 96, 128)).float().to(device), 1000, 3))


def decode_arguments(
    n: int = 2,
    channels: int = 1,
    height: int = 9,
    width: int = 11,
    classes: int = 3,
    k: int = 30,
    l: int = 25,  # noqa: E741
    seed: int = 0,
) -> dict[str, Tensor]:
    """Tensor arguments of corner_decode, by name, in float64; scores are tied here and there."""
    generator = seeded(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    def indices(count: int) -> Tensor:
        cells = classes * height * width
        return torch.randint(-1, max(cells, 1), (n, count), generator=generator)

    def scores(count: int) -> Tensor:
        return (uniform(n, count) * 16).round() / 16

    return {
        "tl_scores": scores(k),
        "tl_indices": indices(k),
        "br_scores": scores(l),
        "br_indices": indices(l),
        "tl_embedding": uniform(n, channels, height, width),
        "br_embedding": uniform(n, channels, height, width),
        "tl_offset": uniform(n, 2, height, width),
        "br_offset": uniform(n, 2, height, width),
    }


def corner_decode_cases(device: torch.device | str = "cpu") -> Iterator[Case]:
    """Arguments of corner_decode. Results have to be identical with the reference's."""
    options = {"distance_threshold": 0.5, "max_pairs": 40}

    def case(name: str, arguments: dict[str, Tensor], **changed: Any) -> Case:
        tensors = tuple(tensor.to(device) for tensor in arguments.values())
        return Case(name, tensors, {**options, **changed})

    def cast(arguments: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
        return {k: v.to(dtype) if v.is_floating_point() else v for k, v in arguments.items()}

    for dtype in FLOATING:
        for channels in (0, 1, 4):
            arguments = cast(decode_arguments(channels=channels, seed=channels), dtype)
            yield case(f"{dtype_name(dtype)} {channels} channels", arguments)
    base = cast(decode_arguments(), torch.float32)
    yield case("one dtype wider", {**base, "tl_offset": base["tl_offset"].double()})
    yield case("one dtype narrower", {**base, "br_embedding": base["br_embedding"].half()})
    yield case("more pairs than there are", base, max_pairs=2000)
    yield case("one pair", base, max_pairs=1)
    yield case("threshold 0", {**base, "br_embedding": base["tl_embedding"]}, distance_threshold=0)
    yield case("threshold infinite", base, distance_threshold=torch.inf)
    # Multiples of 1/2, so that many distances lie on the threshold itself.
    on_threshold = {
        k: (v * 4).round() / 2 if "embedding" in k else v
        for k, v in cast(decode_arguments(channels=2, classes=1), torch.float32).items()
    }
    yield case("distances on the threshold", on_threshold, max_pairs=500)
    for name in ("tl_scores", "br_embedding", "tl_offset"):
        for value in (torch.nan, torch.inf, -torch.inf):
            spoilt = base[name].clone()
            spoilt.view(-1)[::3] = value
            yield case(f"{value} in {name}", {**base, name: spoilt})
    yield case(
        "no offsets, so x2 == x1 happens",
        {k: v * 0 if "offset" in k else v for k, v in base.items()},
    )
    yield case("no corner at all", {**base, "tl_indices": base["tl_indices"] * 0 - 1})
    far = {"tl_indices": base["tl_indices"] + 10**12, "br_indices": base["br_indices"] - 10**12}
    yield case("indices far out", {**base, **far})
    yield case("without the border", base, skip_border=True)
    one_row = cast(decode_arguments(height=1, width=40), torch.float32)
    yield case("without the border of one row", one_row, skip_border=True)
    yield case("indices far out, without the border", {**base, **far}, skip_border=True)
    strided = {
        k: v.transpose(1, -1).contiguous().transpose(1, -1)
        for k, v in cast(decode_arguments(channels=3), torch.float32).items()
    }
    yield case("strided", strided)
    for sizes in ({"n": 0}, {"k": 0}, {"l": 0}, {"height": 0}, {"width": 0}):
        yield case(f"empty {sizes}", cast(decode_arguments(**sizes), torch.float32))
    many = cast(decode_arguments(n=1, height=64, width=64, k=300, l=400), torch.float32)
    yield case("many", many, max_pairs=1000)
    yield case("many, without the border", many, max_pairs=1000, skip_border=True)


def corner_targets_cases(device: str | torch.device = "cpu") -> Iterator[Case]:
    """Boxes of a batch: usual, crowded, degenerate, outside their image, none."""
    random = torch.Generator().manual_seed(0)
    numbers = {"batch": 2, "num_classes": 3, "height": 16, "width": 20, "overlap": 0.3}
    scales = {"scale_y": 16 / 63, "scale_x": 20 / 79}

    def case(name: str, boxes: Tensor, **changes: Any) -> Case:
        count = boxes.shape[0]
        labels = torch.randint(0, 3, (count,), generator=random).to(device)
        images = torch.randint(0, 2, (count,), generator=random).to(device)
        return Case(name, (boxes.to(device), labels, images), numbers | scales | changes)

    def some(count: int) -> Tensor:
        corner = torch.rand(count, 2, generator=random) * torch.tensor([60.0, 50])
        return torch.cat([corner, corner + torch.rand(count, 2, generator=random) * 30], 1)

    yield case("usual", some(9))
    yield case("crowded", some(200))
    yield case("one box", some(1))
    yield case("no box", some(0))
    yield case("one cell", some(4), height=1, width=1)
    yield case("strided", some(12)[::2])
    yield case("without area", some(5)[:, [0, 1, 0, 1]])
    yield case("turned over", some(5)[:, [2, 3, 0, 1]])
    yield case("outside", some(6) * 4 - 100)
    yield case("on the edge", torch.tensor([[0.0, 0, 79, 63], [78.9, 62.9, 79, 63]]))
    yield case("huge", torch.tensor([[-1e30, -1e30, 1e30, 1e30], [0, 0, 1e20, 5]]))
    yield case("not finite", torch.tensor([[torch.nan, 0, 9, torch.inf], [-torch.inf, 1, 5, 8]]))
    yield case("formula of 2018", some(30), radius_formula="2018")
    yield case("formula of 2018, large overlap", some(30), radius_formula="2018", overlap=0.7)
    yield case("wide Gaussians", some(30), sigma_divisor=2.5)


def center_targets_cases(device: str | torch.device = "cpu") -> Iterator[Case]:
    """The boxes of corner_targets."""
    yield from corner_targets_cases(device)


def crop_resize_cases(device: str | torch.device = "cpu") -> Iterator[Case]:
    """Crops of images of 3 x 21 x 26 pixels on canvases of 19 x 23, and of other sizes."""
    random = seeded(0)
    pixels = torch.randint(0, 256, (2, 3, 21, 26), generator=random, dtype=torch.uint8)
    # x0, y0, x1, y1 on the image and on the canvas.
    windows = [
        ((3, 2, 20, 15), (4, 5, 16, 17)),  # smaller
        ((3, 2, 9, 8), (1, 0, 23, 19)),  # larger
        ((0, 0, 26, 21), (0, 0, 23, 19)),  # all of it
        ((5, 6, 17, 18), (2, 3, 14, 15)),  # as it is
        ((5, 6, 6, 7), (0, 0, 23, 19)),  # one pixel
        ((0, 0, 26, 21), (9, 9, 10, 10)),  # on one pixel
        ((-4, -3, 30, 29), (0, 0, 23, 19)),  # beyond the image
        ((40, 2, 50, 9), (0, 0, 23, 19)),  # beside it
        ((2, 2, 22, 12), (-7, -5, 40, 33)),  # beyond the canvas
        ((2, 2, 22, 12), (30, 0, 40, 10)),  # beside it
        ((4, 4, 4, 9), (0, 0, 9, 9)),  # of no width
        ((4, 9, 8, 4), (0, 0, 9, 9)),  # of a negative height
        ((4, 4, 8, 9), (3, 3, 9, 3)),  # on no height
        ((4, 4, 8, 9), (9, 3, 3, 9)),  # on a negative width
        ((0, 0, 10**12, 9), (0, 0, 10**12, 9)),  # far out
    ]
    sources, targets = (torch.tensor(one, device=device) for one in zip(*windows, strict=True))
    index = torch.arange(len(windows), device=device) % 2
    mean = torch.tensor([103.5, 116.3, 123.7], device=device)
    std = torch.tensor([57.4, 57.1, 58.4], device=device)
    usual = {"height": 19, "width": 23, "image_index": index}

    def case(name: str, images: Tensor, **changes: Any) -> Case:
        return Case(name, (images.to(device), sources, targets), {**usual, **changes})

    for kind in PIXELS:
        images = pixels.to(kind) if kind == torch.uint8 else (pixels / 255).to(kind)
        for dtype in (None, *NORMALISED):
            name = f"{dtype_name(kind)} to {'default' if dtype is None else dtype_name(dtype)}"
            yield case(name, images, dtype=dtype)
            yield case(f"{name}, normalised", images, dtype=dtype, mean=mean, std=std)
    for layout, laid_out in layouts(pixels):
        yield case(layout, laid_out, mean=mean, std=std)
    yield case("one image for all", pixels[:1], image_index=None)
    yield case("mean alone", pixels, mean=mean)
    yield case("std alone", pixels, std=std)
    yield case("one pixel", pixels[:, :, :1, :1])
    yield case("no pixels", pixels[:, :, :0], mean=mean)
    yield case("no channels", pixels[:, :0])
    yield case("one channel", pixels[:, 1:2])
    yield case("canvas of one pixel", pixels, height=1, width=1)
    yield case("wide canvas", pixels, height=2, width=300)
    none = {"height": 4, "width": 5, "image_index": index[:0]}
    yield Case("no crops", (pixels.to(device), sources[:0], targets[:0]), none)


def soft_nms_cases(device: str | torch.device) -> Iterator[Case]:
    """Crowds of boxes in three pictures, with ties and with places that hold no candidate."""
    generator = seeded(0)
    corner, size = torch.rand(2, 3, 40, 2, generator=generator) * 60 + 1
    boxes = torch.cat([corner, corner + size], 2)
    scores = (torch.rand(3, 40, generator=generator) * 16).round() / 16
    labels = torch.randint(-1, 3, (3, 40), generator=generator)
    usual = {"iou_threshold": 0.5, "sigma": 0.5, "min_score": 0.001, "max_detections": 20}

    def case(name: str, boxes: Tensor, scores: Tensor, labels: Tensor, **settings: Any) -> Case:
        given = tuple(tensor.to(device) for tensor in (boxes, scores, labels))
        return Case(name, given, {**usual, **settings})

    for method in METHODS:
        for exponent in (0.0, 10.0):
            settings = {"method": method, "merge_exponent": exponent}
            yield case(f"{method} {exponent}", boxes, scores, labels, **settings)
            wide = case(f"{method} {exponent}, float64", boxes.double(), scores, labels, **settings)
            yield wide
    low = (boxes.bfloat16(), scores.half(), labels)
    yield case("low precision", *low, method="linear")
    yield case("more than there are", boxes, scores, labels, method="hard", max_detections=90)
    yield case("no least score", boxes, scores - 0.5, labels, method="hard", min_score=-torch.inf)
    yield case("threshold 0", boxes, scores, labels, method="linear", iou_threshold=0.0)
    yield case("no candidates", boxes[:, :0], scores[:, :0], labels[:, :0], method="hard")
    yield case("no pictures", boxes[:0], scores[:0], labels[:0], method="hard")
    for value in (torch.nan, torch.inf, -torch.inf):
        spoilt_boxes, spoilt_scores = boxes.clone(), scores.clone()
        spoilt_boxes[:, ::7, 2] = value
        spoilt_scores[:, ::5] = value
        yield case(f"boxes of {value}", spoilt_boxes, scores, labels, method="linear")
        yield case(f"scores of {value}", boxes, spoilt_scores, labels, method="linear")
