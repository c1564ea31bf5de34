"""`cornernet check`: a device's gradients beside the CPU's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cornernet.cli import main

from .helpers import small_recipe


@pytest.mark.parametrize("passes", [True, False])
def test_verdict_decides_the_status(
    shapes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    passes: bool,
) -> None:
    file = tmp_path / "check.json"
    words = ["check", str(small_recipe(tmp_path, {})), "--data", str(shapes), "--device", "cpu",
             "--json", str(file), "--train.precision", "fp32"]  # fmt: skip
    if passes:
        main(words)
    else:
        monkeypatch.setattr("cornernet.train.agreement.TOLERANCE", -1.0)
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("passes: " if passes else "FAILS: ")
    content = json.loads(file.read_text())
    assert content["gradient_error"] == 0 and content["passes"] is passes
