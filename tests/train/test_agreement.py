"""Two devices are compared by the size of each error; nothing cancels."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from cornernet.config import Config, config_from_dict
from cornernet.data.synthetic import synthesize
from cornernet.runtime.distributed import World
from cornernet.train.agreement import (
    BatchComparison,
    compare_batch,
    compare_losses,
    training_records,
)
from cornernet.train.trainer import Trainer
from tests.errors import raises
from tests.small import SMALL_MODEL

CPU = World(torch.device("cpu"))
LOSSES = ("total", "focal", "pull", "push", "offset")


def records(*totals: float | None, first: int = 10) -> dict[int, dict[str, Any]]:
    steps = range(first, first + 10 * len(totals), 10)
    return {
        step: {"kind": "train", "step": step, **{f"loss/{name}": total for name in LOSSES}}
        for step, total in zip(steps, totals, strict=True)
    }


def write_run(folder: Path, *totals: float) -> Path:
    folder.mkdir()
    lines = "".join(json.dumps(record) + "\n" for record in records(*totals).values())
    (folder / "metrics.jsonl").write_text(lines)
    return folder


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(
        tmp_path_factory.mktemp("data") / "shapes", train=4, val=2, min_side=96, max_side=128
    )


def config(**training: Any) -> Config:
    return config_from_dict(
        {
            "model": SMALL_MODEL,
            "data": {"workers": 0},
            "augment": {"crop_size": 64, "crop_border": 32},
            "train": {"batch_size": 2, "precision": "fp32"} | training,
        }
    )


def test_errors_of_both_signs_do_not_cancel() -> None:
    total = compare_losses(records(1.5, 0.5), records(1.0, 1.0))[0]
    assert (total.name, total.steps, total.signed_mean) == ("total", 2, 0.0)
    assert (total.mean, total.largest, total.largest_step) == (0.5, 0.5, 10)


def test_steps_that_one_run_lacks_are_left_out() -> None:
    total = compare_losses(records(1.0, 2.0, 3.0), records(2.0, 6.0, first=20))[0]
    assert total.steps == 2 and total.mean == pytest.approx((0 + 0.5) / 2)
    assert total.largest_step == 30


def test_runs_without_a_common_step_are_refused() -> None:
    with raises("from 10 to 10", "from 15 to 15", "none in common"):
        compare_losses(records(1.0), records(1.0, first=15))


def test_loss_that_is_no_number_is_refused() -> None:
    with raises("finite losses", "loss/total", "step 20"):
        compare_losses(records(1.0, None), records(1.0, 1.0))


def test_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with raises("losses of a run", "no such file"):
        training_records(tmp_path)


def test_runs_of_different_networks_are_refused() -> None:
    other = records(1.0)
    for record in other.values():
        record["loss/center"] = 1.0
    with raises("the same losses", "center"):
        compare_losses(records(1.0), other)


def test_cpu_has_its_own_gradients(shapes: Path) -> None:
    found = compare_batch(config(), shapes, CPU)
    assert found.gradient_error == found.worst_error == found.loss_error == 0
    assert found.summary()["passes"] and set(found.losses) == set(LOSSES)


def test_wrong_gradient_is_found_where_it_is(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backward = Trainer.backward
    calls = []

    def broken(self: Trainer, batch: Any) -> torch.Tensor:
        losses = backward(self, batch)
        calls.append(self)
        if len(calls) == 1:  # the device's
            weight = dict(self.model.named_parameters())["head.tl_heat.0.1.conv.weight"]
            assert weight.grad is not None
            weight.grad *= -1
        return losses

    monkeypatch.setattr(Trainer, "backward", broken)
    found = compare_batch(config(), shapes, CPU)
    assert found.worst == "head.tl_heat.0.1.conv.weight" and found.worst_error == pytest.approx(2)
    assert found.loss_error == 0 and not found.summary()["passes"]


def test_float16_is_compared_at_a_scale_that_it_can_hold(
    shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = Trainer.backward
    scales = []

    def overflow(self: Trainer, batch: Any) -> torch.Tensor:
        losses = backward(self, batch)
        scales.append(self.scaler.get_scale())
        if scales[-1] > 16384:
            weight = next(self.model.parameters())
            assert weight.grad is not None
            weight.grad[0] = math.inf
        return losses

    monkeypatch.setattr(Trainer, "backward", overflow)
    settings = config()
    half = dataclasses.replace(settings.train, precision="fp16")
    found = compare_batch(dataclasses.replace(settings, train=half), shapes, CPU)
    assert scales[:3] == [65536, 32768, 16384]
    assert 0 < found.gradient_error == found.rounding < math.inf


def test_gradients_may_be_as_far_off_as_twice_the_cpus_in_that_precision() -> None:
    found = BatchComparison("sdaa:0", "fp16", {"total": (1.0, 1.0)}, 0.25, "head", 0.5, 0.15)
    assert found.summary()["passes"] and found.tolerance == pytest.approx(0.3)
    assert not dataclasses.replace(found, gradient_error=0.31).summary()["passes"]
    assert not dataclasses.replace(found, gradient_error=math.nan).summary()["passes"]
    assert not dataclasses.replace(found, losses={"total": (1.1, 1.0)}).summary()["passes"]
    assert dataclasses.replace(found, gradient_error=0.05, rounding=0.0).summary()["passes"]
    for rounding in (math.inf, math.nan):
        wild = dataclasses.replace(found, gradient_error=1.0, rounding=rounding)
        assert not wild.summary()["passes"]
