"""corner_decode: which corners pair, in which order, errors, and what torch makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.library import opcheck

from cornernet_ops import corner_decode, reference, testing
from cornernet_ops.checks import FLOATING

OP = torch.ops.cornernet.corner_decode.default
IMPLEMENTATIONS = [corner_decode, reference.corner_decode]


def brute_force(
    arguments: dict[str, Tensor], distance_threshold: float, max_pairs: int
) -> tuple[Any, ...]:
    """Boxes, scores and labels pair by pair, in Python's floats, from the docstring's words."""
    height, width = arguments["tl_embedding"].shape[2:]
    lists = {name: tensor.tolist() for name, tensor in arguments.items()}
    results = []
    for n in range(len(lists["tl_scores"])):

        def corner(kind: str, rank: int, n: int = n) -> tuple[Any, ...]:
            label, cell = divmod(lists[f"{kind}_indices"][n][rank], height * width)
            y, x = divmod(cell, width)
            dx, dy = (lists[f"{kind}_offset"][n][d][y][x] for d in range(2))
            tag = [channel[y][x] for channel in lists[f"{kind}_embedding"][n]]
            return label, x + dx, y + dy, tag

        pairs = []
        for i, tl_score in enumerate(lists["tl_scores"][n]):
            for j, br_score in enumerate(lists["br_scores"][n]):
                if lists["tl_indices"][n][i] < 0 or lists["br_indices"][n][j] < 0:
                    continue
                label, x1, y1, tl_tag = corner("tl", i)
                other, x2, y2, br_tag = corner("br", j)
                close = math.dist(tl_tag, br_tag) <= distance_threshold
                score = (tl_score + br_score) / 2
                if label == other and x2 > x1 and y2 > y1 and close and score > -math.inf:
                    pairs.append((-score, i, j, [x1, y1, x2, y2], label))
        pairs = sorted(pairs)[:max_pairs]
        rest = max_pairs - len(pairs)
        results.append(
            (
                [pair[3] for pair in pairs] + [[0.0] * 4] * rest,
                [-pair[0] for pair in pairs] + [-1.0] * rest,
                [pair[4] for pair in pairs] + [-1] * rest,
            )
        )
    return tuple(list(column) for column in zip(*results, strict=True))


def two_corners(**changed: torch.Tensor) -> dict[str, Any]:
    """One top-left corner at (1, 1) and one bottom-right one at (3, 2) on a 4 x 5 map, class 1."""
    maps = {"tl_embedding": torch.zeros(1, 1, 4, 5), "br_embedding": torch.zeros(1, 1, 4, 5)}
    maps |= {"tl_offset": torch.zeros(1, 2, 4, 5), "br_offset": torch.zeros(1, 2, 4, 5)}
    corners = {
        "tl_scores": torch.tensor([[0.5]]),
        "tl_indices": torch.tensor([[20 + 1 * 5 + 1]]),
        "br_scores": torch.tensor([[1.0]]),
        "br_indices": torch.tensor([[20 + 2 * 5 + 3]]),
    }
    return {**corners, **maps, **changed}


def labels(
    decode: Callable[..., tuple[Tensor, ...]],
    arguments: dict[str, torch.Tensor],
    threshold: float = 0.5,
) -> list[int]:
    return decode(**arguments, distance_threshold=threshold, max_pairs=1)[2][0].tolist()


def test_native_matches_reference() -> None:
    testing.assert_matches_reference("corner_decode")


@pytest.mark.parametrize("decode", IMPLEMENTATIONS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("max_pairs", [5, 400])
def test_matches_brute_force(
    decode: Callable[..., tuple[Tensor, ...]], channels: int, max_pairs: int
) -> None:
    arguments = testing.decode_arguments(channels=channels, seed=20 + channels)
    boxes, scores, labels = decode(**arguments, distance_threshold=0.4, max_pairs=max_pairs)
    expected = brute_force(arguments, 0.4, max_pairs)
    assert sum(label >= 0 for label in expected[2][0]) >= 5
    assert labels.tolist() == expected[2]
    assert scores.tolist() == expected[1]
    assert boxes.tolist() == expected[0]


@pytest.mark.parametrize("decode", IMPLEMENTATIONS)
def test_box_is_cells_plus_offsets_and_score_the_mean(
    decode: Callable[..., tuple[Tensor, ...]],
) -> None:
    offsets = {"tl_offset": torch.zeros(1, 2, 4, 5), "br_offset": torch.zeros(1, 2, 4, 5)}
    offsets["tl_offset"][0, :, 1, 1] = torch.tensor([0.25, 0.5])
    offsets["br_offset"][0, :, 2, 3] = torch.tensor([0.75, 0.125])
    results = decode(**two_corners(**offsets), distance_threshold=0.5, max_pairs=2)
    boxes, scores, labels = (result[0].tolist() for result in results)
    assert boxes == [[1.25, 1.5, 3.75, 2.125], [0, 0, 0, 0]]
    assert scores == [0.75, -1]
    assert labels == [1, -1]


@pytest.mark.parametrize("decode", IMPLEMENTATIONS)
@pytest.mark.parametrize(("difference", "expected"), [(0.5, [1]), (0.5000001, [-1]), (-0.5, [1])])
def test_distance_up_to_the_threshold_pairs(
    decode: Callable[..., tuple[Tensor, ...]], difference: float, expected: list[int]
) -> None:
    embedding = torch.full((1, 1, 4, 5), difference)
    assert labels(decode, two_corners(tl_embedding=embedding)) == expected


@pytest.mark.parametrize("decode", IMPLEMENTATIONS)
@pytest.mark.parametrize(("threshold", "expected"), [(5.0, [1]), (4.99, [-1])])
def test_distance_is_euclidean(
    decode: Callable[..., tuple[Tensor, ...]], threshold: float, expected: list[int]
) -> None:
    embedding = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1).expand(1, 2, 4, 5)
    arguments = two_corners(tl_embedding=embedding, br_embedding=torch.zeros(1, 2, 4, 5))
    assert labels(decode, arguments, threshold) == expected


@pytest.mark.parametrize("decode", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    "index",
    [2 * 5 + 3, 40 + 2 * 5 + 3, 20 + 2 * 5 + 1, 20 + 1 * 5 + 3, -1, -7],
    ids=["class below", "class above", "same column", "same row", "none", "negative"],
)
def test_what_does_not_pair(decode: Callable[..., tuple[Tensor, ...]], index: int) -> None:
    assert labels(decode, two_corners(br_indices=torch.tensor([[index]]))) == [-1]


@pytest.mark.parametrize("decode", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    "name", ["tl_scores", "br_scores", "tl_embedding", "br_embedding", "tl_offset", "br_offset"]
)
def test_nan_does_not_pair(decode: Callable[..., tuple[Tensor, ...]], name: str) -> None:
    arguments = two_corners()
    arguments[name] = torch.full_like(arguments[name], torch.nan)
    assert labels(decode, arguments) == [-1]


@pytest.mark.parametrize("decode", IMPLEMENTATIONS)
def test_equal_scores_come_in_the_order_of_ranks(decode: Callable[..., tuple[Tensor, ...]]) -> None:
    # Every top-left corner pairs with every bottom-right one, all with the same score.
    arguments = two_corners(
        tl_scores=torch.ones(1, 2),
        tl_indices=torch.tensor([[1, 0]]),
        br_scores=torch.ones(1, 2),
        br_indices=torch.tensor([[2 * 5 + 4, 2 * 5 + 3]]),
    )
    boxes, _, _ = decode(**arguments, distance_threshold=1.0, max_pairs=3)
    assert boxes[0].tolist() == [[1, 0, 4, 2], [1, 0, 3, 2], [0, 0, 4, 2]]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    sizes=st.fixed_dictionaries(
        {
            "n": st.integers(0, 3),
            "channels": st.integers(0, 3),
            "height": st.integers(0, 6),
            "width": st.integers(0, 6),
            "classes": st.integers(1, 3),
            "k": st.integers(0, 40),
            "l": st.integers(0, 40),
            "seed": st.integers(0, 99),
        }
    ),
    dtype=st.sampled_from(FLOATING),
    threshold=st.sampled_from([0.0, 0.25, 0.5, math.inf]),
    max_pairs=st.integers(1, 100),
)
def test_any_sizes(
    sizes: dict[str, int], dtype: torch.dtype, threshold: float, max_pairs: int
) -> None:
    arguments: dict[str, Any] = {
        name: (tensor * 4).round().div(4).to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in testing.decode_arguments(**sizes).items()
    }
    options: dict[str, Any] = {"distance_threshold": threshold, "max_pairs": max_pairs}
    testing.assert_identical(
        corner_decode(**arguments, **options), reference.corner_decode(**arguments, **options)
    )


@pytest.mark.parametrize("decode", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(torch.float16, torch.float32), (torch.float32, torch.float32), (torch.float64,) * 2],
)
def test_computes_in_float32_or_float64(
    decode: Callable[..., tuple[Tensor, ...]], dtype: torch.dtype, expected: torch.dtype
) -> None:
    arguments = two_corners(tl_scores=torch.tensor([[0.5]], dtype=dtype))
    boxes, scores, _ = decode(**arguments, distance_threshold=0.5, max_pairs=1)
    assert boxes.dtype == scores.dtype == expected


@pytest.mark.parametrize("decode", IMPLEMENTATIONS)
def test_results_need_no_gradient(decode: Callable[..., tuple[Tensor, ...]]) -> None:
    arguments = two_corners(tl_offset=torch.zeros(1, 2, 4, 5, requires_grad=True))
    boxes, _, _ = decode(**arguments, distance_threshold=0.5, max_pairs=1)
    assert not boxes.requires_grad


def test_opcheck() -> None:
    arguments = {
        k: v.requires_grad_() if v.is_floating_point() else v
        for k, v in testing.decode_arguments().items()
    }
    opcheck(OP, tuple(arguments.values()), {"distance_threshold": 0.5, "max_pairs": 20})


def test_compiles_as_one_graph_with_dynamic_shapes() -> None:
    options: dict[str, Any] = {"distance_threshold": 0.5, "max_pairs": 20}
    compiled = torch.compile(
        lambda *tensors: corner_decode(*tensors, **options),
        fullgraph=True,
        dynamic=True,
        backend="aot_eager",
    )
    for size in (9, 12):
        tensors = testing.decode_arguments(height=size, k=size).values()
        testing.assert_identical(compiled(*tensors), corner_decode(*tensors, **options))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_computes_in_float32(dtype: torch.dtype) -> None:
    arguments: dict[str, Any] = {
        k: v.to(dtype) if v.is_floating_point() else v
        for k, v in testing.decode_arguments().items()
    }
    options: dict[str, Any] = {"distance_threshold": 0.5, "max_pairs": 20}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        results = corner_decode(**arguments, **options)
    assert results[0].dtype == torch.float32
    widened: dict[str, Any] = {
        k: v.float() if v.is_floating_point() else v for k, v in arguments.items()
    }
    testing.assert_identical(results, corner_decode(**widened, **options))


@pytest.mark.parametrize("op", [corner_decode, reference.corner_decode])
def test_corners_on_the_border_make_no_box_where_they_are_skipped(op: Any) -> None:
    height, width = 5, 6
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    cells = (rows * width + columns).flatten()[None]
    scores, zeros = torch.ones(1, height * width), torch.zeros(1, 2, height, width)
    corners = (scores, cells, scores, cells)
    limits = {"distance_threshold": 0.5, "max_pairs": 2000}

    def boxes(**options: bool) -> set[tuple[float, ...]]:
        found, scores, _ = op(*corners, *[zeros[:, :1]] * 2, *[zeros] * 2, **limits, **options)
        return {tuple(box) for box in found[scores > 0].tolist()}

    def inside(box: tuple[float, ...]) -> bool:
        return min(box[:2]) > 0 and box[2] < width - 1 and box[3] < height - 1

    assert boxes() == boxes(skip_border=False)
    assert boxes(skip_border=True) == set(filter(inside, boxes())) != set()
