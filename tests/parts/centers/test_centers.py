"""Centres: a third keypoint that confirms a pair of corners."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor

from cornernet import CornerNet
from cornernet.config import Config, LossConfig, ModelConfig, load_recipe
from cornernet.config import TestConfig as Settings
from cornernet.data.synthetic import synthesize
from cornernet.model.detector import Detector
from cornernet.model.fuse import FusedDetector
from cornernet.parts.centers.decode import rescore
from cornernet.parts.centers.losses import center_counts, center_losses
from cornernet.parts.centers.structures import CenterMaps
from cornernet.parts.centers.targets import build_targets
from cornernet.parts.losses import focal_loss
from cornernet.runtime.distributed import World
from cornernet.structures import Batch, Candidates
from cornernet.train.loop import train
from cornernet.weights.file import Weights
from cornernet.weights.foreign import to_mmdet
from cornernet.weights.state import start_from
from tests.errors import raises
from tests.small import SMALL_MODEL, small_config

BOXES = [torch.tensor([[4.0, 8.0, 20.0, 24.0], [0.0, 0.0, 30.0, 10.0]]), torch.zeros(0, 4)]
LABELS = [torch.tensor([1, 0]), torch.zeros(0, dtype=torch.int64)]


def network(**changes: object) -> Detector:
    torch.manual_seed(0)
    sizes = SMALL_MODEL | {"parts": ["corners", "centers"], **changes}
    return Detector(ModelConfig(**sizes), 2)


def images(number: int = 2) -> Tensor:
    return 255 * torch.rand(number, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_targets_are_one_at_the_middle_of_each_box() -> None:
    targets = build_targets(BOXES, LABELS, 2, (32, 32), (8, 8), 0.3)
    assert (targets.heat == 1).nonzero().tolist() == [[0, 0, 1, 3], [0, 1, 4, 3]]
    assert targets.mask.nonzero().tolist() == [[0, 0, 1, 3], [0, 0, 4, 3]]
    assert targets.offset[0, :, 1, 3].tolist() == [0.75, 0.25]
    assert targets.offset[0, :, 4, 3].tolist() == [0.0, 0.0]
    assert center_counts(targets).tolist() == [2.0, 2.0, 2.0]


def test_losses_are_those_of_the_corners_heat_maps_and_offsets() -> None:
    random = torch.Generator().manual_seed(0)
    maps = CenterMaps(*(torch.randn(2, channels, 8, 8, generator=random) for channels in (2, 2)))
    targets = build_targets(BOXES, LABELS, 2, (32, 32), (8, 8), 0.3)
    config = LossConfig(center_weight=3.0)
    found = center_losses([maps, maps], targets, config, center_counts(targets))
    wanted = 2 * 3.0 * 0.5 * focal_loss(maps.heat, targets.heat) / 2
    assert float(found["center"]) == pytest.approx(float(wanted), rel=1e-5)
    assert float(found["center_offset"]) > 0


def test_shares_of_a_batch_add_up_to_its_gradient() -> None:
    batch = Batch(images(), [BOXES[0]] * 2, [LABELS[0]] * 2, ["a", "b"])
    model, config = network().eval(), LossConfig()

    def gradients(parts: list[Batch]) -> list[Tensor]:
        model.zero_grad()
        targets = [model.targets(part, config) for part in parts]
        counts = [torch.stack(one).sum(0) for one in zip(*map(model.counts, targets), strict=True)]
        for part, target in zip(parts, targets, strict=True):
            model.losses(model(part.images), target, counts, config)["total"].backward()
        return [
            weight.grad.clone() for weight in model.centers.parameters() if weight.grad is not None
        ]

    for whole, added in zip(gradients([batch]), gradients(batch.split(1)), strict=True):
        torch.testing.assert_close(whole, added, rtol=1e-4, atol=1e-6)


def found_boxes() -> Candidates:
    boxes = torch.tensor([[[0.0, 0.0, 16.0, 16.0], [16.0, 16.0, 32.0, 32.0], [0.0, 0, 0, 0]]])
    return Candidates(boxes, torch.tensor([[0.64, 0.64, -1.0]]), torch.tensor([[1, 1, -1]]))


@pytest.mark.parametrize(
    ("pair_score", "weight", "wanted"),
    [
        ("mean", 1.0, (2 * 0.64 + 0.5) / 3),
        ("geometric", 1.0, (0.64**2 * 0.5) ** (1 / 3)),
        ("geometric", 2.0, (0.64**2 * 0.5**2) ** (1 / 4)),
        ("mean", 0.0, 0.64),
    ],
)
def test_score_is_the_mean_of_three_points(
    pair_score: Literal["mean", "geometric"], weight: float, wanted: float
) -> None:
    heat = torch.full((1, 2, 8, 8), -20.0)
    heat[0, 1, 3, 2] = 0.0  # one cell beside the middle of the first box, of its class
    heat[0, 0, 6, 6] = 20.0  # in the middle of the second one, of another class
    maps = CenterMaps(heat, torch.zeros(1, 2, 8, 8))
    settings = Settings(pair_score=pair_score, center_weight=weight)
    scores = rescore(maps, found_boxes(), settings, (32, 32)).scores[0].tolist()
    assert scores[0] == pytest.approx(wanted, rel=1e-5)
    assert scores[2] == -1.0
    assert weight == 0 or scores[1] < 0.5


def test_boxes_that_leave_the_canvas_are_rescored_at_its_edge() -> None:
    found = found_boxes()
    found.boxes[0, 0] = torch.tensor([-300.0, -300.0, -200.0, 900.0])
    rescore(
        CenterMaps(torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 8, 8)), found, Settings(), (32, 32)
    )


@pytest.mark.parametrize("stacks", [1, 2])
def test_every_parameter_receives_a_gradient(stacks: int) -> None:
    model = network(stacks=stacks).train()
    batch = Batch(images(), [BOXES[0]] * 2, [LABELS[0]] * 2, ["a", "b"])
    targets = model.targets(batch, LossConfig())
    losses = model.losses(model(batch.images), targets, model.counts(targets), LossConfig())
    assert list(losses) == list(model.loss_names)
    assert list(losses) == ["total", "focal", "pull", "push", "offset", "center", "center_offset"]
    losses["total"].backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_the_inference_form_computes_the_same_maps_of_all_parts() -> None:
    model = network(stacks=2).eval()
    fast = FusedDetector(model)
    with torch.no_grad():
        wanted, found = model(images())[-1], fast(images())
    assert list(found) == list(wanted) == ["corners", "centers"]
    for name in wanted:
        for a, b in zip(found[name], wanted[name], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    # All parts' convolutions of one kernel and activation are one.
    assert len(fast.heads.shared.joint) == 2


def test_layers_that_depend_on_classes_are_those_of_all_parts() -> None:
    names = network(stacks=2).class_dependent_layers()
    assert names[-2:] == ["centers.heat.0.1.conv", "centers.heat.1.1.conv"] and len(names) == 6


@pytest.mark.parametrize("parts", [["centers"], ["corners", "wings"], []])
def test_parts_that_make_no_detector_are_refused(parts: list[str]) -> None:
    with raises(field="model.parts"):
        network(parts=parts)


def test_a_run_learns_logs_resumes_and_detects_with_centres(tmp_path: Path) -> None:
    shapes = synthesize(tmp_path / "shapes", train=4, val=2, min_side=64, max_side=96)
    config = small_config("--model.parts", "[corners, centers]", "--train.epochs", "2")
    run = tmp_path / "run"
    train(config, shapes, run, World(torch.device("cpu")))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all("loss/center" in line for line in lines if line["kind"] == "train")
    # Nothing is left to do, but the whole state is read.
    train(config, shapes, run, World(torch.device("cpu")), resume=True)
    detector = CornerNet.from_pretrained(run / "best.pt", device="cpu")
    assert [part.name for part in detector.model.parts] == ["corners", "centers"]
    assert len(detector.predict(next((shapes / "val").iterdir()), score_threshold=0.0)) > 0


def test_weights_of_other_classes_start_their_centres_again(tmp_path: Path) -> None:
    model = network()
    config = Config(model=model.config)
    weights = Weights(model.state_dict(), ["a", "b"], config)
    other = Detector(model.config, 3)
    again = start_from(other, weights, model.config, ["x", "y", "z"], "w.pt").reinitialised
    assert "centers.heat.0.1.conv" in again
    kept = "centers.off.0.1.conv.weight"
    assert torch.equal(other.state_dict()[kept], model.state_dict()[kept])


def test_mmdetection_has_no_such_network() -> None:
    model = network(pool_channels=128, head_channels=256)
    with raises("corners"):
        to_mmdet(model.state_dict(), model.config, ["a", "b"], "w.pt")


def test_the_width_of_the_gaussians_is_a_setting() -> None:
    boxes, labels = [torch.tensor([[10.0, 10, 50, 50]])], [torch.tensor([0])]
    narrow, wide = (
        build_targets(boxes, labels, 1, (64, 64), (16, 16), 0.3, sigma_divisor=divisor).heat
        for divisor in (6.0, 5.0)
    )
    assert narrow.max() == wide.max() == 1
    assert (wide >= narrow).all() and wide.sum() > narrow.sum() + 0.1
    assert load_recipe("centernet52").loss.center_sigma == 5
    assert load_recipe("tiny").loss.center_sigma == 6
