"""The two splits of a training: by name, by settings, or held out of one another."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cornernet.config import Config, config_from_dict
from cornernet.data.coco import CocoDataset
from cornernet.data.export import convert
from cornernet.data.images import write_image
from cornernet.data.splits import evaluation_split, training_splits
from cornernet.errors import UserError

CATEGORIES = [{"id": 0, "name": "things"}, {"id": 1, "name": "cup"}, {"id": 2, "name": "cat"}]


def write(
    path: Path, images: Path, number: int = 10, labels: tuple[int, ...] = (1, 2), **changes: Any
) -> Path:
    """Write annotations of some images with one object each, and the images."""
    images.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [f"{place:02d}.png" for place in range(1, number + 1)]
    for name in names:
        write_image(images / name, np.zeros((40, 50, 3), np.uint8))
    content = {
        "images": [
            {"id": place, "file_name": name, "width": 50, "height": 40}
            for place, name in enumerate(names, 1)
        ],
        "annotations": [
            {
                "id": place,
                "image_id": place,
                "category_id": labels[place % len(labels)],
                "bbox": [place, 2, 9, 8],
            }
            for place in range(1, number + 1)
            if labels
        ],
        "categories": CATEGORIES,
    }
    path.write_text(json.dumps(content | changes))
    return path


def settings(**data: Any) -> Config:
    return config_from_dict({"data": data})


def names(dataset: CocoDataset) -> list[str]:
    return [dataset.info(index).file_name for index in range(len(dataset))]


def with_splits(root: Path, **changes: Any) -> Path:
    for split in ("train", "val"):
        write(root / "annotations" / f"instances_{split}.json", root / split, **changes)
    return root


def test_a_share_is_held_out_and_said(tmp_path: Path) -> None:
    write(tmp_path / "labels.json", tmp_path / "images")
    training, validation = training_splits(settings(val_share=0.3), tmp_path)
    assert (len(training), len(validation)) == (7, 3)
    assert sorted(names(training) + names(validation)) == [f"{n:02d}.png" for n in range(1, 11)]
    (note,) = (note for note in training.notes if "held out" in note)
    assert "3 of 10 images" in note and "train.seed = 0" in note and "data.val_share = 0.3" in note
    assert not any("held out" in note for note in validation.notes)
    assert len(validation.ground_truth()["images"]) == 3


def test_what_is_wrong_with_one_file_is_said_once(tmp_path: Path) -> None:
    write(tmp_path / "labels.json", tmp_path / "images", labels=(1, 77))
    with pytest.warns(UserWarning, match="dropped 5 of 10") as caught:
        training, validation = training_splits(settings(), tmp_path)
    assert len(caught) == 1
    notes = [*training.notes, *validation.notes]
    assert len(notes) == len(set(notes))
    with pytest.warns(UserWarning, match="dropped 5 of 10"):
        evaluation_split(settings(), tmp_path, None, training.classes)
    with pytest.raises(UserError, match="unknown category"):
        training_splits(settings(strict=True), tmp_path)


def test_the_seed_draws_the_share(tmp_path: Path) -> None:
    write(tmp_path / "labels.json", tmp_path / "images")

    def held_out(seed: int) -> list[str]:
        return names(training_splits(config_from_dict({"train": {"seed": seed}}), tmp_path)[1])

    assert held_out(0) == held_out(0)
    assert len({tuple(held_out(seed)) for seed in range(5)}) > 1


def test_evaluation_takes_the_images_that_were_held_out(tmp_path: Path) -> None:
    write(tmp_path / "labels.json", tmp_path / "images")
    training, validation = training_splits(settings(), tmp_path)
    evaluated = evaluation_split(settings(), tmp_path, None, training.classes)
    assert names(evaluated) == names(validation)
    assert any("held out" in note for note in evaluated.notes)
    whole = evaluation_split(settings(), tmp_path, "train", training.classes)
    assert len(whole) == 10


@pytest.mark.parametrize("number", [0, 1])
def test_too_few_images_to_hold_some_out_are_a_sentence(tmp_path: Path, number: int) -> None:
    write(tmp_path / "labels.json", tmp_path / "images", number)
    with pytest.raises(UserError, match=r"two or more images"):
        training_splits(settings(), tmp_path)


def test_a_share_of_zero_wants_a_validation_split(tmp_path: Path) -> None:
    write(tmp_path / "labels.json", tmp_path / "images")
    with pytest.raises(UserError) as caught:
        training_splits(settings(val_share=0), tmp_path)
    assert caught.value.field == "data.val_share"


def test_a_validation_split_that_was_asked_for_by_name_is_not_made(tmp_path: Path) -> None:
    write(tmp_path / "annotations" / "instances_train.json", tmp_path / "train")
    with pytest.raises(UserError) as caught:
        training_splits(settings(val_split="vall"), tmp_path)
    assert caught.value.field == "data.val_split"
    assert len(training_splits(settings(), tmp_path)[1]) == 2


def test_one_split_can_be_both(tmp_path: Path) -> None:
    write(tmp_path / "labels.json", tmp_path / "images")
    training, validation = training_splits(settings(val_split="train"), tmp_path)
    assert len(training) == len(validation) == 10


@pytest.mark.parametrize("share", [-0.1, 1, float("nan")])
def test_a_share_is_below_one(share: float) -> None:
    with pytest.raises(UserError, match=r"data\.val_share"):
        settings(val_share=share)


def test_settings_name_annotations_and_images_anywhere(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    learnt = write(root / "deep" / "mine.json", root / "photos")
    validated = write(tmp_path / "other" / "theirs.json", tmp_path / "elsewhere", 4)
    config = settings(
        train_annotations="deep/mine.json",
        train_images="photos",
        val_annotations=str(validated),
        val_images=str(tmp_path / "elsewhere"),
    )
    training, validation = training_splits(config, root)
    assert (len(training), len(validation)) == (10, 4)
    assert training.annotation_path == learnt
    assert validation.load(0).path == str(tmp_path / "elsewhere" / "01.png")


def test_settings_name_a_directory_of_xml_or_a_data_yaml(tmp_path: Path) -> None:
    write(tmp_path / "in" / "labels.json", tmp_path / "in" / "images")
    for layout in ("voc", "yolo"):
        convert(tmp_path / "in", tmp_path / layout, layout)
        shutil.rmtree(tmp_path / layout / "ImageSets", ignore_errors=True)
    (tmp_path / "voc" / "JPEGImages").rename(tmp_path / "voc" / "photos")
    (tmp_path / "voc" / "Annotations").rename(tmp_path / "voc" / "xml")
    (tmp_path / "empty").mkdir()
    config = settings(
        train_annotations=str(tmp_path / "voc" / "xml"),
        train_images=str(tmp_path / "voc" / "photos"),
        val_annotations=str(tmp_path / "yolo" / "data.yaml"),
        val_split="train",
    )
    training, validation = training_splits(config, tmp_path / "empty")
    assert len(training) == len(validation) == 10
    for index in range(10):
        first, second = training.load(index), validation.load(index)
        np.testing.assert_array_equal(first.boxes, second.boxes)
        np.testing.assert_array_equal(first.labels, second.labels)


def test_without_validation_annotations_a_share_of_those_named_is_held_out(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "mine.json", tmp_path / "photos")
    config = settings(train_annotations="deep/mine.json", train_images="photos")
    training, validation = training_splits(config, tmp_path)
    assert (len(training), len(validation)) == (8, 2)


def test_a_setting_names_the_images_of_a_layout(tmp_path: Path) -> None:
    write(tmp_path / "annotations" / "instances_train.json", tmp_path / "photos")
    with pytest.raises(UserError, match="found no file"):
        training_splits(settings(), tmp_path)
    training, _ = training_splits(settings(train_images="photos"), tmp_path)
    assert training.image_folder == tmp_path / "photos"


@pytest.mark.parametrize("key", ["train_annotations", "train_images", "val_images"])
def test_a_setting_that_names_nothing_is_a_sentence(tmp_path: Path, key: str) -> None:
    with pytest.raises(UserError) as caught:
        training_splits(settings(**{key: "nowhere"}), with_splits(tmp_path))
    assert caught.value.field == f"data.{key}"
    assert "nowhere" in str(caught.value)


# Classes


def test_a_category_without_a_box_is_no_class(tmp_path: Path) -> None:
    training, validation = training_splits(settings(), with_splits(tmp_path))
    assert training.classes == validation.classes == ["cup", "cat"]
    assert any("'things'" in note for note in training.notes)


def test_a_class_with_boxes_in_the_validation_split_alone_is_kept(tmp_path: Path) -> None:
    root = with_splits(tmp_path)
    write(root / "annotations" / "instances_train.json", root / "train", labels=(1,))
    assert training_splits(settings(), root)[0].classes == ["cup", "cat"]


def test_a_validation_split_may_list_fewer_categories(tmp_path: Path) -> None:
    root = with_splits(tmp_path)
    write(
        root / "annotations" / "instances_val.json",
        root / "val",
        labels=(2,),
        categories=CATEGORIES[2:],
    )
    training, validation = training_splits(settings(), root)
    assert validation.classes == training.classes == ["cup", "cat"]
    assert validation.load(0).labels.tolist() == [1]


def test_a_class_that_is_not_learnt_is_refused(tmp_path: Path) -> None:
    root = with_splits(tmp_path)
    categories = [*CATEGORIES, {"id": 9, "name": "dog"}]
    write(
        root / "annotations" / "instances_val.json",
        root / "val",
        labels=(2, 9),
        categories=categories,
    )
    with pytest.raises(UserError, match=r"instances_val\.json.*'dog'"):
        training_splits(settings(), root)


def test_a_validation_split_without_objects_is_said(tmp_path: Path) -> None:
    root = with_splits(tmp_path)
    assert not any("n/a" in note for note in training_splits(settings(), root)[1].notes)
    write(root / "annotations" / "instances_val.json", root / "val", labels=())
    _, validation = training_splits(settings(), root)
    assert any("no object to validate on" in note for note in validation.notes)
