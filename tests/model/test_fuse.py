"""The network for inference computes what the trained one does, otherwise."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cornernet import CornerNet
from cornernet.config import Config, ModelConfig, with_overrides
from cornernet.data.coco import CocoDataset
from cornernet.inference.evaluate import coco_evaluation, coco_results, detect_split
from cornernet.model.detector import Detector
from cornernet.model.fuse import FusedDetector, SharedConvolutions
from cornernet.parts import SharedConvolution
from cornernet.parts.corners import head
from cornernet.structures import Detections, Features
from cornernet_ops.soft_nms import box_iou
from tests.errors import raises
from tests.small import SMALL_MODEL


def network(**changes: Any) -> Detector:
    """Random weights, and BatchNorm with statistics that make a difference."""
    random = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    sizes = SMALL_MODEL | {"embedding_channels": 2} | changes
    model = Detector(ModelConfig(**sizes), 3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            for value, low, high in (
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.5, 2.0),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.3, 0.3),
            ):
                value.copy_(torch.rand(value.shape, generator=random) * (high - low) + low)
    return model.eval()


def pictures(number: int = 2, height: int = 70, width: int = 93) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return 255 * torch.rand(number, 3, height, width, generator=random)


def maps_of(model: nn.Module, images: Tensor) -> list[Tensor]:
    with torch.no_grad():
        maps = model(images)
    return list((maps if isinstance(maps, dict) else maps[-1])["corners"])


@pytest.mark.parametrize(
    "changes", [{}, {"stacks": 3}, {"stage_channels": [6, 8, 10], "stage_blocks": [2, 1, 2]}]
)
def test_maps_are_those_of_the_network(changes: dict[str, object]) -> None:
    model = network(**changes)
    fast = FusedDetector(model)
    for found, wanted in zip(maps_of(fast, pictures()), maps_of(model, pictures()), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_no_batch_norm_and_no_unused_stack_is_left() -> None:
    fast = FusedDetector(network(stacks=2))
    assert not [module for module in fast.modules() if isinstance(module, nn.BatchNorm2d)]
    # The four convolutions before poolings are one, and the two projections beside them another.
    assert [conv.kernel_size for conv in fast.heads.shared.joint] == [(3, 3), (1, 1)]


def test_the_network_itself_is_left_as_it_was() -> None:
    model = network()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    FusedDetector(model, "bf16")
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_is_near_the_network_in_float64(precision: str) -> None:
    model = network()
    wanted = maps_of(model.double(), pictures().double())
    fast = FusedDetector(network(), precision)
    assert {parameter.dtype for parameter in fast.backbone.parameters()} == {fast.dtype}
    for found, exact in zip(maps_of(fast, pictures()), wanted, strict=True):
        error = (found.double() - exact).abs().max() / exact.abs().max()
        assert float(error) < (0.05 if precision == "bf16" else 0.01)


class Unfused(FusedDetector):
    """The inference form's interface around the network as it is trained."""

    def __init__(self, model: Detector) -> None:
        super().__init__(model)
        self.model = model

    def forward(self, images: Tensor, locate: bool = True) -> dict[str, Any]:
        return self.model(images)[-1]


def same_boxes(found: dict[int, Detections], wanted: dict[int, Detections]) -> tuple[int, int]:
    """How many of the wanted boxes scoring above 0.3 are found at IoU > 0.9, and of how many."""
    hits = total = 0
    for image, boxes in wanted.items():
        sure = boxes.select(boxes.scores > 0.3)
        for box, label in zip(sure.boxes, sure.labels, strict=True):
            others = found[image].select(found[image].labels == label)
            hits += bool(len(others) and box_iou(box, others.boxes).max() > 0.9)
            total += 1
    return hits, total


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_trained_network_finds_the_same_objects(
    overfitted: tuple[Detector, CocoDataset, Config], precision: str
) -> None:
    model, data, config = overfitted
    # By the mean, one strong corner carries a box with any weak one beside it, and which one that
    # is may change with rounding.
    config = with_overrides(config, ["--test.pair_score", "geometric"])
    plain = detect_split(Unfused(model), data, config)
    fast = detect_split(FusedDetector(model, precision), data, config)
    hits, total = same_boxes(fast, plain)
    assert total > 15 and hits >= 0.99 * total
    ap = [
        coco_evaluation(data, coco_results(found, data.category_ids)).metrics["AP"]
        for found in (plain, fast)
    ]
    assert ap[1] > ap[0] - 0.02


