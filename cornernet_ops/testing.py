"""The cases that every implementation must pass, on every device, and how results are compared.

    testing.assert_matches_reference("corner_pool")

A new device adds kernels and runs these; cases are made anew from fixed seeds on each call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from . import reference
from .checks import FLOATING, dtype_name
from .corner_pool import SCANS
from .corner_pool_pair import CORNERS as _CORNERS
from .soft_nms import METHODS

DIRECTIONS = tuple(SCANS)
CORNERS = tuple(_CORNERS)

# Relative and absolute tolerance where sums may be taken in another order.
TOLERANCE = {
    torch.float16: (1e-3, 1e-3),
    torch.bfloat16: (8e-3, 8e-3),
    torch.float32: (1e-5, 1e-5),
    torch.float64: (1e-12, 1e-12),
}


# Ops that compute exponentials or add up in an order of their own.
_ROUNDED = {"corner_targets", "soft_nms"}


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


def check_cases(cases: Iterable[Case], check: Callable[[Case], None]) -> None:
    """Run a check on all cases, also after some have failed.

    Raises:
        AssertionError: there are no cases; or some have failed: how many, and of each the name and
            the error.
    """
    count, failed = 0, []
    for case in cases:
        count += 1
        try:
            check(case)
        except Exception as error:  # a kernel that refuses a case has failed it, too
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            failed.append(f"{case}: {kind}{' '.join(str(error).split())}")
    assert count > 0, "there are no cases"
    assert not failed, f"{len(failed)} of {count} cases failed:\n" + "\n".join(failed)


def assert_identical(actual: Any, expected: Any) -> None:
    """Same structure, dtypes, shapes, strides, devices and bits; NaN is NaN, whatever its bits."""
    if isinstance(expected, (tuple, list)):
        assert len(actual) == len(expected)
        for a, e in zip(actual, expected, strict=True):
            assert_identical(a, e)
        return
    assert actual.dtype == expected.dtype, f"{actual.dtype}, not {expected.dtype}"
    assert actual.device == expected.device, f"{actual.device}, not {expected.device}"
    assert actual.shape == expected.shape, f"{actual.shape}, not {expected.shape}"
    assert actual.stride() == expected.stride(), f"{actual.stride()}, not {expected.stride()}"
    differs = _bits(actual) != _bits(expected)
    if actual.is_floating_point():
        differs &= ~(actual.isnan() & expected.isnan())
    where = differs.nonzero().tolist()
    assert not where, (
        f"{len(where)} of {actual.numel()} elements differ, the first at {where[0]}: "
        f"{actual[tuple(where[0])].item()}, not {expected[tuple(where[0])].item()}"
    )


def assert_close(actual: Any, expected: Any, dtype: torch.dtype | None = None) -> None:
    """Equal up to the order of summation in `dtype` (by default that of `actual`); whole numbers
    equal. Tensors, or sequences of tensors."""
    if not isinstance(expected, Tensor):
        for one, other in zip(actual, expected, strict=True):
            assert_close(one, other, dtype)
        return
    if not expected.is_floating_point():
        return assert_identical(actual, expected)
    rtol, atol = TOLERANCE[dtype or actual.dtype]
    torch.testing.assert_close(
        actual, expected, rtol=rtol, atol=atol, equal_nan=True, check_dtype=False
    )


def _bits(tensor: Tensor) -> Tensor:
    """The bits of floats as integers, which tells -0.0 from 0.0."""
    if not tensor.is_floating_point():
        return tensor
    integer = {2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    return tensor.contiguous().view(integer)


# Values


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_values(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=_generator(seed), dtype=torch.float64)


def tied_values(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Few different values, so that most maxima are shared; zeros of both signs among them."""
    values = torch.randint(-2, 3, shape, generator=_generator(seed)).double()
    signs = torch.randint(0, 2, shape, generator=_generator(seed + 1)).double() * 2 - 1
    return values * signs


