"""Wrong arguments: every form of an op refuses them with the same sentence.

The one place that holds the wording: compiled kernels take it from csrc/common, references and fake
kernels from cornernet_ops. Other tests ask for the op, the argument and key words.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import cornernet_ops
from cornernet_ops import CornerPool, reference

X = torch.zeros(1, 2, 3, 4)
ONE_INDEX = torch.zeros(1, 1, dtype=torch.int64)
MAPS = torch.zeros(1, 2, 4, 5)
WINDOWS = torch.zeros(5, 4, dtype=torch.int64)
PIXELS = "float16, bfloat16 or float32"
FLOATS = "float16, bfloat16, float32 or float64"

OF_BOXES: dict[str, Any] = {
    "boxes": torch.zeros(5, 4), "labels": torch.zeros(5, dtype=torch.int64),
    "image_index": torch.zeros(5, dtype=torch.int64), "batch": 3, "num_classes": 4,
    "height": 6, "width": 7, "scale_y": 0.5, "scale_x": 0.5, "overlap": 0.3,
    "radius_formula": "2018", "sigma_divisor": 5.0,
}  # fmt: skip

# Arguments that are right.
RIGHT: dict[str, dict[str, Any]] = {
    "corner_pool": {"x": X, "direction": "top"},
    "corner_pool_backward": {"grad_out": X, "x": X, "direction": "top"},
    "corner_pool_add": {"addend": X, "x": X, "direction": "top"},
    "corner_pool_pair": {"vertical": X, "horizontal": X, "corner": "top_left"},
    "corner_pool_pair_backward": {
        "grad_out": X, "vertical": X, "horizontal": X, "corner": "top_left"
    },
    "center_pool": {"vertical": X, "horizontal": X},
    "center_pool_backward": {"grad_out": X, "vertical": X, "horizontal": X},
    "corner_peaks": {"heat": X, "k": 1, "kernel_size": 3, "min_scores": torch.zeros(2)},
    "corner_decode": {
        "tl_scores": torch.zeros(1, 1), "tl_indices": ONE_INDEX,
        "br_scores": torch.zeros(1, 1), "br_indices": ONE_INDEX,
        "tl_embedding": MAPS[:, :1], "br_embedding": MAPS[:, :1],
        "tl_offset": MAPS, "br_offset": MAPS,
        "distance_threshold": 0.5, "max_pairs": 1, "skip_border": True,
    },
    "corner_targets": OF_BOXES,
    "center_targets": OF_BOXES,
    "crop_resize": {
        "images": torch.zeros(2, 3, 4, 5, dtype=torch.uint8), "sources": WINDOWS,
        "targets": WINDOWS, "height": 6, "width": 7,
        "image_index": torch.zeros(5, dtype=torch.int64), "mean": torch.zeros(3),
        "std": torch.ones(3), "dtype": torch.float16,
    },
    "soft_nms": {
        "boxes": torch.zeros(3, 9, 4), "scores": torch.zeros(3, 9),
        "labels": torch.zeros(3, 9, dtype=torch.int64), "method": "gaussian",
        "iou_threshold": 0.5, "sigma": 0.5, "min_score": 1e-3, "max_detections": 20,
    },
}  # fmt: skip


SHAPE, DTYPE, NUMBER, WORD = ValueError, TypeError, ValueError, ValueError
DIRECTIONS = 'be "top", "bottom", "left" or "right", got "up"'

# What may be wrong with the arguments of the poolings, forward and backward.
OF_POOL = [
    ("x", torch.zeros(3), SHAPE, "have shape [N, C, H, W], got [3]"),
    ("x", X.long(), DTYPE, f"be {FLOATS}, got int64"),
    ("direction", "up", WORD, DIRECTIONS),
]
OF_TWO_MAPS = [
    ("vertical", torch.zeros(3), SHAPE, "have shape [N, C, H, W], got [3]"),
    ("vertical", X.long(), DTYPE, f"be {FLOATS}, got int64"),
    ("horizontal", X.mT, SHAPE, "have shape [1, 2, 3, 4], got [1, 2, 4, 3]"),
    ("horizontal", X.half(), DTYPE, "be float32, got float16"),
]
OF_PAIR = [
    *OF_TWO_MAPS,
    ("corner", "left", WORD, 'be "top_left" or "bottom_right", got "left"'),
]
OF_GRADIENT = [
    ("grad_out", torch.zeros(1, 2, 3, 5), SHAPE, "have shape [1, 2, 3, 4], got [1, 2, 3, 5]"),
    ("grad_out", X.double(), DTYPE, "be float32, got float64"),
]

OF_TARGETS = [
    ("boxes", torch.zeros(5, 3), SHAPE, "have shape [M, 4], got [5, 3]"),
    ("boxes", torch.zeros(5, 4).double(), DTYPE, "be float32, got float64"),
    ("labels", ONE_INDEX[0].expand(4), SHAPE, "have shape [5], got [4]"),
    ("labels", torch.zeros(5).int(), DTYPE, "be int64, got int32"),
    ("image_index", torch.zeros(5), DTYPE, "be int64, got float32"),
    ("batch", 0, NUMBER, "be at least 1, got 0"),
    ("num_classes", 0, NUMBER, "be at least 1, got 0"),
    ("height", 0, NUMBER, "be at least 1, got 0"),
    ("width", -1, NUMBER, "be at least 1, got -1"),
    ("overlap", 0.0, NUMBER, "lie between 0 and 1, got 0"),
    ("overlap", 1.5, NUMBER, "lie between 0 and 1, got 1.5"),
    ("overlap", math.nan, NUMBER, "lie between 0 and 1, got nan"),
    ("radius_formula", "2020", WORD, 'be "2019" or "2018", got "2020"'),
    ("sigma_divisor", 0.0, NUMBER, "be above 0, got 0"),
    ("sigma_divisor", math.nan, NUMBER, "be above 0, got nan"),
]

# Under the name of an op: an argument, a wrong value of it, the error, and what is said after
# "OP: expected ARGUMENT to ".
WRONG: dict[str, list[tuple[str, Any, type[Exception], str]]] = {
    "corner_pool": OF_POOL,
    "corner_pool_backward": OF_POOL + OF_GRADIENT,
    "corner_pool_add": [
        *OF_POOL,
        ("addend", X.mT, SHAPE, "have shape [1, 2, 3, 4], got [1, 2, 4, 3]"),
        ("addend", X.half(), DTYPE, "be float32, got float16"),
    ],
    "center_pool": OF_TWO_MAPS,
    "center_pool_backward": OF_TWO_MAPS + OF_GRADIENT,
    "corner_pool_pair": OF_PAIR,
    "corner_pool_pair_backward": OF_PAIR + OF_GRADIENT,
    "corner_peaks": [
        ("heat", torch.zeros(2, 3), SHAPE, "have shape [N, C, H, W], got [2, 3]"),
        ("heat", X.byte(), DTYPE, f"be {FLOATS}, got uint8"),
        ("k", 0, NUMBER, "be at least 1, got 0"),
        ("kernel_size", 2, NUMBER, "be odd and positive, got 2"),
        ("kernel_size", -1, NUMBER, "be odd and positive, got -1"),
        ("min_scores", torch.zeros(3), SHAPE, "have shape [2], got [3]"),
        ("min_scores", torch.zeros(2, 1), SHAPE, "have shape [2], got [2, 1]"),
        ("min_scores", torch.zeros(2).half(), DTYPE, "be float32, got float16"),
    ],
    "corner_decode": [
        ("tl_embedding", torch.zeros(4, 5), SHAPE, "have shape [N, E, H, W], got [4, 5]"),
        ("br_embedding", MAPS, SHAPE, "have shape [1, 1, 4, 5], got [1, 2, 4, 5]"),
        ("br_offset", MAPS[:, :1], SHAPE, "have shape [1, 2, 4, 5], got [1, 1, 4, 5]"),
        ("tl_offset", MAPS.int(), DTYPE, f"be {FLOATS}, got int32"),
        ("tl_scores", torch.zeros(2, 3), SHAPE, "have shape [1, K], got [2, 3]"),
        ("br_scores", torch.zeros(2, 3), SHAPE, "have shape [1, L], got [2, 3]"),
        ("br_scores", ONE_INDEX, DTYPE, f"be {FLOATS}, got int64"),
        ("br_indices", ONE_INDEX.expand(1, 3), SHAPE, "have shape [1, 1], got [1, 3]"),
        ("tl_indices", ONE_INDEX.int(), DTYPE, "be int64, got int32"),
        ("distance_threshold", -0.5, NUMBER, "be at least 0, got -0.5"),
        ("distance_threshold", math.nan, NUMBER, "be at least 0, got nan"),
        ("max_pairs", 0, NUMBER, "be at least 1, got 0"),
    ],
    "corner_targets": OF_TARGETS,
    "center_targets": OF_TARGETS,
    "crop_resize": [
        ("images", torch.zeros(3), SHAPE, "have shape [N, C, H, W], got [3]"),
        (
            "images",
            torch.zeros(2, 3, 4, 5).double(),
            DTYPE,
            "be uint8, float16, bfloat16 or float32, got float64",
        ),
        ("sources", WINDOWS[:, :3], SHAPE, "have shape [R, 4], got [5, 3]"),
        ("sources", WINDOWS.int(), DTYPE, "be int64, got int32"),
        ("targets", WINDOWS[:4], SHAPE, "have shape [5, 4], got [4, 4]"),
        ("targets", WINDOWS.float(), DTYPE, "be int64, got float32"),
        ("height", 0, NUMBER, "be at least 1, got 0"),
        ("width", -1, NUMBER, "be at least 1, got -1"),
        ("image_index", WINDOWS[:4, 0], SHAPE, "have shape [5], got [4]"),
        ("image_index", WINDOWS[:, 0].int(), DTYPE, "be int64, got int32"),
        ("mean", torch.zeros(2), SHAPE, "have shape [3], got [2]"),
        ("mean", torch.zeros(3).half(), DTYPE, "be float32, got float16"),
        ("std", torch.zeros(3, 1), SHAPE, "have shape [3], got [3, 1]"),
        ("std", torch.zeros(3).double(), DTYPE, "be float32, got float64"),
        ("dtype", torch.int64, DTYPE, f"be {PIXELS}, got int64"),
    ],
    "soft_nms": [
        ("boxes", torch.zeros(3, 9, 3), SHAPE, "have shape [N, P, 4], got [3, 9, 3]"),
        ("boxes", torch.zeros(3, 9, 4).long(), DTYPE, f"be {FLOATS}, got int64"),
        ("scores", torch.zeros(3, 8), SHAPE, "have shape [3, 9], got [3, 8]"),
        ("scores", torch.zeros(3, 9).int(), DTYPE, f"be {FLOATS}, got int32"),
        ("labels", ONE_INDEX.expand(2, 9), SHAPE, "have shape [3, 9], got [2, 9]"),
        ("labels", torch.zeros(3, 9).int(), DTYPE, "be int64, got int32"),
        ("method", "soft", WORD, 'be "gaussian", "linear", "hard" or "none", got "soft"'),
        ("sigma", 0.0, NUMBER, "be above 0, got 0"),
        ("merge_exponent", -1.0, NUMBER, "be at least 0, got -1"),
        ("max_detections", 0, NUMBER, "be at least 1, got 0"),
    ],
}
CASES = [(op, *case) for op, cases in WRONG.items() for case in cases]


def native(op: str) -> Callable[..., Any]:
    return getattr(cornernet_ops, op)


def twin(op: str) -> Callable[..., Any]:
    return getattr(reference, op)


def fake(op: str) -> Callable[..., Any]:
    """The fake kernel, by way of meta tensors."""

    def call(**arguments: Any) -> Any:
        meta = {k: v.to("meta") if isinstance(v, Tensor) else v for k, v in arguments.items()}
        return native(op)(**meta)

    return call


def check(
    form: Callable[[str], Callable[..., Any]],
    op: str,
    argument: str,
    value: Any,
    error: type[Exception],
    sentence: str,
) -> None:
    with pytest.raises(error) as caught:
        form(op)(**RIGHT[op] | {argument: value})
    assert str(caught.value) == f"{op}: expected {argument} to {sentence}"


@pytest.mark.parametrize("form", [native, twin, fake])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}.{case[1]}")
def test_wrong_arguments_are_refused_in_the_same_words(form: Any, case: Any) -> None:
    check(form, *case)


# What only the values of a tensor show, which a fake kernel does not have.
@pytest.mark.parametrize("form", [native, twin])
@pytest.mark.parametrize("op", ["corner_targets", "center_targets"])
@pytest.mark.parametrize(
    ("argument", "value", "most"), [("labels", 4, 3), ("labels", -1, 3), ("image_index", 3, 2)]
)
def test_numbers_out_of_range_are_refused_in_the_same_words(
    form: Any, op: str, argument: str, value: int, most: int
) -> None:
    sentence = f"hold numbers from 0 to {most}, got {value}"
    check(form, op, argument, torch.full((5,), value), ValueError, sentence)


@pytest.mark.parametrize("form", [native, twin])
def test_image_index_out_of_range_is_refused_in_the_same_words(form: Any) -> None:
    sentence = "hold numbers from 0 to 1, got 2"
    check(form, "crop_resize", "image_index", torch.full((5,), 2), ValueError, sentence)


# None is right where there is one image, so the sentence is about the images.
@pytest.mark.parametrize("form", [native, twin, fake])
def test_crops_of_several_images_without_an_index_are_refused(form: Any) -> None:
    with pytest.raises(ValueError) as caught:
        form("crop_resize")(**RIGHT["crop_resize"] | {"image_index": None})
    wanted = "crop_resize: expected images to have shape [1, C, H, W], got [2, 3, 4, 5]"
    assert str(caught.value) == wanted


@pytest.mark.parametrize("form", [native, twin, fake])
@pytest.mark.parametrize("op", RIGHT)
def test_right_arguments_are_not_refused(form: Any, op: str) -> None:
    form(op)(**RIGHT[op])


# The reference alone: with a meta tensor among the arguments the dispatcher takes the fake kernel.
@pytest.mark.parametrize(
    ("op", "argument"),
    [
        ("corner_pool_backward", "grad_out"),
        ("corner_pool_add", "addend"),
        ("center_pool", "horizontal"),
        ("center_pool_backward", "grad_out"),
        ("corner_pool_pair", "horizontal"),
        ("corner_pool_pair_backward", "grad_out"),
        ("corner_peaks", "min_scores"),
        ("corner_decode", "br_indices"),
        ("corner_targets", "image_index"),
        ("center_targets", "labels"),
        ("crop_resize", "mean"),
        ("soft_nms", "labels"),
    ],
)
def test_tensors_on_two_devices_are_refused(op: str, argument: str) -> None:
    elsewhere = RIGHT[op][argument].to("meta")
    check(twin, op, argument, elsewhere, ValueError, "be on cpu, got meta")


def test_module_refuses_another_mode() -> None:
    with pytest.raises(ValueError) as caught:
        CornerPool("up")
    assert str(caught.value) == f"CornerPool: expected mode to {DIRECTIONS}"
