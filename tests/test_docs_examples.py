"""The examples of docs/prediction.md run as they stand."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cornernet.cli import main
from cornernet.data.images import write_image
from cornernet.data.video import writing_video
from cornernet.inference import inputs
from tests.commands.helpers import save_random_weights

TEXT = (Path(__file__).parents[1] / "docs" / "prediction.md").read_text(encoding="utf-8")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the files are that the page names, and the web is a file."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    for name in ("photo.jpg", "other.jpg", "photos/a.jpg", "photos/deep/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(tmp_path / name, pixels)
    with writing_video(tmp_path / "clip.mp4", 10) as writer:
        for _ in range(6):
            writer.write(pixels)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    save_random_weights(tmp_path / "runs" / "mine" / "best.pt", ["square", "circle"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inputs, "download", lambda url: (tmp_path / "photo.jpg").read_bytes())
    yield tmp_path


def test_python(directory: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) >= 4
    names: dict[str, Any] = {}
    for block in blocks:
        if "supervision" not in block or importlib.util.find_spec("supervision"):
            exec(compile(block, "docs/prediction.md", "exec"), names)
    assert (directory / "drawn.jpg").is_file()
    assert names["web"].file == "https://example.com/photo.jpg"
    np.testing.assert_array_equal(names["one"].boxes, names["three"].boxes)


def test_layout_of_the_json(directory: Path) -> None:
    example = re.search(r"found\.to_json\(\)\n((?:# .*\n)+)", TEXT)
    assert example is not None
    shown = json.loads(example[1].replace("#", ""))
    names: dict[str, Any] = {}
    code = (
        "from cornernet import CornerNet\n"
        "made = CornerNet.from_pretrained('runs/mine/best.pt', 'cpu').predict('photo.jpg', 0.0)"
    )
    exec(code, names)
    made = names["made"].to_dict()
    assert made.keys() == shown.keys()
    assert made["detections"][0].keys() == shown["detections"][0].keys()


def test_commands(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = re.findall(r"^cornernet (predict .*)$", TEXT, re.MULTILINE)
    live = [line for line in lines if re.search(r"rtsp:|best\.pt 0", line)]
    assert len(live) == 2 and len(lines) - len(live) == 6
    for line in lines:
        if line not in live:
            main([*shlex.split(line.partition(">")[0]), "--device", "cpu"])
            out = capsys.readouterr().out
            if "--json -" in line:
                assert len(json.loads(out)) == 2
    assert (directory / "drawn" / "deep" / "b.png").is_file()
    assert (directory / "drawn3" / "clip.mp4").is_file()
    assert len((directory / "frames.jsonl").read_text().splitlines()) == 3
    assert (directory / "drawn4" / "photo.jpg").is_file()
