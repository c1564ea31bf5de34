"""Detectors that were exported to ONNX, run by ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cornernet.config import Config, config_from_dict
from cornernet.errors import UserError, WrongSize
from cornernet.structures import Detections, Thresholds

METADATA = "cornernet"
"""The entry of a file's metadata that describes the detector, as JSON."""
SUFFIX = ".onnx"
# The one setting of the section data, and those of the section test, that matter in a graph, and
# that do not.
_LONG_SIDE = "data.long_side"
_FREE = ("test.batch_size", "test.evaluator")


class GraphDetector:
    """A detector as one graph, from the pixels of images to boxes.

    Resizing, mirror images and suppression are part of the graph: the settings with which it was
    exported hold. It computes on the CPU, with as many threads as torch.

    Args:
        path: a file that `cornernet export` has written, with the stage "boxes".

    Attributes:
        classes: names by label.
        config: what it was exported with.
        size: height and width of all images; None for any.
        batch: number of images at a time; None for any.
        thresholds: those of the weights.
        device: where results are.
        precision: of weights and activations.
        size_multiple: images are not padded.

    Raises:
        UserError: ONNX Runtime is missing, or the file is not such a file.
    """

    device = torch.device("cpu")
    size_multiple = 1
    locates = False

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._session = self._open()
        text = self._session.get_modelmeta().custom_metadata_map.get(METADATA)
        described = _described(text, str(path))
        self.classes: list[str] = described["classes"]
        self.thresholds: Thresholds = described["thresholds"]
        self.size: tuple[int, int] | None = described["size"] and tuple(described["size"])
        self.batch: int | None = described["batch"]
        self.precision: str = described["precision"]
        self.config = config_from_dict(described["config"], source=str(path))

    def _open(self) -> Any:
        """A session of ONNX Runtime with as many threads as torch has."""
        path = self._path
        try:
            import onnxruntime
        except ImportError:
            raise UserError(
                f"{path}: ONNX files are run by the package onnxruntime, which is not installed; "
                "install it with pip install 'cornernet[onnx]'"
            ) from None
        if not Path(path).is_file():
            raise UserError(f"{path}: expected an ONNX file, found none; check the path")
        self._threads = torch.get_num_threads()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        try:
            return onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's own kinds have no common base
            raise UserError(
                f"{path}: expected an ONNX file, ONNX Runtime says "
                f"'{str(error).partition(chr(10))[0]}'; export it again"
            ) from None

    def check_settings(self, config: Config) -> None:
        """Refuse settings that differ from those in the graph, since they would change nothing.

        Raises:
            UserError: a setting of preparation, network or decoding differs.
        """
        for section in ("data", "model", "test"):
            given, own = getattr(config, section), getattr(self.config, section)
            for item in fields(own):
                name = f"{section}.{item.name}"
                is_fixed = name == _LONG_SIDE if section == "data" else name not in _FREE
                if is_fixed and getattr(given, item.name) != getattr(own, item.name):
                    raise UserError(
                        f"is part of an exported graph, {getattr(own, item.name)} here; leave it "
                        "out, or export the weights again with another value",
                        field=name,
                    )

    def check_size(self, image: np.ndarray) -> None:
        """Refuse an image that the graph does not take, [H, W, 3].

        Raises:
            WrongSize: the graph was exported for images of another size.
        """
        height, width = image.shape[:2]
        if self.size is not None and (height, width) != self.size:
            raise WrongSize(
                f"expected an image of {self.size[1]}×{self.size[0]}, for which the graph was "
                f"exported, got one of {width}×{height}; export it for any size"
            )

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Find objects in images of one size, [H, W, 3] RGB uint8 each.

        Raises:
            WrongSize: the graph was exported for images of another size.
        """
        self.check_size(images[0])
        if self._threads != torch.get_num_threads():
            self._session = self._open()
        batch = np.stack(images)
        step = self.batch or len(batch)
        results: list[Detections] = []
        for start in range(0, len(batch), step):
            part = batch[start : start + step]
            missing = step - len(part)
            padded = np.concatenate([part, np.zeros((missing, *part.shape[1:]), np.uint8)])
            boxes, scores, labels = (
                torch.from_numpy(value) for value in self._session.run(None, {"images": padded})
            )
            for index in range(len(part)):
                kept = labels[index] >= 0
                results.append(
                    Detections(boxes[index][kept], scores[index][kept], labels[index][kept])
                )
        return results


def _described(text: str | None, path: str) -> dict[str, Any]:
    """The description in a file's metadata."""
    try:
        described = json.loads(text or "")
        wanted = {"classes": list, "config": dict, "thresholds": dict, "stage": str}
        known = isinstance(described, dict) and all(
            isinstance(described.get(key), kind) for key, kind in wanted.items()
        )
    except (ValueError, RecursionError):
        known = False
    try:
        thresholds = Thresholds(**described["thresholds"]) if known else None
    except TypeError:
        thresholds = None
    if thresholds is None:
        raise UserError(
            f"{path}: expected a file that cornernet export has written, found no description of "
            "a detector in its metadata"
        )
    if described["stage"] != "boxes":
        raise UserError(
            f"{path}: expected a graph that gives boxes, found one that gives "
            f"{described['stage']}; export it without maps"
        )
    return (
        {"size": None, "batch": None, "precision": "fp32"} | described | {"thresholds": thresholds}
    )


def unresized(config: Config) -> Config:
    """The same settings, but with which an image has one view: itself, on no canvas."""
    return replace(
        config,
        data=replace(config.data, long_side=0),
        test=replace(config.test, scales=[1.0], pad_multiple=1),
    )
