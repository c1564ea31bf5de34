"""A contribution to the model zoo is complete, and its scripts start a training."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from cornernet.cli import main
from cornernet.config import load_recipe, save_config
from cornernet.train.log import RunLog

PACKAGE = "git+https://example.org/cornernet.git@0123abc"


def run(folder: Path, factor: float = 1.0) -> Path:
    """The folder of a run of three lines and an evaluation."""
    folder.mkdir()
    save_config(load_recipe("tiny"), folder / "config.yaml")
    log = RunLog(folder, True)
    for step in (10, 20, 30):
        losses = {f"loss/{name}": factor * step for name in
                  ("total", "focal", "pull", "push", "offset")}  # fmt: skip
        log.write("train", step, {**losses, "images_per_second": 4.0})
    log.write("val", 30, {"AP": 0.5, "AP50": 0.75, "AP75": 0.625})
    log.close()
    return folder


def test_contribution_has_what_the_zoo_asks_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = tmp_path / "check.json"
    check.write_text(json.dumps({
        "passes": True, "device": "sdaa:0", "precision": "fp16", "gradient_error": 0.001,
        "worst": "head", "worst_error": 0.002, "loss_error": 0.0005, "tolerance": 0.25,
        "rounding": 0.125,
    }))  # fmt: skip
    output = tmp_path / "zoo"
    main(["modelzoo", str(run(tmp_path / "sdaa", 1.03125)), "--output", str(output), "--package",
          PACKAGE, "--reference", str(run(tmp_path / "cpu")), "--check", str(check)])  # fmt: skip
    names = {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()}
    assert names == {
        "README.md", "config.yaml", "requirements.txt", "metrics.jsonl", "reference.jsonl",
        "losses.json", "run_scripts/argument.py", "run_scripts/run_cornernet.py",
        "run_scripts/test.sh",
    }  # fmt: skip
    readme = (output / "README.md").read_text()
    assert "| 0.500 | 0.750 | 0.625 |" in readme
    assert "| total | 0.0312 | 0.0312 (step 10) | 0.0312 |" in readme
    assert "passes: on sdaa:0 in fp16, all gradients together are 1.00e-03 off" in readme
    assert "at most 0.25 in the gradients, where the CPU's own in fp16 are 1.25e-01 off" in readme
    assert PACKAGE in (output / "requirements.txt").read_text()
    assert "passes" in capsys.readouterr().out


def test_scripts_start_what_they_say(tmp_path: Path) -> None:
    output = tmp_path / "zoo"
    main(["modelzoo", str(run(tmp_path / "run")), "--output", str(output), "--package", PACKAGE])
    done = subprocess.run(
        [sys.executable, str(output / "run_scripts" / "run_cornernet.py"), "--data", "nowhere",
         "--output", str(tmp_path / "new"), "--device", "cpu", "--nproc_per_node", "1",
         "--train.epochs", "1"],
        capture_output=True,
        text=True,
    )  # fmt: skip
    words = "-m torch.distributed.run --nproc_per_node 1 -m cornernet train"
    assert words in done.stdout and "--train.epochs 1" in done.stdout
    assert "nowhere: expected a data directory" in done.stderr
    assert subprocess.run(["bash", "-n", str(output / "run_scripts" / "test.sh")]).returncode == 0


def test_losses_that_differ_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["modelzoo", str(run(tmp_path / "a", 1.1)), "--output", str(tmp_path / "zoo")]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--package", PACKAGE, "--reference", str(run(tmp_path / "b"))])
    assert stop.value.code == 1 and "FAILS" in (tmp_path / "zoo" / "README.md").read_text()


def test_folder_with_something_in_it_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "mine").write_text("mine")
    with pytest.raises(SystemExit) as stop:
        main(["modelzoo", str(run(tmp_path / "a")), "--output", str(tmp_path / "zoo"),
              "--package", PACKAGE])  # fmt: skip
    assert stop.value.code == 2 and "expected a new or empty folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "zoo").iterdir()] == ["mine"]


def test_file_that_is_no_check_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "check.json").write_text("[]")
    with pytest.raises(SystemExit):
        main(["modelzoo", str(run(tmp_path / "a")), "--output", str(tmp_path / "zoo"),
              "--package", PACKAGE, "--check", str(tmp_path / "check.json")])  # fmt: skip
    assert "expected a file that `cornernet check --json` wrote" in capsys.readouterr().err


def test_records_go_to_the_zoos_logger_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, Any]] = []

    class Logger:
        def __init__(self, backends: list[Any]) -> None:
            said.append(("backends", backends))

        def metadata(self, name: str, about: dict[str, str]) -> None:
            said.append((name, about))

        def log(self, step: int, data: dict[str, Any]) -> None:
            said.append(("log", (step, data)))

        def flush(self) -> None:
            said.append(("flush", None))

    module = types.ModuleType("tcap_dllogger")
    vars(module).update(
        Logger=Logger,
        JSONStreamBackend=lambda verbosity, path: (verbosity, path),
        Verbosity=types.SimpleNamespace(VERBOSE=1),
    )
    monkeypatch.setitem(sys.modules, "tcap_dllogger", module)
    run(tmp_path / "run")
    assert said[0][1] == [(1, str(tmp_path / "run" / "tcap_dllogger-0.json"))]
    assert dict(said[1:-1])["train.ips"]["unit"] == "imgs/s"
    lines = [value for word, value in said if word == "log"]
    assert lines[0][0] == 10 and lines[0][1]["rank"] == 0
    assert (lines[0][1]["train.loss"], lines[0][1]["train.ips"]) == (10.0, 4.0)
    assert lines[-1] == (30, {"rank": 0, "val.AP": 0.5, "val.AP50": 0.75, "val.AP75": 0.625})
    assert said[-1][0] == "flush"
