"""`cornernet predict`: find objects in images, videos and cameras."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from cornernet.commands.common import add_inference, apply_runtime, check_writable, inference_config
from cornernet.commands.parser import Command
from cornernet.errors import NAMELESS, UserError
from cornernet.runtime.text import shown

if TYPE_CHECKING:
    import numpy as np

    from cornernet.api import CornerNet
    from cornernet.commands.records import Add
    from cornernet.inference.sources import Source
    from cornernet.prediction import Prediction
    from cornernet.runtime.terminal import ImageProgress

_SHEET_IMAGES = 12
_SHEET_CELL = 480  # pixels
_RECORDS = ("json", "jsonl", "csv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "weights", metavar="WEIGHTS", help="weights file, such as best.pt, or .onnx"
    )
    parser.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="+",
        help="images, videos, directories (with their subdirectories), patterns, https URLs, "
        "streams (rtsp://…), the number of a camera",
    )
    parser.add_argument(
        "--output", metavar="DIR", help="directory for images and videos with what was found"
    )
    parser.add_argument(
        "--score",
        type=float,
        help="lowest score (default: the weights' own, where F1 was highest in validation)",
    )
    add_inference(parser)
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="every Nth frame of videos (default 1)"
    )
    parser.add_argument("--json", metavar="FILE", help="write one JSON array; - prints it")
    parser.add_argument(
        "--jsonl", metavar="FILE", help="write a line of JSON for each image or frame; - prints it"
    )
    parser.add_argument(
        "--csv", metavar="FILE", help="write a row for each object found; - prints it"
    )
    parser.add_argument(
        "--sheet", metavar="FILE", help=f"write the first {_SHEET_IMAGES} images side by side"
    )


def run(arguments: argparse.Namespace, words: Sequence[str]) -> None:
    from cornernet.api import CornerNet
    from cornernet.inference.sources import expand_sources
    from cornernet.runtime.processes import terminated_as_interrupted
    from cornernet.runtime.terminal import console, image_progress

    _check(arguments)
    detector = CornerNet.from_pretrained(arguments.weights, arguments.device)
    detector.config = inference_config(detector.config, words)
    if arguments.score is not None:
        detector.score_threshold = arguments.score
    apply_runtime(detector.config)
    detector.optimize(arguments.precision, arguments.compile)
    output = None if arguments.output is None else Path(arguments.output)
    sources = expand_sources(arguments.sources, output)
    targets = {} if output is None else _output_names(sources.found, output)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    images = sum(source.kind == "image" for source in sources.found)
    with ExitStack() as stack:
        stack.enter_context(terminated_as_interrupted())
        records = [stack.enter_context(record) for record in _records(arguments)]
        sheet = stack.enter_context(_Sheet(arguments.sheet))
        progress = stack.enter_context(image_progress("images", images, console(error=True)))
        job = _Job(detector, targets, records, sheet, progress, _printed(arguments))
        for note in sources.notes:
            job.say(note)
        job.run(sources.found, arguments.every)
        if arguments.score is None and job.images:
            job.say(
                f"showing detections from score {detector.score_threshold:g} on; another is set "
                "with --score"
            )
    if job.refused:
        raise UserError("\n".join(job.refused))


def _check(arguments: argparse.Namespace) -> None:
    """Refuse arguments that contradict each other, before anything is read."""
    from cornernet.commands.records import STDOUT
    from cornernet.data.images import IMAGE_SUFFIXES

    files = [getattr(arguments, name) for name in _RECORDS]
    files = [name for name in files if name is not None]
    if arguments.output is None and arguments.sheet is None and not files:
        raise UserError(
            "says where results go and must be given, unless --json, --jsonl, --csv or --sheet is",
            field="output",
        )
    for name in files:
        if files.count(name) > 1:
            raise UserError(f"{name}: two kinds of results would be written there; name two files")
        check_writable(None if name == STDOUT else name, made=arguments.output)
    check_writable(arguments.sheet, IMAGE_SUFFIXES, arguments.output)
    if arguments.score is not None and not 0 <= arguments.score <= 1:
        raise UserError(f"must be in 0..1, got {arguments.score:g}", field="score")
    if arguments.every < 1:
        raise UserError(f"must be at least 1, got {arguments.every}", field="every")


def _printed(arguments: argparse.Namespace) -> bool:
    """Whether results go to standard output, which then has no place for messages."""
    from cornernet.commands.records import STDOUT

    return any(getattr(arguments, name) == STDOUT for name in _RECORDS)


def _records(arguments: argparse.Namespace) -> Iterator[AbstractContextManager[Add]]:
    from cornernet.commands import records

    kinds = (records.json_array, records.json_lines, records.csv_rows)
    for name, kind in zip(_RECORDS, kinds, strict=True):
        if (file := getattr(arguments, name)) is not None:
            yield kind(file)


class _Job:
    """Predicts sources one after the other and hands on what is found.

    Attributes:
        images: number of images and frames that were predicted.
        refused: a sentence for each source that could not be predicted.
    """

    def __init__(
        self,
        detector: CornerNet,
        targets: dict[Source, Path],
        records: Sequence[Add],
        sheet: _Sheet,
        progress: ImageProgress,
        to_stderr: bool,
    ) -> None:
        self.refused: list[str] = []
        self._detector = detector
        self._targets = targets
        self._records = records
        self._sheet = sheet
        self._progress = progress
        self._to_stderr = to_stderr
        self.images = self._objects = 0

    def say(self, text: str) -> None:
        """Print lines for a person."""
        self._progress.say(text, error=self._to_stderr)

    def run(self, sources: Sequence[Source], every: int) -> None:
        """Predict all sources, and say how many images that were and how fast."""
        start = time.perf_counter()
        try:
            self._predict_images([source for source in sources if source.kind == "image"])
            for source in sources:
                if source.kind != "image":
                    self._predict_video(source, every)
        finally:
            seconds = time.perf_counter() - start
            self.say(
                f"{_count(self.images, 'image')}, {_count(self._objects, 'object')} found in "
                f"{seconds:.1f} s ({self.images / seconds:.1f} images/s)"
            )

    def _predict_images(self, sources: Sequence[Source]) -> None:
        from cornernet.data.download import public_name
        from cornernet.data.images import write_image
        from cornernet.inference.inputs import read_input
        from cornernet.inference.stream import detect_stream

        detector = self._detector

        def read(source: Source) -> np.ndarray:
            return read_input(source.name)

        for result in detect_stream(detector.model, sources, read, detector.config):
            source, error = result.item, result.error
            name = public_name(source.name)
            if result.detections is None or result.image is None:  # the others are predicted
                nameless = isinstance(error, NAMELESS)
                self.refused.append(f"{name}: {error}" if nameless else str(error))
                continue
            prediction = detector.prediction(result.detections, result.image, name)
            drawn = self._take(prediction)
            line = f"{shown(name)}: {len(prediction)} found"
            if (target := self._targets.get(source)) is not None and drawn is not None:
                target.parent.mkdir(parents=True, exist_ok=True)
                write_image(target, drawn)
                line += f" → {shown(str(target))}"
            self.say(line)

    def _predict_video(self, source: Source, every: int) -> None:
        from cornernet.data.download import public_name
        from cornernet.data.video import open_video, writing_video

        target = self._targets.get(source)
        frames = objects = 0
        name = public_name(source.name)
        try:
            with ExitStack() as stack:
                video = open_video(source.name, every)
                stack.enter_context(video)
                name = video.name
                self._progress.expect(video.total)
                writer = None
                if target is not None:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    writer = stack.enter_context(writing_video(target, video.fps))
                for prediction in self._detector.predict_video(video):
                    drawn = self._take(prediction)
                    if writer is not None and drawn is not None:
                        writer.write(drawn, prediction.time if video.live else None)
                    frames, objects = frames + 1, objects + len(prediction)
                if video.live:
                    self.say(f"{shown(name)}: the stream has ended")
        except UserError as error:
            self.refused.append(str(error))
        finally:
            if frames:
                where = f" → {shown(str(target))}" if target and target.exists() else ""
                self.say(f"{shown(name)}: {_count(frames, 'frame')}, {objects} found{where}")

    def _take(self, prediction: Prediction) -> np.ndarray | None:
        """Record a prediction, and draw it if it is to be seen."""
        import numpy as np

        for add in self._records:
            add(prediction)
        self.images += 1
        self._objects += len(prediction)
        self._progress()
        if not self._targets and not self._sheet.wanted:
            return None
        drawn = np.asarray(prediction.plot())
        self._sheet.add(prediction, drawn)
        return drawn


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


class _Sheet:
    """The first images side by side; written at the end, or by an interruption."""

    def __init__(self, file: str | None) -> None:
        self._file = file
        self._images: list[tuple[str, np.ndarray]] = []

    @property
    def wanted(self) -> bool:
        """Whether there is room for another image."""
        return self._file is not None and len(self._images) < _SHEET_IMAGES

    def add(self, prediction: Prediction, drawn: np.ndarray) -> None:
        """Put an image on the sheet if there is room."""
        from cornernet.report.sheet import thumbnail

        if self.wanted:
            name = Path(prediction.file or "").name
            moment = "" if prediction.time is None else f" {prediction.time:.1f} s"
            title = f"{name}{moment}: {len(prediction)} found"
            self._images.append((title, thumbnail(drawn, _SHEET_CELL)))

    def __enter__(self) -> _Sheet:
        return self

    def __exit__(self, *_: object) -> None:
        from cornernet.report.sheet import save_sheet

        if self._file is not None and self._images:
            save_sheet(self._images, Path(self._file), cell=_SHEET_CELL)


def _output_names(sources: Sequence[Source], output: Path) -> dict[Source, Path]:
    """A file in `output` for each source, refusing to write over a source or another result.

    It has the source's name and stands in the same subdirectory. Images get the suffix .png where
    they are not written under their own, videos .mp4.
    """
    from cornernet.data.images import IMAGE_SUFFIXES

    names: dict[Path, Source] = {}
    for source in sources:
        kept, added = (IMAGE_SUFFIXES, ".png") if source.kind == "image" else ((".mp4",), ".mp4")
        target = output / source.place
        if target.suffix.lower() not in kept:
            target = target.with_name(target.name + added)
        if source.is_same_file(target):
            raise UserError(
                f"must be a directory without the sources, where {source.name} would be written "
                "over",
                field="output",
            )
        if target in names:
            raise UserError(
                f"{names[target].name} and {source.name} would both become {target}; predict them "
                "into different directories"
            )
        names[target] = source
    return {source: target for target, source in names.items()}


COMMAND = Command(
    "predict",
    "Find objects in images, videos and cameras, and draw them.",
    add_arguments,
    run,
    takes_settings=True,
    epilog="Settings as for train act here too, such as --data.long_side 1024. Ctrl-C ends a "
    "camera or a long video; what was found until then is written.",
)
