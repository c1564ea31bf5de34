"""`cornernet modelzoo`: a contribution from a run, and one sentence for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cornernet.cli import main
from cornernet.config import load_recipe, save_config
from cornernet.train.log import RunLog

from .helpers import LOSSES, refusal

CHECK = {
    "passes": True, "device": "sdaa:0", "precision": "fp16", "gradient_error": 0.001,
    "worst": "head", "worst_error": 0.002, "loss_error": 0.0005, "tolerance": 0.25,
    "rounding": 0.125,
}  # fmt: skip


def words(tmp_path: Path, name: str, loss: float) -> list[str]:
    """A contribution from a new run."""
    return ["modelzoo", write_run(tmp_path / name, loss), "--output", str(tmp_path / "zoo"),
            "--package", "git+https://example.org/cornernet.git@0123abc"]  # fmt: skip


def write_run(directory: Path, loss: float) -> str:
    directory.mkdir()
    save_config(load_recipe("tiny"), directory / "config.yaml")
    log = RunLog(directory, True)
    log.write("train", 10, {f"loss/{name}": loss for name in LOSSES})
    log.close()
    return str(directory)


def test_verdict_decides_the_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "check.json").write_text(json.dumps(CHECK))
    compared = ["--reference", write_run(tmp_path / "reference", 1.0)]
    main([*words(tmp_path, "a", 1.01), *compared, "--check", str(tmp_path / "check.json")])
    assert capsys.readouterr().out.splitlines()[-1].startswith("passes: ")
    readme = (tmp_path / "zoo" / "README.md").read_text()
    assert "sdaa:0" in readme and "device cpu" in readme
    (tmp_path / "zoo").rename(tmp_path / "first")
    with pytest.raises(SystemExit) as stop:
        main([*words(tmp_path, "b", 1.5), *compared])
    assert stop.value.code == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("FAILS: ")


def test_comparisons_may_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*words(tmp_path, "a", 1.0), "--processes", "2"])
    assert "--reference" in capsys.readouterr().out
    assert "default=2" in (tmp_path / "zoo" / "run_scripts" / "argument.py").read_text()


def test_directory_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "mine").write_text("mine")
    assert "--output must be " in refusal(capsys, *words(tmp_path, "a", 1.0))


@pytest.mark.parametrize("content", ["[]", "{", "{}", '{"passes": true}', None])
def test_file_that_is_no_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    file = tmp_path / "check.json"
    if content is not None:
        file.write_text(content)
    error = refusal(capsys, *words(tmp_path, "a", 1.0), "--check", str(file))
    assert "--check must be " in error and str(file) in error
