"""The few lines a user writes: load weights, predict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from cornernet.config import Config
from cornernet.data.video import Frame, LiveVideo, Video, open_video
from cornernet.errors import NAMELESS, UserError
from cornernet.inference.detect import Network, detect
from cornernet.inference.graph import SUFFIX, GraphDetector
from cornernet.inference.inputs import input_name, read_input
from cornernet.inference.stream import detect_stream
from cornernet.model.detector import Detector
from cornernet.model.fuse import FusedDetector
from cornernet.prediction import Prediction
from cornernet.runtime.device import resolve_device
from cornernet.runtime.precision import resolve_precision
from cornernet.runtime.text import shown
from cornernet.structures import NO_THRESHOLDS, Detections, Thresholds
from cornernet.weights.file import load_weights

if TYPE_CHECKING:
    from cornernet.export.request import Stage
    from cornernet.export.verify import Agreement, MapAgreement
    from cornernet.inference.inputs import ImageInput

_LISTED = 10  # classes in a repr


class CornerNet:
    """A trained detector.

    Several threads may predict with one detector at a time, and get what they would get one after
    the other. What changes it, `optimize` and new values of its attributes, must not happen
    meanwhile.

    Args:
        model: the network, on its device, in either form, or an exported graph.
        classes: class names by label.
        config: the configuration it was trained with; sections data and test act here.
        thresholds: scores from which its detections are worth showing.

    Attributes:
        model: the form of the network that detects.
        classes: as given.
        config: as given; may be replaced, but for the settings that an exported graph holds.
        thresholds: as given.
        score_threshold: the lowest score of a prediction where `predict` is given none; at first
            `thresholds.score`.
    """

    def __init__(
        self,
        model: Detector | FusedDetector | GraphDetector,
        classes: list[str],
        config: Config,
        thresholds: Thresholds = NO_THRESHOLDS,
    ) -> None:
        self.model: Network = FusedDetector(model) if isinstance(model, Detector) else model
        # The weights as they were loaded: what other precisions are made of.
        self._loaded = self.model
        self.classes = classes
        self.config = config
        self.thresholds = thresholds
        self.score_threshold = thresholds.score

    @property
    def config(self) -> Config:
        """The configuration; setting it raises a UserError where a graph holds another value."""
        return self._config

    @config.setter
    def config(self, config: Config) -> None:
        if isinstance(self._loaded, GraphDetector):
            self._loaded.check_settings(config)
        self._config = config

    def __repr__(self) -> str:
        names = ", ".join(shown(name) for name in self.classes[:_LISTED])
        more = ", …" if len(self.classes) > _LISTED else ""
        return (
            f"<CornerNet: {len(self.classes)} classes ({names}{more}) "
            f"on {self.model.device} in {self.model.precision}>"
        )

    @classmethod
    def from_pretrained(cls, path: str | Path, device: str = "auto") -> CornerNet:
        """Load a weights file.

        Args:
            path: a weights file, such as a run's best.pt, or a checkpoint of MMDetection's
                CornerNet or of the original repository, which is converted on the way; or an ONNX
                file that `export` has written, which ONNX Runtime runs on the CPU.
            device: auto, cpu, sdaa, …, with or without an index.

        Raises:
            UserError: the file cannot be used, or the device is not there.
        """
        if Path(path).suffix.lower() == SUFFIX:
            graph = GraphDetector(path)
            if resolve_device(device).type != "cpu" and device != "auto":
                raise UserError(f"must be cpu or auto for {path}, got {device}", field="device")
            return cls(graph, graph.classes, graph.config, graph.thresholds)
        weights = load_weights(path)
        model = weights.build_model().to(resolve_device(device))
        return cls(model, weights.classes, weights.config, weights.thresholds)

    def optimize(self, precision: str = "auto", compile: bool = False) -> CornerNet:
        """Choose how the network computes: in low precision, compiled.

        May be called again: the last call counts, and starts from the weights as loaded.

        Args:
            precision: of weights and activations: fp32, bf16 or fp16; "auto" is bf16 where the
                device computes in it natively, else fp32. docs/benchmarks.md shows what low
                precision costs. An exported graph keeps its own, for which fp32 and auto stand.
            compile: also hand the network to torch.compile, which takes a minute or more at the
                first image of each size; a warning says if it fails.

        Returns:
            This detector, changed.

        Raises:
            UserError: the device does not compute in this precision.
        """
        if isinstance(self._loaded, GraphDetector):
            if precision not in ("auto", "fp32", self._loaded.precision) or compile:
                raise UserError(
                    "cannot be chosen for an exported graph; choose it when it is exported",
                    field="compile" if compile else "precision",
                )
            return self
        precision = resolve_precision(precision, self._loaded.device)
        same = precision == self._loaded.precision and not compile
        self.model = self._loaded if same else self._loaded.with_options(precision, compile)
        return self

    def export(
        self,
        path: str | Path,
        *,
        size: tuple[int, int] | None = None,
        batch: int | None = None,
        stage: Stage = "boxes",
        format: str = "onnx",
        precision: str = "fp32",
        images: Sequence[ImageInput] | None = None,
        calibrate: Sequence[ImageInput] | None = None,
    ) -> Agreement | MapAgreement:
        """Write this detector as one file of another program, and compare that with the detector.

        An ONNX file's input `images` is [N, H, W, 3] uint8 RGB, images of one size; resizing,
        mirror images and suppression are part of it, by ONNX's standard operators. Its outputs are
        `boxes` [N, D, 4] in pixels of the images, `scores` [N, D] and `labels` [N, D], best first,
        where a label of -1 marks no box. `CornerNet.from_pretrained` reads it again. The formats of
        torch take canvases instead; see docs/export.md.

        Args:
            path: the file to write, which ends in .onnx, .pt2 or .torchscript by its format.
            size: height and width of all images; None for any.
            batch: number of images; None for any.
            stage: "boxes", or "maps": the graph ends at the network's maps.
            format: onnx; pt2, a program of torch.export; torchscript; or aoti, AOTInductor's
                package.
            precision: fp32; or int8, for ONNX files: convolutions compute in it, but for the last
                ones.
            images: to compare on; None draws some.
            calibrate: for int8: some tens of images such as the network will see, which give the
                ranges of its values.

        Returns:
            How the file's boxes, or its maps, agree with the detector's.

        Raises:
            UserError: a package is missing, the detector cannot be exported, an image is not of
                the size, or the file's results are others; no file is left then.
        """
        from cornernet.export.detector import export
        from cornernet.export.request import Request

        if isinstance(self._loaded, GraphDetector):
            raise UserError("an exported graph cannot be exported again; export its weights")
        pixels = None if images is None else [read_input(image) for image in images]
        seen = None if calibrate is None else [read_input(image) for image in calibrate]
        request = Request(
            self._loaded.with_options("fp32").cpu(), self.classes, self.config, self.thresholds,
            size, batch, stage, format, precision,
        )  # fmt: skip
        return export(request, Path(path), pixels, seen)

    @overload
    def predict(
        self,
        image: list[Any] | tuple[Any, ...],
        score_threshold: float | None = None,
        batch_size: int | None = None,
    ) -> list[Prediction]: ...

    @overload
    def predict(
        self,
        image: ImageInput,
        score_threshold: float | None = None,
        batch_size: int | None = None,
    ) -> Prediction: ...

    def predict(
        self,
        image: ImageInput | list[Any] | tuple[Any, ...],
        score_threshold: float | None = None,
        batch_size: int | None = None,
    ) -> Prediction | list[Prediction]:
        """Find objects in an image, or in each of a list of images.

        Args:
            image: a file name, an https URL, an image file's bytes, a file opened in binary mode,
                a PIL image, a NumPy array [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], or a tensor
                [H, W] or [C, H, W]; or a list or tuple of these. Colours are RGB, integers 0..255
                (uint16: 0..65535), floating-point numbers 0..1; transparency is dropped. Files
                and PIL images are turned as their EXIF data say.
            score_threshold: detections below it are left out, 0..1; by default
                `score_threshold`, where F1 was highest in validation.
            batch_size: number of images of a list that run through the network together, where
                their sizes allow; by default `test.batch_size` of the configuration.

        Returns:
            The objects found; a list of these, in order, for a list.

        Raises:
            UserError: an image cannot be read, or an array has another shape, type or range.
            TypeError: an object of another kind was given.
        """
        if isinstance(image, list | tuple):
            return list(self.predict_stream(image, score_threshold, batch_size))
        pixels = read_input(image)
        found = detect(self.model, [pixels], self.config)[0]
        return self.prediction(found, pixels, input_name(image), score_threshold)

    def predict_stream(
        self,
        images: Iterable[ImageInput],
        score_threshold: float | None = None,
        batch_size: int | None = None,
    ) -> Iterator[Prediction]:
        """Find objects in many images, which are read while the network computes.

        Args:
            images: of any number; see `predict`.
            score_threshold: see `predict`.
            batch_size: see `predict`.

        Yields:
            The objects found in each image, in order.

        Raises:
            UserError, TypeError: as `predict`; the sentence names the image's place, such as
                images[3].
        """
        config = self.config
        if batch_size is not None:
            config = replace(config, test=replace(config.test, batch_size=batch_size))
        items = enumerate(images)
        for result in detect_stream(self.model, items, lambda item: _read_item(*item), config):
            place, image = result.item
            if isinstance(result.error, NAMELESS):
                raise type(result.error)(result.error.message, source=f"images[{place}]")
            if result.error is not None:
                raise result.error
            assert result.detections is not None and result.image is not None
            name = input_name(image)
            yield self.prediction(result.detections, result.image, name, score_threshold)

    def predict_video(
        self,
        video: str | Path | int | Video | LiveVideo,
        score_threshold: float | None = None,
        every: int = 1,
    ) -> Iterator[Prediction]:
        """Find objects in the frames of a video, a camera or a stream.

        All frames of a video are read. Of a camera or stream the newest frame is read each time
        the network is free, and others are left out.

        Args:
            video: a video's file name or https URL; the number of a camera; a stream's URL, such
                as rtsp://…; or what `cornernet.data.video.open_video` has opened.
            score_threshold: see `predict`.
            every: read every so many frames only.

        Yields:
            The objects found in each frame, with its number and time.

        Raises:
            UserError: the video cannot be opened or ends too early, or a camera falls silent.
        """
        if not isinstance(video, Video | LiveVideo):
            with open_video(video, every) as opened:
                yield from self.predict_video(opened, score_threshold)
            return
        for frame, found in self._detect_frames(video):
            prediction = self.prediction(found, frame.image, video.name, score_threshold)
            yield replace(prediction, frame=frame.index, time=frame.time)

    def _detect_frames(self, video: Video | LiveVideo) -> Iterator[tuple[Frame, Detections]]:
        if isinstance(video, LiveVideo):  # a frame that waits for others to be read is late
            for frame in video:
                yield frame, detect(self.model, [frame.image], self.config)[0]
            return
        for result in detect_stream(self.model, video, lambda frame: frame.image, self.config):
            if result.detections is None:
                raise UserError(str(result.error), source=video.name)
            yield result.item, result.detections

    def detect(self, image: ImageInput) -> Detections:
        """All detections in one image, as tensors; see `predict`."""
        return detect(self.model, [read_input(image)], self.config)[0]

    def prediction(
        self,
        found: Detections,
        pixels: np.ndarray,
        file: str | None = None,
        score_threshold: float | None = None,
    ) -> Prediction:
        """What `predict` returns, of detections in an image, [H, W, 3] RGB uint8."""
        least = self.score_threshold if score_threshold is None else score_threshold
        return Prediction.of(found.select(found.scores >= least), self.classes, pixels, file)


def _read_item(place: int, image: ImageInput) -> np.ndarray:
    """The pixels of an image of a list; errors name its place there."""
    try:
        return read_input(image)
    except UserError as error:
        raise UserError(str(error), source=f"images[{place}]") from None
    except TypeError as error:
        raise TypeError(f"images[{place}]: {error}") from None
