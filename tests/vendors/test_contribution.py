"""A contribution to the model zoo is complete, and its scripts start a training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cornernet.vendors.tecorigin.contribution import write_contribution
from tests.errors import raises

from .helpers import PACKAGE, write_run

# What `cornernet check` writes.
CHECK = {
    "passes": True, "device": "sdaa:0", "precision": "fp16", "gradient_error": 0.001,
    "worst": "head", "worst_error": 0.002, "loss_error": 0.0005, "tolerance": 0.25,
    "rounding": 0.125,
}  # fmt: skip


def test_contribution_has_what_the_zoo_asks_for(tmp_path: Path) -> None:
    output = tmp_path / "zoo"
    run, reference = write_run(tmp_path / "sdaa", 1.03125), write_run(tmp_path / "cpu")
    assert write_contribution(run, output, PACKAGE, "torch 2", reference, CHECK)
    names = {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()}
    assert names == {
        "README.md", "config.yaml", "requirements.txt", "metrics.jsonl", "reference.jsonl",
        "losses.json", "run_scripts/argument.py", "run_scripts/run_cornernet.py",
        "run_scripts/test.sh",
    }  # fmt: skip
    readme = (output / "README.md").read_text()
    assert "| 0.500 | 0.750 | 0.625 |" in readme and "\ntorch 2\n" in readme
    assert "| total | 0.0312 | 0.0312 (step 10) | 0.0312 |" in readme
    assert "passes: on sdaa:0 in fp16, all gradients together are 1.00e-03 off" in readme
    assert "at most 0.25 in the gradients, where the CPU's own in fp16 are 1.25e-01 off" in readme
    assert PACKAGE in (output / "requirements.txt").read_text()


def test_contribution_without_a_comparison_has_no_verdict(tmp_path: Path) -> None:
    run, output = write_run(tmp_path / "run"), tmp_path / "zoo"
    assert write_contribution(run, output, PACKAGE, "torch 2") is None
    assert "passes" not in (output / "README.md").read_text()


def test_scripts_start_what_they_say(tmp_path: Path) -> None:
    scripts = tmp_path / "zoo" / "run_scripts"
    write_contribution(write_run(tmp_path / "run"), tmp_path / "zoo", PACKAGE, "", processes=2)
    words = ["--data", "nowhere", "--output", str(tmp_path / "new"), "--device", "cpu"]
    parsed = subprocess.run(
        [sys.executable, "-c", "import argument; print(argument.parse())", *words],
        cwd=scripts,
        capture_output=True,
        text=True,
    )
    assert "nproc_per_node=2" in parsed.stdout
    done = subprocess.run(
        [sys.executable, str(scripts / "run_cornernet.py"), *words, "--nproc_per_node", "1",
         "--train.epochs", "1"],
        capture_output=True,
        text=True,
    )  # fmt: skip
    started = "-m torch.distributed.run --nproc_per_node 1 -m cornernet train"
    assert started in done.stdout and "--train.epochs 1" in done.stdout
    assert "cornernet train: " in done.stderr and "nowhere" in done.stderr
    assert subprocess.run(["bash", "-n", str(scripts / "test.sh")]).returncode == 0


def test_losses_that_differ_fail(tmp_path: Path) -> None:
    run, reference = write_run(tmp_path / "a", 1.1), write_run(tmp_path / "b")
    assert write_contribution(run, tmp_path / "zoo", PACKAGE, "", reference) is False
    assert "FAILS" in (tmp_path / "zoo" / "README.md").read_text()


def test_check_that_fails_decides(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a")
    batch = CHECK | {"passes": False}
    assert write_contribution(run, tmp_path / "zoo", PACKAGE, "", run, batch) is False


def test_directory_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "mine").write_text("mine")
    with raises("new or empty", field="output"):
        write_contribution(write_run(tmp_path / "a"), tmp_path / "zoo", PACKAGE, "")
    assert [path.name for path in (tmp_path / "zoo").iterdir()] == ["mine"]
