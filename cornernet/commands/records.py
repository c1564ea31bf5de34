"""Files of predictions: a JSON array, JSON lines and CSV, written while predictions come."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from cornernet.prediction import Prediction
from cornernet.runtime.files import replacing
from cornernet.runtime.text import shown

STDOUT = "-"
"""The name of standard output."""

COLUMNS = ("file", "frame", "time", "x1", "y1", "x2", "y2", "score", "label", "class")
"""Of a CSV file."""

Add = Callable[[Prediction], None]


@contextmanager
def json_array(name: str) -> Iterator[Add]:
    """Write one array of all predictions; the file takes its place when it is whole.

    An interruption ends the array.
    """
    interruption: KeyboardInterrupt | None = None
    with _replaced(name) as file:
        separator = "["

        def add(prediction: Prediction) -> None:
            nonlocal separator
            file.write(f"{separator}\n {prediction.to_json()}")
            separator = ","

        try:
            yield add
        except KeyboardInterrupt as error:
            interruption = error
        file.write("[]\n" if separator == "[" else "\n]\n")
        file.flush()
    if interruption is not None:
        raise interruption


@contextmanager
def json_lines(name: str) -> Iterator[Add]:
    """Write a line for each prediction, which another program can read at once."""
    with _lines(name) as file:
        yield lambda prediction: _write(file, prediction.to_json() + "\n")


@contextmanager
def csv_rows(name: str) -> Iterator[Add]:
    """Write a row of `COLUMNS` for each object found; frame and time are empty for images."""
    # A terminal would obey what stands in a name; a file or a program gets it as it is.
    escape = shown if name == STDOUT and sys.stdout.isatty() else str
    with _lines(name) as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)

        def add(prediction: Prediction) -> None:
            one = prediction.to_dict()
            where = (escape(one["file"]), one.get("frame"), one.get("time"))
            for item in one["detections"]:
                what = (item["score"], item["label"], escape(item["class"]))
                rows.writerow((*where, *item["box"], *what))

        yield add


@contextmanager
def _replaced(name: str) -> Iterator[TextIO]:
    if name == STDOUT:
        yield sys.stdout
        return
    with replacing(Path(name)) as temporary, open(temporary, "w", encoding="utf-8") as file:
        yield file


@contextmanager
def _lines(name: str) -> Iterator[TextIO]:
    """A file of which each line is there as soon as it is written."""
    if name == STDOUT:
        yield sys.stdout
        return
    # A name of a file need not be text: its bytes are written as they are.
    with open(
        name, "w", buffering=1, encoding="utf-8", errors="surrogateescape", newline=""
    ) as file:
        yield file


def _write(file: TextIO, line: str) -> None:
    file.write(line)
    file.flush()
