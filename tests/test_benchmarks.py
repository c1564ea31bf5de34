"""The benchmarks run, compare before they time, and answer mistakes with sentences."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks import __main__ as command
from benchmarks import bench_loader, bench_threads, family, maps, memory, networks
from benchmarks.measure import Case, Disagreement, Times, measure
from benchmarks.report import summaries
from cornernet.data.synthetic import synthesize

CPU = torch.device("cpu")


def case(call: Callable[[], Tensor], other: Callable[[], Tensor]) -> Case:
    return Case("add", "forward", "", "float32 [4]", 32, call, {"peer": other}, floor=call)


def add() -> Tensor:
    return torch.ones(4) + 1


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "QUICK_SHAPES", [(1, 2, 8, 9)])
    monkeypatch.setattr(command, "_QUICK_SECONDS", 0.0)
    monkeypatch.setattr(bench_loader, "PICTURES", 2)
    monkeypatch.setattr(networks, "RECIPE", "tiny")
    monkeypatch.setattr(networks, "SIDE", 127)
    monkeypatch.setattr(networks, "PICTURE_SIDE", 120)
    monkeypatch.setattr(networks, "MATRIX_SIDE_CPU", 64)
    monkeypatch.setattr(family, "_CELLS", 8)


# Each setting of threads starts a process: its parts are tested below.
@pytest.mark.parametrize("name", [name for name in command.names() if name != "threads"])
def test_a_tiny_run_writes_table_json_and_plot(
    tiny: None, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--json", str(tmp_path / "run.json"), "--plot", str(tmp_path / "run.png")]
    assert command.main([name, "--threads", "1", *files]) == 0
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["machine"]["torch"] == torch.__version__
    assert {r["op"] for r in run["results"]} == {name}
    peer = {"loader": "op", "inference": "plain", "train": "plain"}.get(name, "reference")
    assert all({"op", peer} <= set(r["times"]) for r in run["results"])
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    output = capsys.readouterr().out
    assert ("pictures/s" if name in command.NAMED_ONLY else "GB/s") in output
    assert "geometric mean" in output


def test_contenders_are_timed_and_threads_are_put_back() -> None:
    threads = torch.get_num_threads()
    result = measure(case(add, add), CPU, threads=1, seconds=0.0)
    assert set(result.times) == {"op", "peer", "floor"}
    assert all(t.samples >= 3 and 0 < t.lower <= t.upper for t in result.times.values())
    assert torch.get_num_threads() == threads


def test_a_contender_that_disagrees_is_an_error() -> None:
    with pytest.raises(Disagreement, match=r"add forward float32 \[4\]: the op and peer disagree"):
        measure(case(add, lambda: torch.zeros(4)), CPU, threads=1, seconds=0.0)


def test_ratios_are_of_medians() -> None:
    result = measure(case(add, add), CPU, threads=1, seconds=0.0)
    times = {name: Times(t, t, t, 3) for name, t in [("op", 2.0), ("peer", 6.0), ("floor", 1.0)]}
    result = type(result)(**{**vars(result), "times": times})
    assert result.floors == 2.0 and result.faster_than("peer") == 3.0
    assert result.faster_than("nobody") is None
    [(part, threads, means)] = summaries([result])
    assert (part, threads) == ("forward", 1)
    assert means == pytest.approx({"floor": 2.0, "peer": 3.0})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["corner_pull"], "expected NAME to be one of center_pool"),
        (["--threads", "0"], "--threads must be at least 1, got 0"),
        (["--device", "abacus"], "--device must be auto or an available device"),
        (["--json", "/no/such/folder/x.json"], "expected its folder /no/such/folder to be there"),
    ],
)
def test_mistakes_are_answered_with_a_sentence(
    tiny: None, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("benchmarks: ") and sentence in error and error.count("\n") == 1


def test_settings_of_threads_have_processes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {name: bench_threads.SETTINGS[name] for name in ("op", "spin 10000")}
    monkeypatch.setattr(bench_threads, "SETTINGS", settings)
    monkeypatch.setenv("OMP_PROC_BIND", "false")
    with bench_threads.workers() as ask:
        assert os.environ["OMP_PROC_BIND"] == "false"
        for name, environment in settings.items():
            for variable in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_PROC_BIND"):
                found = ask(name, partial(os.getenv, variable))()
                assert found == environment.get(variable)
        assert ask("op", bench_threads.pool)() == ask("spin 10000", bench_threads.pool)()
        with pytest.raises(SystemExit):
            ask("op", partial(bench_threads._run, "evaluate"))()


def test_commands_that_threads_are_measured_with_run(tmp_path: Path) -> None:
    synthesize(tmp_path / "shapes", train=8, val=1, min_side=96, max_side=128)
    assert bench_threads.train(tmp_path / "shapes", tmp_path / "run") > 0
    weights = tmp_path / "run" / "last.pt"
    assert bench_threads.evaluate(weights, tmp_path / "shapes") > 0


def test_memory_of_a_step_is_that_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "RECIPE", "tiny")
    monkeypatch.setattr(networks, "SIDE", 127)
    assert memory.peak_of("fp32", 1, CPU) > 50 * 2**20


def test_networks_of_the_family_take_turns_and_are_counted(tiny: None) -> None:
    recipes = {family.FIRST: "tiny", "other": "tiny_squeeze"}
    result, operations, parameters = family.timed(recipes, "fp32", CPU, threads=1)
    assert set(result.times) == {"op", "other", "floor", family.CONVOLUTION}
    assert 0 < operations["other"] < operations[family.FIRST]
    assert 0 < parameters["other"] < parameters[family.FIRST]


def test_memory_of_a_network_is_more_than_that_of_none() -> None:
    # In a process of its own, as in a benchmark: this one holds free memory from earlier tests.
    code = (
        "import torch; from benchmarks import family; "
        "family.RECIPES = {family.FIRST: 'tiny'}; "
        "print(*(family.peak_of(name, 'fp32', torch.device('cpu')) "
        "for name in (family.NOTHING, family.FIRST)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    nothing, network = map(int, done.stdout.split())
    assert network > nothing > 50 * 2**20


def test_networks_that_are_not_of_the_family_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert family.main(["YOLO"]) == 2
    assert "expected NAME to be one of CornerNet-104" in capsys.readouterr().err