def test_precision_that_the_device_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("\"conv\" not implemented for 'Half'")

    monkeypatch.setattr(head.FusedCornerHead, "forward", fail)
    with raises("fp16 is not supported on cpu", "use fp32", field="precision"):
        FusedDetector(network(), "fp16")


def test_compiler_that_fails_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(*_: object) -> None:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", lambda function: compiled)
    model = network()
    fast = FusedDetector(model, compile=True)
    with pytest.warns(UserWarning, match="torch.compile failed .*no compiler.* running without"):
        found = maps_of(fast, pictures())
    torch.testing.assert_close(found[0], maps_of(model, pictures())[0], rtol=1e-4, atol=1e-5)
    maps_of(fast, pictures())  # silently now


def test_compiler_that_refuses_at_once_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("not supported on this Python")

    monkeypatch.setattr(torch, "compile", refuse)
    fast = FusedDetector(network(), compile=True)
    with pytest.warns(UserWarning, match="torch.compile failed .*this Python.* running without"):
        maps_of(fast, pictures())
    maps_of(fast, pictures())  # silently now


@pytest.mark.slow
def test_compiled_network_computes_the_same() -> None:
    model = network()
    fast = FusedDetector(model, compile=True)
    for found, wanted in zip(maps_of(fast, pictures()), maps_of(model, pictures()), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_defect_of_the_network_is_not_taken_for_the_compilers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fast = FusedDetector(network(), compile=True)
    monkeypatch.setattr(torch, "compile", lambda function: function)
    maps_of(fast, pictures())

    def fail(images: Tensor, locate: bool) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(fast, "_compiled", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        maps_of(fast, pictures())


def fused(detector: CornerNet) -> FusedDetector:
    assert isinstance(detector.model, FusedDetector)
    return detector.model


def test_optimize_does_each_time_what_it_is_asked() -> None:
    detector = CornerNet(network(), ["a", "b", "c"], Config())
    exact = maps_of(fused(detector), pictures())
    assert detector.optimize("bf16") is detector
    assert fused(detector).dtype == torch.bfloat16
    assert not torch.equal(maps_of(fused(detector), pictures())[0], exact[0])
    detector.optimize("fp32")
    assert all(map(torch.equal, maps_of(fused(detector), pictures()), exact))


def test_optimize_compiles_a_network_that_it_has_made_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled: list[Any] = []

    def compile_nothing(function: Any) -> Any:
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, "compile", compile_nothing)
    detector = CornerNet(network(), ["a", "b", "c"], Config()).optimize("fp32")
    detector.optimize("fp32", compile=True)
    maps_of(fused(detector), pictures())
    assert len(compiled) == 1


def test_convolutions_are_joined_across_parts_and_come_back_in_order() -> None:
    torch.manual_seed(0)
    kinds = [(3, 4, True), (1, 2, False), (3, 5, False), (3, 3, True), (1, 6, False)]
    shared = [
        SharedConvolution(nn.Conv2d(7, outputs, side, padding=side // 2), relu)
        for side, outputs, relu in kinds
    ]
    of_level = [dataclasses.replace(one, level=1) for one in shared[:2]]
    features = Features(torch.randn(2, 7, 6, 5), (torch.empty(0), torch.randn(2, 7, 3, 4)))
    joint = SharedConvolutions([*shared, *of_level])
    assert len(joint.joint) == 5
    for found, one in zip(joint(features), [*shared, *of_level], strict=True):
        wanted = one.conv(features.map if one.level is None else features.levels[one.level])
        wanted = wanted.relu() if one.relu else wanted
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
