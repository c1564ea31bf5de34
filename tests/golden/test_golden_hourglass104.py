"""The full Hourglass-104 with weights that are computed from the names of its tensors."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
import torch
from torch import Tensor

from cornernet.config import ModelConfig
from cornernet.model.detector import Detector
from tests.golden.cases import AllStacks, Golden


def recipe_weights(key: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """Each tensor's own random numbers: uniform for BatchNorm, normal for everything else."""
    random = np.random.RandomState((zlib.crc32(key.encode()) + seed) % 2**32)
    name = key.rsplit(".", 1)[1]
    if name == "num_batches_tracked":
        return torch.tensor(7)
    limits = None
    if name == "running_var":
        limits = (0.5, 1.5)
    elif key.endswith("bn2.weight"):
        limits = (0.1, 0.4)
    elif name == "weight" and len(shape) == 1:
        limits = (0.7, 1.3)
    if limits is not None:
        values = random.uniform(*limits, shape)
    else:
        deviation = 0.1 if len(shape) == 1 else math.sqrt(1.2 / math.prod(shape[1:]))
        values = random.standard_normal(shape) * deviation
    return torch.from_numpy(values.astype(np.float32))


@pytest.mark.slow
def test_features_and_maps_of_both_stacks(golden: Golden, all_stacks: AllStacks) -> None:
    content = golden("hg104_recipe")
    with torch.device("meta"):  # shapes only: the weights come below
        model = Detector(ModelConfig(), 80)
    state = {}
    for key, value in model.state_dict().items():
        theirs = key.replace("head.", "bbox_head.", 1) if key.startswith("head.") else key
        state[key] = recipe_weights(theirs, tuple(value.shape), content.meta["seed"])
        if theirs in content.meta["checks"]:
            check = [float(state[key].double().sum()), float(state[key].flatten()[0])]
            np.testing.assert_allclose(check, content.meta["checks"][theirs], rtol=1e-6)
    model.load_state_dict(state, assign=True)
    model.eval()

    found: dict[str, list[Tensor]] = {}
    with torch.no_grad():
        features = model.backbone(content.tensor("x"))
    found["feat"] = [feature.map[:, ::32] for feature in features]
    outputs = all_stacks(model, content.tensor("x"))
    classes = content.meta["heat_classes"]
    for index, name in enumerate(("tl_heat", "br_heat", "tl_emb", "br_emb", "tl_off", "br_off")):
        maps = [stack[index] for stack in outputs]
        found[name] = [m[:, classes] for m in maps] if name.endswith("heat") else maps
    for name, levels in found.items():
        for level, values in enumerate(levels):
            wanted = content.tensor(f"{name}_l{level}")
            torch.testing.assert_close(values, wanted, rtol=0, atol=5e-4, msg=f"{name} {level}")
