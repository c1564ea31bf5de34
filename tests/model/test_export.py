"""The whole detector, from pixels to boxes, in one graph: torch.compile and torch.export."""

from __future__ import annotations

import inspect
import io
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree

from cornernet.config import ModelConfig
from cornernet.config import TestConfig as Settings
from cornernet.model.detector import Detector, Maps
from cornernet.model.fuse import FusedDetector
from cornernet.parts.attention.structures import AttentionMaps, AttentionTargets
from cornernet.parts.centers.structures import CenterMaps, CenterTargets
from cornernet.parts.corners.decode import decode
from cornernet.parts.corners.structures import Outputs, Targets
from cornernet.structures import Candidates, Detections, Features, Keypoints, OfView
from cornernet_ops import soft_nms
from tests.small import SMALL_MODEL, small_config

Boxes = tuple[Tensor, ...]


class PixelsToBoxes(nn.Module):
    """Network, decoding and suppression, whose results have one size whatever is found."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = Detector(ModelConfig(**SMALL_MODEL), num_classes=3).eval()
        self.settings = Settings(topk=20, max_pairs=50)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Boxes:
        size = images.shape[2], images.shape[3]
        boxes, scores, labels = decode(self.model(images)[-1]["corners"], self.settings, size)
        return soft_nms(
            boxes, scores, labels, method="gaussian", iou_threshold=0.5, sigma=0.5,
            min_score=1e-3, max_detections=10,
        )  # fmt: skip


def pictures(n: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    return 255 * torch.rand(n, 3, height, width, generator=generator)


def assert_same_boxes(actual: Boxes, expected: Boxes) -> None:
    """Equal picks; sums of convolutions may be taken in another order."""
    assert (expected[0] >= 0).any()
    for a, e in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, e, rtol=1e-3, atol=1e-3)


SIZES = [(2, 63, 95), (1, 127, 63), (3, 95, 127)]


@pytest.mark.slow
def test_compiles_as_one_graph_for_any_batch_and_size() -> None:
    module = PixelsToBoxes()
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend="aot_eager")
    for size in SIZES[:2]:
        images = pictures(*size)
        assert_same_boxes(compiled(images), module(images))


@pytest.mark.slow
def test_compiles_with_inductor_for_one_size() -> None:
    module = PixelsToBoxes()
    torch._dynamo.reset()
    images = pictures(*SIZES[0])
    compiled = torch.compile(module, fullgraph=True)
    assert_same_boxes(compiled(images), module(images))


@pytest.mark.slow
def test_exports_with_any_batch_and_size() -> None:
    module = PixelsToBoxes()
    batch = torch.export.Dim("batch", min=1, max=64)
    # A multiple of the coarsest resolution less one, as the canvas of a picture has.
    rows, columns = (torch.export.Dim(name, min=1, max=32) for name in ("rows", "columns"))
    program = torch.export.export(
        module,
        (pictures(*SIZES[0]),),
        dynamic_shapes=({0: batch, 2: 32 * rows - 1, 3: 32 * columns - 1},),
        strict=False,
    )
    for size in SIZES:
        images = pictures(*size)
        assert_same_boxes(program.module()(images), module(images))


class Everything(nn.Module):
    """The maps of all parts, and what is decoded from them, as the package's own types."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        config = small_config()
        parts = ["corners", "centers", "attention"]
        model = Detector(replace(config.model, parts=parts, object_sizes=[32]), num_classes=2)
        self.model = FusedDetector(model)
        self.settings = config.test

    def forward(self, images: Tensor) -> tuple[Maps, OfView]:
        maps, size = self.model(images), (images.shape[2], images.shape[3])
        candidates = self.model.decode(maps, self.settings, size)
        return maps, OfView(candidates, self.model.keypoints(maps, self.settings, size))


def test_a_program_of_named_tuples_is_saved_and_loaded() -> None:
    module, images, file = Everything(), pictures(1, 63, 63), io.BytesIO()
    with torch.no_grad():  # a change of the gradient mode in the graph could not be saved
        torch.export.save(torch.export.export(module, (images,), strict=False), file)
    file.seek(0)
    maps, found = torch.export.load(file).module()(images)
    wanted_maps, wanted = module(images)
    assert {name: type(of_part) for name, of_part in maps.items()} == {
        "corners": Outputs, "centers": CenterMaps, "attention": AttentionMaps
    }  # fmt: skip
    assert torch.equal(maps["centers"].heat, wanted_maps["centers"].heat)
    assert isinstance(found, OfView) and (found.candidates.labels >= 0).any()
    assert torch.equal(found.candidates.boxes, wanted.candidates.boxes)
    assert found.keypoints.keys() == wanted.keypoints.keys()


@pytest.mark.parametrize(
    "cls", [Candidates, CenterTargets, Detections, Features, Keypoints, AttentionTargets, Targets]
)
def test_types_have_names_in_files(cls: type[Any]) -> None:
    values = range(len(inspect.signature(cls).parameters))
    spec = _pytree.tree_structure(cls(*values))
    assert _pytree.treespec_loads(_pytree.treespec_dumps(spec)) == spec
