"""The network: sizes, shapes, what runs when, and that everything learns."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cornernet.config import ModelConfig, load_recipe
from cornernet.model.detector import Detector, count_parameters
from cornernet.parts.corners.structures import Outputs


def small(**changes: Any) -> ModelConfig:
    sizes: dict[str, Any] = {
        "stacks": 2,
        "stage_channels": [8, 8, 12],
        "stage_blocks": [1, 1, 2],
        "feature_channels": 8,
        "pool_channels": 6,
        "head_channels": 8,
    }
    return ModelConfig(**{**sizes, **changes})


def detector(classes: int = 3, seed: int = 0, **changes: Any) -> Detector:
    torch.manual_seed(seed)
    return Detector(small(**changes), classes)


def pictures(height: int, width: int, number: int = 2) -> Tensor:
    return 255 * torch.rand(number, 3, height, width, generator=torch.Generator().manual_seed(1))


def corners(model: Detector, images: Tensor) -> list[Outputs]:
    """The maps of corners of every stack that the network gives."""
    return [stack["corners"] for stack in model(images)]


# MMDetection's Hourglass-52 counts 101,510,950: 1,180,672 of them in a residual block between
# stacks that a network of one stack never runs.
@pytest.mark.parametrize(("stacks", "wanted"), [(2, 201_035_212), (1, 101_510_950 - 1_180_672)])
def test_number_of_parameters_of_the_papers_networks(stacks: int, wanted: int) -> None:
    with torch.device("meta"):
        assert count_parameters(Detector(ModelConfig(stacks=stacks), 80)) == wanted


def test_network_of_the_small_recipe_has_about_a_million_parameters() -> None:
    with torch.device("meta"):
        number = count_parameters(Detector(load_recipe("tiny").model, 5))
    assert 0.8e6 < number < 3e6


@pytest.mark.parametrize(
    ("size", "cells"), [((64, 64), (16, 16)), ((63, 95), (16, 24)), ((33, 70), (9, 18))]
)
def test_maps_have_a_quarter_of_the_resolution_rounded_up(
    size: tuple[int, int], cells: tuple[int, int]
) -> None:
    outputs = corners(detector(classes=4, embedding_channels=2).train(), pictures(*size))
    assert len(outputs) == 2
    for maps in outputs:
        channels = (4, 4, 2, 2, 2, 2)
        assert [tuple(m.shape) for m in maps] == [(2, depth, *cells) for depth in channels]


def test_evaluation_gives_the_last_stack_alone() -> None:
    model = detector()
    model.eval()
    model.head.training = True  # the head alone runs for every stack
    with torch.no_grad():
        every = corners(model, pictures(32, 32))
        last = corners(model.eval(), pictures(32, 32))
    assert (len(every), len(last)) == (2, 1)
    assert all(torch.equal(a, b) for a, b in zip(last[0], every[1], strict=True))


def test_evaluation_does_not_run_the_head_of_other_stacks() -> None:
    model = detector().eval()
    ran: list[int] = []
    heads: Any = model.head
    for stack, module in enumerate(heads.tl_heat):
        module.register_forward_hook(lambda *_, stack=stack: ran.append(stack))
    with torch.no_grad():
        model(pictures(32, 32))
    assert ran == [1]


@pytest.mark.parametrize("stacks", [1, 2, 3])
def test_every_parameter_receives_a_gradient(stacks: int) -> None:
    model = detector(stacks=stacks).train()
    outputs = corners(model, pictures(64, 64))
    sum((item**2).sum() for maps in outputs for item in maps).backward()
    idle = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    ]
    assert idle == []


def test_pixels_are_normalised_by_mean_and_deviation_of_each_colour() -> None:
    model = detector()
    colour = torch.tensor([10, 128, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    wanted = [
        (value - mean) / deviation
        for value, mean, deviation in zip(
            (10, 128, 255), (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), strict=True
        )
    ]
    assert model.normalize(colour).flatten().tolist() == pytest.approx(wanted, rel=1e-6)


def test_mean_and_deviation_can_be_set() -> None:
    model = detector(pixel_mean=[1, 2, 3], pixel_std=[2, 4, 8])
    colour = torch.tensor([5, 10, 19], dtype=torch.uint8).view(1, 3, 1, 1)
    assert model.normalize(colour).flatten().tolist() == [2, 2, 2]


def test_whole_numbers_and_floats_give_the_same_maps() -> None:
    model = detector().eval()
    image = pictures(32, 32).to(torch.uint8)
    with torch.no_grad():
        (whole,), (real,) = corners(model, image), corners(model, image.float())
    assert all(torch.equal(a, b) for a, b in zip(whole, real, strict=True))


def test_normalisation_is_not_among_the_weights() -> None:
    assert not [key for key in detector().state_dict() if key.startswith("pixel_")]


def test_fresh_network_gives_every_class_the_prior_probability() -> None:
    for head in (detector().head.tl_heat, detector().head.br_heat):
        for branch in head:
            probability = branch.output.bias.detach().sigmoid()
            torch.testing.assert_close(probability, torch.full_like(probability, 0.1))


def test_fresh_offsets_and_embeddings_do_not_carry_that_prior() -> None:
    head: Any = detector().head
    for branch in (*head.tl_off, *head.br_off, *head.tl_emb, *head.br_emb):
        assert float(branch.output.bias.detach().abs().max()) < 1.0


def test_stacks_look_at_the_ones_before() -> None:
    model = detector().eval()
    images = pictures(32, 32)
    with torch.no_grad():
        before = corners(model, images)[0].tl_heat
        model.backbone.remap_convs[0].conv.weight.zero_()
        after = corners(model, images)[0].tl_heat
    assert not torch.allclose(before, after)


def batch_norms(model: nn.Module) -> dict[str, nn.BatchNorm2d]:
    return {n: m for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}


def test_frozen_batch_norm_keeps_its_statistics_and_parameters() -> None:
    model = detector(freeze_batch_norm=True)
    before = {
        f"{name}.{key}": value.clone()
        for name, norm in batch_norms(model).items()
        for key, value in norm.state_dict().items()
    }
    model.eval().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sum((item**2).mean() for maps in corners(model, pictures(32, 32)) for item in maps).backward()
    optimizer.step()
    after = model.state_dict()
    assert before
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_frozen_batch_norm_lets_the_rest_learn() -> None:
    model = detector(freeze_batch_norm=True).train()
    sum((item**2).sum() for maps in corners(model, pictures(32, 32)) for item in maps).backward()
    norms = tuple(batch_norms(model))
    learnt = {name for name, p in model.named_parameters() if p.grad is not None}
    wanted = {n for n, _ in model.named_parameters() if not n.startswith(norms)}
    assert learnt == wanted


def test_batch_norm_learns_unless_frozen() -> None:
    model = detector().train()
    norm = next(iter(batch_norms(model).values()))
    before = norm.running_mean.clone()
    model(pictures(32, 32))
    assert norm.running_mean is not None and not torch.equal(before, norm.running_mean)


@pytest.mark.parametrize("stacks", [1, 2])
def test_frozen_batch_norm_is_frozen_in_a_fresh_network(stacks: int) -> None:
    model = detector(freeze_batch_norm=True, stacks=stacks)
    assert not any(norm.training for norm in batch_norms(model).values())


def test_top_left_corners_look_right_and_down() -> None:
    pool = detector(stacks=1).eval().head.tl_pool[0]
    features = torch.zeros(1, 8, 12, 12, requires_grad=True)
    random = torch.Generator().manual_seed(0)
    features.data = torch.randn(features.shape, generator=random)
    pool(features)[0, :, 5, 5].sum().backward()
    seen = features.grad.abs().sum((0, 1)) > 0
    # Three convolutions of 3 × 3 widen what is seen by 3 cells around the pooled row and column.
    assert not seen[:2, :].any() and not seen[:, :2].any()
    assert seen[9:, 2:9].any() and seen[2:9, 9:].any()
    assert not seen[9:, 9:].any()


def test_bottom_right_corners_look_left_and_up() -> None:
    pool = detector(stacks=1).eval().head.br_pool[0]
    features = torch.zeros(1, 8, 12, 12, requires_grad=True)
    random = torch.Generator().manual_seed(0)
    features.data = torch.randn(features.shape, generator=random)
    pool(features)[0, :, 6, 6].sum().backward()
    seen = features.grad.abs().sum((0, 1)) > 0
    assert not seen[10:, :].any() and not seen[:, 10:].any()
    assert seen[:3, 3:10].any() and seen[3:10, :3].any()
    assert not seen[:3, :3].any()


def test_sizes_of_a_network_are_known_without_loading_the_compiler() -> None:
    code = (
        "import sys\n"
        "from cornernet.config import ModelConfig\n"
        "from cornernet.model.detector import Detector, without_memory\n"
        "with without_memory(): state = Detector(ModelConfig(), 80).state_dict()\n"
        "assert all(tensor.is_meta for tensor in state.values())\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
