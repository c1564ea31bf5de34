"""`cornernet convert`: weights of other programs into ours, or ours into theirs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from cornernet.commands.common import check_writable
from cornernet.commands.parser import Command
from cornernet.errors import UserError
from cornernet.runtime.text import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="checkpoint of MMDetection 2.x or 3.x, the original's .pkl, or weights of cornernet",
    )
    parser.add_argument("--output", required=True, metavar="FILE", help="file to write")
    parser.add_argument(
        "--to-mmdet", action="store_true", help="write MMDetection's layout instead of ours"
    )
    parser.add_argument(
        "--classes", metavar="NAME,…", help="names by label, where the file lacks the right ones"
    )
    parser.add_argument(
        "--state",
        choices=("state_dict", "ema_state_dict"),
        help="which weights to take; by default state_dict, under which MMEngine keeps the "
        "average where there is one",
    )
    parser.add_argument(
        "--allow-partial",
        action="store_true",
        help="initialise what is missing or does not fit, leave out what is left over",
    )
    parser.add_argument(
        "--half",
        action="store_true",
        help="write floats of 16 bits: half the size, values rounded to 11 bits",
    )


def run(arguments: argparse.Namespace, _: Sequence[str]) -> None:

    from cornernet.model.detector import Detector, count_parameters, without_memory
    from cornernet.weights.file import halved, read_weights, save_atomically, save_weights
    from cornernet.weights.foreign import to_mmdet

    check_writable(arguments.output)
    output, source = Path(arguments.output), Path(arguments.source)
    if output.exists() and source.exists() and output.samefile(source):
        raise UserError(
            f"must be another file than the source: {source} would be written over", field="output"
        )
    weights, notes = read_weights(
        source,
        state=arguments.state,
        classes=arguments.classes.split(",") if arguments.classes is not None else None,
        allow_partial=arguments.allow_partial,
    )
    with without_memory():
        parameters = count_parameters(Detector(weights.config.model, len(weights.classes)))
    if arguments.half:
        weights.state_dict = halved(weights.state_dict, str(source))
    tensors = weights.state_dict
    if arguments.to_mmdet:
        content, said = to_mmdet(tensors, weights.config.model, weights.classes, str(source))
        notes += said
        tensors = content["state_dict"]
        save_atomically(content, output)
    else:
        weights.training = None
        save_weights(weights, output)
    for note in notes:
        say(note)
    say(
        f"{output}: {len(tensors)} tensors, {parameters:,} parameters, "
        f"{weights.config.model.stacks} stack(s), {len(weights.classes)} classes"
    )


COMMAND = Command(
    "convert",
    "Turn weights of MMDetection or the original repository into ours, or ours into theirs.",
    add_arguments,
    run,
)
