"""Reading and augmenting training pictures in one process, against MMDetection's pipeline."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from cornernet.config import load_recipe
from cornernet.data.coco import CocoDataset
from cornernet.data.images import write_image
from cornernet.data.loader import AugmentedDataset

from . import mmdetection
from .measure import Case

RECIPE = "cornernet_hourglass104_8xb6-210e-mstest_coco"
PICTURES = 32
SIZE = (640, 480)  # width and height
OBJECTS = 7
NOISE = 8.0  # standard deviation of a pixel's channel, of 255


def cases(device: torch.device, full: bool) -> Iterator[Case]:
    """Pictures of COCO's size, all changes of the recipe, one thread; `device` plays no part."""
    cv2.setNumThreads(0)  # as in a worker of the loader
    with tempfile.TemporaryDirectory() as name:
        data = CocoDataset(_pictures(Path(name)), "train")
        config = load_recipe(RECIPE)
        ours = AugmentedDataset(data, config)
        others: dict[str, Callable[[], Any]] = {}
        keys = itertools.count()
        if mmdetection.available():
            theirs = [
                mmdetection.training_sample(sample.path, sample.boxes, sample.labels)
                for sample in map(data.load, range(len(data)))
            ]
            turns = itertools.count()
            others["mmdetection"] = lambda: theirs[next(turns) % PICTURES]()["inputs"]

        def call() -> Any:
            number = next(keys)
            sample: Any = ours[(number // PICTURES, number % PICTURES)]
            return torch.from_numpy(sample.image).permute(2, 0, 1)

        side = config.augment.crop_size
        yield Case(
            op="loader",
            part="read and augment",
            variant="",
            setting=f"JPEG 640×480 to {side}×{side}",
            moved=0,
            call=call,
            others=others,
            same=_same_size,
            pictures=1,
        )


def _same_size(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """The same size; the changes are random."""
    assert actual.shape == expected.shape


def _pictures(folder: Path) -> Path:
    """A data folder of pictures of COCO's size, as many objects each, and about as large files."""
    (folder / "train").mkdir()
    (folder / "annotations").mkdir()
    random = np.random.default_rng(0)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(PICTURES):
        smooth = cv2.resize(random.random((15, 20, 3)) * 255, SIZE, interpolation=cv2.INTER_CUBIC)
        pixels = np.clip(smooth + random.normal(0, NOISE, smooth.shape), 0, 255).astype(np.uint8)
        name = f"{number}.jpg"
        write_image(folder / "train" / name, pixels, jpeg_quality=90)
        images.append({"id": number, "file_name": name, "width": SIZE[0], "height": SIZE[1]})
        for _ in range(OBJECTS):
            size = random.uniform(0.05, 0.5, 2) * SIZE
            corner = random.random(2) * (SIZE - size)
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": number,
                    "category_id": 1,
                    "bbox": [*corner, *size],
                    "area": float(size.prod()),
                    "iscrowd": 0,
                }
            )
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "thing"}],
    }
    (folder / "annotations" / "instances_train.json").write_text(json.dumps(content))
    return folder
