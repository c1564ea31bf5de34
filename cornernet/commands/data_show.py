"""`cornernet data show`: contact sheets of a dataset."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cornernet.commands.common import apply_runtime, check_writable, inference_config
from cornernet.commands.parser import Command
from cornernet.config import Config, load_recipe
from cornernet.errors import UserError
from cornernet.runtime.text import say

if TYPE_CHECKING:
    from cornernet.data.coco import CocoDataset
    from cornernet.report.panels import Panel
    from cornernet.structures import Detections, Sample


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", metavar="DIR", help="dataset in any known layout")
    parser.add_argument("--output", required=True, metavar="FILE", help="image file to write")
    parser.add_argument(
        "--source",
        choices=("raw", "augmented", "targets", "worst"),
        default="raw",
        help="raw: images with their objects. augmented: what a network sees in training. targets: "
        "the same under the heat-maps that it learns. worst: the images in which --weights or "
        "--predictions err most, ground truth beside detections (default raw)",
    )
    parser.add_argument(
        "--split", choices=("train", "val"), help="default: val for worst, or train"
    )
    parser.add_argument("--images", type=int, default=16, help="how many (default 16)")
    parser.add_argument("--seed", type=int, default=0, help="chooses them (default 0)")
    parser.add_argument(
        "--base", default="tiny", metavar="RECIPE", help="recipe that would train (default tiny)"
    )
    parser.add_argument("--weights", metavar="WEIGHTS", help="detector, for worst")
    parser.add_argument(
        "--predictions", metavar="FILE", help="what evaluate --json has written, for worst"
    )
    parser.add_argument(
        "--device", default="auto", help="to detect on: auto, cpu, or a kind of accelerator"
    )


def run(arguments: argparse.Namespace, words: Sequence[str]) -> None:
    from cornernet.data.images import IMAGE_SUFFIXES
    from cornernet.report.sheet import save_sheet

    check_writable(arguments.output, IMAGE_SUFFIXES)
    if arguments.images < 1:
        raise UserError(f"must be at least 1, got {arguments.images}", field="images")
    if arguments.source == "worst":
        panels, cell = _worst(arguments, words), 640
    else:
        panels, cell = _chosen(arguments, load_recipe(arguments.base, words)), 320
    if not panels:
        say("no image has an error: nothing to show")
        return
    save_sheet(panels, Path(arguments.output), columns=2 if cell > 320 else 4, cell=cell)
    say(f"{arguments.output}: {len(panels)} images")


def _chosen(arguments: argparse.Namespace, config: Config) -> list[Panel]:
    """Images drawn at random, in one of the ways that need no detector."""
    import numpy as np

    from cornernet.data.loader import AugmentedDataset
    from cornernet.data.splits import training_splits
    from cornernet.report.panels import annotated, augmented

    training, validation = training_splits(config, arguments.root)
    dataset = validation if arguments.split == "val" else training
    order = np.random.default_rng(arguments.seed).permutation(len(dataset))
    indices = sorted(order[: arguments.images].tolist())
    if arguments.source == "raw":
        return [annotated(dataset, index) for index in indices]
    samples = []
    for index in indices:
        sample = AugmentedDataset(dataset, config)[0, index]
        if isinstance(sample, UserError):
            raise sample
        samples.append(sample)
    names = [dataset.info(index).file_name for index in indices]
    if arguments.source == "augmented":
        pairs = zip(samples, names, strict=True)
        return [augmented(sample, dataset.classes, name) for sample, name in pairs]
    return _with_targets(dataset, config, samples, names)


def _with_targets(
    dataset: CocoDataset, config: Config, samples: list[Sample], names: list[str]
) -> list[Panel]:

    from cornernet.data.loader import collate
    from cornernet.model.detector import Detector, without_memory
    from cornernet.report.panels import with_targets

    batch = collate(samples)
    with without_memory():  # no weights are needed
        model = Detector(config.model, len(dataset.classes))
    named = zip([part.name for part in model.parts], model.targets(batch, config.loss), strict=True)
    targets = dict(named)
    return [
        with_targets(sample, targets, place, dataset.classes, name)
        for place, (sample, name) in enumerate(zip(samples, names, strict=True))
    ]


def _worst(arguments: argparse.Namespace, words: Sequence[str]) -> list[Panel]:
    """The images with most errors, at the score where F1 is highest."""
    from cornernet.inference.matching import match_split
    from cornernet.inference.thresholds import best_thresholds
    from cornernet.inference.worst import worst_images
    from cornernet.report.panels import beside_truth

    dataset, found = _detected(arguments, words)
    matches = match_split(dataset, found)
    threshold = best_thresholds(matches, dataset.classes).score
    panels = []
    for errors in worst_images(matches, threshold, arguments.images):
        item = found.get(dataset.info(errors.image).id)
        above = None if item is None else item.select(item.scores >= threshold)
        caption = f"{errors.missed} missed, {errors.false} false, score from {threshold:.2f}"
        panels.append(beside_truth(dataset, errors.image, above, caption))
    return panels


def _detected(
    arguments: argparse.Namespace, words: Sequence[str]
) -> tuple[CocoDataset, dict[int, Detections]]:
    """A split and the detections in it, of a detector or from a file."""
    from cornernet.data.splits import evaluation_split, training_splits
    from cornernet.inference.evaluate import detect_split
    from cornernet.inference.results import read_results
    from cornernet.model.fuse import FusedDetector
    from cornernet.runtime.device import resolve_device
    from cornernet.runtime.terminal import console, image_progress
    from cornernet.weights.file import load_weights

    if bool(arguments.weights) == bool(arguments.predictions):
        raise UserError("must be given for the worst images, or else predictions", field="weights")
    if arguments.predictions:
        training, validation = training_splits(load_recipe(arguments.base, words), arguments.root)
        dataset = training if arguments.split == "train" else validation
        return dataset, read_results(Path(arguments.predictions), dataset)
    weights = load_weights(arguments.weights)
    config = inference_config(weights.config, words)
    apply_runtime(config)
    dataset = evaluation_split(config, arguments.root, arguments.split, weights.classes)
    model = FusedDetector(weights.build_model().to(resolve_device(arguments.device)))
    with image_progress("images", len(dataset), console(error=True)) as done:
        return dataset, detect_split(model, dataset, config, progress=done)


COMMAND = Command(
    "show",
    "Write a sheet of images of a dataset: as annotated, as a network sees them, under the "
    "heat-maps that it learns, or those in which a detector errs most.",
    add_arguments,
    run,
    takes_settings=True,
)
