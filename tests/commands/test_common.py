"""What commands share: the arguments about inference, threads and files to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cornernet.cli import main, parse
from cornernet.commands.common import check_writable
from cornernet.config import Config, with_overrides
from cornernet.data.shapes import CLASSES
from cornernet.errors import UserError
from cornernet.parts.corners.head import FusedCornerHead
from cornernet.parts.corners.structures import Outputs

from .helpers import refusal, save_random_weights, small_recipe


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
def test_flip_and_scales_are_the_views_that_are_looked_at(
    shapes: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    import cornernet.inference.detect as module

    views: list[tuple[float, bool]] = []

    def spy(placed: Any, color: Any, device: Any, mirrored: bool) -> Any:
        views.extend((view.scale[0], mirrored) for view in placed)
        return original(placed, color, device, mirrored)

    original = module.place
    monkeypatch.setattr(module, "place", spy)
    where = ["--data", str(shapes)] if verb == "evaluate" else [str(shapes / "val")]
    output = [] if verb == "evaluate" else ["--output", str(tmp_path / "out")]
    main([verb, str(weights), *where, *output, "--device", "cpu",
          "--flip", "--scales", "0.5,1,1.25"])  # fmt: skip
    assert {mirrored for _, mirrored in views} == {True}
    wanted = (0.5, 1.0, 1.25)  # sizes are whole numbers of pixels
    nearest = {min(wanted, key=lambda one: abs(one - scale)) for scale, _ in views}
    assert nearest == set(wanted)


def test_scales_that_are_no_numbers(
    weights: Path, shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("evaluate", str(weights), "--data", str(shapes), "--scales", "0.5;1")
    error = refusal(capsys, *words)
    assert "--scales " in error and "0.5,1,1.5" in error and "'0.5;1'" in error


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (["--batch-size", "many"], "--batch-size"),
        (["--batch-size", "0"], "--batch-size"),
        (["--test.batch_size", "0"], "--batch-size"),
        (["--test.max_pairs", "0"], "--test.max_pairs"),
        (["--scales", "1,-1"], "--scales"),
    ],
)
def test_setting_with_a_flag_of_its_own_is_told_by_it(
    shapes: Path, weights: Path, capsys: pytest.CaptureFixture[str], words: list[str], flag: str
) -> None:
    error = refusal(capsys, "evaluate", str(weights), "--data", str(shapes), *words)
    assert error.startswith(f"cornernet evaluate: {flag} must be ")


def test_flags_of_inference_are_settings() -> None:
    words = ["--flip", "--scales", "0.5,1", "--batch-size", "2", "--test.topk", "7"]
    settings = parse(["evaluate", "w.pt", "--data", "d", *words])[1]
    test = with_overrides(Config(), settings).test
    assert (test.flip, test.scales, test.batch_size, test.topk) == (True, [0.5, 1.0], 2, 7)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the commands ask for, instead of getting it."""
    asked: list[int] = []
    monkeypatch.setattr("cornernet.runtime.threads.apply_threads", asked.append)
    return asked


def words_of(command: str, source: str, shapes: Path, tmp_path: Path) -> list[str]:
    """A run of a command that computes, from a recipe or from weights."""
    data = ["--data", str(shapes)]
    if command == "predict":
        data = [str(shapes / "val"), "--output", str(tmp_path / "out")]
    elif command == "train":
        data += ["--output", str(tmp_path / "run")]
    return [command, source, *data, "--device", "cpu"]


COMPUTING = ("train", "check", "evaluate", "predict")


@pytest.mark.parametrize("command", COMPUTING)
@pytest.mark.parametrize("name", ["runtime.threads", "train.threads"])
def test_threads_are_what_the_command_line_says(
    shapes: Path, weights: Path, tmp_path: Path, threads: list[int], command: str, name: str
) -> None:
    recipe = small_recipe(tmp_path, {"runtime": {"threads": 2}})
    source = str(weights if command in ("evaluate", "predict") else recipe)
    main([*words_of(command, source, shapes, tmp_path), f"--{name}", "3"])
    assert threads == [3]


@pytest.mark.parametrize("command", COMPUTING)
def test_threads_of_a_recipe_count_and_those_of_a_weights_file_do_not(
    shapes: Path, tmp_path: Path, threads: list[int], command: str
) -> None:
    inference = command in ("evaluate", "predict")
    if inference:  # made on a machine with many processors
        source = save_random_weights(tmp_path / "w.pt", CLASSES, "--runtime.threads=64")
    else:
        source = small_recipe(tmp_path, {"runtime": {"threads": 2}})
    main(words_of(command, str(source), shapes, tmp_path))
    assert threads == [0 if inference else 2]


@pytest.mark.parametrize(
    ("name", "suffixes", "word"),
    [("no/m.json", (), "directory"), ("", (), "directory"), ("m.pdf", (".png", ".jpg"), ".jpg")],
)
def test_file_that_cannot_be_written_is_refused(
    tmp_path: Path, name: str, suffixes: tuple[str, ...], word: str
) -> None:
    with pytest.raises(UserError, match=word) as error:
        check_writable(str(tmp_path / name), suffixes)
    assert str(tmp_path / name) in str(error.value)
    check_writable(str(tmp_path / "m.png"), suffixes)
    check_writable(None)


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_precision_that_a_device_lacks_is_a_sentence(
    shapes: Path,
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
) -> None:
    def fail_in_half(head: FusedCornerHead, shared: list[torch.Tensor]) -> Outputs:
        if shared[0].dtype == torch.float16:
            raise RuntimeError("\"conv\" not implemented for 'Half'")
        return forward(head, shared)

    forward = FusedCornerHead.forward
    monkeypatch.setattr(FusedCornerHead, "forward", fail_in_half)
    words = {"predict": [str(shapes / "val"), "--output", str(tmp_path / "out")],
             "evaluate": ["--data", str(shapes)]}[verb]  # fmt: skip
    error = refusal(capsys, verb, str(weights), *words, "--device", "cpu", "--precision", "fp16")
    assert "--precision" in error and "fp16" in error and "cpu" in error and "fp32" in error
