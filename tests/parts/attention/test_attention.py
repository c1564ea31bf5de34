"""Attention: its maps, targets and loss, and the places that it points at."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from cornernet.config import LossConfig, ModelConfig
from cornernet.config import TestConfig as Settings
from cornernet.model.detector import Detector
from cornernet.model.fuse import FusedDetector
from cornernet.parts.attention.locations import find_locations
from cornernet.parts.attention.losses import attention_counts, attention_losses
from cornernet.parts.attention.structures import AttentionMaps, AttentionTargets
from cornernet.parts.attention.targets import build_targets
from cornernet.structures import Batch
from tests.errors import raises
from tests.small import SMALL_MODEL

MODEL: dict[str, Any] = SMALL_MODEL | {
    "parts": ["corners", "attention"],
    "stage_channels": [8, 6, 10, 8],
    "stage_blocks": [1, 1, 1, 1],
    "object_sizes": [12, 40],
}


def network(**changes: Any) -> Detector:
    torch.manual_seed(0)
    return Detector(ModelConfig(**(MODEL | changes)), 3)


def images(height: int = 70, width: int = 93) -> torch.Tensor:
    return 255 * torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def batch(**fields: Any) -> Batch:
    boxes = [torch.tensor([[4.0, 6.0, 30.0, 40.0], [50.0, 10.0, 60.0, 20.0]]), torch.zeros(0, 4)]
    labels = [torch.tensor([0, 2]), torch.zeros(0, dtype=torch.int64)]
    return Batch(images(), boxes, labels, ["a", "b"], **fields)


def test_maps_are_those_of_the_finest_resolutions_coarse_to_fine() -> None:
    model = network().train()
    maps = model(images())[0]["attention"].heats
    assert [heat.shape for heat in maps] == [(2, 1, 9, 12), (2, 1, 18, 24)]
    inputs = [branch.hidden.in_channels for branch in model.attention.heat[0]]
    assert inputs == [6, 8] and model.backbone.levels == 2
    assert network(parts=["corners"]).backbone.levels == 0


def test_all_maps_start_with_a_low_probability() -> None:
    # Averaged over cells: the last convolution's bias alone.
    for branch in network().attention.heat[0]:
        assert branch.output.bias.sigmoid().item() == pytest.approx(0.1)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("stacks", [1, 3])
def test_every_parameter_receives_a_gradient(stacks: int, recompute: bool) -> None:
    model = network(stacks=stacks).train()
    if recompute:
        model.checkpoint_activations()
    objects = batch()
    targets = model.targets(objects, LossConfig())
    losses = model.losses(model(objects.images), targets, model.counts(targets), LossConfig())
    assert list(losses) == list(model.loss_names)
    assert list(losses) == ["total", "focal", "pull", "push", "offset", "attention"]
    losses["total"].backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("parts", [MODEL["parts"], ["corners", "centers", "attention"]])
def test_the_inference_form_computes_the_same_maps(parts: list[str]) -> None:
    model = network(stacks=2, parts=parts).eval()
    fast = FusedDetector(model)
    with torch.no_grad():
        wanted, found = model(images())[-1], fast(images())
        without = fast(images(), locate=False)
    assert set(found) == set(wanted) == set(parts) and fast.locates
    assert list(without) == parts[:-1]
    pairs = zip(found["attention"].heats, wanted["attention"].heats, strict=True)
    for a, b in [*pairs, (without["corners"].tl_heat, wanted["corners"].tl_heat)]:
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_maps_are_float32_in_low_precision() -> None:
    fast = FusedDetector(network().eval(), "bf16")
    assert {heat.dtype for heat in fast(images())["attention"].heats} == {torch.float32}


def test_more_maps_than_resolutions_are_refused() -> None:
    with raises("fewer entries than model.stage_channels", field="model.object_sizes"):
        ModelConfig(**(MODEL | {"object_sizes": [1, 2, 3, 4]}))
    with raises("rising order", field="model.object_sizes"):
        ModelConfig(**(MODEL | {"object_sizes": [40, 12]}))


def test_no_layer_depends_on_the_classes() -> None:
    assert not network().attention.class_dependent_layers()


# --- targets


def marked(box: list[float], size: tuple[int, int] = (16, 16)) -> list[list[list[int]]]:
    """The marked cells of each map, coarse to fine, as [image, row, column]."""
    targets = build_targets([torch.tensor([box]), torch.zeros(0, 4)], 4, size, [12, 40, 60])
    return [heat[:, 0].nonzero().tolist() for heat in targets.heats]


@pytest.mark.parametrize(
    ("size", "levels"), [(1, [2]), (11.9, [2]), (12, [1, 2]), (12.1, [1]), (40, [0, 1]),
                         (60, [0]), (60.1, [])],
)  # fmt: skip
def test_objects_are_marked_by_their_longer_side(size: float, levels: list[int]) -> None:
    """Exactly between two ranges an object belongs to both, as in the original."""
    for box in ([0, 3, size, 4], [3, 0, 4, size]):
        assert [level for level, cells in enumerate(marked(box)) if cells] == levels


def test_a_mark_lies_in_the_cell_of_the_centre() -> None:
    assert marked([20, 30, 26, 41.9])[2] == [[0, 8, 5]]  # 35.95 / 4 and 23 / 4
    assert marked([20, 30, 33, 42])[1] == [[0, 4, 3]]  # 36 / 8 and 26.5 / 8


@pytest.mark.parametrize(("box", "cell"), [([-30, -20, -25, -19], [0, 0, 0]),
                                           ([90, 70, 95, 78], [0, 15, 15])])  # fmt: skip
def test_a_centre_outside_the_image_lies_in_the_nearest_cell(
    box: list[float], cell: list[int]
) -> None:
    assert marked(box)[2] == [cell]


def test_map_sizes_are_halved_rounding_up() -> None:
    targets = build_targets([torch.zeros(0, 4)], 4, (5, 9), [1, 2, 3])
    assert [heat.shape[2:] for heat in targets.heats] == [(2, 3), (3, 5), (5, 9)]


def test_two_objects_in_a_cell_are_one_mark() -> None:
    boxes = torch.tensor([[4.0, 4.0, 12.0, 12.0], [5.0, 5.0, 12.0, 12.0]])
    heat = build_targets([boxes], 4, (16, 16), [12]).heats[0]
    assert heat.sum() == heat.max() == 1


def test_difficult_objects_are_marked_too() -> None:
    boxes = [torch.zeros(0, 4), torch.tensor([[40.0, 40.0, 44.0, 50.0]])]
    labels = [torch.zeros(0, dtype=torch.int64), torch.tensor([1])]
    objects = batch(difficult_boxes=boxes, difficult_labels=labels)
    attention = network().targets(objects, LossConfig())[1]
    assert [int(heat.sum()) for heat in attention.heats] == [1, 2]
    assert attention.heats[1][1, 0, 11, 10] == 1


def test_corners_of_difficult_objects_count_neither_way() -> None:
    boxes = [torch.tensor([[4.0, 6.0, 20.0, 40.0]]), torch.zeros(0, 4)]
    labels = [torch.tensor([0]), torch.zeros(0, dtype=torch.int64)]
    model, config = network(parts=["corners", "centers"]), LossConfig()
    (plain, _), (silent, centers) = (
        model.targets(objects, config)
        for objects in (batch(), batch(difficult_boxes=boxes, difficult_labels=labels))
    )
    assert torch.equal(silent.tl_heat, plain.tl_heat) and silent.objects == (2, 0)
    assert plain.tl_silenced is None
    # The first object of `batch` has the same upper left corner and is of the same class.
    assert silent.tl_silenced[0, 0, 1, 1] and silent.tl_heat[0, 0, 1, 1] == 1
    assert not silent.tl_silenced[:, 1:].any() and not silent.tl_silenced[1].any()
    outputs = model.train()(images())
    targets = [silent, centers]
    losses = model.losses(outputs, targets, model.counts(targets), config)
    assert centers.silenced[0, 0, 5, 3]
    for loss, heat, silenced in (
        ("focal", outputs[0]["corners"].tl_heat, silent.tl_silenced),
        ("center", outputs[0]["centers"].heat, centers.silenced),
    ):
        (gradient,) = torch.autograd.grad(losses[loss], heat, retain_graph=True)
        assert not gradient[silenced].any() and gradient[~silenced].all()


# --- losses


def maps_of(*logits: float) -> AttentionMaps:
    return AttentionMaps(tuple(torch.full((1, 1, 2, 2), value) for value in logits))


def test_loss_is_the_sum_over_maps_of_the_mean_over_stacks() -> None:
    heats = torch.zeros(2, 1, 1, 2, 2)
    heats[0, 0, 0, 0, 0] = heats[0, 0, 0, 1, 1] = 1
    targets = AttentionTargets(tuple(heats))  # two marks in the first map, none in the second
    counts = attention_counts(targets)
    assert counts.tolist() == [2, 0]

    def focal(logit: float, positives: int) -> float:
        p = 1 / (1 + math.exp(-logit))
        return -positives * (1 - p) ** 2 * math.log(p) - (4 - positives) * p**2 * math.log(1 - p)

    first = focal(0.5, 2) / 2 + focal(-1.0, 0)
    second = focal(2.0, 2) / 2 + focal(0.0, 0)
    outputs = [maps_of(0.5, -1.0), maps_of(2.0, 0.0)]
    config = LossConfig(attention_weight=3, normalize="mmdet")
    found = attention_losses(outputs, targets, config, counts)["attention"]
    assert found.item() == pytest.approx(3 * (first + second) / 2, rel=1e-5)
    config = LossConfig(attention_weight=3, normalize="original")
    found = attention_losses(outputs, targets, config, counts, processes=2)["attention"]
    assert found.item() == pytest.approx(2 * 3 * (first + second) / 4, rel=1e-5)


# --- places


def test_places_are_local_maxima_above_the_score() -> None:
    coarse, fine = torch.full((1, 1, 2, 3), -9.0), torch.full((1, 1, 4, 6), -9.0)
    coarse[0, 0, 1, 2] = 1.0
    fine[0, 0, 0, 0], fine[0, 0, 1, 1], fine[0, 0, 3, 3] = 2.0, 1.9, -0.9
    found = find_locations(AttentionMaps((coarse, fine)), Settings(location_score=0.3), 4)
    index = found.scores[0].nonzero().flatten().numpy()
    assert found.scores.shape == (1, 30)
    np.testing.assert_allclose(found.scores[0, index], torch.tensor([1.0, 2.0]).sigmoid())
    assert found.points[index].tolist() == [[8, 16], [0, 0]]
    assert found.zooms[index].tolist() == [1, 2]


def test_places_of_a_plateau_and_of_nan() -> None:
    heat = torch.zeros(1, 1, 2, 5)
    heat[0, 0, 0, 4] = torch.nan
    found = find_locations(AttentionMaps((heat,)), Settings(location_score=0.3), 4)
    assert found.scores.view(2, 5)[:, :3].eq(0.5).all()
    assert found.scores.view(2, 5)[:, 3:].eq(0).all()
