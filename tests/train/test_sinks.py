"""Records go to the services that were asked for, and a service that fails ends no run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cornernet.config import Config, config_from_dict
from cornernet.train.log import RunLog
from cornernet.train.sinks import check_services
from tests.errors import raises

Calls = list[tuple[str, Any]]
RECORD = {"epoch": 1, "loss/total": 2.5, "gradient_norm": float("inf"), "note": "text"}


def asking_for(name: str) -> Config:
    return config_from_dict({"train": {"log_to": [name]}})


def module(name: str, **members: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(members)
    return made


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The few calls of MLflow's client."""
    calls: Calls = []

    class MlflowClient:
        def get_experiment_by_name(self, name: str) -> None:
            calls.append(("experiment", name))

        def create_experiment(self, name: str) -> str:
            return "7"

        def create_run(self, experiment: str, run_name: str) -> Any:
            calls.append(("run", (experiment, run_name)))
            return SimpleNamespace(info=SimpleNamespace(run_id="abc"))

        def update_run(self, run: str, status: str) -> None:
            calls.append(("continued", run))

        def log_batch(self, run: str, metrics: Any = (), params: Any = ()) -> None:
            assert run == "abc" and len(params) <= 100
            calls.append(("metrics", metrics) if metrics else ("params", params))

        def set_terminated(self, run: str, status: str) -> None:
            calls.append(("end", status))

    entities = module("mlflow.entities", Metric=lambda *args: args, Param=lambda *args: args)
    monkeypatch.setitem(sys.modules, "mlflow", module("mlflow", MlflowClient=MlflowClient))
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    return calls


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The few calls of W&B's run."""
    calls: Calls = []

    class Run:
        id = "xyz"

        def define_metric(self, *args: str, **kwargs: str) -> None:
            pass

        def log(self, values: dict[str, float]) -> None:
            calls.append(("log", values))

        def finish(self, exit_code: int) -> None:
            calls.append(("end", exit_code))

    def init(**values: Any) -> Run:
        calls.append(("init", values))
        return Run()

    monkeypatch.setitem(sys.modules, "wandb", module("wandb", init=init))
    return calls


def write_run(directory: Path, service: str, finished: bool = True) -> None:
    log = RunLog(directory, True, config=asking_for(service))
    log.write("train", 3, dict(RECORD))
    log.close(finished)


def test_mlflow_gets_settings_and_numbers(tmp_path: Path, mlflow: Calls) -> None:
    write_run(tmp_path, "mlflow")
    assert mlflow[:2] == [("experiment", "cornernet"), ("run", ("7", tmp_path.name))]
    params = dict(entry for call, batch in mlflow if call == "params" for entry in batch)
    assert params["train.log_to"] == "['mlflow']" and params["test.topk"] == "100"
    (metrics,) = (batch for call, batch in mlflow if call == "metrics")
    assert [(name, value, step) for name, value, _, step in metrics] == [
        ("train/epoch", 1.0, 3), ("train/loss/total", 2.5, 3),
    ]  # fmt: skip
    assert mlflow[-1] == ("end", "FINISHED")


def test_mlflow_continues_its_run(tmp_path: Path, mlflow: Calls) -> None:
    write_run(tmp_path, "mlflow", finished=False)
    assert mlflow[-1] == ("end", "KILLED")
    mlflow.clear()
    write_run(tmp_path, "mlflow")
    assert [call for call, _ in mlflow] == ["continued", "metrics", "end"]
    assert mlflow[0] == ("continued", "abc")


def test_wandb_gets_settings_and_numbers(tmp_path: Path, wandb: Calls) -> None:
    write_run(tmp_path, "wandb")
    started = wandb[0][1]
    assert (started["project"], started["name"]) == ("cornernet", tmp_path.name)
    assert started["dir"] == str(tmp_path) and started["id"] is started["resume"] is None
    assert started["config"]["train.epochs"] == 210
    assert wandb[1:] == [
        ("log", {"train/epoch": 1, "train/loss/total": 2.5, "step": 3}), ("end", 0),
    ]  # fmt: skip


def test_wandb_continues_its_run(tmp_path: Path, wandb: Calls) -> None:
    write_run(tmp_path, "wandb", finished=False)
    write_run(tmp_path, "wandb")
    (first, second) = (values for call, values in wandb if call == "init")
    assert first["id"] is None and (second["id"], second["resume"]) == ("xyz", "allow")
    assert [value for call, value in wandb if call == "end"] == [1, 0]


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_missing_package_says_what_to_install(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with raises(f"pip install {name}", field="train.log_to"):
        check_services([name])
    # A directory that the service has made here is none of its packages.
    (tmp_path / name).mkdir()
    monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with raises(f"pip install {name}", field="train.log_to"):
        check_services([name])


def test_an_unknown_service_is_refused() -> None:
    with raises("mlflow", "wandb", "neptune", field="train.log_to"):
        asking_for("neptune")


def test_nothing_is_loaded_that_was_not_asked_for(tmp_path: Path, mlflow: Calls) -> None:
    log = RunLog(tmp_path, True)
    log.write("train", 1, {"loss/total": 1.0})
    log.close()
    assert not mlflow and not (tmp_path / "mlflow.json").exists()


def test_a_service_that_cannot_be_opened_is_a_sentence(
    tmp_path: Path, wandb: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**_: Any) -> None:
        raise RuntimeError("no API key")

    monkeypatch.setattr(sys.modules["wandb"], "init", init)
    with raises("wandb", "no API key", field="train.log_to"):
        RunLog(tmp_path, True, config=asking_for("wandb"))


def test_a_service_that_fails_is_named_once_and_the_run_goes_on(
    tmp_path: Path, wandb: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    log = RunLog(tmp_path, True, config=asking_for("wandb"))
    (service,) = (sink for sink in log._sinks if type(sink).__name__ == "WeightsAndBiases")

    def fail(*_: Any) -> None:
        raise ConnectionError("no route")

    vars(service)["write"] = fail
    for step in (1, 2):
        log.write("train", step, {"loss/total": 1.0})
    log.close()
    assert capsys.readouterr().out.count("WeightsAndBiases gets no more records: no route") == 1
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_mlflow_itself_takes_a_run_and_continues_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    (tmp_path / "run").mkdir()
    write_run(tmp_path / "run", "mlflow", finished=False)
    write_run(tmp_path / "run", "mlflow")
    client = mlflow.MlflowClient((tmp_path / "store").as_uri())
    experiment = client.get_experiment_by_name("cornernet")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED" and found.info.run_name == "run"
    assert found.data.params["train.epochs"] == "210"
    history = client.get_metric_history(found.info.run_id, "train/loss/total")
    assert [(entry.step, entry.value) for entry in history] == [(3, 2.5), (3, 2.5)]


def test_wandb_itself_takes_a_run_and_continues_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    write_run(tmp_path, "wandb", finished=False)
    write_run(tmp_path, "wandb")
    identity = json.loads((tmp_path / "wandb.json").read_text())["run"]
    assert len(list((tmp_path / "wandb").glob(f"offline-run-*-{identity}"))) >= 1
