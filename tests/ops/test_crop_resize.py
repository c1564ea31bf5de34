"""crop_resize: the kernel against the reference, and the reference against interpolation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.library import opcheck

from cornernet_ops import crop_resize, reference, testing
from tests.ops.processors import assert_matches_on_any_processor

BOTH = [
    pytest.param(crop_resize, id="native"),
    pytest.param(reference.crop_resize, id="reference"),
]
MEAN, STD = torch.tensor([1.0, 2, 3]), torch.tensor([4.0, 5, 8])


def pixels(*shape: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)


def by_interpolation(
    images: Tensor, sources: Tensor, targets: Tensor, index: Tensor, height: int, width: int
) -> Tensor:
    """Crop by crop; windows that lie within the images and the canvas."""
    canvas = torch.zeros(len(sources), images.shape[1], height, width)
    for i, (source, target) in enumerate(zip(sources.tolist(), targets.tolist(), strict=True)):
        x0, y0, x1, y1 = source
        left, top, right, bottom = target
        if min(x1 - x0, y1 - y0, right - left, bottom - top) <= 0:
            continue
        part = images[index[i]][None, :, y0:y1, x0:x1].float()
        size = (bottom - top, right - left)
        resized = F.interpolate(part, size, mode="bilinear", align_corners=False)
        canvas[i, :, top:bottom, left:right] = resized[0]
    return canvas


def windows(count: int, height: int, width: int, seed: int) -> Tensor:
    """[count, 4]: windows within height x width, some of no extent."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randint(0, width + 1, (count, 2), generator=random).sort(1).values
    y = torch.randint(0, height + 1, (count, 2), generator=random).sort(1).values
    return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1)


def test_native_matches_reference() -> None:
    testing.assert_matches_reference("crop_resize")


def test_kernel_for_any_processor_matches_reference() -> None:
    assert_matches_on_any_processor("crop_resize")


@pytest.mark.parametrize("op", BOTH)
def test_is_the_interpolation_of_each_window(op: Any) -> None:
    images = pixels(3, 4, 40, 31)
    sources, targets = windows(60, 40, 31, seed=1), windows(60, 25, 50, seed=2)
    index = torch.arange(60) % 3
    found = op(images, sources, targets, height=25, width=50, image_index=index)
    expected = by_interpolation(images, sources, targets, index, 25, 50)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)  # of 255


@pytest.mark.parametrize("op", BOTH)
def test_neighbours_are_those_of_the_window(op: Any) -> None:
    images = torch.zeros(1, 1, 4, 4)
    images[0, 0, 1:3, 1:3] = 1
    window = torch.tensor([[1, 1, 3, 3]])
    whole = torch.tensor([[0, 0, 6, 6]])
    assert op(images, window, whole, height=6, width=6).eq(1).all()


@pytest.mark.parametrize("op", BOTH)
def test_everything_outside_the_target_is_normalised_black(op: Any) -> None:
    images = pixels(1, 3, 8, 8)
    source, target = torch.tensor([[0, 0, 8, 8]]), torch.tensor([[2, 1, 5, 4]])
    sizes = {"height": 6, "width": 7}
    plain = op(images, source, target, **sizes)
    assert plain[0, 0].ne(0).nonzero().amin(0).tolist() == [1, 2]
    assert plain[0, 0].ne(0).nonzero().amax(0).tolist() == [3, 4]
    found = op(images, source, target, **sizes, mean=MEAN, std=STD)
    expected = (plain - MEAN[:, None, None]) / STD[:, None, None]
    testing.assert_close(found, expected)


@pytest.mark.parametrize("op", BOTH)
@pytest.mark.parametrize("empty", [(3, 3, 3, 6), (3, 3, 6, 3), (6, 3, 3, 6)])
@pytest.mark.parametrize("which", ["source", "target"])
def test_windows_of_no_extent_draw_nothing(
    op: Any, which: str, empty: tuple[int, int, int, int]
) -> None:
    good = torch.tensor([[0, 0, 8, 8], [0, 0, 8, 8]])
    bad = torch.tensor([empty, (0, 0, 8, 8)])
    given = (bad, good) if which == "source" else (good, bad)
    found = op(pixels(1, 1, 8, 8) + 1, *given, height=8, width=8)
    assert found[0].eq(0).all()
    assert found[1].ne(0).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    size=st.tuples(st.integers(1, 3), *[st.integers(1, 40)] * 2),
    canvas=st.tuples(*[st.integers(1, 70)] * 2),
    corners=st.lists(st.tuples(*[st.integers(-50, 90)] * 8), max_size=4),
    kind=st.sampled_from([torch.uint8, torch.float16, torch.bfloat16, torch.float32]),
    order=st.permutations(range(4)),
)
def test_kernel_is_the_reference_for_any_window(
    size: tuple[int, ...],
    canvas: tuple[int, int],
    corners: list[tuple[int, ...]],
    kind: torch.dtype,
    order: list[int],
) -> None:
    shape = (2, *size)
    images = pixels(*(shape[d] for d in order)).to(kind).permute([order.index(d) for d in range(4)])
    sources, targets = torch.tensor(corners, dtype=torch.int64).view(-1, 8).split(4, 1)
    index = torch.arange(len(corners)) % 2
    given: dict[str, Any] = {"height": canvas[0], "width": canvas[1], "image_index": index}
    found = crop_resize(images, sources, targets, **given)
    expected = reference.crop_resize(images, sources, targets, **given)
    assert found.stride() == expected.stride()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-3)


def test_the_same_whatever_the_number_of_threads() -> None:
    given = (pixels(2, 3, 90, 70), windows(9, 90, 70, seed=3), windows(9, 64, 64, seed=4))
    index = torch.arange(9) % 2
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(crop_resize(*given, height=64, width=64, image_index=index))
    finally:
        torch.set_num_threads(threads)
    testing.assert_identical(results[1:], results[:1] * 2)


def test_opcheck() -> None:
    given = (pixels(1, 3, 9, 7), windows(3, 9, 7, seed=5), windows(3, 8, 8, seed=6))
    options = {"height": 8, "width": 8, "mean": MEAN, "std": STD, "dtype": torch.float16}
    opcheck(torch.ops.cornernet.crop_resize.default, given, options)


def test_the_result_needs_no_gradient() -> None:
    images = torch.rand(1, 3, 9, 7, requires_grad=True)
    window = torch.tensor([[0, 0, 7, 9]])
    assert not crop_resize(images, window, window, height=9, width=7).requires_grad


def test_autocast_leaves_the_dtype_alone() -> None:
    window = torch.tensor([[0, 0, 7, 9]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for dtype in (torch.float32, torch.bfloat16):
            found = crop_resize(
                torch.rand(1, 3, 9, 7), window, window, height=9, width=7, dtype=dtype
            )
            assert found.dtype == dtype
