"""What all tests share: options and markers of golden files, and a network that has learnt."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cornernet.config import Config, config_from_dict
from cornernet.data.coco import CocoDataset
from cornernet.data.synthetic import synthesize
from cornernet.model.detector import Detector
from cornernet.runtime.distributed import World
from cornernet.structures import Batch
from cornernet.train.trainer import Trainer


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        metavar="DIR",
        type=Path,
        default=Path(__file__).parent / "data" / "golden",
        help="folder with MMDetection's inputs and outputs; tests/golden is run on it",
    )
    parser.addoption(
        "--golden-family",
        metavar="DIR",
        type=Path,
        default=Path(__file__).parent / "data" / "golden_family",
        help="directory with inputs and outputs of CornerNet-Lite and CenterNet; "
        "tests/golden/family is run on it",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "golden_cases(file, key, prefix): one test for each entry of a golden file's meta[key]; "
        "the entry's arrays are called prefix, with its name or index filled in, and their name",
    )
    config.addinivalue_line(
        "markers",
        "family_cases(file): one test for each entry of meta['cases'] of a golden file of the "
        "CornerNet family; the entry's arrays are called its name, an underscore, and their name",
    )


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without figures, which take as long as a short training."""
    monkeypatch.setattr("cornernet.report.figures.figure", lambda *_: "<svg></svg>")


@pytest.fixture(scope="session")
def overfitted(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Detector, CocoDataset, Config]:
    """A network that has learnt eight pictures by heart, their data set and its configuration.

    Whole pictures, always the same: what is left is whether the targets, the losses, the network
    and the decoding mean the same thing by a corner.
    """
    folder = tmp_path_factory.mktemp("overfitted") / "shapes"
    synthesize(folder, train=8, val=1, min_side=128, max_side=128, seed=3)
    data = CocoDataset(folder, "train")
    config = config_from_dict(
        {
            "model": {
                "stacks": 1,
                "stage_channels": [16, 32, 48, 64],
                "stage_blocks": [1, 1, 1, 1],
                "feature_channels": 32,
                "pool_channels": 16,
                "head_channels": 16,
                "num_classes": len(data.classes),
            },
            "train": {"learning_rate": 0.003, "warmup_steps": 10, "epochs": 1, "gamma": 0.02,
                      "schedule": "cosine", "precision": "auto"},
            "test": {"pad_multiple": 1},
        }
    )  # fmt: skip
    samples = [data.load(index) for index in range(len(data))]
    batch = Batch(
        torch.stack([torch.from_numpy(sample.image) for sample in samples]).permute(0, 3, 1, 2),
        [torch.from_numpy(sample.boxes) for sample in samples],
        [torch.from_numpy(sample.labels) for sample in samples],
        [sample.path for sample in samples],
    )
    trainer = Trainer(config, World(torch.device("cpu")))
    steps = 200
    for _ in range(steps):
        trainer.train_step(batch, steps)
    return trainer.model.eval(), data, config
