"""Boxes in the coordinates of Pascal VOC and YOLO are the same boxes, to the last bit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cornernet.data.formats.exact import box_from_voc, box_from_yolo, box_to_voc, box_to_yolo

STARTS = st.one_of(st.integers(0, 4000), st.floats(0.01, 4000), st.just(0.0)).map(float)
EXTENTS = st.one_of(st.integers(1, 4000), st.floats(0.01, 4000)).map(float)
BOXES = st.tuples(STARTS, STARTS, EXTENTS, EXTENTS)
SIDES = st.integers(1, 9000)


@settings(deadline=None)
@given(BOXES)
def test_a_box_comes_back_from_voc(box: tuple[float, ...]) -> None:
    assert box_from_voc(box_to_voc(box)) == list(box)


@settings(deadline=None)
@given(BOXES, SIDES, SIDES)
def test_a_box_comes_back_from_yolo(box: tuple[float, ...], width: int, height: int) -> None:
    size = (width, height)
    assert box_from_yolo(box_to_yolo(box, size), size) == list(box)


def test_voc_counts_from_one_and_includes_the_last_pixel() -> None:
    assert box_to_voc([0, 5, 80, 0.5]) == ["1", "6", "80", "5.5"]
    assert box_from_voc(["1", "6", "80", "5.5"]) == [0, 5, 80, 0.5]
    # In floating-point numbers, 1.1 - 1 is not 0.1.
    assert box_from_voc(["1.1", "1", "2", "2"]) == [0.1, 0, 1.9, 2]


def test_yolo_has_shares_of_the_sides_and_the_centre() -> None:
    assert box_to_yolo([10, 0, 20, 40], (80, 40)) == ["0.25", "0.5", "0.25", "1"]
    assert box_from_yolo(["0.25", "0.5", "0.25", "1"], (80, 40)) == [10, 0, 20, 40]
    assert box_to_yolo([0, 0, 1, 1], (3, 3))[2] == "0.3333333333333333333333333"


@pytest.mark.parametrize(
    "words",
    [["1", "2", "3"], ["1", "2", "3", ""], ["1", "nan", "3", "4"], ["1", "2", "inf", "4"],
     ["1", "2", "x", "4"], ["1", "2", "3", "1e999"],
     ["1", "2", "3", "1e-9999999999999999999999"], ["1", "2", "3", "4", "5"]],
)  # fmt: skip
def test_what_is_not_four_numbers_is_no_box(words: list[str]) -> None:
    assert box_from_voc(words) is None
    assert box_from_yolo(words, (9, 9)) is None


def test_numbers_may_have_signs_exponents_and_blanks() -> None:
    assert box_from_voc([" 2 ", "+3", "1e1", "5."]) == [1, 2, 9, 3]
    assert box_from_yolo(["1e300", "0", "1", "1"], (9, 9)) is None
