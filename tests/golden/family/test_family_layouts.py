"""The published files are recognised by the names of their tensors, here with few channels."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from cornernet.config import load_recipe
from cornernet.weights.foreign import from_foreign
from tests.golden.family.recipe import Keys, recipe_tensor

# The layout's name and the recipe of each network.
NETWORKS = {
    "squeeze": ("CornerNet-Squeeze", "cornernet_squeeze"),
    "saccade": ("CornerNet-Saccade", "cornernet_saccade"),
    "center52": ("CenterNet-52", "centernet52"),
    "center104": ("CenterNet-104", "centernet104"),
}
FEWER = 32  # times fewer channels; classes stay


def fewer(sizes: list[int]) -> list[int]:
    return [size // FEWER if size >= 128 else size for size in sizes]


@pytest.mark.parametrize(
    ("network", "prefix"), [*((name, "module.") for name in NETWORKS), ("saccade", "")]
)
def test_layout_sizes_and_settings(
    network: str, prefix: str, published_keys: dict[str, Keys]
) -> None:
    state = {
        prefix + key: recipe_tensor(key, fewer(shape), dtype, seed=0)
        for key, shape, dtype in published_keys[network]
    }
    found = from_foreign(state, "x.pkl")
    layout, recipe = NETWORKS[network]
    assert found.layout == layout and len(found.state_dict) == len(state)
    wanted = load_recipe(recipe)
    small = dataclasses.replace(
        wanted.model,
        stage_channels=fewer(wanted.model.stage_channels),
        feature_channels=wanted.model.feature_channels // FEWER,
        pool_channels=wanted.model.pool_channels // FEWER,
        head_channels=wanted.model.head_channels // FEWER,
    )
    for name, value in vars(small).items():
        assert getattr(found.config.model, name) == pytest.approx(value), name
    assert (found.config.test, found.config.loss) == (wanted.test, wanted.loss)
    for key in (key for key in state if "att_modules" in key):
        stack, level, layer, *_, last = key.removeprefix(prefix).split(".")[1:]
        ours = found.state_dict[f"attention.heat.{stack}.{level}.{layer}.conv.{last}"]
        assert torch.equal(ours, state[key])
