"""The few lines a user writes: load weights, predict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cornernet.config import Config
from cornernet.data.images import read_image
from cornernet.inference.detect import detect
from cornernet.model.detector import Detector
from cornernet.model.fuse import FusedDetector
from cornernet.runtime.device import resolve_device
from cornernet.runtime.precision import resolve_precision
from cornernet.structures import Detections
from cornernet.weights.file import load_weights


@dataclass
class Prediction:
    """Objects found in one image, best first.

    Attributes:
        boxes: `[n, 4]` float32: x1, y1, x2, y2 in pixels of the image.
        scores: `[n]` float32 in 0..1.
        labels: `[n]` int64, index into the weights' classes.
        class_names: the name of each label.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    class_names: list[str]

    def __len__(self) -> int:
        return len(self.scores)


class CornerNet:
    """A trained detector.

    Args:
        model: the network, on its device, in either form.
        classes: class names by label.
        config: the configuration it was trained with; sections data and test act here.

    Attributes:
        model: the form of the network that detects.
        classes: as given.
        config: as given; may be replaced.
    """

    def __init__(self, model: Detector | FusedDetector, classes: list[str], config: Config) -> None:
        self.model = model if isinstance(model, FusedDetector) else FusedDetector(model)
        # The weights as they were loaded: what other precisions are made of.
        self._loaded = self.model
        self.classes = classes
        self.config = config

    @classmethod
    def from_pretrained(cls, path: str | Path, device: str = "auto") -> CornerNet:
        """Load a weights file.

        Args:
            path: a weights file, such as a run's best.pt, or a checkpoint of MMDetection's
                CornerNet or of the original repository, which is converted on the way.
            device: auto, cpu, sdaa, …, with or without an index.

        Raises:
            UserError: the file cannot be used, or the device is not there.
        """
        weights = load_weights(path)
        model = weights.build_model().to(resolve_device(device))
        return cls(model, weights.classes, weights.config)

    def optimize(self, precision: str = "auto", compile: bool = False) -> CornerNet:
        """Choose how the network computes: in low precision, compiled.

        May be called again: the last call counts, and starts from the weights as loaded.

        Args:
            precision: of weights and activations: fp32, bf16 or fp16; "auto" is bf16 where the
                device computes in it natively, else fp32. docs/benchmarks.md shows what low
                precision costs.
            compile: also hand the network to torch.compile, which takes a minute or more at the
                first image of each size; a warning says if it fails.

        Returns:
            This detector, changed.

        Raises:
            UserError: the device does not compute in this precision.
        """
        precision = resolve_precision(precision, self._loaded.device)
        same = precision == self._loaded.precision and not compile
        self.model = self._loaded if same else self._loaded.with_options(precision, compile)
        return self

    def predict(self, image: str | Path | np.ndarray, score_threshold: float = 0.3) -> Prediction:
        """Find objects in an image.

        Args:
            image: an image file, turned as its EXIF data say; or its pixels, [H, W, 3] RGB uint8.
            score_threshold: detections below it are left out, 0..1.

        Raises:
            UserError: the file cannot be read.
            ValueError: the array has another shape or dtype.
        """
        found = self.detect(image)
        found = found.select(found.scores >= score_threshold)
        labels = found.labels.numpy()
        names = [self.classes[label] for label in labels]
        return Prediction(found.boxes.numpy(), found.scores.numpy(), labels, names)

    def detect(self, image: str | Path | np.ndarray) -> Detections:
        """All detections in an image, as tensors; see `predict`."""
        pixels = image if isinstance(image, np.ndarray) else read_image(image, apply_exif=True)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
            raise ValueError(
                "predict: expected image to have shape [H, W, 3] and dtype uint8, RGB, got "
                f"{list(pixels.shape)} and {pixels.dtype}"
            )
        return detect(self.model, [pixels], self.config)[0]
