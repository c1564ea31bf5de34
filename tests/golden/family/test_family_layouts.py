"""The published files are recognised by the names of their tensors, here with few channels."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cornernet.config import load_recipe
from cornernet.errors import UserError
from cornernet.model.detector import Detector
from cornernet.weights.file import Weights, read_weights
from cornernet.weights.foreign import from_foreign, to_mmdet
from cornernet.weights.state import start_from
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


def small_file(keys: Keys, prefix: str = "module.") -> dict[str, Tensor]:
    return {
        prefix + key: recipe_tensor(key, fewer(shape), dtype, seed=0) for key, shape, dtype in keys
    }


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("prefix", ["module.", ""])
def test_layout_sizes_and_settings(
    network: str, prefix: str, published_keys: dict[str, Keys]
) -> None:
    state = small_file(published_keys[network], prefix)
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


@pytest.mark.parametrize("network", NETWORKS)
def test_a_file_of_its_time_is_read_without_its_device(
    network: str,
    published_keys: dict[str, Keys],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = small_file(published_keys[network])
    path = tmp_path / "old.pkl"
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save(state, path, _use_new_zipfile_serialization=False)
    assert b"cuda:0" in path.read_bytes()
    weights, notes = read_weights(path)
    assert notes[0] == f"layout of names: {NETWORKS[network][0]}"
    wanted = from_foreign(state, "x.pkl").state_dict
    assert all(torch.equal(weights.state_dict[key], value) for key, value in wanted.items())


@pytest.mark.parametrize("network", NETWORKS)
def test_counters_that_older_files_lack_are_set(
    network: str, published_keys: dict[str, Keys]
) -> None:
    state = small_file(published_keys[network])
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    found = from_foreign(state, "x.pkl")
    Detector(found.config.model, len(found.classes)).load_state_dict(found.state_dict)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_tensor_that_is_missing_is_named(network: str, published_keys: dict[str, Keys]) -> None:
    state = small_file(published_keys[network])
    del state["module.tl_heats.0.1.bias"]
    with pytest.raises(UserError, match=r"missing \(1\):\n  head\.tl_heat\.0\.1\.conv\.bias"):
        from_foreign(state, "x.pkl")


def test_other_classes_start_the_heat_maps_again(published_keys: dict[str, Keys]) -> None:
    found = from_foreign(small_file(published_keys["center52"]), "x.pkl")
    weights = Weights(found.state_dict, found.classes, found.config)
    other = Detector(found.config.model, 3)
    start = start_from(other, weights, found.config.model, ["x", "y", "z"], "x.pkl")
    assert set(start.reinitialised) == {
        "head.tl_heat.0.1.conv", "head.br_heat.0.1.conv", "centers.heat.0.1.conv",
    }  # fmt: skip
    kept = "head.tl_pool.0.look1_conv.conv.weight"
    assert torch.equal(other.state_dict()[kept], found.state_dict[kept])


@pytest.mark.parametrize("network", NETWORKS)
def test_mmdetection_has_none_of_these_networks(
    network: str, published_keys: dict[str, Keys]
) -> None:
    found = from_foreign(small_file(published_keys[network]), "x.pkl")
    with pytest.raises(UserError, match=r"w\.pt: expected .*, found model\..*cannot hold"):
        to_mmdet(found.state_dict, found.config.model, found.classes, "w.pt")
