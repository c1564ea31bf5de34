"""The command line as a whole: exit statuses, and errors as whole sentences."""

from __future__ import annotations

import argparse
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from cornernet import cli
from cornernet.commands import COMMANDS
from cornernet.commands.parser import Command, CommandParser
from cornernet.errors import OutOfMemory, UserError

from .helpers import refusal

ROOT = Path(__file__).parents[2]


def test_python_dash_m_is_the_same_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["cornernet", "--help"])
    with pytest.raises(SystemExit):
        runpy.run_module("cornernet", run_name="__main__")
    text = capsys.readouterr().out
    words = text.split()
    assert all(command.name in words for command in COMMANDS)


def test_every_module_of_a_command_is_listed() -> None:
    files = {path.stem for path in (ROOT / "cornernet" / "commands").glob("[!_]*.py")}
    modules = {name.replace("_", "-") for name in files - {"common", "parser", "records"}}
    commands = {command.name for command in COMMANDS}
    assert commands <= modules
    # A command's own commands may have modules of their own: data_check.
    assert {name.partition("-")[0] for name in modules - commands} <= commands


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["env", "--help"]])
def test_help_is_quick(words: list[str]) -> None:
    # Libraries that take a second or more are imported where a command needs them.
    code = (
        "import sys, cornernet.cli\n"
        "try: cornernet.cli.main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "sys.exit(str({'torch', 'numpy', 'cv2', 'rich', 'matplotlib'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.stderr == "set()\n"


def test_a_reader_that_stops_early_sees_no_traceback() -> None:
    command = f"{sys.executable} -m cornernet train --help | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.startswith("usage:") and done.stderr == ""


def parser(takes_settings: bool = True) -> CommandParser:
    """The parser of a command with an argument of each sort."""

    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("recipe", metavar="RECIPE")
        parser.add_argument("--allow-partial", action="store_true")
        parser.add_argument("--scales", dest="test.scales")
        parser.add_argument("--device")

    command = Command("try", "Try.", add_arguments, lambda *_: None, takes_settings)
    return CommandParser(prog="cornernet try", command=command)


@pytest.mark.parametrize(
    ("error", "with_settings", "without"),
    [
        (UserError("a.txt: expected text"), "a.txt: expected text", None),
        (UserError("must be there", field="device"), "--device must be there", None),
        (UserError("is needed", field="allow_partial"), "--allow-partial is needed", None),
        (UserError("must exist", field="recipe"), "RECIPE must exist", None),
        (
            UserError("a.pth: set allow_partial, or device, or another recipe"),
            "a.pth: set --allow-partial, or device, or another recipe",
            "a.pth: set --allow-partial, or device, or another recipe",
        ),
        (UserError("must not", field="other"), "other must not", None),
        (
            UserError("must be a number, got 'fast'", field="train.learning_rate"),
            "--train.learning_rate must be a number, got 'fast'",
            "train.learning_rate must be a number, got 'fast'",
        ),
        (
            UserError("is not a setting; did you mean train.epochs?", field="train.epoch"),
            "--train.epoch is not a setting; did you mean --train.epochs?",
            "train.epoch is not a setting; did you mean train.epochs?",
        ),
        (
            UserError("must be positive, got 0.0", field="test.scales"),
            "--scales must be positive, got 0.0",
            None,
        ),
        (
            UserError("must be 1, got 0", field="train.epochs", source="mine.yaml"),
            "mine.yaml: train.epochs must be 1, got 0",
            "mine.yaml: train.epochs must be 1, got 0",
        ),
        (
            OutOfMemory("out of memory; lower test.scales, data.long_side or train.batch_size."),
            "out of memory; lower --scales, --data.long_side or --train.batch_size.",
            None,
        ),
        (
            UserError("a/train.epochs, train.epochs/b, train.epochs_1, xtrain.epochs"),
            "a/train.epochs, train.epochs/b, train.epochs_1, xtrain.epochs",
            None,
        ),
    ],
)
def test_errors_are_said_with_flags(
    error: UserError, with_settings: str, without: str | None
) -> None:
    assert parser().sentence(error) == with_settings
    if without is not None:
        assert parser(takes_settings=False).sentence(error) == without


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "train tiny --data d --ouput x",
            "cornernet train: unknown argument --ouput; did you mean --output?",
        ),
        (
            "train tiny --data d --output x --epochs 3",
            "cornernet train: unknown argument --epochs; did you mean --train.epochs?",
        ),
        (
            "train tiny --data d --output x --flip=1",
            "cornernet train: unknown argument --flip; did you mean --augment.flip or --test.flip?",
        ),
        (
            "train tiny --data d --output x --qqq",
            "cornernet train: unknown argument --qqq; see cornernet train --help",
        ),
        (
            "convert a.pth --output x --epochs 3",
            "cornernet convert: unknown argument --epochs; see cornernet convert --help",
        ),
        (
            "convert a.pth --output x --train.epochs 3",
            "cornernet convert: unknown arguments: --train.epochs 3; see cornernet convert --help",
        ),
        (
            "train tiny --data d --output x --test.scales [1, 2]",
            "cornernet train: unknown arguments: 2]; put lists in quotes, like '[1, 2]', or see "
            "cornernet train --help",
        ),
        (
            "train tiny --data d --output x --train.learning_rate fast",
            "cornernet train: --train.learning_rate must be a number, got 'fast'",
        ),
        (
            "train tiny --data d --output x --augment.contrast 0.5,1.5",
            "cornernet train: --augment.contrast must be a list of numbers such as [0.5, 1.5], got "
            "'0.5,1.5'",
        ),
        (
            "check tiny --data d --train.precision half",
            "cornernet check: --train.precision must be one of auto, fp32, bf16, fp16, got 'half'",
        ),
        (
            "check tiny --data d --train.epochs",
            "cornernet check: --train.epochs must be followed by a whole number",
        ),
        (
            "check tinny --data d",
            "cornernet check: RECIPE must be the name of a recipe or a YAML file, got 'tinny'; did "
            "you mean 'tiny'?",
        ),
    ],
)
def test_wrong_words_get_a_sentence(
    capsys: pytest.CaptureFixture[str], words: str, sentence: str
) -> None:
    assert refusal(capsys, *words.split(" ")) == f"{sentence}\n"


def test_settings_may_stand_anywhere() -> None:
    words = ["predict", "--data.long_side", "64", "w.pt", "a.png", "--test.flip=true", "b.png"]
    arguments, settings = cli.parse([*words, "--output", "out"])
    assert (arguments.weights, arguments.sources) == ("w.pt", ["a.png", "b.png"])
    assert settings == ["--data.long_side", "64", "--test.flip=true"]


def run_failing(
    monkeypatch: pytest.MonkeyPatch, error: BaseException | None, status: int | None = None
) -> None:
    """Run a command that warns, and then raises or returns a status."""

    def run(*_: object) -> int | None:
        warnings.warn("lower train.epochs", stacklevel=1)
        if error is not None:
            raise error
        return status

    command = Command("try", "Try.", lambda _: None, run, takes_settings=True)
    monkeypatch.setattr(cli, "COMMANDS", (command,))
    cli.main(["try"])


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (UserError("a.txt: bad"), 2, "a.txt: bad"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device", "a.txt"), 2, "a.txt: No space left on device"),
        (OSError("odd"), 2, "odd"),
        (
            RuntimeError("device out of memory. Tried\nmore"),
            2,
            "out of memory (device out of memory. Tried); lower --test.batch_size, "
            "--data.long_side or --test.scales",
        ),
        (
            MemoryError("8 GiB"),
            2,
            "out of memory (8 GiB); lower --test.batch_size, --data.long_side or --test.scales",
        ),
    ],
)
def test_errors_become_exit_statuses(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    status: int,
    sentence: str,
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_failing(monkeypatch, error)
    assert stop.value.code == status
    said = capsys.readouterr().err
    assert said == f"warning: lower --train.epochs\ncornernet try: {sentence}\n"


@pytest.mark.parametrize("error", [RuntimeError("a defect"), TypeError("a defect")])
def test_defects_keep_their_traceback(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    with pytest.raises(type(error), match="a defect"):
        run_failing(monkeypatch, error)


def test_status_of_a_command_is_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    run_failing(monkeypatch, None, 0)
    run_failing(monkeypatch, None, None)
    with pytest.raises(SystemExit) as stop:
        run_failing(monkeypatch, None, 1)
    assert stop.value.code == 1
