"""What Tecorigin's model zoo asks of a contribution, made from a run: a directory to copy.

Its rules, as far as they are public: a README with environment, data, commands and results, the
requirements, scripts that start the training, and the losses beside those of a reference device.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from cornernet.errors import UserError
from cornernet.runtime.files import new_folder
from cornernet.train.agreement import (
    TOLERANCE,
    LossError,
    compare_losses,
    losses_pass,
    losses_summary,
    training_records,
    verdict,
)
from cornernet.train.log import read_records
from cornernet.train.run_directory import RunDirectory

# The zoo's logger, which is not on PyPI.
LOGGER = "git+https://github.com/Tecorigin/tcap_dllogger.git"


def write_contribution(
    run: str | Path,
    output: str | Path,
    source: str,
    environment: str,
    reference: str | Path | None = None,
    batch: Mapping[str, Any] | None = None,
    processes: int = 4,
) -> bool | None:
    """Write the directory of a contribution.

    Args:
        run: directory of the training on SDAA.
        output: the directory to make; must be new or empty.
        source: where pip installs this package from, with the commit.
        environment: what was installed, as `cornernet env` prints it.
        reference: directory of the same training on another device.
        batch: what `cornernet check` has written as JSON.
        processes: of the training.

    Returns:
        Whether the comparisons pass; None without any.

    Raises:
        UserError: a directory has no run, the output is taken, or the runs cannot be compared.
    """
    folder, target = RunDirectory(Path(run)), Path(output)
    records = training_records(run)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(
            f"must be a new or empty directory, but {target} is there; choose another",
            field="output",
        )
    errors = None if reference is None else compare_losses(records, training_records(reference))
    verdicts = []
    parts = []
    if errors is not None:
        verdicts.append(losses_pass(errors))
        parts.append(_losses_table(errors))
    if batch is not None:
        verdicts.append(bool(batch["passes"]))
        parts.append(_batch_paragraph(batch))
    best = max(
        (r for r in read_records(folder.path / "metrics.jsonl") if r["kind"] == "val"),
        key=lambda record: record.get("AP", -1.0),
        default=None,
    )
    readme = _template("README.md").removesuffix("\n")  # what is filled in ends with one
    try:
        with new_folder(target) as unfinished:
            scripts = unfinished / "run_scripts"
            scripts.mkdir()
            for name in ("run_cornernet.py", "argument.py", "test.sh"):
                (scripts / name).write_text(_script(name, processes))
            (unfinished / "requirements.txt").write_text(f"{source}\n{LOGGER}\n")
            (unfinished / "README.md").write_text(
                readme.format(
                    source=source,
                    environment=environment.strip(),
                    results=_results(best, max(records), len(records)),
                    comparison="\n".join(["", *parts]) if parts else "",
                )
            )
            shutil.copy(folder.config, unfinished / "config.yaml")
            for file in (folder.path / "metrics.jsonl", folder.curves):
                if file.is_file():
                    shutil.copy(file, unfinished / file.name)
            if errors is not None:
                assert reference is not None
                shutil.copy(Path(reference) / "metrics.jsonl", unfinished / "reference.jsonl")
                text = json.dumps([vars(error) for error in errors], indent=1)
                (unfinished / "losses.json").write_text(text + "\n")
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error}); choose another place") from None
    return all(verdicts) if verdicts else None


def _template(name: str) -> str:
    """The text of a file in templates/."""
    file = resources.files("cornernet.vendors.tecorigin") / "templates" / name
    return file.read_text(encoding="utf-8")


def _script(name: str, processes: int) -> str:
    """A script of the contribution, which starts as many processes as the run had."""
    return _template(name).replace("default=4", f"default={processes}")


def _results(best: Mapping[str, Any] | None, steps: int, lines: int) -> str:
    trained = (
        f"{steps} steps; `metrics.jsonl` has {lines} lines of losses, `curves.png` shows them."
    )
    if best is None:
        return f"Not evaluated. Trained for {trained}"
    return (
        "| AP | AP50 | AP75 |\n|---|---|---|\n"
        f"| {best['AP']:.3f} | {best['AP50']:.3f} | {best['AP75']:.3f} |\n\nTrained for {trained}"
    )


def _losses_table(errors: Sequence[LossError]) -> str:
    rows = "\n".join(
        f"| {error.name} | {error.mean:.4f} | {error.largest:.4f} (step {error.largest_step}) "
        f"| {error.signed_mean:.4f} |"
        for error in errors
    )
    return (
        "### Losses beside the reference device's\n\n"
        "| loss | mean absolute relative error | largest | mean signed relative error |\n"
        f"|---|---|---|---|\n{rows}\n\n{verdict(losses_pass(errors), losses_summary(errors))}. "
        "Signed errors cancel each other, so they do not count here.\n"
    )


def _batch_paragraph(batch: Mapping[str, Any]) -> str:
    text = (
        f"on {batch['device']} in {batch['precision']}, all gradients together are "
        f"{batch['gradient_error']:.2e} off, those of {batch['worst']} {batch['worst_error']:.2e}, "
        f"the total loss {batch['loss_error']:.2e}; wanted at most {batch['tolerance']:.3g} in the "
        f"gradients, where the CPU's own in {batch['precision']} are {batch['rounding']:.2e} off, "
        f"and {TOLERANCE} in the loss."
    )
    return (
        "### Gradients of one batch beside the CPU's in float32\n\n"
        f"{verdict(bool(batch['passes']), text)}\n"
    )
