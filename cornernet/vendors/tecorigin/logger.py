"""Tecorigin's logger `tcap_dllogger`, which its model zoo asks for, as a place for a run's records.

The zoo has names of its own for what is logged, and wants to know of each what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_LOSS = {"unit": "", "GOAL": "MINIMIZE", "STAGE": "TRAIN"}
_ACCURACY = {"unit": "", "GOAL": "MAXIMIZE", "STAGE": "VALID"}
_SPEED = {"unit": "imgs/s", "format": ":.3f", "GOAL": "MAXIMIZE", "STAGE": "TRAIN"}

_ACCURACIES = ("AP", "AP50", "AP75")


class TecoriginLogger:
    """Writes records with the zoo's names to a file of its format.

    A file `tcap_dllogger-<step>.json` is made for each part of a run that was stopped, because
    the logger writes over an old one.

    Args:
        directory: the run's directory.
        first_step: number of steps that were done before this part of the run.
        losses: names of the losses, whose descriptions then come first in the file; those of
            other values are written where they are first seen.

    Raises:
        ImportError: `tcap_dllogger` is not installed.
    """

    def __init__(self, directory: Path, first_step: int = 0, losses: Iterable[str] = ()) -> None:
        from tcap_dllogger import JSONStreamBackend, Logger, Verbosity

        path = directory / f"tcap_dllogger-{first_step}.json"
        self._logger: Any = Logger([JSONStreamBackend(Verbosity.VERBOSE, str(path))])
        self._described: set[str] = set()
        for name in losses:
            self._describe("train", f"loss/{name}")

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Log the values that the zoo has names for.

        Args:
            kind: "train" or "val".
            step: number of steps done.
            values: by name; what is None, because it was not finite, is left out.
        """
        data: dict[str, float | int] = {"rank": 0}  # the only one that logs
        for name, value in values.items():
            zoo = self._describe(kind, name)
            if zoo is not None and value is not None:
                data[zoo] = value
        self._logger.log(step=step, data=data)

    def close(self, finished: bool = True) -> None:
        """Finish writing; the file is the same whether the run is at its end or not."""
        self._logger.flush()

    def _describe(self, kind: str, name: str) -> str | None:
        """The zoo's name for a value, described to the logger once; None if it has none."""
        zoo, about = _zoo_name(kind, name)
        if zoo is not None and zoo not in self._described:
            self._described.add(zoo)
            self._logger.metadata(zoo, about)
        return zoo


def _zoo_name(kind: str, name: str) -> tuple[str | None, dict[str, str]]:
    """What the zoo calls a value of a record, and what it wants to know of it."""
    group, _, loss = name.partition("/")
    if kind == "train" and group == "loss":
        return ("train.loss" if loss == "total" else f"train.loss_{loss}"), _LOSS
    if kind == "train" and name == "images_per_second":
        return "train.ips", _SPEED
    if kind == "val" and name in _ACCURACIES:
        return f"val.{name}", _ACCURACY
    return None, {}
