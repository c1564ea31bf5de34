"""Whether a device trains as another one does: the losses of two runs, the gradients of one batch.

Losses drift apart in time, as rounding grows from step to step; gradients of one batch do not, so
they show an error that losses hide. In both, errors count by their size: in a mean of signed
errors, as it is common, half of the steps may be too high if the others are as much too low.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from cornernet.config import Config
from cornernet.data.coco import CocoDataset
from cornernet.data.loader import training_batches
from cornernet.data.splits import training_splits
from cornernet.errors import UserError
from cornernet.model.detector import TOTAL
from cornernet.runtime.distributed import World
from cornernet.train.log import read_records
from cornernet.train.start import resolved
from cornernet.train.trainer import Trainer

# The relative error up to which a device passes.
TOLERANCE = 0.05


@dataclass(frozen=True)
class LossError:
    """How far one loss of a run is off another run's, over the steps that both have logged.

    Args:
        name: of the loss.
        steps: how many lines of the logs were compared.
        mean: of the relative errors' absolute values.
        largest: of these.
        largest_step: where it was.
        signed_mean: of the relative errors; common, and too kind.
    """

    name: str
    steps: int
    mean: float
    largest: float
    largest_step: int
    signed_mean: float


def training_records(run: str | Path) -> dict[int, dict[str, Any]]:
    """The lines about training of a run's metrics.jsonl, by step.

    Raises:
        UserError: there are none.
    """
    path = Path(run) / "metrics.jsonl"
    records = {r["step"]: r for r in read_records(path) if r["kind"] == "train"}
    if not records:
        found = "none in it" if path.is_file() else "no such file"
        raise UserError(
            f"{path}: expected the losses of a run, found {found}; name the directory of a training"
        )
    return records


def compare_losses(
    run: dict[int, dict[str, Any]], reference: dict[int, dict[str, Any]]
) -> list[LossError]:
    """Compare the losses that two runs have logged, one entry for each loss.

    Raises:
        UserError: they have no step in common, or a loss is not finite.
    """
    steps = sorted(run.keys() & reference.keys())
    if not steps:
        raise UserError(
            f"expected runs that log the same steps, found steps from {min(run)} to {max(run)} and "
            f"from {min(reference)} to {max(reference)} with none in common; use the same "
            "train.log_every, batch and number of processes"
        )
    errors = []
    for name in _loss_names(run[steps[0]], reference[steps[0]]):
        pairs = [(run[step][f"loss/{name}"], reference[step][f"loss/{name}"]) for step in steps]
        bad = [step for step, pair in zip(steps, pairs, strict=True) if None in pair]
        if bad:
            raise UserError(
                f"expected finite losses, found another loss/{name} at step {bad[0]}; such runs "
                "cannot be compared"
            )
        signed = [_relative(one, other) for one, other in pairs]
        sizes = [abs(error) for error in signed]
        largest = max(range(len(steps)), key=sizes.__getitem__)
        errors.append(
            LossError(
                name,
                len(steps),
                math.fsum(sizes) / len(steps),
                sizes[largest],
                steps[largest],
                math.fsum(signed) / len(steps),
            )
        )
    return errors


def _loss_names(record: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of the losses that two lines hold.

    Raises:
        UserError: they hold different ones.
    """
    names, others = (
        [key.removeprefix("loss/") for key in line if key.startswith("loss/")]
        for line in (record, other)
    )
    if set(names) != set(others):
        raise UserError(
            f"expected runs with the same losses, found {', '.join(names)} and "
            f"{', '.join(others)}; compare runs of one network"
        )
    return names


def _relative(value: float, reference: float) -> float:
    if value == reference:
        return 0.0
    return (value - reference) / abs(reference) if reference else math.copysign(math.inf, value)


@dataclass(frozen=True)
class BatchComparison:
    """What a device computes for the first batch of a recipe, against the CPU in float32.

    Args:
        device: that was compared.
        precision: that it computed in.
        losses: by name: the device's and the CPU's.
        gradient_error: norm of the difference of all gradients over the norm of the CPU's.
        worst: name of the parameter whose gradient differs most, of those that carry at least a
            thousandth of the gradient.
        worst_error: its relative error.
        rounding: the same as `gradient_error`, of the CPU in the device's precision; 0 for fp32.
    """

    device: str
    precision: str
    losses: dict[str, tuple[float, float]]
    gradient_error: float
    worst: str
    worst_error: float
    rounding: float

    @property
    def tolerance(self) -> float:
        """Up to which the gradients pass. Rounding grows on its way back through the layers: the
        CPU's own float16 may be more than `TOLERANCE` off. Zeros, which are 1 off, never pass."""
        return min(max(TOLERANCE, 2 * self.rounding), 0.5)

    @property
    def loss_error(self) -> float:
        """The relative error of the total loss."""
        return abs(_relative(*self.losses[TOTAL]))

    def summary(self) -> dict[str, Any]:
        """All of it as plain data, with the verdict."""
        return {
            **vars(self),
            "loss_error": self.loss_error,
            "tolerance": self.tolerance,
            "passes": passes([self.loss_error]) and self.gradient_error <= self.tolerance,
        }


