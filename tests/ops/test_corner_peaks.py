"""corner_peaks: what is a peak, in which order peaks come, errors, and what torch makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.library import opcheck

from cornernet_ops import corner_peaks, reference, testing
from cornernet_ops.checks import FLOATING

IMPLEMENTATIONS = [corner_peaks, reference.corner_peaks]


def brute_force(heat: torch.Tensor, k: int, kernel_size: int) -> tuple[list, list]:
    """Scores and indices of every image, cell by cell, from the words of the docstring."""
    n, c, h, w = heat.shape
    r = kernel_size // 2
    scores, indices = [], []
    for image in heat.double().tolist():
        peaks = []
        for label in range(c):
            for y in range(h):
                for x in range(w):
                    window = [
                        image[label][i][j]
                        for i in range(max(0, y - r), min(h, y + r + 1))
                        for j in range(max(0, x - r), min(w, x + r + 1))
                    ]
                    value = image[label][y][x]
                    whole = not any(math.isnan(v) for v in window)
                    if whole and value == max(window) and value > -math.inf:
                        peaks.append((-value, (label * h + y) * w + x))
        peaks = sorted(peaks)[:k]
        rest = k - len(peaks)
        scores.append([-score for score, _ in peaks] + [-math.inf] * rest)
        indices.append([index for _, index in peaks] + [-1] * rest)
    return scores, indices


def test_native_matches_reference() -> None:
    testing.assert_matches_reference("corner_peaks")


@pytest.mark.parametrize("peaks", IMPLEMENTATIONS)
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize(
    "values", [testing.random_values, testing.tied_values, testing.special_values]
)
def test_matches_brute_force(
    peaks: Callable[..., tuple[Tensor, ...]], kernel_size: int, values: Callable[..., Tensor]
) -> None:
    heat = values((2, 3, 6, 7), seed=2)
    for k in (1, 10, 200):
        scores, indices = peaks(heat, k, kernel_size)
        expected_scores, expected_indices = brute_force(heat, k, kernel_size)
        assert indices.tolist() == expected_indices
        assert scores.tolist() == expected_scores


@pytest.mark.parametrize("peaks", IMPLEMENTATIONS)
def test_every_cell_of_a_plateau_is_a_peak_in_order_of_index(
    peaks: Callable[..., tuple[Tensor, ...]],
) -> None:
    scores, indices = peaks(torch.ones(1, 2, 2, 2), 6)
    assert indices.tolist() == [[0, 1, 2, 3, 4, 5]]
    assert scores.tolist() == [[1.0] * 6]


@pytest.mark.parametrize("peaks", IMPLEMENTATIONS)
def test_zeros_of_both_signs_are_equal_and_keep_their_sign(
    peaks: Callable[..., tuple[Tensor, ...]],
) -> None:
    scores, indices = peaks(torch.tensor([[[[-0.0, 0.0, -0.0, 0.0]]]]), 4)
    assert indices.tolist() == [[0, 1, 2, 3]]
    assert scores.signbit().tolist() == [[True, False, True, False]]


@pytest.mark.parametrize("peaks", IMPLEMENTATIONS)
def test_neighbours_of_nan_are_no_peaks(peaks: Callable[..., tuple[Tensor, ...]]) -> None:
    heat = torch.tensor([[[[9.0, math.nan, 8.0, 1.0, 2.0]]]])
    scores, indices = peaks(heat, 3)
    assert indices.tolist() == [[4, -1, -1]]
    assert scores.tolist() == [[2.0, -math.inf, -math.inf]]


@pytest.mark.parametrize("peaks", IMPLEMENTATIONS)
def test_minus_infinity_is_no_peak_and_infinity_is_one(
    peaks: Callable[..., tuple[Tensor, ...]],
) -> None:
    heat = torch.tensor([[[[-math.inf, -math.inf, -math.inf, math.inf, 3.0]]]])
    scores, indices = peaks(heat, 2)
    assert indices.tolist() == [[3, -1]]
    assert scores.tolist() == [[math.inf, -math.inf]]


@pytest.mark.parametrize("peaks", IMPLEMENTATIONS)
def test_windows_end_at_the_map(peaks: Callable[..., tuple[Tensor, ...]]) -> None:
    # The last cell of a row is no neighbour of the next row's first, nor of the next class.
    heat = torch.tensor([[[[0.0, 5.0], [4.0, 0.0]], [[3.0, 0.0], [0.0, 0.0]]]])
    _, indices = peaks(heat, 2)
    assert indices.tolist() == [[1, 4]]


@pytest.mark.parametrize("peaks", IMPLEMENTATIONS)
def test_images_are_apart(peaks: Callable[..., tuple[Tensor, ...]]) -> None:
    heat = torch.zeros(2, 1, 3, 3)
    heat[0, 0, 1, 1], heat[1, 0, 0, 2] = 2.0, 1.0
    scores, indices = peaks(heat, 1)
    assert indices.tolist() == [[4], [2]]
    assert scores.tolist() == [[2.0], [1.0]]


@pytest.mark.parametrize("peaks", IMPLEMENTATIONS)
def test_peaks_below_the_minimum_of_their_class_are_none(
    peaks: Callable[..., tuple[Tensor, ...]],
) -> None:
    heat = torch.tensor([5.0, 0.0, 4.0, 0.0, 3.0]).expand(1, 3, 1, 5)
    scores, indices = peaks(heat, 9, 3, torch.tensor([4.0, 4.5, math.inf]))
    assert indices[0, :4].tolist() == [0, 5, 2, -1]
    assert scores[0, :4].tolist() == [5.0, 5.0, 4.0, -math.inf]


@pytest.mark.parametrize("peaks", IMPLEMENTATIONS)
def test_a_cell_below_the_minimum_still_outdoes_its_neighbours(
    peaks: Callable[..., tuple[Tensor, ...]],
) -> None:
    # The window is the map's: what is too low to be a peak is no gap in it.
    heat = torch.tensor([[[[1.0, 2.0, 0.0, 1.5]]]])
    _, indices = peaks(heat, 2, 3, torch.tensor([1.0]))
    assert indices.tolist() == [[1, 3]]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    shape=st.tuples(*[st.integers(0, 3)] * 2, *[st.integers(0, 40)] * 2),
    order=st.permutations(range(4)),
    values=st.sampled_from([testing.random_values, testing.tied_values, testing.special_values]),
    dtype=st.sampled_from(FLOATING),
    k=st.sampled_from([1, 2, 7, 60, 5000]),
    kernel_size=st.sampled_from([1, 3, 5, 7]),
    limited=st.booleans(),
)
def test_any_shape_and_strides(
    shape: tuple[int, ...],
    order: list[int],
    values: Callable[..., Tensor],
    dtype: torch.dtype,
    k: int,
    kernel_size: int,
    limited: bool,
) -> None:
    inverse = [order.index(d) for d in range(4)]
    heat = values(tuple(shape[d] for d in order)).to(dtype).permute(inverse)
    assert heat.shape == shape
    least = testing.special_values((shape[1],), seed=9).to(dtype) if limited else None
    testing.assert_identical(
        corner_peaks(heat, k, kernel_size, least),
        reference.corner_peaks(heat, k, kernel_size, least),
    )


@pytest.mark.parametrize("k", [1, 300, 70000])
@pytest.mark.parametrize("order", ["rising", "shuffled", "shuffled, negative"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_value_of_16_bits(dtype: torch.dtype, order: str, k: int) -> None:
    bits = torch.arange(-(2**15), 0 if "negative" in order else 2**15)
    if "shuffled" in order:
        bits = bits[torch.randperm(len(bits), generator=torch.Generator().manual_seed(0))]
    heat = bits.to(torch.int16).view(dtype).reshape(1, -1, 128, 128)
    testing.assert_identical(corner_peaks(heat, k, 1), reference.corner_peaks(heat, k, 1))


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("period", [2, 3, 50, 4000])
def test_maps_of_waves(dtype: torch.dtype, period: int) -> None:
    # Plateaus and slopes far longer than the blocks that the kernel looks at together.
    x = torch.arange(2 * 90 * 170.0).reshape(1, 2, 90, 170)
    heat = (x * (2 * math.pi / period)).sin().to(dtype)
    testing.assert_identical(corner_peaks(heat, 12), reference.corner_peaks(heat, 12))


def test_deterministic_over_thread_counts() -> None:
    heat = testing.tied_values((2, 8, 96, 96)).float()
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(corner_peaks(heat, 500))
    finally:
        torch.set_num_threads(threads)
    testing.assert_identical(*results)


@pytest.mark.parametrize("peaks", IMPLEMENTATIONS)
def test_results_need_no_gradient(peaks: Callable[..., tuple[Tensor, ...]]) -> None:
    scores, _ = peaks(torch.rand(1, 2, 4, 4, requires_grad=True), 3)
    assert not scores.requires_grad


@pytest.mark.parametrize("min_scores", [None, torch.zeros(3)])
def test_opcheck(min_scores: Tensor | None) -> None:
    heat = torch.rand(2, 3, 4, 5, requires_grad=True)
    opcheck(torch.ops.cornernet.corner_peaks.default, (heat, 7, 3, min_scores))


def test_compiles_as_one_graph_with_dynamic_shapes() -> None:
    compiled = torch.compile(
        lambda heat: corner_peaks(heat.sigmoid(), 5),
        fullgraph=True,
        dynamic=True,
        backend="aot_eager",
    )
    for shape in [(2, 3, 4, 5), (1, 3, 9, 7)]:
        heat = torch.randn(shape)
        testing.assert_identical(compiled(heat), corner_peaks(heat.sigmoid(), 5))


def test_autocast_leaves_the_dtype_alone() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert corner_peaks(torch.rand(1, 2, 3, 4).bfloat16(), 2)[0].dtype == torch.bfloat16
