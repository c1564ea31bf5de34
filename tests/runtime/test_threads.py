"""The number of CPU threads, from pretended machines, and the wait policy of real processes."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cornernet.runtime.threads import (
    WAIT_POLICY,
    apply_threads,
    available_cpus,
    set_wait_policy,
)

POLICIES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")


def write(root: Path, files: dict[str, str]) -> Path:
    """A pretended file system with these files."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(4, 12)), raising=False)


def test_cpus_of_the_affinity_are_available(eight_cpus: None, tmp_path: Path) -> None:
    assert available_cpus(tmp_path) == 8


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        pytest.param({"0::/": None, "cpu.max": "max 100000"}, 8, id="v2: none"),
        pytest.param({"0::/": None, "cpu.max": "300000 100000"}, 3, id="v2: at the top"),
        pytest.param({"0::/": None, "cpu.max": "150000 100000"}, 2, id="v2: a part of a CPU"),
        pytest.param({"0::/": None, "cpu.max": "20000 100000"}, 1, id="v2: less than a CPU"),
        pytest.param({"0::/": None, "cpu.max": "9900000 100000"}, 8, id="v2: above the affinity"),
        pytest.param(
            {"0::/a.slice/b": None, "a.slice/cpu.max": "400000 100000",
             "a.slice/b/cpu.max": "max 100000"}, 4, id="v2: of the parent",
        ),
        pytest.param(
            {"0::/a/b": None, "a/cpu.max": "500000 100000", "a/b/cpu.max": "100000 50000"}, 2,
            id="v2: the least of the levels",
        ),
        pytest.param(
            {"0::/host/path": None, "cpu.max": "600000 100000"}, 6, id="v2: a path of the host"
        ),
        pytest.param(
            {"0::/../other": None, "cpu.max": "600000 100000"}, 6, id="v2: outside the namespace"
        ),
        pytest.param(
            {"4:cpu,cpuacct:/docker/1": None, "cpu/cpu.cfs_quota_us": "250000\n",
             "cpu/cpu.cfs_period_us": "100000\n"}, 3, id="v1: a container's",
        ),
        pytest.param(
            {"4:cpu:/job": None, "cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000",
             "cpu/job/cpu.cfs_quota_us": "100000\n", "cpu/job/cpu.cfs_period_us": "50000\n"}, 2,
            id="v1: a job's",
        ),
        pytest.param(
            {"5:cpuset:/": None, "cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "50000",
             "4:memory:/x": None}, 8, id="v1: another controller",
        ),
    ],
)  # fmt: skip
def test_quota_of_the_container_counts(
    eight_cpus: None, tmp_path: Path, files: dict[str, str | None], cpus: int
) -> None:
    groups = [name for name, text in files.items() if text is None]
    limits = {f"sys/fs/cgroup/{name}": text for name, text in files.items() if text is not None}
    write(tmp_path, {"proc/self/cgroup": "\n".join([*groups, ""]), **limits})
    assert available_cpus(tmp_path) == cpus


@pytest.fixture
def torch_chooses_six(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OMP_NUM_THREADS", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(6)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("threads", "cpus", "environment", "expected"),
    [
        (3, 8, {}, 3),
        (3, 2, {"OMP_NUM_THREADS": "5", "LOCAL_WORLD_SIZE": "8"}, 3),
        (0, 8, {}, 6),
        (0, 4, {}, 4),
        (0, 4, {"OMP_NUM_THREADS": "6"}, 6),
        (0, 8, {"LOCAL_WORLD_SIZE": "3"}, 2),
        (0, 2, {"LOCAL_WORLD_SIZE": "3"}, 1),
    ],
)
def test_threads_are_as_asked_or_the_share_of_the_process(
    torch_chooses_six: None,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
    cpus: int,
    environment: dict[str, str],
    expected: int,
) -> None:
    monkeypatch.setattr("cornernet.runtime.threads.available_cpus", lambda: cpus)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert apply_threads(threads) == expected
    assert torch.get_num_threads() == expected


# Runs a program and tells the environment at the moment in which torch is imported.
WATCH = """
import os, runpy, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print({name: os.environ[name] for name in %r if name in os.environ}, flush=True)
            os._exit(0)

sys.meta_path.insert(0, Watch())
sys.argv = ["cornernet", "env"]
%s
"""
CONSOLE_SCRIPT = "from cornernet.cli import main; main()"
MODULE = "runpy.run_module('cornernet', run_name='__main__')"
LIBRARY = "import cornernet; cornernet.CornerNet"


def policy(program: str, **environment: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in POLICIES}
    output = subprocess.run(
        [sys.executable, "-c", WATCH % (POLICIES, program)],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return dict(ast.literal_eval(output))


@pytest.mark.parametrize("program", [CONSOLE_SCRIPT, MODULE])
def test_command_line_sets_the_wait_policy_before_torch_is_loaded(program: str) -> None:
    assert policy(program) == WAIT_POLICY


@pytest.mark.parametrize(("name", "value"), [("OMP_WAIT_POLICY", "active"),
                                             ("GOMP_SPINCOUNT", "1000"),
                                             ("KMP_BLOCKTIME", "0")])  # fmt: skip
def test_wait_policy_of_the_user_is_kept(name: str, value: str) -> None:
    assert policy(CONSOLE_SCRIPT, **{name: value}) == {name: value}


def test_library_leaves_the_environment_alone() -> None:
    assert policy(LIBRARY) == {}


def test_policy_is_not_set_where_it_would_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in POLICIES:
        monkeypatch.delenv(name, raising=False)
    set_wait_policy()  # torch is loaded here
    assert not any(name in os.environ for name in POLICIES)