def compare_batch(config: Config, data: str | Path, world: World) -> BatchComparison:
    """Compute losses and gradients of a recipe's first batch on a device and on the CPU.

    Args:
        config: the recipe; `train.precision` holds for the device, the CPU computes in float32.
        data: a COCO folder.
        world: one process and its device.

    Raises:
        UserError: bad data; or no gradient to compare.
    """
    split, _ = training_splits(config, data)
    config = resolved(config, split)
    if config.train.micro_batch:  # no more images than go through the network at a time
        number = min(config.train.batch_size, config.train.micro_batch)
        config = dataclasses.replace(
            config, train=dataclasses.replace(config.train, batch_size=number)
        )
    exact = dataclasses.replace(config, train=dataclasses.replace(config.train, precision="fp32"))
    precision, losses, found = _first_batch(config, split, world)
    _, wanted_losses, wanted = _first_batch(exact, split, World(torch.device("cpu")))
    whole = _norm(wanted.values())
    if not whole > 0:
        raise UserError(f"{data}: expected a batch with a gradient, found zeros only")
    rounding = 0.0
    if precision != "fp32":
        same = dataclasses.replace(config.train, precision=cast(Any, precision))
        rounded = _first_batch(
            dataclasses.replace(config, train=same), split, World(torch.device("cpu"))
        )[2]
        rounding = _norm(rounded[name] - gradient for name, gradient in wanted.items()) / whole
    errors = {
        name: float((found[name] - gradient).norm() / gradient.norm())
        for name, gradient in wanted.items()
        if gradient.norm() >= 1e-3 * whole
    }
    worst = max(errors, key=errors.__getitem__)
    return BatchComparison(
        str(world.device),
        precision,
        {name: (loss, wanted_losses[name]) for name, loss in losses.items()},
        _norm(found[name] - gradient for name, gradient in wanted.items()) / whole,
        worst,
        errors[worst],
        rounding,
    )


def _norm(tensors: Any) -> float:
    return math.sqrt(math.fsum(float(tensor.double().square().sum()) for tensor in tensors))


def _first_batch(
    config: Config, split: CocoDataset, world: World
) -> tuple[str, dict[str, float], dict[str, torch.Tensor]]:
    """The precision computed in, the losses and the gradients by name, on the CPU."""
    trainer = Trainer(config, world)
    batch = next(training_batches(split, config)[0]).to(world.device)
    trainer.model.train()
    while True:
        losses = trainer.backward(batch).tolist()
        trainer.scaler.unscale_(trainer.optimizer)
        learnt = trainer.model.named_parameters()
        gradients = {name: weight.grad.cpu() for name, weight in learnt if weight.grad is not None}
        finite = all(bool(gradient.isfinite().all()) for gradient in gradients.values())
        if finite or not trainer.scaler.is_enabled() or trainer.scaler.get_scale() < 1:
            by_name = dict(zip(trainer.model.loss_names, losses, strict=True))
            return trainer.precision, by_name, gradients
        # The first scale of float16 is too large for the first gradients; as in a run, the scaler
        # leaves such a step out and scales less.
        trainer.scaler.step(trainer.optimizer)
        trainer.scaler.update()
        trainer.optimizer.zero_grad()


def passes(errors: Sequence[float]) -> bool:
    """Whether all relative errors are numbers within the tolerance."""
    return all(error <= TOLERANCE for error in errors)


def verdict(passed: bool, text: str) -> str:
    """A sentence on a comparison that begins with whether it passes."""
    return f"{'passes' if passed else 'FAILS'}: {text}"


def losses_pass(errors: Sequence[LossError]) -> bool:
    """Whether the total loss is near the reference's, step by step."""
    return passes([error.mean for error in errors if error.name == TOTAL])


def losses_summary(errors: Sequence[LossError]) -> str:
    """How far the total loss is off, and how far it may be."""
    total = next(error for error in errors if error.name == TOTAL)
    return (
        f"the mean of the total loss's absolute relative errors is {total.mean:.4f} over "
        f"{total.steps} lines, wanted at most {TOLERANCE}"
    )
