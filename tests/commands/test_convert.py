"""`cornernet convert`: weights there and back, and one sentence for bad input."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from cornernet.cli import main
from cornernet.data.shapes import CLASSES
from cornernet.weights.file import load_weights

from .helpers import mmdet_file, refusal


def test_convert_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = mmdet_file(tmp_path / "epoch_12.pth")
    main(["convert", str(source), "--output", str(tmp_path / "w.pt")])
    text = capsys.readouterr().out
    assert "MMDetection" in text
    assert text.splitlines()[-1].startswith(f"{tmp_path / 'w.pt'}: ")
    assert f" {len(load_weights(tmp_path / 'w.pt').state_dict)} tensors, " in text
    assert load_weights(tmp_path / "w.pt").classes == list(CLASSES)


def test_convert_there_and_back(tmp_path: Path) -> None:
    source = mmdet_file(tmp_path / "epoch_12.pth")
    main(["convert", str(source), "--output", str(tmp_path / "w.pt")])
    main(["convert", str(tmp_path / "w.pt"), "--to-mmdet", "--output", str(tmp_path / "back.pth")])
    theirs, back = (torch.load(p, weights_only=True) for p in (source, tmp_path / "back.pth"))
    assert set(theirs["state_dict"]) <= set(back["state_dict"])
    for key, value in theirs["state_dict"].items():
        assert torch.equal(back["state_dict"][key], value)
    assert tuple(back["meta"]["dataset_meta"]["classes"]) == tuple(CLASSES)


def test_convert_leaves_training_out_of_a_checkpoint(tmp_path: Path, weights: Path) -> None:
    content = torch.load(weights, weights_only=True)
    torch.save(content | {"training": {"epoch": 3}}, tmp_path / "last.pt")
    main(["convert", str(tmp_path / "last.pt"), "--output", str(tmp_path / "w.pt")])
    assert load_weights(tmp_path / "w.pt").training is None


def test_convert_to_half_precision_halves_the_file(tmp_path: Path, weights: Path) -> None:
    main(["convert", str(weights), "--half", "--output", str(tmp_path / "half.pt")])
    whole, half = load_weights(weights), load_weights(tmp_path / "half.pt")
    assert all(
        value.dtype == (torch.float16 if value.is_floating_point() else value.dtype)
        for value in half.state_dict.values()
    )
    size = sum(value.nbytes for value in half.state_dict.values())
    assert size < 0.51 * sum(value.nbytes for value in whole.state_dict.values())
    for key, value in half.build_model().state_dict().items():
        assert value.dtype == whole.state_dict[key].dtype
        torch.testing.assert_close(value, whole.state_dict[key], rtol=1e-3, atol=1e-6)


def test_convert_to_half_precision_refuses_what_it_cannot_hold(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(weights, weights_only=True)
    content["state_dict"]["head.tl_off.0.1.conv.bias"][0] = 70_000.0
    torch.save(content, tmp_path / "w.pt")
    error = refusal(
        capsys, "convert", str(tmp_path / "w.pt"), "--half", "--output", str(tmp_path / "half.pt")
    )
    assert "65,504" in error and "head.tl_off.0.1.conv.bias" in error
    assert not (tmp_path / "half.pt").exists()


def test_convert_lists_what_does_not_fit_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = dict(torch.load(mmdet_file(tmp_path / "x.pth"), weights_only=True)["state_dict"])
    del state["bbox_head.tl_off.0.1.conv.bias"]
    source = mmdet_file(tmp_path / "x.pth", state_dict=state | {"bbox_head.new": torch.ones(1)})
    with pytest.raises(SystemExit):
        main(["convert", str(source), "--output", str(tmp_path / "w.pt")])
    error = capsys.readouterr().err
    assert "missing (1):\n  head.tl_off.0.1.conv.bias" in error
    assert "left over (1):\n  head.new" in error
    assert not (tmp_path / "w.pt").exists()
    main(["convert", str(source), "--allow-partial", "--output", str(tmp_path / "w.pt")])
    assert "missing (1):" in capsys.readouterr().out


def test_convert_takes_class_names(tmp_path: Path) -> None:
    source = mmdet_file(tmp_path / "x.pth", meta={})
    names = [f"kind {label}" for label in range(len(CLASSES))]
    main(["convert", str(source), "--classes", ",".join(names),
          "--output", str(tmp_path / "w.pt")])  # fmt: skip
    assert load_weights(tmp_path / "w.pt").classes == names


def test_convert_never_writes_over_its_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = mmdet_file(tmp_path / "x.pth")
    before = source.read_bytes()
    error = refusal(capsys, "convert", str(source), "--output", str(source))
    assert "--output " in error and "written over" in error
    assert source.read_bytes() == before


def test_a_file_that_would_run_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'sprung'}",)

    source = mmdet_file(tmp_path / "x.pth", message_hub=Trap())
    error = refusal(capsys, "convert", str(source), "--output", str(tmp_path / "w.pt"))
    assert f"{os.system.__module__}.system" in error
    assert {path.name for path in tmp_path.iterdir()} == {"x.pth"}
