"""Names of classes and files that try to control the terminal, in every command that shows them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cornernet.cli import main
from cornernet.data.images import write_image

from .helpers import save_random_weights, small_recipe

NAMES = ["open [/open]", "[red]", ":phone:", "esc \x1b[2J\x1b]8;;https://a.b\x07", "\rnet\x9b1A"]
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("names")
    (root / "annotations").mkdir()
    for split in ("train", "val"):
        (root / split).mkdir()
        name = f"[bold]{split}.png"
        write_image(root / split / name, np.full((64, 64, 3), 90, np.uint8))
        content = {
            "images": [{"id": 1, "file_name": name, "width": 64, "height": 64}],
            "annotations": [
                {"id": place, "image_id": 1, "category_id": place, "bbox": [9 * place, 4, 20, 20]}
                for place in range(len(NAMES))
            ],
            "categories": [{"id": place, "name": name} for place, name in enumerate(NAMES)],
        }
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return root


def _words(command: str, dataset: Path, tmp_path: Path) -> list[str]:
    weights = str(save_random_weights(tmp_path / "w.pt", NAMES))
    return {
        "data check": ["data", "check", str(dataset)],
        "data convert": ["data", "convert", str(dataset), str(tmp_path / "out")],
        "evaluate": ["evaluate", weights, "--data", str(dataset), "--device", "cpu"],
        "predict": ["predict", weights, str(dataset / "val"), "--output", str(tmp_path / "out"),
                    "--device", "cpu", "--score", "0"],
        "train": ["train", str(small_recipe(tmp_path, {})), "--data", str(dataset), "--output",
                  str(tmp_path / "run"), "--device", "cpu"],
    }[command]  # fmt: skip


@pytest.mark.parametrize("command", ["data check", "data convert", "evaluate", "predict", "train"])
def test_names_are_shown_as_they_are(
    command: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(_words(command, dataset, tmp_path))
    captured = capsys.readouterr()
    assert captured.out and not CONTROL.findall(captured.out + captured.err)
    if command in ("data check", "evaluate", "train"):
        for text in ("open [/open]", "[red]", ":phone:", r"esc \x1b[2J", r"\rnet\x9b1A"):
            assert text in captured.out, text
