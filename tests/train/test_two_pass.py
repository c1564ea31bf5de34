"""A network that looks twice, from training squares to detections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cornernet.config import config_from_dict
from cornernet.data.coco import CocoDataset
from cornernet.data.loader import AugmentedDataset, collate
from cornernet.data.synthetic import synthesize
from cornernet.inference.detect import detect
from cornernet.model.fuse import FusedDetector
from cornernet.runtime.distributed import World
from cornernet.structures import Sample
from cornernet.train.trainer import Trainer
from cornernet_ops.soft_nms import box_iou

STEPS = 160
SETTINGS: dict[str, Any] = {
    "model": {
        "parts": ["corners", "attention"],
        "stacks": 1,
        "stage_channels": [16, 24, 32],
        "stage_blocks": [1, 1, 1],
        "feature_channels": 32,
        "pool_channels": 16,
        "head_channels": 16,
        "num_classes": 1,
        "object_sizes": [24, 64],
    },
    "augment": {"sampling": "reference", "crop_size": 63, "smallest_object": 10,
                "brightness": 0, "contrast": [1, 1], "saturation": [1, 1], "hue": 0,
                "swap_channels": False},
    "loss": {"normalize": "original", "gaussian_iou": 0.5},
    "train": {"learning_rate": 0.004, "warmup_steps": 10, "epochs": 1, "gamma": 0.02,
              "schedule": "cosine", "batch_size": 8},
    "test": {"topk": 12, "max_pairs": 12, "skip_border": True, "pair_score": "geometric",
             "view_sizes": [48, 63], "zoom_sizes": [16, 40], "location_distance": 4},
}  # fmt: skip


@pytest.mark.slow
def test_objects_are_learnt_and_found_by_looking_twice(tmp_path: Path) -> None:
    """The images are twice as large as what the network sees of them at first."""
    shapes = tmp_path / "shapes"
    synthesize(shapes, train=6, val=1, classes=["square"], min_side=128, max_side=128, seed=3)
    data = CocoDataset(shapes, "train")
    config = config_from_dict(SETTINGS)
    squares = AugmentedDataset(data, config)
    trainer = Trainer(config, World(torch.device("cpu")))
    for step in range(STEPS):
        read = (squares[step * 8 + number, number % len(data)] for number in range(8))
        samples = [sample for sample in read if isinstance(sample, Sample)]
        trainer.train_step(collate(samples), STEPS)
    model = FusedDetector(trainer.model.eval())
    found = {0: 0, 30: 0}  # by the largest number of crops
    objects = 0
    for index in range(len(data)):
        sample = data.load(index)
        objects += len(sample.boxes)
        for crops in found:
            words = [f"--test.max_crops={crops}"]
            (seen,) = detect(model, [sample.image], config_from_dict(SETTINGS, words))
            sure = seen.select(seen.scores > 0.3).boxes
            for box in torch.from_numpy(sample.boxes):
                found[crops] += bool(len(sure) and box_iou(box, sure).max() > 0.5)
    assert objects > 10 and found[30] >= 0.6 * objects and found[30] > found[0]
