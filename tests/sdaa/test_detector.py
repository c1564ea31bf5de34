"""The whole detector on the device: it learns what the CPU learns, resumes, evaluates, predicts."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import cornernet_ops
from cornernet.cli import main
from cornernet.config import Config, config_from_dict
from cornernet.data.synthetic import synthesize
from cornernet.runtime.device import device_module, resolve_device
from cornernet.runtime.distributed import World
from cornernet.train.agreement import compare_batch
from cornernet.train.loop import train
from cornernet.train.trainer import Trainer
from tests.small import SMALL_MODEL

CPU = World(torch.device("cpu"))

# A card computes float32 convolutions in float16 unless these are set, and sums in its own order.
os.environ.setdefault("TORCH_SDAA_CONV_USE_FP32", "1")
os.environ.setdefault("TORCH_SDAA_CONV2D_BACKWARD_USE_FP32", "1")


@pytest.fixture(scope="module")
def sdaa() -> World:
    return World(resolve_device("sdaa"))


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(
        tmp_path_factory.mktemp("data") / "shapes", train=8, val=4, min_side=96, max_side=128
    )


def config(**training: Any) -> Config:
    """A small network, and steps so small that rounding is not what decides the next ones."""
    return config_from_dict(
        {
            "model": SMALL_MODEL,
            "data": {"workers": 0},
            "augment": {"crop_size": 64, "crop_border": 32},
            "train": {"epochs": 2, "batch_size": 2, "warmup_steps": 1, "milestones": [],
                      "learning_rate": 1e-4, "ema_decay": 0.9, "log_every": 1, "eval_every": 2,
                      "precision": "fp32"} | training,
            "test": {"pad_multiple": 16, "topk": 10, "max_pairs": 50},
        }
    )  # fmt: skip


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["loss/total"] for line in lines if line["kind"] == "train"]


def assert_near(actual: list[float], expected: list[float], tolerance: float) -> None:
    """Every step for itself: a mean of signed errors would let them cancel."""
    assert len(actual) == len(expected) > 0
    for step, (one, other) in enumerate(zip(actual, expected, strict=True)):
        assert math.isclose(one, other, rel_tol=tolerance), f"step {step}: {one}, not {other}"


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_gradients_of_a_batch_are_as_exact_as_the_cpus(
    sdaa: World, shapes: Path, precision: str, channels_last: bool
) -> None:
    settings = config(precision=precision, channels_last=channels_last)
    found = compare_batch(settings, shapes, sdaa)
    limit = 2 * found.rounding + 1e-4
    assert found.gradient_error <= limit and found.loss_error <= limit


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("fp16", 3e-2)])
def test_run_has_the_losses_of_the_cpu(
    sdaa: World, shapes: Path, tmp_path: Path, precision: str, tolerance: float
) -> None:
    for name, world in (("sdaa", sdaa), ("cpu", CPU)):
        train(config(precision=precision), shapes, tmp_path / name, world)
    assert_near(losses(tmp_path / "sdaa"), losses(tmp_path / "cpu"), tolerance)
    record = json.loads((tmp_path / "sdaa" / "metrics.jsonl").read_text().splitlines()[0])
    assert record["peak_memory_gib"] > 0


def test_resumed_run_is_the_run_that_was_not_stopped(
    sdaa: World, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(config(), shapes, tmp_path / "whole", sdaa)
    step = Trainer.train_step

    def die_in_the_second_epoch(self: Trainer, *args: Any) -> dict[str, float]:
        if self.epoch == 1:
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(Trainer, "train_step", die_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        train(config(), shapes, tmp_path / "parts", sdaa)
    monkeypatch.setattr(Trainer, "train_step", step)
    train(config(), shapes, tmp_path / "parts", sdaa, resume=True)
    assert losses(tmp_path / "parts")[-4:] == losses(tmp_path / "whole")[-4:]


def test_evaluates_and_predicts_as_the_cpu_does(
    sdaa: World, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config(learning_rate=3e-3), shapes, tmp_path / "run", sdaa)
    weights = str(tmp_path / "run" / "best.pt")
    found = {}
    for device in ("sdaa", "cpu"):
        metrics, pictures = tmp_path / f"{device}.json", tmp_path / f"{device}-pictures.json"
        main(["evaluate", weights, "--data", str(shapes), "--device", device, "--metrics",
              str(metrics), "--flip"])  # fmt: skip
        picture = str(next((shapes / "val").iterdir()))
        main(["predict", weights, picture, "--device", device, "--output", str(tmp_path / device),
              "--score", "0", "--json", str(pictures)])  # fmt: skip
        detections = json.loads(pictures.read_text())[0]["detections"]
        found[device] = json.loads(metrics.read_text()), detections
    capsys.readouterr()
    assert found["sdaa"][0] == pytest.approx(found["cpu"][0], abs=1e-3)
    assert len(found["sdaa"][1]) == len(found["cpu"][1]) > 0
    for one, other in zip(found["sdaa"][1], found["cpu"][1], strict=True):
        assert one["box"] == pytest.approx(other["box"], abs=0.05)
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)


def torchrun(processes: int, *words: str) -> subprocess.CompletedProcess[str]:
    """`torchrun …` of the command line, on a port of this run's own."""
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node",
         str(processes), "-m", "cornernet", *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip


def test_card_of_four_devices_has_the_losses_of_four_processes_on_the_cpu(
    shapes: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "small.yaml"
    recipe.write_text(json.dumps(config(batch_size=1, eval_every=1, channels_last=True).to_dict()))
    for device in ("sdaa", "cpu"):
        words = ["train", str(recipe), "--device", device, "--data", str(shapes)]
        done = torchrun(4, *words, "--output", str(tmp_path / device))
        assert done.returncode == 0, done.stderr
        assert f"4 process(es) on {device}" in done.stdout
    assert_near(losses(tmp_path / "sdaa"), losses(tmp_path / "cpu"), 1e-3)


def test_more_processes_than_devices_are_refused_in_a_sentence(
    shapes: Path, tmp_path: Path
) -> None:
    # The one process of the launcher's that finds no device.
    count = str(device_module("sdaa").device_count())
    done = subprocess.run(
        [sys.executable, "-m", "cornernet", "train", "tiny", "--device", "sdaa", "--data",
         str(shapes), "--output", str(tmp_path / "run")],
        env=os.environ | {"RANK": count, "LOCAL_RANK": count, "WORLD_SIZE": "5"},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert f"--device must be one of the {count} sdaa devices" in done.stderr
    assert "start no more processes" in done.stderr
    assert "Traceback" not in done.stderr


def test_ops_have_the_kernels_that_were_built() -> None:
    built = "sdaa" in (cornernet_ops.extension.read_record() or {}).get("built", [])
    forced = os.environ.get(cornernet_ops.extension.FORCE_REFERENCE, "0") not in ("", "0")
    table = cornernet_ops.backends()
    # These run on their references on this device.
    without = {"center_pool", "center_pool_backward", "crop_resize"}
    wanted = set(table) - without if built and not forced else set()
    assert {op for op, row in table.items() if row["sdaa"] == "compiled"} == wanted
    assert not cornernet_ops.extension.device_reasons
