"""`cornernet data`: datasets that it makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cornernet.cli import main
from cornernet.data.coco import CocoDataset

from .helpers import refusal


def test_synthesize_makes_a_dataset(tmp_path: Path) -> None:
    main(["data", "synthesize", str(tmp_path / "s"), "--train", "2", "--val", "1", "--seed", "7"])
    assert len(list((tmp_path / "s" / "train").iterdir())) == 2
    data = CocoDataset(tmp_path / "s", "val")
    assert len(data) == 1 and len(data.load(0).boxes)


@pytest.mark.parametrize("words", [["--trian", "2"], ["--trian=2"]])
def test_unknown_flag_is_found_below_a_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    error = refusal(capsys, "data", "synthesize", str(tmp_path / "s"), *words)
    assert "--trian" in error and "--train?" in error and not (tmp_path / "s").exists()
