"""What a run that goes on may change, and what the change does."""

from __future__ import annotations

import dataclasses
from typing import Any

from cornernet.config import VERSION, Config
from cornernet.errors import UserError
from cornernet.train.run_directory import Checkpoint
from cornernet.train.schedule import learning_rate

# Settings that change how a run is done, not what it computes; `train.init` acts at the start only.
# `train.micro_batch` is for the memory of other devices; it changes what BatchNorm sees.
_FREE_SETTINGS = {
    "data.workers", "data.strict", "train.init", "train.log_every", "train.eval_every",
    "train.patience", "train.log_to", "train.micro_batch", "train.checkpoint_activations",
    "train.checkpoint_minutes", "train.keep_checkpoints", "train.timeout_minutes",
    "test.batch_size", "test.evaluator", "runtime.threads", "runtime.max_megapixels",
    "data.on_error", "data.max_skipped",
}  # fmt: skip

# The fact of a checkpoint that keeps what `train.batch_size` was in a run of `Config.version` 1, so
# that the command which started it goes on continuing it.
OLD_BATCH = "batch_size_per_process"


def continued(
    config: Config, checkpoint: Checkpoint | None, processes: int
) -> tuple[Config, list[str]]:
    """The settings that a run goes on with.

    Args:
        config: as given; of version 1 where it comes from an old run's directory.
        checkpoint: from which the run goes on; None where there is none yet.
        processes: of the run from now on.

    Returns:
        The settings, and what to tell of how they differ from the run's before.

    Raises:
        UserError: a setting differs that changes what the rest of the run computes.
    """
    if checkpoint is None:
        return _joint(config, config.train.batch_size, processes)
    training = checkpoint.training
    old = checkpoint.weights.config
    notes: list[str] = []
    per_process = training.get(OLD_BATCH)
    if old.version == 1:
        per_process = old.train.batch_size
        # Before there were states of processes, nothing says how many there were.
        old, notes = _joint(old, per_process, len(training.get("processes", ())) or processes)
    if per_process == config.train.batch_size:
        train = dataclasses.replace(config.train, batch_size=old.train.batch_size)
        config = dataclasses.replace(config, train=train)
    config = dataclasses.replace(config, version=VERSION)
    _check_settings(old, config)
    return config, notes + _changes(checkpoint, old, config, processes)


def facts(steps_per_epoch: int, checkpoint: Checkpoint | None) -> dict[str, Any]:
    """What each checkpoint of a run says of it."""
    known: dict[str, Any] = {"steps_per_epoch": steps_per_epoch}
    if checkpoint is not None:
        per_process = checkpoint.training.get(OLD_BATCH)
        if checkpoint.weights.config.version == 1:
            per_process = checkpoint.weights.config.train.batch_size
        if per_process is not None:
            known[OLD_BATCH] = per_process
    return known


def _joint(config: Config, per_process: int, processes: int) -> tuple[Config, list[str]]:
    """Settings of version 1 as those of today, and what to tell of it."""
    if config.version != 1:
        return config, []
    number = per_process * processes
    train = dataclasses.replace(config.train, batch_size=number)
    note = (
        f"this run was started when train.batch_size was the images of each process: "
        f"{per_process} on {processes} process(es) are {number} together"
    )
    return dataclasses.replace(config, train=train, version=VERSION), [note]


def _check_settings(old: Config, new: Config) -> None:
    """Refuse settings that would change what the rest of a run computes; list both values."""
    changes = _differences(old.to_dict(), new.to_dict())
    if new.train.epochs > old.train.epochs:
        changes.pop("train.epochs", None)
    if changes:
        raise UserError(
            "must continue with the settings the run was started with, found "
            + "; ".join(f"{key}: {old!r} → {new!r}" for key, (old, new) in changes.items())
            + "; undo these changes, or start a new run in another directory",
            field="resume",
        )


def _differences(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Settings that differ and matter, by dotted name."""
    found = {}
    for section, values in old.items():
        if not isinstance(values, dict):
            continue
        for key, value in values.items():
            name = f"{section}.{key}"
            if value != new[section][key] and name not in _FREE_SETTINGS:
                found[name] = (value, new[section][key])
    return found


def _changes(checkpoint: Checkpoint, before: Config, config: Config, processes: int) -> list[str]:
    """What to tell of how a run goes on."""
    notes = [f"{reason}; going on from {checkpoint.path}" for reason in checkpoint.damaged]
    old, new = before.train, config.train
    if new.epochs > old.epochs:
        effect = "the learning rate follows the same schedule"
        if new.schedule == "cosine":
            step = checkpoint.training["step"]
            steps = checkpoint.steps_per_epoch
            rates = [learning_rate(step, steps, train) for train in (old, new)]
            effect = (
                "the learning rate falls along the cosine of all epochs from here on: it is "
                f"{rates[1]:.3g} at the next step, where the cosine of {old.epochs} epochs has "
                f"{rates[0]:.3g}; a run started with {new.epochs} epochs would be elsewhere"
            )
        notes.append(f"train.epochs is raised from {old.epochs} to {new.epochs}; {effect}")
    changed = []
    number = len(checkpoint.training.get("processes", ())) or processes
    if number != processes:
        changed.append(f"{processes} process(es) instead of {number}")
    if new.micro_batch != old.micro_batch:
        changed.append(f"train.micro_batch {new.micro_batch} instead of {old.micro_batch}")
    if changed:
        effect = "the result is the same but for rounding"
        if not config.model.freeze_batch_norm:
            effect += ", where BatchNorm still normalises the same images together"
        notes.append(f"going on with {' and '.join(changed)}; {effect}")
    return notes
