"""What several commands share: arguments, files to write, verdicts."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cornernet.config import Config, RuntimeConfig, with_overrides
from cornernet.errors import UserError
from cornernet.runtime import files
from cornernet.runtime.text import say

_NO_PATHS: dict[str, Any] = dict.fromkeys(
    ("train_annotations", "train_images", "val_annotations", "val_images"), ""
)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the argument `--device`."""
    parser.add_argument(
        "--device",
        default="auto",
        help="auto, cpu, or a kind of accelerator such as sdaa, with or without :index",
    )


class _Factors(argparse.Action):
    """Stores "0.5,1" as the list that the setting takes."""

    def __call__(self, parser: Any, namespace: Any, value: Any, flag: Any = None) -> None:
        try:
            factors = [float(word) for word in value.split(",")]
        except ValueError:
            raise UserError(f"{flag} must be factors such as 0.5,1,1.5, got {value!r}") from None
        setattr(namespace, self.dest, json.dumps(factors))


def add_inference(parser: argparse.ArgumentParser) -> None:
    """Add the arguments about how a trained network is run."""
    parser.add_argument(
        "--flip",
        dest="test.flip",
        action="store_const",
        const="true",
        help="also use the mirrored image",
    )
    parser.add_argument(
        "--scales",
        dest="test.scales",
        metavar="FACTOR,…",
        action=_Factors,
        help="sizes at which to look at each image, such as 0.5,0.75,1,1.25,1.5",
    )
    parser.add_argument(
        "--batch-size", dest="test.batch_size", metavar="N", help="images to run together"
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "auto", "bf16", "fp16"),
        default="fp32",
        help="of weights and activations (default fp32; auto: bf16 where the device has it)",
    )
    parser.add_argument(
        "--compile", action="store_true", help="use torch.compile; pays for many images"
    )
    add_device(parser)


def inference_config(stored: Config, settings: Sequence[str]) -> Config:
    """The configuration in a weights file, for this machine and with settings changed.

    What is about the machine that trained is not taken over: the section runtime, and the paths of
    the dataset that was learnt, which say nothing about another.
    """
    data = dataclasses.replace(stored.data, **_NO_PATHS)
    config = dataclasses.replace(stored, runtime=RuntimeConfig(), data=data)
    return with_overrides(config, settings)


def apply_runtime(config: Config) -> None:
    """Use the machine as the section runtime says."""
    from cornernet.data.images import limit_image_size
    from cornernet.runtime.threads import apply_threads

    apply_threads(config.runtime.threads)
    limit_image_size(config.runtime.max_megapixels)


def check_writable(file: str | None, suffixes: Sequence[str] = (), made: str | None = None) -> None:
    """Refuse a file that cannot be written before work is put into its contents.

    Args:
        file: its name; None is none.
        suffixes: that it may have; by default any.
        made: a directory that is made once all arguments are known to be right.
    """
    if file is None:
        return
    directory = Path(file).resolve().parent
    ready = directory.is_dir() and os.access(directory, os.W_OK)
    if not ready and (made is None or Path(made).resolve() != directory):
        raise UserError(
            f"{file}: expected an existing, writable directory, found none; make {directory}"
        )
    if Path(file).is_dir():
        raise UserError(f"{file}: expected the name of a file, found a directory")
    if suffixes and Path(file).suffix.lower() not in suffixes:
        raise UserError(f"{file}: expected a name that ends in one of {', '.join(suffixes)}")


def write_json(file: str, content: Any) -> None:
    """Write plain data as JSON, whole or not at all."""
    files.write_json(Path(file), content, indent=1)


def conclude(passed: bool, text: str) -> int:
    """Print the last line of a comparison and return the exit status that goes with it."""
    from cornernet.train.agreement import verdict

    say(verdict(passed, text))
    return 0 if passed else 1
