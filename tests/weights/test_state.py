"""Loading tensors: all or none, and for other classes all but the layers that depend on them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cornernet.config import Config, ModelConfig
from cornernet.model.detector import Detector
from cornernet.weights.file import Weights
from cornernet.weights.state import Start, load_state, start_from
from tests.errors import raises
from tests.small import SMALL_MODEL


def network(seed: int = 0, classes: int = 2, **changes: Any) -> Detector:
    torch.manual_seed(seed)
    return Detector(ModelConfig(**(SMALL_MODEL | changes)), classes)


def of_kind(kind: str) -> tuple[dict[str, Tensor], str]:
    """Tensors of which one does not fit, and its name."""
    state = dict(network().state_dict())
    name = "head.extra" if kind == "left over" else next(iter(state))
    if kind == "missing":
        del state[name]
    else:
        state[name] = torch.ones(1)
    return state, name


@pytest.mark.parametrize("field", [None, "train.init"])
@pytest.mark.parametrize("kind", ["missing", "left over", "of another shape"])
def test_tensors_that_do_not_fit_are_named(kind: str, field: str | None) -> None:
    state, name = of_kind(kind)
    with raises("mine.pt", f"1 {kind}", name, field=field):
        load_state(network(), state, "mine.pt", field=field)


@pytest.mark.parametrize("kind", ["missing", "left over", "of another shape"])
def test_tensors_that_do_not_fit_change_nothing(kind: str) -> None:
    state, _ = of_kind(kind)
    model = network(seed=1)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with raises():
        load_state(model, state, "mine.pt")
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def weights(classes: list[str], **changes: Any) -> Weights:
    config = Config(model=ModelConfig(**(SMALL_MODEL | changes)))
    return Weights(network(1, len(classes), **changes).state_dict(), classes, config)


def start(model: Detector, start: Weights, classes: list[str]) -> Start:
    return start_from(model, start, model.config, classes, "w.pt")


def test_weights_for_the_same_classes_are_taken_whole() -> None:
    model, given = network(), weights(["a", "b"])
    assert start(model, given, ["a", "b"]) == Start([], [], [])
    assert all(torch.equal(given.state_dict[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("classes", [["b", "a"], ["a"], ["a", "b", "c"]])
def test_exactly_the_layers_that_depend_on_the_classes_stay_random(classes: list[str]) -> None:
    model, fresh, given = (
        network(0, len(classes)),
        network(0, len(classes)).state_dict(),
        weights(["a", "b"]),
    )
    found = start(model, given, classes).reinitialised
    assert found == model.class_dependent_layers()
    assert set(found) == {"head.tl_heat.0.1.conv", "head.br_heat.0.1.conv"}
    for key, value in model.state_dict().items():
        wanted = fresh if key.rpartition(".")[0] in found else given.state_dict
        assert torch.equal(value, wanted[key]), key


@pytest.mark.parametrize("classes", [["x"], ["x", "y", "z"]])
def test_the_layers_of_one_class_start_every_class(classes: list[str]) -> None:
    model, given = network(0, len(classes)), weights(["object"])
    found = start(model, given, classes)
    assert found == Start([], ["head.tl_heat.0.1.conv", "head.br_heat.0.1.conv"], [])
    for key, value in model.state_dict().items():
        one = given.state_dict[key]
        assert torch.equal(value, one.expand_as(value)), key


def test_a_part_that_the_weights_lack_keeps_its_random_weights() -> None:
    model, fresh = (network(0, 2, parts=["corners", "centers"]) for _ in range(2))
    given = weights(["a", "b"])
    assert start(model, given, ["a", "b"]) == Start(["centers"], [], [])
    for key, value in model.state_dict().items():
        own = fresh.state_dict() if key.startswith("centers.") else given.state_dict
        assert torch.equal(value, own[key]), key


def test_a_part_that_only_the_weights_have_is_left_out() -> None:
    model, given = network(), weights(["a", "b"], parts=["corners", "centers"])
    assert start(model, given, ["a", "b"]) == Start([], [], ["centers"])
    assert all(torch.equal(given.state_dict[k], v) for k, v in model.state_dict().items())


def test_class_dependent_layers_are_those_whose_shape_depends_on_the_classes() -> None:
    two, three = network(0, 2, stacks=2), network(0, 3, stacks=2).state_dict()
    changed = {
        key.rpartition(".")[0]
        for key, value in two.state_dict().items()
        if value.shape != three[key].shape
    }
    assert changed == set(two.class_dependent_layers())


def test_weights_of_another_network_name_the_settings() -> None:
    given = weights(["a"], feature_channels=6)
    with raises("w.pt", "model.feature_channels=6 (here 8)", field="train.init"):
        start(network(), given, ["a"])


def test_weights_that_lack_a_tensor_are_no_start() -> None:
    given = weights(["a", "b"])
    del given.state_dict["backbone.stem.0.conv.weight"]
    with raises("w.pt", "1 missing", field="train.init"):
        start(network(), given, ["a", "b"])
