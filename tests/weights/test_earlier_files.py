"""Weights and checkpoints written by an earlier version are read, and such a run resumes."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cornernet.cli import main
from cornernet.config import save_config
from cornernet.data.synthetic import synthesize
from cornernet.weights.file import load_weights

DATA = Path(__file__).parents[1] / "data" / "weights"


def unpacked(name: str, path: Path) -> Path:
    path.write_bytes(gzip.decompress((DATA / f"{name}.gz").read_bytes()))
    return path


def assert_same(found: Any, wanted: Any) -> None:
    """Equal tensors and plain data, with keys in the same order."""
    assert isinstance(found, torch.Tensor) == isinstance(wanted, torch.Tensor)
    if isinstance(wanted, torch.Tensor):
        assert found.dtype == wanted.dtype and torch.equal(found, wanted)
    elif isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key in wanted:
            assert_same(found[key], wanted[key])
    elif isinstance(wanted, (list, tuple)):
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            assert_same(a, b)
    else:
        assert found == wanted


@pytest.mark.parametrize("name", ["best.pt", "last.pt"])
def test_every_tensor_comes_back(tmp_path: Path, name: str) -> None:
    path = unpacked(name, tmp_path / name)
    wanted, found = torch.load(path, weights_only=True), load_weights(path)
    assert_same(found.state_dict, wanted["state_dict"])
    assert_same(found.training, wanted.get("training"))
    assert (found.classes, found.metrics) == (wanted["classes"], wanted["metrics"])
    # The optimiser knows parameters by their order alone.
    assert list(found.build_model().state_dict()) == list(wanted["state_dict"])


def test_the_network_gives_the_same_maps(tmp_path: Path) -> None:
    model = load_weights(unpacked("best.pt", tmp_path / "best.pt")).build_model()
    with np.load(DATA / "maps.npz") as content:
        arrays = dict(content)
    with torch.no_grad():
        (maps,) = model(torch.from_numpy(arrays.pop("image")).permute(2, 0, 1)[None])
    for name, wanted in arrays.items():
        found = getattr(maps["corners"], name)[0]
        torch.testing.assert_close(found, torch.from_numpy(wanted), rtol=1e-4, atol=1e-5)


def test_the_run_resumes(tmp_path: Path) -> None:
    synthesize(tmp_path / "shapes", train=4, val=2, seed=5)
    run = tmp_path / "run"
    run.mkdir()
    before = load_weights(unpacked("last.pt", run / "last.pt"))
    save_config(before.config, run / "config.yaml")
    main(["train", str(run / "config.yaml"), "--data", str(tmp_path / "shapes"), "--output",
          str(run), "--device", "cpu", "--resume"])  # fmt: skip
    after = load_weights(run / "last.pt")
    assert before.training is not None and after.training is not None
    assert (before.training["epoch"], after.training["epoch"]) == (1, 2)
    assert after.training["step"] == 2 * before.training["step"]
    # The same run, not a new one: its last weights are those that the earlier version gave.
    wanted = load_weights(unpacked("best.pt", tmp_path / "best.pt"))
    assert wanted.metrics == after.metrics
    for key, value in wanted.state_dict.items():
        torch.testing.assert_close(after.state_dict[key], value, rtol=1e-3, atol=1e-4)
