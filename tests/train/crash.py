"""Runs of a tiny network in processes of their own, which may be killed, and what they leave."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from cornernet.config import config_from_dict
from tests.small import SMALL_MODEL

# Children start from a process that has loaded torch and nothing else: in a fraction of a second,
# and without the threads of the tests.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["cornernet.train.loop"])

# Seconds that a run may take, also beside much other work.
_PATIENCE = 400

TIMINGS = ("images_per_second", "data_wait_share", "seconds")

# Three epochs of four steps, evaluated after the second and the third.
_VALUES: dict[str, Any] = {
    "model": SMALL_MODEL,
    "data": {"workers": 0},
    "augment": {"crop_size": 64, "crop_border": 32},
    "train": {"epochs": 3, "batch_size": 2, "warmup_steps": 2, "milestones": [2],
              "ema_decay": 0.9, "eval_every": 2, "log_every": 3, "checkpoint_minutes": 1e-6},
    "test": {"pad_multiple": 16, "topk": 10, "max_pairs": 50},
}  # fmt: skip


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_soon(seconds: float) -> None:
    """Be killed at a moment that does not depend on what is done until then."""
    threading.Timer(seconds, kill_self).start()


def at_step(number: int, act: Callable[[], None] = kill_self, written: bool = False) -> None:
    """Act before a step, if wanted in a run in which every step's checkpoint is written first."""
    from cornernet.train.checkpoints import Checkpoints
    from cornernet.train.trainer import Trainer

    original, original_save = Trainer.train_step, Checkpoints.save

    def step(self: Trainer, *args: Any) -> dict[str, float]:
        if self.step == number:
            act()
        return original(self, *args)

    def save(self: Checkpoints, *args: Any) -> None:
        original_save(self, *args)
        self.wait()

    mock.patch.object(Trainer, "train_step", step).start()
    if written:
        mock.patch.object(Checkpoints, "save", save).start()


