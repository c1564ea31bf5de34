"""Records of a run under the names and in the order that Tecorigin's logger wants."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from cornernet.vendors.tecorigin.logger import TecoriginLogger

from .helpers import logger_module, write_run


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    made: list[tuple[str, Any]] = []
    monkeypatch.setitem(sys.modules, "tcap_dllogger", logger_module(made))
    return made


def described(calls: list[tuple[str, Any]]) -> list[str]:
    return [value[0] for call, value in calls if call == "metadata"]


def test_values_get_the_zoos_names(tmp_path: Path, calls: list[tuple[str, Any]]) -> None:
    logger = TecoriginLogger(tmp_path, 20)
    values = {"epoch": 1, "loss/total": 3.0, "loss/triplet": 1.0, "images_per_second": 4.0}
    logger.write("train", 30, values)
    logger.write("val", 30, {"AP": 0.5, "AP50": 0.75, "AP75": 0.625, "APs": 0.1, "seconds": 2.0})
    logger.close()
    assert calls[0] == ("backends", [(1, str(tmp_path / "tcap_dllogger-20.json"))])
    logs = [value for call, value in calls if call == "log"]
    train = {"rank": 0, "train.loss": 3.0, "train.loss_triplet": 1.0, "train.ips": 4.0}
    val = {"rank": 0, "val.AP": 0.5, "val.AP50": 0.75, "val.AP75": 0.625}
    assert logs == [(30, train), (30, val)]
    assert calls[-1] == ("flush", None)


def test_each_name_is_described_once_and_first(
    tmp_path: Path, calls: list[tuple[str, Any]]
) -> None:
    logger = TecoriginLogger(tmp_path, losses=["total", "pull"])
    assert described(calls) == ["train.loss", "train.loss_pull"]
    for step in (10, 20):
        logger.write("train", step, {"loss/total": 1.0, "loss/new": 1.0, "images_per_second": 4.0})
    logger.write("val", 20, {"AP": 0.5})
    assert described(calls) == [
        "train.loss", "train.loss_pull", "train.loss_new", "train.ips", "val.AP",
    ]  # fmt: skip
    about = dict(value for call, value in calls if call == "metadata")
    assert (about["train.ips"]["unit"], about["val.AP"]["GOAL"]) == ("imgs/s", "MAXIMIZE")
    assert about["train.loss_new"] == about["train.loss"]
    first_log = next(index for index, (call, _) in enumerate(calls) if call == "log")
    assert described(calls[:first_log]) == described(calls)[:4]


def test_values_that_are_not_finite_are_left_out(
    tmp_path: Path, calls: list[tuple[str, Any]]
) -> None:
    TecoriginLogger(tmp_path).write("train", 10, {"loss/total": None, "loss/pull": 1.0})
    assert calls[-1] == ("log", (10, {"rank": 0, "train.loss_pull": 1.0}))


def test_logger_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tcap_dllogger", None)
    with pytest.raises(ImportError):
        TecoriginLogger(tmp_path)


def test_run_logs_to_it_where_it_is_installed(tmp_path: Path, calls: list[tuple[str, Any]]) -> None:
    write_run(tmp_path / "run")
    logs = [value for call, value in calls if call == "log"]
    assert [step for step, _ in logs] == [10, 20, 30, 30] and calls[-1][0] == "flush"
    assert (logs[0][1]["train.loss"], logs[0][1]["train.ips"]) == (10.0, 4.0)
