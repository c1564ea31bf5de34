"""Weights files: they come back as they were, are plain data, and are refused with a sentence."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from cornernet.config import Config, ModelConfig
from cornernet.model.detector import Detector
from cornernet.structures import DEFAULT_SCORE_THRESHOLD, Thresholds
from cornernet.weights import file as module
from cornernet.weights.file import (
    VERSION,
    Weights,
    load_weights,
    save_atomically,
    save_weights,
)
from tests.errors import raises


def config() -> Config:
    return Config(recipe="mine", model=ModelConfig(1, [4, 4], [1, 1], 4, 4, 4, num_classes=2))


@pytest.fixture
def weights() -> Weights:
    torch.manual_seed(0)
    model = Detector(config().model, 2)
    thresholds = Thresholds(0.4, {"plate": 0.35})
    return Weights(
        model.state_dict(), ["cell", "plate"], config(), {"AP": 0.25}, thresholds=thresholds
    )


@pytest.fixture
def file(tmp_path: Path, weights: Weights) -> Path:
    save_weights(weights, tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def test_everything_comes_back(file: Path, weights: Weights) -> None:
    found = load_weights(file)
    assert (found.classes, found.config, found.metrics) == (
        ["cell", "plate"],
        config(),
        {"AP": 0.25},
    )
    assert found.training is None and found.thresholds == weights.thresholds
    assert list(found.state_dict) == list(weights.state_dict)
    assert all(torch.equal(found.state_dict[k], v) for k, v in weights.state_dict.items())


def test_a_file_without_thresholds_has_the_default(file: Path) -> None:
    content = torch.load(file)
    del content["thresholds"]
    torch.save(content, file)
    thresholds = load_weights(file).thresholds
    assert thresholds.overall is None and thresholds.score == DEFAULT_SCORE_THRESHOLD


@pytest.mark.parametrize(
    "value", [{"overall": 7.0}, {"overall": "0.5"}, {"by_class": {"cell": None}}, [0.5], 0.5]
)
def test_thresholds_that_are_no_scores_are_refused(file: Path, value: object) -> None:
    torch.save(torch.load(file) | {"thresholds": value}, file)
    with raises(str(file), "thresholds", "0 to 1"):
        load_weights(file)


def test_network_is_built_from_the_file_alone(file: Path, weights: Weights) -> None:
    original = Detector(config().model, 2)
    original.load_state_dict(weights.state_dict)
    model = load_weights(file).build_model()
    assert not model.training
    image = 255 * torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        found, wanted = (net(image)[0]["corners"] for net in (model, original.eval()))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_state_of_training_travels_with_a_checkpoint(tmp_path: Path, weights: Weights) -> None:
    weights.training = {"epoch": 3, "optimizer": {"state": [torch.ones(2)]}, "best": 0.5}
    save_weights(weights, tmp_path / "last.pt")
    training = load_weights(tmp_path / "last.pt").training
    assert training is not None and training["epoch"] == 3
    assert torch.equal(training["optimizer"]["state"][0], torch.ones(2))


def test_file_holds_nothing_but_tensors_and_plain_data(file: Path) -> None:
    content = torch.load(file, weights_only=True)
    assert set(content) == {
        "format", "version", "state_dict", "classes", "config", "metrics", "thresholds"
    }  # fmt: skip


def test_channels_last_weights_come_back_equal(tmp_path: Path, weights: Weights) -> None:
    weights.state_dict = {
        k: v.contiguous(memory_format=torch.channels_last) if v.ndim == 4 else v
        for k, v in weights.state_dict.items()
    }
    save_weights(weights, tmp_path / "nhwc.pt")
    found = load_weights(tmp_path / "nhwc.pt").state_dict
    assert all(torch.equal(found[k], v) and found[k].is_contiguous() for k, v in found.items())
    assert all(torch.equal(found[k], v) for k, v in weights.state_dict.items())


def test_missing_file_is_named(tmp_path: Path) -> None:
    with raises("gone.pt:", "weights file", "none"):
        load_weights(tmp_path / "gone.pt")


def test_directory_is_no_weights_file(tmp_path: Path) -> None:
    with raises("weights file"):
        load_weights(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello world\n",
        b"\x00" * 64,
        b"\x80",
        b"\x80\x02",
        b"PK\x03\x04 and no more",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        b"(lp0\nS'x'\n.",
        b"epochs: 3\ntrain: {}\n",
        b"K",
        b"U\xff",
        b"X\xff\xff\xff\xffx",
    ],
)
def test_any_other_file_is_refused_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.pt"
    path.write_bytes(content)
    with raises("other.pt:", "weights file"):
        load_weights(path)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated_file_is_refused_with_a_sentence(file: Path, share: float) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with raises("weights.pt:", "weights file"):
        load_weights(file)


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_file_with_code_is_refused_and_executes_nothing(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    torch.save({"format": "cornernet", "trap": Trap(sprung)}, tmp_path / "trap.pt")
    with raises("trap.pt:", "pathlib.Path"):
        load_weights(tmp_path / "trap.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Trap(sprung), protocol=2))
    with raises("plain.pt:", "weights file"):
        load_weights(tmp_path / "plain.pt")
    assert not sprung.exists()


@pytest.mark.parametrize(
    "content", [{"state_dict": {}}, [1, 2], torch.ones(2), {"format": "other"}]
)
def test_tensors_of_another_program_are_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.pt")
    with raises("other.pt:", "format"):
        load_weights(tmp_path / "other.pt")


@pytest.mark.parametrize("key", ["version", "state_dict", "classes", "config", "metrics"])
def test_file_that_lacks_a_part_is_refused_with_a_sentence(file: Path, key: str) -> None:
    content = torch.load(file, weights_only=True)
    del content[key]
    torch.save(content, file)
    with raises("weights.pt:", key):
        load_weights(file)


def test_file_of_a_newer_version_asks_for_a_newer_program(file: Path) -> None:
    content = torch.load(file, weights_only=True)
    torch.save({**content, "version": VERSION + 1}, file)
    with raises(f"version {VERSION}", str(VERSION + 1)):
        load_weights(file)


def test_weights_of_another_number_of_classes_are_refused(weights: Weights) -> None:
    weights.classes = ["cell", "plate", "white"]
    with raises("of another shape", "head.tl_heat"):
        weights.build_model()


@pytest.mark.parametrize("moment", ["save", "fsync", "replace"])
def test_failed_write_leaves_the_old_file_alone(
    file: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    before = file.read_bytes()

    def fail(*args: Any, **_: Any) -> None:
        if moment == "save":
            args[1].write(b"half")
        raise OSError("no space left on device")

    owner = module.torch if moment == "save" else module.os
    monkeypatch.setattr(owner, moment, fail)
    with raises("no space left"):
        save_weights(weights, file)
    monkeypatch.undo()
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_write_replaces_the_old_file(file: Path) -> None:
    save_atomically({"format": "cornernet"}, file)
    assert torch.load(file, weights_only=True) == {"format": "cornernet"}
    assert list(file.parent.iterdir()) == [file]
