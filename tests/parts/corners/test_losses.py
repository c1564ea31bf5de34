"""Losses against the paper's formulas, written out in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from cornernet.config import LossConfig
from cornernet.parts.corners.losses import corner_counts, corner_losses, embedding_losses
from cornernet.parts.corners.structures import Outputs, Targets
from cornernet.parts.corners.targets import build_targets
from cornernet.parts.losses import focal_loss
from cornernet.parts.losses import offset_loss as offset_loss_of


def focal_by_loops(logits: Tensor, target: Tensor, alpha: float, beta: float) -> float:
    total = 0.0
    for logit, wanted in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-logit))
        if wanted == 1:
            total -= (1 - p) ** alpha * math.log(p)
        else:
            total -= (1 - wanted) ** beta * p**alpha * math.log(1 - p)
    return total


def heat_maps(seed: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, 3, 5, 4, generator=random)
    target = torch.rand(2, 3, 5, 4, generator=random)
    target[target > 0.8] = 1.0
    target[target < 0.4] = 0.0
    return logits, target


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 4.0), (1.0, 3.0), (0.0, 0.0)])
def test_focal_is_the_papers_formula(alpha: float, beta: float) -> None:
    logits, target = heat_maps()
    found = float(focal_loss(logits, target, alpha, beta))
    assert found == pytest.approx(focal_by_loops(logits, target, alpha, beta), rel=1e-5)


def test_focal_gradient_is_that_of_the_formula() -> None:
    logits, target = heat_maps(1)
    logits.requires_grad_()
    focal_loss(logits, target).backward()
    step = 1e-5
    for place in ((0, 0, 0, 0), (0, 1, 2, 3), (1, 2, 4, 0), (1, 0, 3, 3)):
        values = []
        for sign in (1, -1):
            moved = logits.detach().double().clone()
            moved[place] += sign * step
            values.append(focal_by_loops(moved, target.double(), 2.0, 4.0))
        slope = (values[0] - values[1]) / (2 * step)
        assert float(logits.grad[place]) == pytest.approx(slope, rel=1e-3, abs=1e-4)


def test_focal_of_a_perfect_heat_map_is_zero() -> None:
    target = torch.tensor([1.0, 0.0, 1.0, 0.0])
    assert float(focal_loss((target - 0.5) * 200, target)) == 0.0


@pytest.mark.parametrize("logit", [-1e4, -200.0, -40.0, 40.0, 200.0, 1e4])
@pytest.mark.parametrize("target", [0.0, 0.6, 1.0])
def test_focal_of_a_saturated_logit_is_finite_with_the_right_slope(
    logit: float, target: float
) -> None:
    value = torch.tensor([logit], requires_grad=True)
    loss = focal_loss(value, torch.tensor([target]))
    loss.backward()
    weight = 1.0 if target == 1 else (1 - target) ** 4
    wrong = logit < 0 if target == 1 else logit > 0
    wanted = weight * abs(logit) if wrong else 0.0
    assert loss.item() == pytest.approx(wanted, rel=1e-5, abs=1e-12)
    slope = (-1 if target == 1 else 1) * weight if wrong else 0.0
    assert value.grad is not None
    assert value.grad.item() == pytest.approx(slope, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_focal_of_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    logits, target = heat_maps(2)
    logits = logits.to(dtype)
    found = focal_loss(logits, target)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(focal_by_loops(logits, target, 2.0, 4.0), rel=1e-4)


def where(objects: list[list[int]]) -> Targets:
    """Targets of objects at cells (tl, br) of each picture; nothing else in them is used."""
    image = [number for number, cells in enumerate(objects) for _ in range(0, len(cells), 2)]
    flat = [cell for cells in objects for cell in cells]
    nothing = torch.zeros(len(objects), 1, 1, 1)
    index = torch.tensor(image, dtype=torch.int64)
    cells = torch.tensor(flat, dtype=torch.int64).view(-1, 2)
    counts = tuple(len(cells) // 2 for cells in objects)
    fields: list[Any] = [*[nothing] * 6, index, *cells.unbind(1), *[nothing] * 2, counts]
    return Targets(*fields)


def embeddings(*pictures: list[float]) -> Tensor:
    """[N, 1, 1, w] from the values in the cells of each picture."""
    return torch.tensor(pictures)[:, None, None, :]


def test_pull_is_the_squared_distance_from_the_mean_of_both_corners() -> None:
    tl, br = embeddings([1.0, 0.0]), embeddings([0.0, 4.0])
    pull, _ = embedding_losses(tl, br, where([[0, 1]]))  # 1 and 4: both are 1.5 from their mean
    assert float(pull) == pytest.approx(2 * 1.5**2)


def test_pull_is_zero_for_equal_embeddings() -> None:
    pull, _ = embedding_losses(embeddings([3.0]), embeddings([3.0]), where([[0, 0]]))
    assert float(pull) == 0.0


def test_pull_is_a_mean_over_objects_and_a_sum_over_pictures() -> None:
    tl, br = embeddings([2.0, 4.0], [6.0, 0.0]), embeddings([0.0, 0.0], [0.0, 0.0])
    pull, _ = embedding_losses(tl, br, where([[0, 0, 1, 1], [0, 0]]))
    assert float(pull) == pytest.approx((2.0 + 8.0) / 2 + 18.0)


def test_push_is_a_hinge_on_the_distance_of_means_over_ordered_pairs() -> None:
    means = [0.0, 0.25, 5.0]
    both = embeddings(means)
    _, push = embedding_losses(both, both, where([[0, 0, 1, 1, 2, 2]]))
    pairs = [(a, b) for a in range(3) for b in range(3) if a != b]
    wanted = sum(max(0.0, 1 - abs(means[a] - means[b])) for a, b in pairs) / len(pairs)
    assert float(push) == pytest.approx(wanted)


def test_push_leaves_objects_of_different_pictures_alone() -> None:
    both = embeddings([1.0], [1.0])
    _, push = embedding_losses(both, both, where([[0, 0], [0, 0]]))
    assert float(push) == 0.0


def test_push_of_objects_with_one_embedding_has_a_finite_gradient() -> None:
    both = embeddings([1.0, 1.0]).requires_grad_()
    _, push = embedding_losses(both, both, where([[0, 0, 1, 1]]))
    push.backward()
    assert push.item() == pytest.approx(1.0)
    assert both.grad.isfinite().all()


def test_push_gradient_drives_means_apart() -> None:
    both = embeddings([0.0, 0.5]).requires_grad_()
    _, push = embedding_losses(both, both, where([[0, 0, 1, 1]]))
    push.backward()
    assert both.grad.flatten().tolist() == [1.0, -1.0]


def test_distance_over_embedding_channels_is_euclidean() -> None:
    both = torch.zeros(1, 2, 1, 2)
    both[0, :, 0, 1] = torch.tensor([0.3, 0.4])
    _, push = embedding_losses(both, both, where([[0, 0, 1, 1]]))
    assert float(push) == pytest.approx(0.5)
    pull, _ = embedding_losses(torch.zeros(1, 2, 1, 2), 2 * both, where([[0, 1]]))
    assert float(pull) == pytest.approx(2 * 0.25)


def test_embedding_losses_without_objects_are_zero_with_zero_gradient() -> None:
    tl, br = torch.randn(2, 1, 3, 3, requires_grad=True), torch.randn(2, 1, 3, 3)
    pull, push = embedding_losses(tl, br, where([[], []]))
    (pull + push).backward()
    assert pull.item() == push.item() == 0.0
    assert float(tl.grad.abs().sum()) == 0.0


def test_offset_is_smooth_l1_where_a_corner_lies() -> None:
    predicted = torch.tensor([[0.5, 3.0, 9.0], [0.0, -1.0, 9.0]]).view(1, 2, 1, 3)
    mask = torch.tensor([1.0, 1.0, 0.0]).view(1, 1, 1, 3)
    found = offset_loss_of(predicted, torch.zeros_like(predicted), mask)
    assert float(found) == pytest.approx(0.5 * 0.5**2 + (3.0 - 0.5) + 0.0 + 0.5)


def test_offset_learns_nothing_elsewhere() -> None:
    predicted = torch.randn(1, 2, 2, 2, requires_grad=True)
    mask = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).view(1, 1, 2, 2)
    offset_loss_of(predicted, torch.zeros(1, 2, 2, 2), mask).backward()
    assert predicted.grad[0, :, 0, 0].abs().min() > 0
    assert float(predicted.grad[mask.expand(1, 2, 2, 2) == 0].abs().sum()) == 0.0


# The first two objects, of different classes, share the cell of their top-left corners.
BOXES = [
    torch.tensor([[4.0, 4.0, 30.0, 28.0], [5.0, 6.0, 20.0, 30.0], [2.0, 3.0, 12.0, 9.0]]),
    torch.tensor([[1.0, 1.0, 25.0, 30.0]]),
    torch.zeros(0, 4),
    torch.tensor([[12.0, 5.0, 28.0, 19.0], [3.0, 3.0, 30.0, 30.0]]),
]
LABELS = [torch.tensor([0, 1, 1]), torch.tensor([1]), torch.tensor([], dtype=torch.int64)]
LABELS.append(torch.tensor([0, 0]))


def random_outputs(pictures: int, seed: int = 0) -> Outputs:
    random = torch.Generator().manual_seed(seed)
    return Outputs(
        *(
            torch.randn(pictures, channels, 8, 8, generator=random)
            for channels in (2, 2, 1, 1, 2, 2)
        )
    )


def targets_of(pictures: slice) -> Targets:
    return build_targets(BOXES[pictures], LABELS[pictures], 2, (32, 32), (8, 8))


EVERY = slice(0, 4)


def total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()


def test_focal_and_offset_are_means_over_corner_cells_and_both_corners() -> None:
    maps, targets = random_outputs(4), targets_of(EVERY)
    losses = corner_losses([maps], targets, LossConfig())
    focal, offset = 0.0, 0.0
    for heat, wanted in ((maps.tl_heat, targets.tl_heat), (maps.br_heat, targets.br_heat)):
        focal += focal_by_loops(heat, wanted, 2.0, 4.0) / int((wanted == 1).sum()) / 2
    for found, wanted, mask in (
        (maps.tl_offset, targets.tl_offset, targets.tl_mask),
        (maps.br_offset, targets.br_offset, targets.br_mask),
    ):
        offset += float(offset_loss_of(found, wanted, mask)) / int(mask.sum()) / 2
    assert float(losses["focal"]) == pytest.approx(focal, rel=1e-4)
    assert float(losses["offset"]) == pytest.approx(offset, rel=1e-4)


@pytest.mark.parametrize(
    ("setting", "loss"),
    [("pull_weight", "pull"), ("push_weight", "push"), ("offset_weight", "offset")],
)
def test_each_weight_scales_its_own_loss(setting: str, loss: str) -> None:
    maps, targets = [random_outputs(4)], targets_of(EVERY)
    weights: list[dict[str, Any]] = [{setting: 1.0}, {setting: 3.0}]
    one, three = (corner_losses(maps, targets, LossConfig(**weight)) for weight in weights)
    assert float(one[loss]) > 0
    for name in ("focal", "pull", "push", "offset"):
        factor = 3.0 if name == loss else 1.0
        assert float(three[name]) == pytest.approx(factor * float(one[name]), rel=1e-6)


def test_pull_and_push_are_means_over_pictures_times_the_embedding_batch() -> None:
    maps, targets = random_outputs(4), targets_of(EVERY)
    pull, push = embedding_losses(maps.tl_embedding, maps.br_embedding, targets)
    config = LossConfig(embedding_batch=6.0, pull_weight=0.1, push_weight=0.2)
    losses = corner_losses([maps], targets, config)
    assert float(losses["pull"]) == pytest.approx(0.1 * 6 / 4 * float(pull), rel=1e-5)
    assert float(losses["push"]) == pytest.approx(0.2 * 6 / 4 * float(push), rel=1e-5)


def test_losses_are_summed_over_stacks() -> None:
    first, second, targets = random_outputs(4, 1), random_outputs(4, 2), targets_of(EVERY)
    both = corner_losses([first, second], targets, LossConfig())
    for name, value in both.items():
        alone = [
            float(corner_losses([maps], targets, LossConfig())[name]) for maps in (first, second)
        ]
        assert float(value) == pytest.approx(sum(alone), rel=1e-5)


@pytest.mark.parametrize("split", [1, 2, 3])
def test_average_gradient_of_two_processes_is_that_of_the_joint_batch(split: int) -> None:
    maps = random_outputs(4)
    joint = [item.clone().requires_grad_() for item in maps]
    total(corner_losses([Outputs(*joint)], targets_of(EVERY), LossConfig())).backward()

    shares = [slice(0, split), slice(split, 4)]
    counts = torch.stack([corner_counts(targets_of(share)) for share in shares]).sum(0)
    apart = [item.clone().requires_grad_() for item in maps]
    for share in shares:
        outputs = Outputs(*(item[share] for item in apart))
        losses = corner_losses(
            [outputs], targets_of(share), LossConfig(), counts=counts, processes=2
        )
        (total(losses) / 2).backward()  # as DistributedDataParallel averages
    for found, wanted in zip(apart, joint, strict=True):
        torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-5, atol=1e-7)


def test_batch_without_objects_still_learns_the_background() -> None:
    maps = Outputs(*(item.requires_grad_() for item in random_outputs(1)))
    targets = targets_of(slice(2, 3))
    losses = corner_losses([maps], targets, LossConfig())
    total(losses).backward()
    assert [losses[name].item() for name in ("pull", "push", "offset")] == [0.0, 0.0, 0.0]
    # No corner counts as one, lest the sum is divided by nothing.
    wanted = [focal_by_loops(m.detach(), targets.tl_heat, 2.0, 4.0) / 2 for m in maps[:2]]
    assert losses["focal"].item() == pytest.approx(sum(wanted), rel=1e-5)
    assert all(item.grad.isfinite().all() for item in maps)


def test_counts_tell_cells_per_class_cells_of_any_class_images_and_objects() -> None:
    # Two objects of different classes share their top-left cell.
    boxes = [torch.tensor([[4.0, 4.0, 20.0, 20.0], [5.0, 5.0, 28.0, 28.0]]), torch.zeros(0, 4)]
    labels = [torch.tensor([0, 1]), torch.tensor([], dtype=torch.int64)]
    found = corner_counts(build_targets(boxes, labels, 2, (32, 32), (8, 8)))
    assert found.tolist() == [2.0, 2.0, 1.0, 2.0, 2.0, 2.0]


def test_ignored_cells_cost_nothing_and_learn_nothing() -> None:
    logits, target = heat_maps()
    ignored = torch.rand(logits.shape, generator=torch.Generator().manual_seed(5)) < 0.5
    logits.requires_grad_()
    focal_loss(logits, target, ignored=ignored).backward()
    untouched = ignored & (target < 1)
    assert untouched.any() and not logits.grad[untouched].any()
    (other,) = torch.autograd.grad(focal_loss(logits, target), logits)
    assert torch.equal(logits.grad[~untouched], other[~untouched])


def test_corners_in_ignored_cells_count() -> None:
    logits, target = heat_maps()
    ignored = torch.ones(logits.shape, dtype=torch.bool)
    corners = target == 1
    assert corners.any()
    found = float(focal_loss(logits, target, ignored=ignored))
    wanted = focal_by_loops(logits[corners], target[corners], 2.0, 4.0)
    assert found == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("stacks", [1, 2, 3])
def test_losses_of_the_paper_are_means_over_stacks_and_pictures(stacks: int) -> None:
    outputs, targets, pictures = random_outputs(4), targets_of(EVERY), 4
    ours = LossConfig(embedding_batch=pictures)
    theirs = LossConfig(normalize="paper", embedding_batch=7)  # which acts in the other alone
    one = corner_losses([outputs] * stacks, targets, ours)
    two = corner_losses([outputs] * stacks, targets, theirs)
    factors = {"focal": 2, "offset": 2, "pull": 1 / pictures, "push": 1 / pictures}
    for name, factor in factors.items():
        assert float(two[name]) == pytest.approx(float(one[name]) * factor / stacks, rel=1e-5)
