"""What a weights file must hold, checked before memory is taken for a network."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from cornernet.config import ModelConfig
from cornernet.errors import UserError
from cornernet.model.detector import Detector, without_memory
from cornernet.weights.state import check_state

_MOST_NAMED = 3


def check_tensors(state: Mapping[Any, Any], source: str) -> None:
    """Refuse what are no weights: other things than named tensors, or numbers that are not finite.

    Args:
        state: tensors by name.
        source: the weights' file, for messages.

    Raises:
        UserError: one of these; it names the tensors.
    """
    wrong = [
        name
        for name, value in state.items()
        if not isinstance(name, str) or not _holds_numbers(name, value)
    ]
    if wrong or not state:
        found = f"something else under {_listed(wrong)}" if wrong else "none"
        raise UserError(
            f"{source}: expected tensors of floating-point numbers by name, found {found}; the "
            "file was not written by cornernet as it is"
        )
    # Tensors that share memory would take a multiple of it in a network.
    memory = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for tensor in state.values()
    }
    if sum(tensor.nbytes for tensor in state.values()) > sum(memory.values()):
        raise UserError(f"{source}: expected tensors of their own, found some that share memory")
    bad = [name for name, tensor in state.items() if not is_finite(tensor)]
    if bad:
        raise UserError(
            f"{source}: expected finite weights, found NaN or infinity in {len(bad)} of "
            f"{len(state)} tensors ({_listed(bad)}); a network with them detects nothing: use "
            "other weights, such as an earlier checkpoint"
        )


def is_finite(tensor: Tensor) -> bool:
    """Whether all values are finite."""
    # A sum needs no memory, but may overflow.
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def check_network(
    config: ModelConfig, classes: int, state: Mapping[str, Tensor], source: str
) -> None:
    """Refuse sizes of a network that are not those of the tensors, without building it.

    Raises:
        UserError: tensors are missing, left over, or of another shape.
    """
    # A network on the meta device takes no memory, but time for each of its blocks.
    if config.stacks * sum(config.stage_blocks) > len(state):
        raise UserError(
            f"{source}: expected tensors of {config.stacks} stacks with "
            f"{sum(config.stage_blocks)} blocks each or more, found {len(state)} tensors; the "
            "file was not written by cornernet as it is"
        )
    with without_memory():
        wanted = Detector(config, classes).state_dict()
    check_state(wanted, state, source)


def check_classes(classes: list[Any], source: str) -> None:
    """Refuse class names that are not different texts.

    Raises:
        UserError: they are something else.
    """
    texts = [name for name in classes if isinstance(name, str) and name]
    if not classes or len(set(texts)) != len(classes):
        raise UserError(
            f"{source}: expected a different name for each class, found {_listed(classes)}; the "
            "file was not written by cornernet as it is"
        )


def check_metrics(metrics: Mapping[Any, Any], source: str) -> None:
    """Refuse metrics that are not numbers by name.

    Raises:
        UserError: they are something else.
    """
    for name, value in metrics.items():
        if not isinstance(name, str) or not isinstance(value, (int, float)):
            raise UserError(
                f"{source}: expected metrics to be numbers by name, found {_listed([name])}; the "
                "file was not written by cornernet as it is"
            )


def check_training(training: Any, source: str) -> None:
    """Refuse what is not the state of a run.

    Raises:
        UserError: an entry is missing or of another kind, or the weights are not finite.
    """
    kinds: dict[str, Any] = {"model": Mapping, "optimizer": Mapping, "scaler": Mapping,
                             "epoch": int, "step": int, "best": (int, float)}  # fmt: skip
    if not isinstance(training, Mapping):
        wrong = ["training"]
    else:
        wrong = [name for name, kind in kinds.items() if not isinstance(training.get(name), kind)]
    if wrong:
        raise UserError(
            f"{source}: expected the state of a run, found no right {', '.join(wrong)} in it; the "
            "file was not written by cornernet as it is"
        )
    check_tensors(training["model"], source)


def _holds_numbers(name: str, value: Any) -> bool:
    return isinstance(value, Tensor) and (
        value.is_floating_point() or name.endswith(".num_batches_tracked")
    )


def _listed(names: list[Any]) -> str:
    shown = ", ".join(reprlib.repr(name) for name in names[:_MOST_NAMED])
    return shown + (", …" if len(names) > _MOST_NAMED else "")
