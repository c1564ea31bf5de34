"""Which files are found for a split, and what is said where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from cornernet.data.coco import CocoDataset
from cornernet.data.layouts import find_split
from tests.errors import raises


def make(root: Path, *names: str) -> Path:
    """Make a data directory of empty files and, where a name ends in a slash, directories."""
    for name in names:
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
    return root


def annotation_files(*splits: str) -> list[str]:
    return [f"annotations/instances_{split}.json" for split in splits]


def refused(root: Path, *words: str, split: str = "train", field: str | None = None) -> None:
    """A split is not found; the error has the field and all `words` in one line."""
    with raises(*words, field=field) as caught:
        find_split(root, split)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["train", "train2017", "train_mini"])
def test_a_split_is_found_by_the_start_of_its_name(tmp_path: Path, name: str) -> None:
    files = find_split(make(tmp_path, *annotation_files(name, "val"), f"{name}/", "val/"), "train")
    assert files.annotations == tmp_path / "annotations" / f"instances_{name}.json"
    assert files.images == tmp_path / name


def test_an_exact_name_wins_over_longer_ones(tmp_path: Path) -> None:
    names = ["train2014", "train", "train2017"]
    make(tmp_path, *annotation_files(*names), *(f"{name}/" for name in names))
    for name in names:
        files = find_split(tmp_path, name)
        assert (files.annotations.stem, files.images.name) == (f"instances_{name}", name)


def test_several_annotation_files_are_listed(tmp_path: Path) -> None:
    make(tmp_path, *annotation_files("train2014", "train2017"))
    refused(
        tmp_path, "instances_train2014.json, instances_train2017.json", "in full", field="split"
    )


def test_without_a_matching_annotation_file_the_others_are_listed(tmp_path: Path) -> None:
    make(tmp_path, *annotation_files("val"))
    refused(tmp_path, "'train'", "instances_train*.json", "instances_val.json", field="split")


def test_no_data_directory_is_a_sentence(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "nowhere", "nothing there", "cornernet data synthesize")


def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    refused(make(tmp_path, "file") / "file", "found a file")


def test_a_directory_without_annotations_is_a_sentence(tmp_path: Path) -> None:
    refused(tmp_path, "instances_train*.json", "no .json file in annotations/")


def test_an_empty_split_name_is_refused(tmp_path: Path) -> None:
    refused(make(tmp_path, *annotation_files("train"), "train/"), "name", split="", field="split")


def test_the_only_directory_that_starts_like_the_split_holds_the_images(tmp_path: Path) -> None:
    make(tmp_path, *annotation_files("train2017"), "train_images/", "val/")
    assert find_split(tmp_path, "train").images == tmp_path / "train_images"


def test_no_directory_with_images_is_a_sentence(tmp_path: Path) -> None:
    make(tmp_path, *annotation_files("train"), "jpeg/")
    refused(tmp_path, "'train'", "the directories annotations, jpeg", "rename")


def test_several_directories_with_images_are_listed(tmp_path: Path) -> None:
    make(tmp_path, *annotation_files("train2017"), "train_a/", "train_b/")
    refused(tmp_path, "train_a, train_b")


def test_a_dataset_says_which_setting_its_split_comes_from(tmp_path: Path) -> None:
    make(tmp_path, *annotation_files("val"))
    with raises("'train'", field="data.train_split"):
        CocoDataset(tmp_path, "train", split_field="data.train_split")
