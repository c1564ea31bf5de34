"""Every tensor of Hourglass-104 and -52 has MMDetection's name, shape and type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cornernet.config import ModelConfig
from cornernet.model.detector import Detector, count_parameters

STACKS = {"hourglass104": 2, "hourglass52": 1}


@pytest.fixture(params=list(STACKS))
def pair(request: pytest.FixtureRequest, golden_folder: Path) -> tuple[Detector, dict[str, Any]]:
    path = golden_folder / "state_dict_keys.json"
    if not path.is_file():
        pytest.skip("there is no state_dict_keys.json")
    with torch.device("meta"):
        model = Detector(ModelConfig(stacks=STACKS[request.param]), 80)
    return model, json.loads(path.read_text())[request.param]


def is_unused(key: str, model: Detector) -> bool:
    """A network of one stack there carries a block between stacks that nothing runs through."""
    return key.startswith("backbone.inters.0.") and len(model.backbone.inters) == 0


def test_names_shapes_and_types(pair: tuple[Detector, dict[str, Any]]) -> None:
    model, wanted = pair
    theirs = {
        key.replace("bbox_head.", "head.", 1): (shape, dtype)
        for key, shape, dtype in wanted["keys"]
        if not is_unused(key, model)
    }
    ours = {
        key: (list(value.shape), str(value.dtype).removeprefix("torch."))
        for key, value in model.state_dict().items()
    }
    assert ours == theirs


def test_number_of_parameters(pair: tuple[Detector, dict[str, Any]]) -> None:
    model, wanted = pair
    unused = sum(
        torch.Size(shape).numel()
        for key, shape, dtype in wanted["keys"]
        if is_unused(key, model) and dtype == "float32" and "running" not in key
    )
    assert count_parameters(model) + unused == wanted["num_params"]