def in_writing(number: int) -> None:
    """Be killed when half of a file of weights is written, the given number of files later."""
    original = torch.save
    calls = []

    def save(content: Any, file: Any) -> None:
        calls.append(1)
        if len(calls) < number:
            return original(content, file)
        original(content, file)
        file.truncate(file.tell() // 2)
        file.flush()
        kill_self()

    mock.patch.object(torch, "save", save).start()


def at_writing(number: int, act: Callable[[], None]) -> None:
    """Act when the writing of weights begins, the given number of files later."""
    original = torch.save
    calls = []

    def save(content: Any, file: Any) -> None:
        calls.append(1)
        if len(calls) == number:
            act()
        original(content, file)

    mock.patch.object(torch, "save", save).start()


def before_renaming(number: int) -> None:
    """Be killed before a whole last.pt takes its name, the given number of them later."""
    original = os.replace
    calls = []

    def replace(source: Path, target: Path) -> None:
        if target.name == "last.pt":
            calls.append(1)
            if len(calls) == number:
                kill_self()
        original(source, target)

    mock.patch.object(os, "replace", replace).start()


def in_validation(act: Callable[[], None] = kill_self) -> None:
    """Act at the first image of a validation."""
    import cornernet.train.validation as validation

    original = validation.evaluate

    def evaluate(model: Any, dataset: Any, config: Any, world: Any, progress: Any) -> Any:
        act()
        return original(model, dataset, config, world, progress)

    mock.patch.object(validation, "evaluate", evaluate).start()


def after_validation() -> None:
    """Be killed when a validation is done, before the state after it is saved."""
    import cornernet.train.loop as loop

    original = loop.save_curves

    def save_curves(*args: Any) -> None:
        original(*args)
        kill_self()

    mock.patch.object(loop, "save_curves", save_curves).start()


def _child(
    data: Path,
    output: Path,
    words: Sequence[str],
    resume: Any,
    environment: dict[str, str],
    prepare: Callable[..., None] | None,
    arguments: tuple[Any, ...],
) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    os.makedirs(output.parent, exist_ok=True)
    stream = os.open(f"{output}.{environment.get('RANK', 0)}.txt", os.O_WRONLY | os.O_CREAT)
    os.ftruncate(stream, 0)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    from cornernet.errors import UserError
    from cornernet.runtime.distributed import end_world, start_world
    from cornernet.train.loop import train
    from cornernet.train.signals import RunStopped

    if prepare is not None:
        prepare(*arguments)
    config = config_from_dict(_VALUES, list(words))
    world = start_world("cpu", config.train.timeout_minutes)
    try:
        train(config, data, output, world, resume)
    except RunStopped as stop:
        print(stop, flush=True)
        os._exit(75)
    except UserError as error:
        print(error, flush=True)
        end_world()
        os._exit(2)
    end_world()


def start(
    data: Path,
    output: Path,
    *words: str,
    resume: Any = "auto",
    processes: int = 1,
    prepare: Callable[..., None] | None = None,
    arguments: tuple[Any, ...] = (),
    prepared: Sequence[int] | None = None,
) -> list[Any]:
    """Start a run in processes of its own.

    Args:
        data: directory of the dataset.
        output: directory of the run; what rank 0 says is in `<output>.0.txt`.
        words: settings.
        resume: see `train`.
        processes: number of processes.
        prepare: called in the processes before, such as `at_step`.
        arguments: of `prepare`.
        prepared: ranks in which `prepare` is called; all by default.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(processes):
        environment = {} if processes == 1 else {
            "WORLD_SIZE": str(processes), "RANK": str(rank), "LOCAL_RANK": str(rank),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        }  # fmt: skip
        here = prepare if prepared is None or rank in prepared else None
        process = _CONTEXT.Process(
            target=_child, args=(data, output, words, resume, environment, here, arguments)
        )
        process.start()
        started.append(process)
    return started


def finish(processes: Sequence[Any]) -> list[int]:
    """Wait for the processes of a run; when one is killed, kill the others as torchrun does."""
    for process in processes:
        process.join(_PATIENCE)
        if process.exitcode != 0:
            for other in processes:
                if process.exitcode is None or process.exitcode < 0:
                    other.kill()
    for process in processes:
        process.join(_PATIENCE)
    return [process.exitcode for process in processes]


def run(*args: Any, **kwargs: Any) -> list[int]:
    """Start a run and wait for it; the exit statuses of its processes."""
    return finish(start(*args, **kwargs))


def said(output: Path, rank: int = 0) -> str:
    """What a process of a run has printed so far."""
    file = Path(f"{output}.{rank}.txt")
    return file.read_text() if file.exists() else ""


def records(output: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what clocks measure."""
    lines = (output / "metrics.jsonl").read_text().splitlines()
    return [
        {key: value for key, value in json.loads(line).items() if key not in TIMINGS}
        for line in lines
    ]


def differences(one: Any, other: Any, name: str = "") -> list[str]:
    """Names of all that is not equal, bit by bit, in nested data."""
    if type(one) is not type(other):
        return [name]
    if isinstance(one, torch.Tensor):
        return [] if one.dtype == other.dtype and torch.equal(one, other) else [name]
    if isinstance(one, dict):
        if one.keys() != other.keys():
            return [name]
        return [d for key in one for d in differences(one[key], other[key], f"{name}/{key}")]
    if isinstance(one, list | tuple):
        if len(one) != len(other):
            return [name]
        pairs = enumerate(zip(one, other, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{name}/{i}")]
    return [] if one == other else [name]


def differing(output: Path, undisturbed: Path) -> list[str]:
    """What two runs have left that is not equal, bit by bit."""
    from cornernet.weights.file import load_weights

    found = differences(records(output), records(undisturbed), "metrics")
    for file in ("last.pt", "best.pt"):
        one, other = (vars(load_weights(path / file)) for path in (output, undisturbed))
        for value in (one, other):  # the settings that are free may differ
            del value["config"]
        found += differences(one, other, file)
    leftovers = [path.name for path in output.iterdir() if path.name.endswith(".tmp")]
    if (output / "lock").exists():
        leftovers.append("lock")
    return found + leftovers
