"""Pictures for people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from cornernet.data.images import read_image
from cornernet.report.curves import save_curves
from cornernet.report.draw import class_color, draw_detections
from cornernet.report.sheet import save_sheet
from cornernet.structures import Detections


def one_box(score: float = 0.8) -> Detections:
    return Detections(torch.tensor([[20.0, 30, 80, 70]]), torch.tensor([score]), torch.tensor([1]))


def test_a_box_is_drawn_in_its_class_colour_where_it_is() -> None:
    image = np.zeros((100, 120, 3), np.uint8)
    drawn = draw_detections(image, one_box(), ["cat", "dog"])
    for x, y in ((20, 50), (80, 50), (50, 70)):
        assert tuple(drawn[y, x]) == class_color(1)
    assert tuple(drawn[50, 50]) == (0, 0, 0) and not image.any()


def test_zoom_moves_the_box_with_the_picture() -> None:
    drawn = draw_detections(np.zeros((100, 120, 3), np.uint8), one_box(), ["cat", "dog"], 2.0)
    assert drawn.shape == (200, 240, 3)
    assert tuple(drawn[100, 40]) == class_color(1)


def test_any_alphabet_can_be_drawn() -> None:
    draw_detections(np.zeros((100, 120, 3), np.uint8), one_box(), ["кот", "größe"])


def test_a_picture_smaller_than_its_label_is_drawn() -> None:
    tiny = Detections(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([0.5]), torch.tensor([0]))
    assert draw_detections(np.zeros((3, 3, 3), np.uint8), tiny, ["cat"]).shape == (3, 3, 3)


def test_neighbouring_classes_have_different_colours() -> None:
    colors = np.array([class_color(label) for label in range(80)], float)
    assert (np.abs(np.diff(colors, axis=0)).max(axis=1) > 60).all()


def test_a_sheet_holds_all_pictures(tmp_path: Path) -> None:
    pictures = [(f"picture {i}", np.full((40, 60, 3), 40 * i, np.uint8)) for i in range(5)]
    save_sheet(pictures, tmp_path / "sheet.png", columns=2, cell=60)
    sheet = read_image(tmp_path / "sheet.png")
    assert all((sheet == 40 * i).all(axis=2).sum() >= 60 * 40 * 0.9 for i in range(5))


def test_curves_of_a_run_that_has_not_been_evaluated(tmp_path: Path) -> None:
    names = ("total", "focal", "pull", "push", "offset")
    record = {"kind": "train", "step": 1, "epoch": 0.5, "learning_rate": 1e-3}
    save_curves([record | {f"loss/{n}": 1.0 for n in names}], tmp_path / "curves.png")
    assert read_image(tmp_path / "curves.png").shape[1] > 500
