"""`cornernet evaluate`: COCO's metrics of weights on a split."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cornernet.commands.common import (
    add_inference,
    apply_runtime,
    check_writable,
    inference_config,
    write_json,
)
from cornernet.commands.parser import Command
from cornernet.runtime.text import say, shown, shown_metric

if TYPE_CHECKING:
    from cornernet.data.coco import CocoDataset
    from cornernet.inference.evaluate import Evaluation
    from cornernet.structures import Detections


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "weights", metavar="WEIGHTS", help="weights file, such as best.pt, or .onnx"
    )
    parser.add_argument("--data", required=True, metavar="DIR", help="as for train")
    parser.add_argument("--split", help="default: the one the weights were validated on")
    add_inference(parser)
    parser.add_argument("--json", metavar="FILE", help="write detections in COCO's format")
    parser.add_argument("--metrics", metavar="FILE", help="write the numbers as JSON")


def run(arguments: argparse.Namespace, words: Sequence[str]) -> None:
    from rich.table import Table

    from cornernet.inference.evaluate import coco_results
    from cornernet.inference.matching import match_split
    from cornernet.inference.thresholds import best_thresholds
    from cornernet.runtime.terminal import console

    for file in (arguments.json, arguments.metrics):
        check_writable(file)
    dataset, evaluation, found = evaluate_file(arguments.weights, arguments, words)
    if arguments.json:
        write_json(arguments.json, dataset.as_given(coco_results(found, dataset.category_ids)))
    if arguments.metrics:
        write_json(arguments.metrics, evaluation.metrics)
    for note in dataset.notes:
        say(note)
    title = shown(dataset.annotation_path.name)
    table = Table("class", "boxes", "AP", title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    counts = dataset.summary()
    for category, value in evaluation.class_ap.items():
        table.add_row(shown(category), str(counts[f"class {category}"]), shown_metric(value))
    console().print(table)
    for metric, value in evaluation.metrics.items():
        say(f"{metric:<6}{shown_metric(value)}")
    best = best_thresholds(match_split(dataset, found), dataset.classes).overall
    if best is not None:
        say(f"F1 is highest for detections that score at least {best:g}")


def evaluate_file(
    file: str | Path, arguments: argparse.Namespace, words: Sequence[str]
) -> tuple[CocoDataset, Evaluation, dict[int, Detections]]:
    """Evaluate weights, or an exported graph, as a command's arguments say.

    Args:
        file: what `CornerNet.from_pretrained` reads.
        arguments: `data`, `split`, and those of `add_inference`.
        words: that change settings.

    Returns:
        The split, COCO's numbers of it and all detections by image id.
    """
    from cornernet.api import CornerNet
    from cornernet.data.splits import evaluation_split
    from cornernet.inference.evaluate import check_evaluator, evaluate
    from cornernet.runtime.distributed import World
    from cornernet.runtime.terminal import console, image_progress

    detector = CornerNet.from_pretrained(file, arguments.device)
    config = detector.config = inference_config(detector.config, words)
    apply_runtime(config)
    check_evaluator(config.test.evaluator)
    dataset = evaluation_split(config, arguments.data, arguments.split, detector.classes)
    model = detector.optimize(arguments.precision, arguments.compile).model
    name = shown(dataset.annotation_path.name)
    with image_progress(name, len(dataset), console()) as done:
        evaluation, found = evaluate(model, dataset, config, World(model.device), progress=done)
    assert evaluation is not None  # there is one process
    return dataset, evaluation, found


COMMAND = Command(
    "evaluate",
    "Compute COCO's twelve numbers on a split.",
    add_arguments,
    run,
    takes_settings=True,
    epilog="Settings as for train act here too, such as --test.scales '[0.5, 1, 1.5]'.",
)
