"""A run to make a contribution of, and a stand-in for Tecorigin's logger."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

from cornernet.config import load_recipe, save_config
from cornernet.train.log import RunLog

LOSSES = ("total", "focal", "pull", "push", "offset")
PACKAGE = "git+https://example.org/cornernet.git@0123abc"


def write_run(directory: Path, factor: float = 1.0) -> Path:
    """The directory of a run of three lines and an evaluation."""
    directory.mkdir()
    save_config(load_recipe("tiny"), directory / "config.yaml")
    log = RunLog(directory, True)
    for step in (10, 20, 30):
        losses = {f"loss/{name}": factor * step for name in LOSSES}
        log.write("train", step, {**losses, "images_per_second": 4.0})
    log.write("val", 30, {"AP": 0.5, "AP50": 0.75, "AP75": 0.625})
    log.close()
    return directory


def logger_module(calls: list[tuple[str, Any]]) -> types.ModuleType:
    """`tcap_dllogger`, which writes down what it is asked for."""

    class Logger:
        def __init__(self, backends: list[Any]) -> None:
            calls.append(("backends", backends))

        def metadata(self, name: str, about: dict[str, str]) -> None:
            calls.append(("metadata", (name, about)))

        def log(self, step: int, data: dict[str, Any]) -> None:
            calls.append(("log", (step, data)))

        def flush(self) -> None:
            calls.append(("flush", None))

    module = types.ModuleType("tcap_dllogger")
    vars(module).update(
        Logger=Logger,
        JSONStreamBackend=lambda verbosity, path: (verbosity, path),
        Verbosity=types.SimpleNamespace(VERBOSE=1),
    )
    return module
