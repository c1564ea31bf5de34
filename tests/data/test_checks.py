"""The issues that reading an annotation file gives, whether or not it can be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cornernet.data import checks
from cornernet.data.checks import Issue, Kind
from cornernet.data.formats.coco import read_coco
from cornernet.data.parse import ParsedSplit, parse_content
from cornernet.data.paths import ImageFinder


def annotation(identity: int, **values: Any) -> dict[str, Any]:
    return {"id": identity, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]} | values


def image(identity: int, **values: Any) -> dict[str, Any]:
    return {"id": identity, "file_name": f"{identity}.png", "width": 64, "height": 48} | values


def read(
    root: Path,
    images: list[Any] | None = None,
    annotations: list[Any] | None = None,
    categories: list[Any] | None = None,
) -> tuple[ParsedSplit, list[Issue]]:
    """What is read of two images, a category, and the given sections in their place."""
    for name in ("1.png", "2.png"):
        (root / name).write_bytes(b"never opened")
    content = {
        "images": [image(1), image(2)] if images is None else images,
        "annotations": [annotation(1)] if annotations is None else annotations,
        "categories": [{"id": 1, "name": "cup"}] if categories is None else categories,
    }
    path = root / "annotations.json"
    path.write_text(json.dumps(content))
    return parse_content(read_coco(path), ImageFinder([root], root))


def test_good_data_has_no_issue(tmp_path: Path) -> None:
    parsed, issues = read(tmp_path)
    assert not issues
    assert (parsed.classes, parsed.category_ids) == (["cup"], [1])
    assert [record.info.id for record in parsed.records] == [1, 2]
    np.testing.assert_array_equal(parsed.records[0].boxes, [[1, 1, 10, 10]])


def test_faults_of_a_kind_make_one_issue_with_all_their_ids(tmp_path: Path) -> None:
    annotations = [annotation(number) for number in range(6)]
    annotations[2]["bbox"] = [5, 5, -3, 9]
    annotations[4]["bbox"] = [5, 5, 0, 9]
    annotations[5]["category_id"] = 55
    parsed, (empty, unknown) = read(tmp_path, annotations=annotations)
    assert empty == Issue(checks.EMPTY_BOX, "annotations", 2, 6, (2, 4), empty.text)
    assert "annotation 2" in empty.text and "[5, 5, -3, 9] in 1.png" in empty.text
    assert (unknown.kind, unknown.ids) == (checks.UNKNOWN_CATEGORY, (5,))
    assert len(parsed.records[0].boxes) == 3


def test_an_issue_reads_as_one_line_with_numbers_and_advice(tmp_path: Path) -> None:
    _, (issue,) = read(tmp_path, annotations=[annotation(n, bbox=None) for n in (7, 8)])
    assert str(issue) == f"{issue.text} (2 of 2 annotations); {checks.NOT_A_BOX.advice}"
    assert "\n" not in str(issue)
    _, (alone,) = read(tmp_path, annotations=[annotation(7, bbox=None)])
    assert str(alone) == f"{alone.text}; {checks.NOT_A_BOX.advice}"


FAULTS: dict[str, tuple[dict[str, Any], Kind, tuple[int, ...]]] = {
    "image that is no object": ({"images": [image(1), 5]}, checks.NOT_AN_OBJECT, ()),
    "image without width": (
        {"images": [image(1), {"id": 2, "file_name": "2.png", "height": 48}]},
        checks.BAD_SIZE,
        (2,),
    ),
    "id": ({"images": [image(1), image(2, id=1.5)]}, checks.BAD_ID, ()),
    "image twice, once as text": (
        {"images": [image(1), image(1, id="1")]},
        checks.REPEATED_ID,
        (1,),
    ),
    "image twice": ({"images": [image(1), image(1)]}, checks.REPEATED_ID, (1,)),
    "size in words": ({"images": [image(1), image(2, width="wide")]}, checks.BAD_SIZE, (2,)),
    "file name": ({"images": [image(1), image(2, file_name=5)]}, checks.BAD_FILE_NAME, (2,)),
    "no file": ({"images": [image(1), image(3), image(4)]}, checks.MISSING_FILE, (3, 4)),
    "image": ({"annotations": [annotation(6, image_id=9)]}, checks.UNKNOWN_IMAGE, (6,)),
    "no category": ({"categories": [], "annotations": []}, checks.NO_CATEGORIES, ()),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_that_makes_a_split_unusable_is_an_error(tmp_path: Path, case: str) -> None:
    sections, kind, ids = FAULTS[case]
    _, (issue,) = read(tmp_path, **sections)
    assert (issue.kind, issue.ids) == (kind, ids)
    assert kind.severity == "error"
    assert issue.count == max(1, len(ids))


def test_reading_goes_on_after_an_error(tmp_path: Path) -> None:
    parsed, issues = read(
        tmp_path,
        categories=[{"id": 1, "name": "cup"}, {"name": "no id"}],
        images=[image(1), image(2, height=0)],
        annotations=[annotation(1), annotation(2, image_id=9), annotation(3, bbox=[0, 0, -1, 1])],
    )
    kinds = [checks.MISSING_KEY, checks.BAD_SIZE, checks.UNKNOWN_IMAGE, checks.EMPTY_BOX]
    assert [issue.kind for issue in issues] == kinds
    assert [len(record.boxes) for record in parsed.records] == [1]


def test_objects_of_a_faulty_image_are_no_fault_of_their_own(tmp_path: Path) -> None:
    _, issues = read(
        tmp_path, images=[image(1), image(2, width=None)], annotations=[annotation(1, image_id=2)]
    )
    assert [issue.kind for issue in issues] == [checks.BAD_SIZE]


def test_long_values_are_shortened(tmp_path: Path) -> None:
    _, (issue,) = read(tmp_path, annotations=[annotation(1, bbox=["wide"] * 9999)])
    assert len(issue.text) < 300
