"""Each loss alone, with its gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cornernet.parts.corners.losses import embedding_losses
from cornernet.parts.losses import COUNT_EPSILON, focal_loss, offset_loss
from tests.golden.cases import Case, EmbeddingTargets, Golden

# The reference takes logarithms of probabilities in float32, with 1e-12 added. Below 1 these are
# multiples of 2^-24; from a logit of 16.6 on they are 1 and have no gradient. Beyond this logit the
# reference does not count.
WELL_BEHAVED = 12.0


def rounding(logits: torch.Tensor) -> torch.Tensor:
    """How far the reference's -log(1 - p) may be off, as p = sigmoid(logit) is by up to 2^-24."""
    return 2**-24 * (1 + logits.exp())


def focal_of(
    content: Case, target: str, factor: float, alpha: float = 2.0, beta: float = 4.0
) -> tuple[Tensor, Tensor]:
    logits = content.tensor("gfl_logits").requires_grad_()
    loss = focal_loss(logits, content.tensor(target), alpha, beta) * factor
    loss.backward()
    assert logits.grad is not None
    return loss.detach(), logits.grad


def test_focal_of_each_cell(golden: Golden) -> None:
    content = golden("losses")
    cells = zip(
        content.tensor("gfl_logits").flatten(), content.tensor("gfl_target").flatten(), strict=True
    )
    found = torch.stack([focal_loss(logit, target) for logit, target in cells])
    wanted = content.tensor("gfl_none_loss").flatten()
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_focal_gradient_at_the_probability(golden: Golden) -> None:
    content = golden("losses")
    factor = 1 / (content.meta["gfl"]["num_pos"] + COUNT_EPSILON)
    _, gradient = focal_of(content, "gfl_target", factor)
    p = content.tensor("gfl_logits").double().sigmoid()
    found = (gradient.double() / (p * (1 - p))).float()
    wanted = content.tensor("gfl_avg_grad_pred")
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("reduction", ["sum", "mean", "avg"])
def test_focal(golden: Golden, reduction: str) -> None:
    content = golden("losses")
    factor = {
        "sum": 1.0,
        "mean": 1 / content.array("gfl_target").size,
        "avg": 1 / (content.meta["gfl"]["num_pos"] + COUNT_EPSILON),
    }[reduction]
    loss, gradient = focal_of(content, "gfl_target", factor)
    torch.testing.assert_close(loss, content.tensor(f"gfl_{reduction}_loss"), rtol=1e-4, atol=0)
    wanted = content.tensor(f"gfl_{reduction}_grad_logits")
    torch.testing.assert_close(gradient, wanted, rtol=0, atol=1e-5)
    if reduction == "sum":  # the reference's gradient without reduction is that of the sum
        wanted = content.tensor("gfl_none_grad_logits")
        torch.testing.assert_close(gradient, wanted, rtol=0, atol=1e-5)


def test_focal_with_other_exponents(golden: Golden) -> None:
    content = golden("losses")
    factor = 0.7 / (3 + COUNT_EPSILON)
    loss, gradient = focal_of(content, "gfl_target", factor, alpha=1.5, beta=3.0)
    torch.testing.assert_close(loss, content.tensor("gfl_alt_loss"), rtol=1e-4, atol=0)
    torch.testing.assert_close(gradient, content.tensor("gfl_alt_grad_logits"), rtol=0, atol=1e-5)


def test_focal_without_corners(golden: Golden) -> None:
    content = golden("losses")
    logits = content.tensor("gfl_logits").requires_grad_()
    loss = focal_loss(logits, torch.zeros_like(logits)) / (1 + COUNT_EPSILON)
    loss.backward()
    torch.testing.assert_close(loss.detach(), content.tensor("gfl_nopos_loss"), rtol=1e-4, atol=0)
    wanted = content.tensor("gfl_nopos_grad_logits")
    torch.testing.assert_close(logits.grad, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "target"), [("pos", 1.0), ("neg", 0.0), ("mid", 0.6)])
def test_focal_at_each_logit(golden: Golden, name: str, target: float) -> None:
    content = golden("losses")
    every = content.tensor("gfl_sat_logits").flatten()
    behaved = every.abs() <= WELL_BEHAVED
    logits = every[behaved].clone().requires_grad_()
    found = torch.stack([focal_loss(logit, torch.tensor(target)) for logit in logits])
    (gradients,) = torch.autograd.grad(found.sum(), logits)
    wanted = content.tensor(f"gfl_sat_{name}_loss").flatten()[behaved]
    weight = 0.0 if target == 1 else (1 - target) ** 4
    too_far = (found - wanted).abs() > 1e-4 * wanted + 1e-7 + weight * rounding(every[behaved])
    assert not too_far.any(), logits[too_far]
    slopes = content.tensor(f"gfl_sat_{name}_grad").flatten()[behaved]
    torch.testing.assert_close(gradients, slopes, rtol=1e-4, atol=1e-5)


# A difference: where the reference's gradient vanishes, ours is that of the formula.
def test_focal_of_saturated_logits_keeps_its_gradient(golden: Golden) -> None:
    logits = golden("losses").tensor("gfl_sat_logits").flatten()
    for target, sign in ((0.0, 1.0), (1.0, -1.0)):
        wrong = logits[sign * logits > WELL_BEHAVED].requires_grad_()
        focal_loss(wrong, torch.full_like(wrong, target)).backward()
        # Of x = |logit| the loss is p² · -log(1 - p) = (1 + e^-x)^-2 · (x + log(1 + e^-x)), and its
        # derivative 1 + (2x - 3) e^-x, but for terms of x e^-2x, which are below 1e-9 here.
        x = wrong.detach().double().abs()
        slope = sign * (1 + (2 * x - 3) * torch.exp(-x))
        torch.testing.assert_close(wrong.grad, slope.float(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["pull", "push"])
@pytest.mark.golden_cases("losses", "ae", "ae{index}_")
def test_embedding(case: Case, embedding_targets: EmbeddingTargets, name: str) -> None:
    if case.meta["emb_channels"] > 1:
        pytest.skip("ours is the Euclidean distance over channels: tests/test_losses.py")
    tl, br = case.tensor("tl").requires_grad_(), case.tensor("br").requires_grad_()
    pull, push = embedding_losses(tl, br, embedding_targets(case.per_image("match"), tl.shape[3]))
    loss = {"pull": pull, "push": push}[name] * case.meta[f"{name}_weight"]
    loss.backward()
    torch.testing.assert_close(loss.detach(), case.tensor(f"{name}_loss"), rtol=0, atol=1e-5)
    for found, corner in ((tl, "tl"), (br, "br")):
        wanted = case.tensor(f"{name}_grad_{corner}")
        torch.testing.assert_close(found.grad, wanted, rtol=0, atol=1e-5)


@pytest.mark.golden_cases("losses", "off", "off{index}_")
def test_offset(case: Case) -> None:
    predicted, mask = case.tensor("pred").requires_grad_(), case.tensor("mask")
    loss = offset_loss(predicted, case.tensor("target"), mask)
    loss = loss / (max(1.0, float(mask.sum())) + COUNT_EPSILON)
    loss.backward()
    torch.testing.assert_close(loss.detach(), case.tensor("loss"), rtol=0, atol=1e-5)
    torch.testing.assert_close(predicted.grad, case.tensor("grad"), rtol=0, atol=1e-5)
