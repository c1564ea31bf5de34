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
_FREE_FOR_START = {"num_classes", "freeze_batch_norm"}


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
    mismatch = compare(model.state_dict(), state)
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
    model.load_state_dict(state)


def start_from(
    model: Detector, weights: Weights, config: ModelConfig, classes: list[str], source: str
) -> list[str]:
    """Load weights that are to be trained further.

    Args:
        model: a new network with random weights.
        weights: what to start from.
        config: the sizes of `model`.
        classes: names by label of the training data.
        source: the weights' file, for messages.

    Returns:
        Names of the layers that keep their random weights, because they depend on the classes and
        the weights are for other classes.

    Raises:
        UserError: the weights are of another network.
    """
    wanted, found = asdict(config), asdict(weights.config.model)
    different = [
        f"model.{name}={_as_written(found[name])} (here {_as_written(wanted[name])})"
        for name in wanted
        if name not in _FREE_FOR_START and wanted[name] != found[name]
    ]
    if different:
        raise UserError(
            f"must name weights of the network to be trained, got {source} of a network with "
            f"{', '.join(different)}; use these settings, or other weights",
            field=_START,
        )
    state = dict(weights.state_dict)
    reinitialised: list[str] = []
    if classes != weights.classes:
        reinitialised = model.class_dependent_layers()
        own = model.state_dict()
        state |= {key: own[key] for key in own if key.rpartition(".")[0] in reinitialised}
    load_state(model, state, source, field=_START)
    return reinitialised


def _as_written(value: Any) -> str:
    """A setting's value as it can be given on a command line, without spaces."""
    return json.dumps(value, separators=(",", ":"))