def special_values(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Random values with NaN, both infinities, both zeros and the smallest denormals strewn in."""
    values = random_values(shape, seed).flatten()
    special = torch.tensor([torch.nan, torch.inf, -torch.inf, 0.0, -0.0, 1e-45, -1e-45, 6e-8])
    count = values.numel() // 6
    where = torch.randint(0, max(1, values.numel()), (count,), generator=_generator(seed + 1))
    what = torch.randint(0, len(special), (count,), generator=_generator(seed + 2))
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


# Cases


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
        grad = torch.randint(-2, 3, x.shape, generator=_generator(7)).to(x)
        yield Case(case.name, (grad, x, direction))


def corner_pool_pair_cases(device: torch.device | str = "cpu") -> Iterator[Case]:
    """Arguments of corner_pool_pair. Results have to be identical with the reference's."""
    for name, vertical in (*feature_maps(device), *_large_planes(device)):
        # The same kinds of values in another order, and of other strides where there are any.
        horizontal = vertical.flip(0, 1, 2, 3)
        for corner in CORNERS:
            yield Case(f"{corner} {name}", (vertical, horizontal, corner))
    x = (
        special_values((1, 37, 6, 7), seed=9)
        .to(device)
        .contiguous(memory_format=torch.channels_last)
    )
    yield Case("layouts that differ", (x, x.contiguous() * 2, "top_left"))
    yield Case("layouts that differ the other way", (x.contiguous(), x * 2, "bottom_right"))
    for dtype in FLOATING:
        # More than a cache holds of a plane.
        large = tied_values((1, 2, 300, 257), seed=10).to(device=device, dtype=dtype)
        yield Case(f"{dtype_name(dtype)} large planes", (large, large.flip(3), "top_left"))


def corner_pool_pair_backward_cases(device: torch.device | str = "cpu") -> Iterator[Case]:
    """Arguments of corner_pool_pair_backward; see corner_pool_backward_cases."""
    for case in corner_pool_pair_cases(device):
        vertical, *others = case.args
        grad = torch.randint(-2, 3, vertical.shape, generator=_generator(7)).to(vertical)
        yield Case(case.name, (grad, vertical, *others))


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
    generator = _generator(seed)

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

    def case(name: str, arguments: dict[str, Tensor], **changed: float) -> Case:
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
    strided = {
        k: v.transpose(1, -1).contiguous().transpose(1, -1)
        for k, v in cast(decode_arguments(channels=3), torch.float32).items()
    }
    yield case("strided", strided)
    for sizes in ({"n": 0}, {"k": 0}, {"l": 0}, {"height": 0}, {"width": 0}):
        yield case(f"empty {sizes}", cast(decode_arguments(**sizes), torch.float32))
    many = cast(decode_arguments(n=1, height=64, width=64, k=300, l=400), torch.float32)
    yield case("many", many, max_pairs=1000)


def corner_targets_cases(device: str | torch.device) -> Iterator[Case]:
    """Boxes of a batch: usual, crowded, degenerate, outside their picture, none."""
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


def soft_nms_cases(device: str | torch.device) -> Iterator[Case]:
    """Crowds of boxes in three pictures, with ties and with places that hold no candidate."""
    generator = _generator(0)
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


def cases_of(op: str, device: torch.device | str) -> Iterator[Case]:
    """The cases of an op by its name."""
    made: Iterator[Case] = globals()[f"{op}_cases"](device)
    return made


def on_cpu(value: Any) -> Any:
    """Tensors, also within tuples, lists and dicts, on the CPU; strides are kept."""
    if isinstance(value, Tensor):
        return value.cpu()
    if isinstance(value, (list, tuple)):
        return type(value)(on_cpu(item) for item in value)
    if isinstance(value, dict):
        return {key: on_cpu(item) for key, item in value.items()}
    return value


def _comparison(op: str) -> Callable[[Any, Any], None]:
    """Bits are compared, but for ops whose exponentials or sums are each implementation's own."""
    return assert_close if op in _ROUNDED else assert_identical


def assert_matches_reference(op: str, device: torch.device | str = "cpu") -> None:
    """Call an op on every case, and compare with its reference on the same device.

    Raises:
        AssertionError: with all cases that differ.
    """
    native, expected = getattr(torch.ops.cornernet, op), getattr(reference, op)
    compare = _comparison(op)
    check_cases(cases_of(op, device), lambda case: compare(case.call(native), case.call(expected)))


def assert_matches_cpu(op: str, device: torch.device | str) -> None:
    """Call an op on every case on a device, and compare with what the CPU makes of it.

    Raises:
        AssertionError: with all cases that differ.
    """
    native, compare = getattr(torch.ops.cornernet, op), _comparison(op)

    def check(case: Case) -> None:
        on_host = Case(case.name, on_cpu(case.args), on_cpu(case.kwargs))
        compare(on_cpu(case.call(native)), on_host.call(native))

    check_cases(cases_of(op, device), check)
