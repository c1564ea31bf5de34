"""`cornernet check-losses`: the losses of two runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cornernet.cli import main

from .helpers import LOSSES, refusal


def write_run(directory: Path, total: float) -> str:
    """A run of one line."""
    directory.mkdir()
    record = {"kind": "train", "step": 10, **{f"loss/{name}": total for name in LOSSES}}
    (directory / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    return str(directory)


def test_verdict_decides_the_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write_run(tmp_path / "a", 1.0)
    main(["check-losses", first, write_run(tmp_path / "b", 1.01)])
    text = capsys.readouterr().out
    assert "passes: " in text and all(name in text for name in LOSSES)
    with pytest.raises(SystemExit) as stop:
        main(["check-losses", first, write_run(tmp_path / "c", 1.5)])
    assert stop.value.code == 1 and "FAILS: " in capsys.readouterr().out


def test_directory_without_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write_run(tmp_path / "a", 1.0)
    assert "metrics.jsonl" in refusal(capsys, "check-losses", first, str(tmp_path))
