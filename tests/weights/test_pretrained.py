"""The weights that travel with the package, and what they start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cornernet.config import load_recipe
from cornernet.model.detector import Detector
from cornernet.weights.file import load_weights
from cornernet.weights.pretrained import AUTO, pretrained, start_file
from cornernet.weights.state import start_from
from tests.small import small_config


@pytest.mark.parametrize("name", sorted(pretrained()))
def test_packaged_weights_are_small_and_of_one_class(name: str) -> None:
    path = pretrained()[name]
    weights = load_weights(path)
    assert weights.classes == ["object"]
    assert path.stat().st_size < 3e6
    assert all(
        value.dtype == torch.float16
        for value in weights.state_dict.values()
        if value.is_floating_point()
    )


@pytest.mark.parametrize("parts", [["corners"], ["corners", "centers"]])
def test_the_small_recipe_starts_from_them(parts: list[str]) -> None:
    config = load_recipe("tiny")
    assert config.train.init == AUTO
    network = replace(config.model, parts=parts)
    path = start_file(AUTO, network)
    assert path == pretrained()["shapes"] == start_file("shapes", network)
    model = Detector(network, 3)
    taken = start_from(model, load_weights(path), network, ["a", "b", "c"], "shapes")
    assert taken.reinitialised == []
    assert bool(taken.left_out) == ("centers" not in parts)


def test_other_networks_start_at_random() -> None:
    assert start_file(AUTO, small_config().model) is None
    assert start_file(AUTO, load_recipe("tiny_squeeze").model) is None


def test_any_other_name_is_a_file() -> None:
    assert start_file("somewhere/best.pt", small_config().model) == Path("somewhere/best.pt")
