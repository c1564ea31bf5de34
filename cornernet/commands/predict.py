"""`cornernet predict`: find objects in images and draw them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cornernet.commands.common import add_inference, check_writable, inference_config, write_json
from cornernet.commands.parser import Command
from cornernet.errors import OutOfMemory, UserError
from cornernet.runtime.text import say

if TYPE_CHECKING:
    import numpy as np

    from cornernet.structures import Detections

_SHEET_IMAGES = 12
_SHEET_CELL = 480  # pixels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", metavar="WEIGHTS", help="weights file, such as best.pt")
    parser.add_argument(
        "sources", metavar="SOURCE", nargs="+", help="images, directories, patterns"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="directory for the images")
    parser.add_argument(
        "--score",
        type=float,
        help="lowest score (default: the weights' own, where F1 was highest in validation)",
    )
    add_inference(parser)
    parser.add_argument("--json", metavar="FILE", help="write the detections as JSON")
    parser.add_argument(
        "--sheet", metavar="FILE", help=f"write the first {_SHEET_IMAGES} images side by side"
    )


def run(arguments: argparse.Namespace, words: Sequence[str]) -> None:
    from cornernet.api import CornerNet
    from cornernet.data.images import IMAGE_SUFFIXES, read_image, write_image
    from cornernet.inference.sources import expand_sources
    from cornernet.inference.stream import detect_stream
    from cornernet.report.draw import draw_detections
    from cornernet.report.sheet import save_sheet, thumbnail
    from cornernet.runtime.threads import apply_threads

    detector = CornerNet.from_pretrained(arguments.weights, arguments.device)
    detector.config = inference_config(detector.config, words)
    apply_threads(detector.config.runtime.threads)
    detector.optimize(arguments.precision, arguments.compile)
    files = list(dict.fromkeys(expand_sources(arguments.sources)))
    output = Path(arguments.output)
    targets = _output_names(files, output)
    check_writable(arguments.json)
    check_writable(arguments.sheet, IMAGE_SUFFIXES)
    output.mkdir(parents=True, exist_ok=True)
    lowest = detector.thresholds.score if arguments.score is None else arguments.score
    records: list[dict[str, Any]] = []
    sheet: list[tuple[str, np.ndarray]] = []
    refused: list[str] = []

    def read(file: Path) -> np.ndarray:
        return read_image(file, apply_exif=True)

    for result in detect_stream(detector.model, files, read, detector.config):
        file, found, image = result.item, result.detections, result.image
        if found is None or image is None:  # the others are predicted all the same
            error = result.error
            refused.append(f"{file}: {error}" if isinstance(error, OutOfMemory) else str(error))
            continue
        target = targets[file]
        found = found.select(found.scores >= lowest)
        drawn = draw_detections(image, found, detector.classes)
        write_image(target, drawn)
        if arguments.sheet and len(sheet) < _SHEET_IMAGES:
            sheet.append((f"{file.name}: {len(found)} found", thumbnail(drawn, _SHEET_CELL)))
        records.append(_record(file, found, detector.classes))
        say(f"{file}: {len(found)} found → {target}")
    if arguments.score is None:
        say(f"showing detections from score {lowest:g} on; another is set with --score")
    if arguments.json:
        write_json(arguments.json, records)
    if arguments.sheet and sheet:
        save_sheet(sheet, Path(arguments.sheet), cell=_SHEET_CELL)
    if refused:
        raise UserError("\n".join(refused))


def _record(file: Path, found: Detections, classes: Sequence[str]) -> dict[str, Any]:
    """An image's detections as plain data."""
    columns = (found.boxes.tolist(), found.scores.tolist(), found.labels.tolist())
    return {
        "file": str(file),
        "detections": [
            {"box": box, "score": score, "label": label, "class": classes[label]}
            for box, score, label in zip(*columns, strict=True)
        ],
    }


def _output_names(files: Sequence[Path], output: Path) -> dict[Path, Path]:
    """A file in `output` for each image, refusing to write over a source or another result.

    It has the image's name, with .png added where images are not written under its suffix.
    """
    from cornernet.data.images import IMAGE_SUFFIXES

    names: dict[Path, Path] = {}
    for file in files:
        known = file.suffix.lower() in IMAGE_SUFFIXES
        target = output / (file.name if known else f"{file.name}.png")
        if target.exists() and target.samefile(file):
            raise UserError(
                f"must be a directory without the sources, where {file} would be written over",
                field="output",
            )
        if target in names:
            raise UserError(
                f"{names[target]} and {file} would both become {target}; predict them into "
                "different directories"
            )
        names[target] = file
    return {file: target for target, file in names.items()}


COMMAND = Command(
    "predict",
    "Find objects in images and draw them.",
    add_arguments,
    run,
    takes_settings=True,
    epilog="Settings as for train act here too, such as --data.long_side 1024.",
)
