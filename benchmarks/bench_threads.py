"""What OpenMP's idle threads should do: `evaluate`, a short training and an op by each setting.

The op of the table is the command line's default, `cornernet.runtime.threads.WAIT_POLICY`. Every
setting has a process of its own, because OpenMP reads its environment once; they take turns as the
implementations of any case do. Each piece of work is timed on the machine as it is, and beside one
busy process for each of its CPUs.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from cornernet.cli import main as command_line
from cornernet.data.synthetic import synthesize
from cornernet.errors import UserError
from cornernet.runtime.threads import WAIT_POLICY, available_cpus
from cornernet_ops import corner_pool

from .measure import Call, Case

IMAGES = 16  # that are evaluated, and that an epoch goes through
EPOCHS = 2
POOLS = 100  # calls of the op, each a parallel region of less than a millisecond
POOLED = (1, 64, 64, 64)

# What OpenMP's environment holds for the default, "op", and for those that are compared with it.
SETTINGS: dict[str, dict[str, str]] = {
    "op": WAIT_POLICY,
    "spin": {},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "spin 10000": WAIT_POLICY | {"GOMP_SPINCOUNT": "10000"},
    "1 thread": WAIT_POLICY | {"OMP_NUM_THREADS": "1"},
}
_OPENMP = ("OMP_", "GOMP_", "KMP_")

Work = Callable[[], Any]


def cases(device: torch.device, full: bool) -> Iterator[Case]:
    """Each piece of work, alone and beside a load."""
    if device.type != "cpu":
        raise UserError("must be cpu to measure CPU threads", field="device")
    with tempfile.TemporaryDirectory() as name, workers() as ask:
        directory = Path(name)
        data = directory / "shapes"
        synthesize(data, train=IMAGES, val=IMAGES, seed=0)
        ask("op", partial(train, data, directory / "run"))()
        weights = directory / "run" / "last.pt"
        works: tuple[tuple[str, str, int, Work], ...] = (
            ("corner_pool", f"{'×'.join(map(str, POOLED))}, {POOLS} calls", POOLS, pool),
            ("evaluate", f"{IMAGES} images", IMAGES, partial(evaluate, weights, data)),
            ("train", f"{EPOCHS} epochs", EPOCHS * IMAGES, partial(train, data)),
        )
        for part, setting, images, work in works:
            for variant, load in (("alone", contextlib.nullcontext), ("under load", busy)):
                with load():
                    yield Case(
                        op="threads",
                        part=part,
                        variant=variant,
                        setting=setting,
                        moved=0,
                        call=ask("op", work),
                        others={other: ask(other, work) for other in SETTINGS if other != "op"},
                        same=_close,
                        pictures=images,
                    )


def _close(actual: float, expected: float) -> None:
    """Equal but for the order in which threads add up, in low precision."""
    torch.testing.assert_close(actual, expected, rtol=0.02, atol=0)


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """Run a busy process for each CPU."""
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(available_cpus())]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextlib.contextmanager
def workers() -> Iterator[Callable[[str, Work], Call]]:
    """Start a process for each setting; yields a function that makes the call of work there."""
    context = multiprocessing.get_context("spawn")
    inherited = dict(os.environ)
    pipes: dict[str, Connection] = {}
    processes = []

    def ask(setting: str, work: Work) -> Call:
        threads = SETTINGS[setting].get("OMP_NUM_THREADS")

        def call() -> Any:
            pipes[setting].send((work, int(threads or torch.get_num_threads())))
            result = pipes[setting].recv()
            if isinstance(result, BaseException):
                raise result
            return result

        return call

    try:
        for setting, environment in SETTINGS.items():
            for variable in [name for name in os.environ if name.startswith(_OPENMP)]:
                del os.environ[variable]
            os.environ.update(environment)
            pipes[setting], theirs = context.Pipe()
            processes.append(context.Process(target=_serve, args=(theirs,)))
            processes[-1].start()
        os.environ.clear()
        os.environ.update(inherited)
        yield ask
    finally:
        os.environ.clear()
        os.environ.update(inherited)
        for process in processes:
            process.kill()
            process.join()


def _serve(pipe: Connection) -> None:
    """Do the work that comes through the pipe, until the parent ends this process."""
    while True:
        work, threads = pipe.recv()
        torch.set_num_threads(threads)
        try:
            pipe.send(work())
        except (Exception, SystemExit) as error:  # the command line exits where it fails
            pipe.send(error)


def pool() -> float:
    """The sum of a map that was pooled again and again."""
    x = torch.randint(9, POOLED, generator=torch.Generator().manual_seed(0)).float()
    for _ in range(POOLS):
        y = corner_pool(x, "top")
    return float(y.sum())


def evaluate(weights: Path, data: Path) -> float:
    """The sum of the scores that `cornernet evaluate` finds."""
    with tempfile.TemporaryDirectory() as name:
        found = Path(name, "found.json")
        _run("evaluate", weights, "--data", data, "--device", "cpu", "--json", found)
        return sum(one["score"] for one in json.loads(found.read_text()))


def train(data: Path, run: Path | None = None) -> float:
    """The first loss that `cornernet train` logs; the run is kept where it is given a directory."""
    with tempfile.TemporaryDirectory() as name:
        output = run or Path(name, "run")
        _run("train", "tiny", "--data", data, "--output", output, "--device", "cpu",
             "--train.epochs", EPOCHS, "--train.eval_every", EPOCHS,
             "--train.log_every", 1)  # fmt: skip
        with open(output / "metrics.jsonl", encoding="utf-8") as lines:
            records = map(json.loads, lines)
            return next(one["loss/total"] for one in records if "loss/total" in one)


def _run(*words: object) -> None:
    """Run a command of `cornernet` in this process, without its output."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        command_line([str(word) for word in words])
