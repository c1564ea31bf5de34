"""The tensors of a network: comparing, loading, starting from those of another one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cornernet.config import ModelConfig
from cornernet.errors import UserError
from cornernet.model.detector import Detector

if TYPE_CHECKING:
    from cornernet.weights.file import Weights

# The setting that names weights to start from.
_START = "train.init"
# Settings of the network in which weights to start from may differ.
_FREE_FOR_START = {"num_classes", "freeze_batch_norm", "parts", "object_sizes"}


@dataclass
class Mismatch:
    """How given tensors differ from a network's.

    Attributes:
        missing: names of tensors that only the network has.
        left_over: names that only the given tensors have.
        of_another_shape: names in both, with the two shapes.
    """

    missing: list[str]
    left_over: list[str]
    of_another_shape: list[str]

    def __bool__(self) -> bool:
        return bool(self.missing or self.left_over or self.of_another_shape)

    def groups(self) -> list[tuple[str, list[str]]]:
        """The kinds that have entries, with their names."""
        kinds = (
            ("missing", self.missing),
            ("left over", self.left_over),
            ("of another shape", self.of_another_shape),
        )
        return [(kind, lines) for kind, lines in kinds if lines]


def compare(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Mismatch:
    """Compare the tensors that a network has with given ones."""
    return Mismatch(
        [key for key in wanted if key not in given],
        [key for key in given if key not in wanted],
        [
            f"{key} {list(given[key].shape)} instead of {list(wanted[key].shape)}"
            for key in wanted
            if key in given and given[key].shape != wanted[key].shape
        ],
    )


def load_state(
    model: torch.nn.Module,
    state: Mapping[str, Tensor],
    source: str,
    *,
    field: str | None = None,
) -> None:
    """Load every tensor or none.

    Args:
        model: the network to fill.
        state: tensors by name.
        source: the weights' file, for messages.
        field: the setting or argument that names the file, where there is one.

    Raises:
        UserError: tensors are missing, left over, or of another shape.
    """
    check_state(model.state_dict(), state, source, field=field)
    model.load_state_dict(state)


def check_state(
    wanted: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    source: str,
    *,
    field: str | None = None,
) -> None:
    """Refuse tensors that do not fit a network; `wanted` are its own, others as of `load_state`."""
    mismatch = compare(wanted, state)
    if mismatch:
        found = "; ".join(
            f"{len(lines)} {kind}, the first is {lines[0]}" for kind, lines in mismatch.groups()
        )
        advice = "use weights made with the same model settings and classes"
        if field is not None:
            raise UserError(
                f"must name weights of the configured network, got {source} with tensors {found}; "
                + advice,
                field=field,
            )
        raise UserError(
            f"{source}: expected the tensors of the configured network, found tensors {found}; "
            + advice
        )


@dataclass(frozen=True)
class Start:
    """What became of weights that a network was to start from.

    Attributes:
        reinitialised: layers that keep their random weights: those that depend on the classes, and
            the heads of parts that the weights lack.
        shared: layers that have the weights of the file's one class for every class.
        left_out: heads of parts that the network lacks.
    """

    reinitialised: list[str]
    shared: list[str]
    left_out: list[str]


def differences(wanted: ModelConfig, found: ModelConfig) -> list[str]:
    """What keeps weights of one network from starting another: settings with both values."""
    own, other = asdict(wanted), asdict(found)
    return [
        f"model.{name}={_as_written(other[name])} (here {_as_written(own[name])})"
        for name in own
        if name not in _FREE_FOR_START and own[name] != other[name]
    ]


def start_from(
    model: Detector, weights: Weights, config: ModelConfig, classes: list[str], source: str
) -> Start:
    """Load weights that are to be trained further.

    Layers that depend on the classes are taken if the classes are the same. Those of a file of one
    class stand for "an object" and start every class. Otherwise they stay random.

    Args:
        model: a new network with random weights.
        weights: what to start from.
        config: the sizes of `model`.
        classes: names by label of the training data.
        source: the weights' file, for messages.

    Raises:
        UserError: the weights are of another network.
    """
    if different := differences(config, weights.config.model):
        raise UserError(
            f"must name weights of the network to be trained, got {source} of a network with "
            f"{', '.join(different)}; use these settings, or other weights, or none: "
            '""',
            field=_START,
        )
    own, state = model.state_dict(), dict(weights.state_dict)
    new, left_out = _heads_that_differ(model, state, weights.config.model.parts)
    state = {key: value for key, value in state.items() if _module(key) not in left_out}
    of_classes: list[str] = []
    if classes != weights.classes:
        of_classes = [name for name in model.class_dependent_layers() if _module(name) not in new]
    one_class = len(weights.classes) == 1
    for key, value in own.items():
        if _module(key) in new:
            state[key] = value
        elif key in state and key.rpartition(".")[0] in of_classes:
            same_inputs = state[key].shape[1:] == value.shape[1:]
            state[key] = state[key].expand_as(value) if one_class and same_inputs else value
    load_state(model, state, source, field=_START)
    shared, random = (of_classes, new) if one_class else ([], new + of_classes)
    return Start(random, shared, left_out)


def _heads_that_differ(
    model: Detector, state: Mapping[str, Tensor], parts: list[str]
) -> tuple[list[str], list[str]]:
    """Heads that only the network has, and modules that only weights of other parts have."""
    missing = [part for part in model.parts if part.name not in parts]
    own = {_module(key) for key in model.state_dict()}
    superfluous = set(parts) - {part.name for part in model.parts}
    left_out = sorted({_module(key) for key in state} - own) if superfluous else []
    return [part.head_name for part in missing], left_out


def _module(name: str) -> str:
    """The part of a tensor's or layer's name that is a module of the detector."""
    return name.partition(".")[0]


def _as_written(value: Any) -> str:
    """A setting's value as it can be given on a command line, without spaces."""
    return json.dumps(value, separators=(",", ":"))
