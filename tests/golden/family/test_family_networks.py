"""The published networks, read through the converter from weights computed from names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cornernet.config import load_recipe
from cornernet.model.detector import Detector, count_parameters
from cornernet.weights.file import read_weights
from tests.golden.family.recipe import Family, Keys, published_state

# The file's name of each network, and the classes whose heat-maps are kept there.
NETWORKS = {"squeeze": "squeeze_net", "center52": "center52_net", "center104": "center104_net",
            "saccade": "saccade_net"}  # fmt: skip
RECIPES = {
    "squeeze": "cornernet_squeeze",
    "center52": "centernet52",
    "center104": "centernet104",
    "saccade": "cornernet_saccade",
}
CLASSES = slice(None, None, 7)
CHANNELS = slice(None, None, 32)


def maps_of(model: Detector, normalised: Tensor) -> dict[str, Tensor]:
    """All maps of all stacks, under the names of a golden file."""
    found: dict[str, Tensor] = {"stem": model.backbone.stem(normalised)[:, CHANNELS]}
    for stack, features in enumerate(model.backbone(normalised)):
        feature = features.map
        maps: dict[str, Tensor] = {"feat": feature[:, CHANNELS]}
        for corner in ("tl", "br"):
            pooled = getattr(model.head, f"{corner}_pool")[stack](feature)
            maps[f"{corner}_pool"] = pooled[:, CHANNELS]
        corners: Any = model.head.maps(stack, features)._asdict()
        for name, value in corners.items():
            short = name.replace("embedding", "emb").replace("offset", "off")
            maps[short] = value[:, CLASSES] if "heat" in name else value
        if "centers" in model.config.parts:
            centers = model.centers.maps(stack, features)
            maps["ct_pool"] = model.centers.pool[stack](feature)[:, CHANNELS]
            maps |= {"ct_heat": centers.heat[:, CLASSES], "ct_off": centers.offset}
        if "attention" in model.config.parts:
            heats = model.attention.maps(stack, features).heats
            maps |= {f"att{level}": heat for level, heat in enumerate(heats)}
        found |= {f"{name}_s{stack}": value for name, value in maps.items()}
    return found


@pytest.mark.parametrize("network", NETWORKS)
def test_maps_of_all_stacks(
    network: str, family: Family, published_keys: dict[str, Keys], tmp_path: Path
) -> None:
    golden = family(NETWORKS[network])
    state = published_state(published_keys[network], golden.meta["seed"])
    assert len(state) == golden.meta["entries"]
    for key, total, first in golden.meta["checks"]:
        value = state["module." + key]
        assert float(value.double().sum()) == pytest.approx(total, rel=1e-6)
        assert float(value.flatten()[0]) == pytest.approx(first, rel=1e-6)
    # As the originals' files were written, before PyTorch 1.6.
    path = tmp_path / "network.pkl"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    weights, _ = read_weights(path)
    # What it is fine-tuned by, apart from the data.
    assert weights.config == load_recipe(RECIPES[network])
    model = weights.build_model()
    assert count_parameters(model) == golden.meta["parameters"]
    # The golden network takes colours in the order BGR, without a normalisation.
    with torch.no_grad():
        found = maps_of(model, golden.tensor("x").flip(1))
    wanted = {name for name in golden.arrays if name != "x"}
    assert set(found) == wanted
    for name in sorted(wanted):
        torch.testing.assert_close(found[name], golden.tensor(name), rtol=0, atol=5e-4, msg=name)
