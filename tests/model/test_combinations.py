"""Networks composed by settings: each trains, takes any size, and has an inference form."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cornernet.config import LossConfig, ModelConfig, load_recipe, recipes
from cornernet.model.detector import Detector
from cornernet.model.fuse import FusedDetector
from cornernet.model.layers import FireBlock
from cornernet.parts.centers.head import CenterPooledConvolution
from cornernet.structures import Batch
from cornernet_ops import center_pool
from tests.errors import raises
from tests.small import SMALL_MODEL

DEEP: dict[str, Any] = {"stacks": 2, "stage_channels": [8, 8, 12], "stage_blocks": [1, 2, 1]}
SQUEEZE: dict[str, Any] = DEEP | {
    "stem_stride": 8, "block": "fire", "upsampling": "transposed", "branch_kernel": 1,
}  # fmt: skip
CENTERNET: dict[str, Any] = DEEP | {
    "parts": ["corners", "centers"], "corner_pooling": "cascade",
}  # fmt: skip
COMBINATIONS = {
    "squeeze": SQUEEZE,
    "centernet": CENTERNET,
    "squeeze and centers": SQUEEZE | CENTERNET,
    "fire, nearest": DEEP | {"block": "fire"},
    "residual, transposed": DEEP | {"upsampling": "transposed"},
}


def network(changes: dict[str, Any]) -> Detector:
    """Random weights, and BatchNorm with statistics that make a difference."""
    torch.manual_seed(0)
    model = Detector(ModelConfig(**(SMALL_MODEL | changes)), 3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return model


def images(height: int, width: int) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return 255 * torch.rand(2, 3, height, width, generator=random)


@pytest.mark.parametrize("changes", COMBINATIONS.values(), ids=COMBINATIONS)
@pytest.mark.parametrize("size", [(63, 95), (70, 93)], ids=["even", "odd"])
def test_inference_form_computes_the_maps_of_the_network(
    changes: dict[str, Any], size: tuple[int, int]
) -> None:
    model = network(changes).eval()
    fast = FusedDetector(model)
    with torch.no_grad():
        wanted, found = model(images(*size))[-1], fast(images(*size))
    assert list(found) == list(wanted) == model.config.parts
    for part in wanted:
        for a, b in zip(found[part], wanted[part], strict=True):
            assert tuple(a.shape[2:]) == model.map_size(size)
            torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("changes", COMBINATIONS.values(), ids=COMBINATIONS)
def test_inference_form_has_no_batch_norm(changes: dict[str, Any]) -> None:
    fast = FusedDetector(network(changes))
    assert not [module for module in fast.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.mark.parametrize("changes", COMBINATIONS.values(), ids=COMBINATIONS)
def test_every_parameter_receives_a_gradient(changes: dict[str, Any]) -> None:
    model = network(changes).train()
    boxes = torch.tensor([[4.0, 8.0, 20.0, 24.0], [0.0, 0.0, 30.0, 10.0]])
    batch = Batch(images(64, 64), [boxes] * 2, [torch.tensor([1, 0])] * 2, ["a", "b"])
    config = LossConfig(normalize="original")
    targets = model.targets(batch, config)
    losses = model.losses(model(batch.images), targets, model.counts(targets), config)
    losses["total"].backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_sizes_that_suit_a_network_follow_from_its_stem_and_its_stages() -> None:
    for name, multiple in (("cornernet_squeeze", 128), ("centernet104", 128), ("tiny", 32)):
        assert load_recipe(name).model.size_multiple == multiple


def test_parameters_of_the_papers_networks() -> None:
    # As counted on the authors' own modules.
    wanted = {
        "cornernet_squeeze": 31_771_852,
        "centernet52": 104_844_152,
        "centernet104": 210_062_960,
    }
    for name, number in wanted.items():
        with torch.device("meta"):
            model = Detector(load_recipe(name).model, 80)
        assert sum(p.numel() for p in model.parameters()) == number, name
        assert name in recipes()


@pytest.mark.parametrize("height", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_convolution_of_a_centre_pooled_map_is_computed_from_its_profiles(
    height: int, width: int
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 5, 3, padding=1).double()
    vertical, horizontal = torch.randn(2, 2, 3, height, width, dtype=torch.float64)
    found = CenterPooledConvolution(conv)(vertical, horizontal)
    torch.testing.assert_close(found, conv(center_pool(vertical, horizontal)))


def test_fire_block_without_a_change_of_shape_adds_its_input() -> None:
    block = FireBlock(4, 4).eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.randn(1, 4, 5, 5)
    assert torch.equal(block(x), F.relu(x))


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("model.stem_stride", {"stem_stride": 2}),
        ("model.branch_kernel", {"branch_kernel": 2}),
        ("model.stage_channels", {"block": "fire", "stage_channels": [8, 9]}),
    ],
)
def test_settings_that_make_no_network_are_refused(field: str, changes: dict[str, Any]) -> None:
    with raises("must be", field=field):
        ModelConfig(**(SMALL_MODEL | changes))
