"""What was found in one image, and the forms in which others want it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cornernet.errors import UserError
from cornernet.runtime.text import shown
from cornernet.structures import Detections

if TYPE_CHECKING:
    import supervision
    from PIL.Image import Image

_LISTED = 5  # objects in a repr


@dataclass(eq=False, repr=False)
class Prediction:
    """Objects found in one image, best first.

    Attributes:
        boxes: `[n, 4]` float32: x1, y1, x2, y2 in pixels of the image.
        scores: `[n]` float32 in 0..1.
        labels: `[n]` int64, index into the weights' classes.
        class_names: the name of each label.
        image: `[H, W, 3]` RGB uint8, the pixels in which the boxes lie; set it to None where many
            results are kept and none is drawn.
        file: name or URL of the image; None if it was given as pixels or bytes.
        width: of the image in pixels.
        height: of the image in pixels.
        frame: number of the frame in its video, from 0; None of an image.
        time: of the frame in its video in seconds; None of an image.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    class_names: list[str]
    image: np.ndarray | None = None
    file: str | None = None
    width: int | None = None
    height: int | None = None
    frame: int | None = None
    time: float | None = None

    @classmethod
    def of(
        cls,
        found: Detections,
        classes: Sequence[str],
        image: np.ndarray,
        file: str | None = None,
    ) -> Prediction:
        """The prediction of detections in an image, [H, W, 3]."""
        labels = found.labels.numpy()
        return cls(
            boxes=found.boxes.numpy(),
            scores=found.scores.numpy(),
            labels=labels,
            class_names=[classes[label] for label in labels],
            image=image,
            file=file,
            width=image.shape[1],
            height=image.shape[0],
        )

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        pairs = zip(self.class_names, self.scores.tolist(), strict=True)
        objects = [f"{shown(name)} {score:.2f}" for name, score in pairs]
        if len(objects) > _LISTED:
            objects[_LISTED:] = ["…"]
        where = "an image" if self.file is None else shown(self.file)
        frame = "" if self.frame is None else f", frame {self.frame}"
        size = "" if self.width is None else f", {self.width}×{self.height}"
        listed = f": {', '.join(objects)}" if objects else ""
        number = f"{len(self)} object{'' if len(self) == 1 else 's'}"
        return f"<Prediction: {number} in {where}{frame}{size}{listed}>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data: file, width, height and detections.

        A detection has box ([x1, y1, x2, y2]), score, label and class. A frame of a video has
        frame and time (seconds) besides.
        """
        columns = (self.boxes.tolist(), self.scores.tolist(), self.labels.tolist())
        moment = {} if self.frame is None else {"frame": self.frame, "time": self.time}
        return {
            "file": self.file,
            **moment,
            "width": self.width,
            "height": self.height,
            "detections": [
                {"box": box, "score": score, "label": label, "class": name}
                for box, score, label, name in zip(*columns, self.class_names, strict=True)
            ],
        }

    def to_json(self, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    def to_coco(
        self, image_id: int | str, category_ids: Sequence[int] | None = None
    ) -> list[dict[str, Any]]:
        """COCO's result format: image_id, category_id, bbox ([x, y, width, height]) and score.

        Args:
            image_id: the image's id in the annotation file.
            category_ids: the id of each label; by default label + 1, as `data convert` numbers
                classes.
        """
        from cornernet.inference.evaluate import coco_results

        ids = category_ids or range(1, int(self.labels.max(initial=0)) + 2)
        return coco_results({image_id: self.detections}, ids)

    def to_supervision(self) -> supervision.Detections:
        """The same as `supervision.Detections`, with the classes' names in `data["class_name"]`.

        Raises:
            UserError: the package `supervision` is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise UserError(
                f"to_supervision needs the package supervision ({error}); install it with "
                "pip install supervision"
            ) from None
        return supervision.Detections(
            xyxy=self.boxes,
            confidence=self.scores,
            class_id=self.labels,
            data={"class_name": np.array(self.class_names, dtype=str)},
        )

    def plot(self) -> Image:
        """The image with boxes, class names and scores drawn into it.

        Raises:
            UserError: `image` has been set to None.
        """
        from PIL import Image

        from cornernet.report.draw import draw_detections

        if self.image is None:
            raise UserError("is None: there are no pixels to draw in", field="image")
        names = [""] * (int(self.labels.max(initial=-1)) + 1)
        for label, name in zip(self.labels.tolist(), self.class_names, strict=True):
            names[label] = name
        return Image.fromarray(draw_detections(self.image, self.detections, names))

    def save(self, path: str | Path) -> None:
        """Write the image with what was found drawn into it.

        Args:
            path: the suffix selects the format; the directory must exist.

        Raises:
            UserError: the suffix is unknown, or the file cannot be written.
        """
        from cornernet.data.images import write_image

        write_image(path, np.asarray(self.plot()))

    @property
    def detections(self) -> Detections:
        """The same as tensors on the CPU, which share their memory."""
        arrays = (self.boxes, self.scores, self.labels)
        return Detections(*(torch.from_numpy(array) for array in arrays))
