"""The examples of docs/export.md run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cornernet.cli import main
from cornernet.data.images import write_image
from tests.commands.helpers import save_random_weights
from tests.export.test_onnx import onnx  # the packages are there, and torch is new enough

TEXT = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")


def test_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg"):
        write_image(tmp_path / name, pixels)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    save_random_weights(tmp_path / "runs" / "mine" / "best.pt", ["square", "circle"])
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(compile(block, "docs/export.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "compared with the network on 1 images" in printed
    assert len(names["found"]) == len(re.findall(r"(square|circle) 0\.\d\d at", printed))
    assert onnx.load("pool.onnx").graph.input[0].name
    (command,) = re.findall(r"^cornernet (predict .*)$", TEXT, re.MULTILINE)
    main(shlex.split(command))
    assert Path("drawn/a.jpg").is_file()
