"""Tensors of a network: do they fit, load them, start from those of another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cornernet.config import ModelConfig
from cornernet.errors import UserError
from cornernet.model.detector import Detector

if TYPE_CHECKING:
    from cornernet.weights.file import Weights


# Settings of the network that weights to start from may have otherwise.
_FREE_FOR_START = {"num_classes", "freeze_batch_norm"}


@dataclass
class Mismatch:
    """How given tensors differ from a network's, as lines of text."""

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
    """Which of the tensors that a network has are not among the given ones, and the reverse."""
    return Mismatch(
        [key for key in wanted if key not in given],
        [key for key in given if key not in wanted],
        [
            f"{key} {list(given[key].shape)} instead of {list(wanted[key].shape)}"
            for key in wanted
            if key in given and given[key].shape != wanted[key].shape
        ],
    )


def start_from(
    model: Detector, weights: Weights, config: ModelConfig, classes: list[str], source: str
) -> list[str]:
    """Load weights that are to be trained further.

    Args:
        model: with the random weights of a new network.
        weights: what to start from.
        config: the sizes of `model`.
        classes: names by label of what will be trained on.
        source: the weights' file, for messages.

    Returns:
        Names of the convolutions that keep their random weights, because they depend on the
        classes and these are not the weights' own.

    Raises:
        UserError: the weights are of another network.
    """
    wanted, found = asdict(config), asdict(weights.config.model)
    different = [
        f"--model.{name} '{found[name]}' (here {wanted[name]})"
        for name in wanted
        if name not in _FREE_FOR_START and wanted[name] != found[name]
    ]
    if different:
        raise UserError(
            f"{source}: expected weights of the network to be trained, found those of one with "
            + ", ".join(different)
            + "; use these settings, or other weights"
        )
    state = dict(weights.state_dict)
    anew: list[str] = []
    if classes != weights.classes:
        anew = [f"head.{name}" for name in model.head.class_dependent_layers()]
        own = model.state_dict()
        state |= {key: own[key] for key in own if key.rpartition(".")[0] in anew}
    load_state(model, state, source)
    return anew


def load_state(model: torch.nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load every tensor or none.

    Raises:
        UserError: keys are missing, left over, or of another shape.
    """
    mismatch = compare(model.state_dict(), state)
    if mismatch:
        raise UserError(
            f"{source}: expected the tensors of the configured network, found keys "
            + "; ".join(
                f"{len(lines)} {kind}, the first is {lines[0]}" for kind, lines in mismatch.groups()
            )
            + "; use weights made with the same model settings and classes"
        )
    model.load_state_dict(state)
