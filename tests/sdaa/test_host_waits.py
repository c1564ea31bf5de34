"""How often the host waits for the device: once in a training step, once in a batch of inference,
and once more there where a network looks twice.

The simulator counts copies to the host, scalars that are read, and synchronisations. What its
fallback does on the CPU for want of a kernel needs no copy there, so ops whose result has a size
that only the device knows, for which a card would wait, are looked for by name.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch_sdaa

from cornernet.config import Config, config_from_dict
from cornernet.inference.detect import detect
from cornernet.model.detector import Detector
from cornernet.model.fuse import FusedDetector
from cornernet.runtime.device import resolve_device
from cornernet.runtime.distributed import World
from cornernet.structures import Batch
from cornernet.train.trainer import Trainer
from cornernet_ops import backends
from tests.small import SMALL_MODEL

pytestmark = [
    pytest.mark.skipif(not hasattr(torch_sdaa, "host_waits"), reason="the simulator's own count"),
    pytest.mark.skipif(
        backends()["corner_targets"].get("sdaa") != "compiled",
        reason="the references of some ops compute on the CPU",
    ),
]

# Their results have sizes, or decide something, that the host has to wait for.
WAITING = {
    "aten::nonzero", "aten::masked_select", "aten::equal", "aten::is_nonzero", "aten::_unique2",
    "aten::repeat_interleave", "aten::_local_scalar_dense", "aten::allclose",
}  # fmt: skip


def waits_of(call: Callable[[], object]) -> int:
    """How often the host waits in a call, after one that may set things up."""
    call()
    torch_sdaa.clear_host_waits()
    torch_sdaa.clear_fallback_counts()
    call()
    assert not WAITING & set(torch_sdaa.fallback_counts())
    return torch_sdaa.host_waits()


def config(precision: str, parts: list[str], stacks: int) -> Config:
    return config_from_dict(
        {
            "model": SMALL_MODEL
            | {"num_classes": 3, "parts": parts, "stacks": stacks, "object_sizes": [32]},
            "train": {"precision": precision, "ema_decay": 0.9, "warmup_steps": 1, "epochs": 1},
            "test": {"pad_multiple": 16, "topk": 10, "max_pairs": 50, "flip": True,
                     "scales": [1.0] if "attention" in parts else [1.0, 0.5],
                     "zoom_sizes": [24], "location_score": 0.05, "crop_batch": 4},
            "augment": {"crop_size": 47},
        }
    )  # fmt: skip


def batch() -> Batch:
    """Two images with objects, one of them with a crowd, and one without either."""
    random = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[4.0, 4.0, 40.0, 40.0], [10.0, 20.0, 60.0, 50.0], [0.0, 0.0, 9.0, 9.0]])
    nothing = torch.zeros(0, 4)
    labels = torch.tensor([0, 1, 2])
    return Batch(
        images=255 * torch.rand(3, 3, 64, 64, generator=random),
        boxes=[boxes, boxes[:2], nothing],
        labels=[labels, labels[:2], labels[:0]],
        paths=["a", "b", "c"],
        crowd_boxes=[boxes[:1], nothing, nothing],
        crowd_labels=[labels[:1], labels[:0], labels[:0]],
        difficult_boxes=[nothing, boxes[2:], nothing],
        difficult_labels=[labels[:0], labels[2:], labels[:0]],
    )


@pytest.mark.parametrize("parts", [["corners"], ["corners", "centers", "attention"]])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_training_step_waits_once(precision: str, parts: list[str]) -> None:
    trainer = Trainer(config(precision, parts, stacks=2), World(resolve_device("sdaa")))
    assert waits_of(lambda: trainer.train_step(batch(), 100)) == 1


def test_a_step_that_overflows_waits_once() -> None:
    trainer = Trainer(config("fp16", ["corners"], stacks=1), World(resolve_device("sdaa")))
    weight = trainer.model.backbone.stem[0].conv.weight
    weight.register_hook(lambda gradient: gradient * torch.inf)
    before = weight.detach().cpu().clone()
    assert waits_of(lambda: trainer.train_step(batch(), 100)) == 1
    assert torch.equal(weight.detach().cpu(), before)


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_inference_waits_once_a_batch(precision: str, images: int) -> None:
    settings = config(precision, ["corners", "centers"], stacks=1)
    torch.manual_seed(0)
    network = Detector(settings.model, 3).to(resolve_device("sdaa"))
    model = FusedDetector(network, precision)
    pixels = [np.full((40, 60, 3), 90, np.uint8)] * images
    assert waits_of(lambda: detect(model, pixels, settings)) == 1


@pytest.mark.skipif(
    backends()["crop_resize"].get("sdaa") != "compiled", reason="the reference waits to see indices"
)
@pytest.mark.parametrize("images", [1, 3])
def test_looking_twice_waits_twice_a_batch(images: int) -> None:
    settings = config("fp32", ["corners", "attention"], stacks=1)
    torch.manual_seed(0)
    model = FusedDetector(Detector(settings.model, 3).to(resolve_device("sdaa")))
    pixels = [np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)] * images
    assert waits_of(lambda: detect(model, pixels, settings)) == 2
