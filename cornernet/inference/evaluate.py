"""Detections over a split, and COCO's metrics of them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cornernet.config import Config
from cornernet.data.coco import CocoDataset
from cornernet.errors import NAMELESS, UserError
from cornernet.inference.detect import Network, seen_by
from cornernet.inference.stream import detect_stream
from cornernet.inference.views import canvas_size, pad_multiple, view_size
from cornernet.runtime.distributed import World
from cornernet.structures import Detections

# The twelve numbers of COCO in the order in which pycocotools gives them.
METRICS = (
    "AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl",
)  # fmt: skip
# Those that are given for each class.
CLASS_METRICS = METRICS[:6]


@dataclass
class Evaluation:
    """COCO's metrics of a split.

    Attributes:
        metrics: the numbers of `METRICS`, in 0..1; -1 where the data holds no such object.
        class_metrics: class name → the numbers of `CLASS_METRICS`, the same for one class.
    """

    metrics: dict[str, float]
    class_metrics: dict[str, dict[str, float]]

    @property
    def class_ap(self) -> dict[str, float]:
        """Class name → AP over IoU 0.50 to 0.95; -1 where the data holds none."""
        return {name: metrics["AP"] for name, metrics in self.class_metrics.items()}


def _by_canvas(
    dataset: CocoDataset, indices: Sequence[int], config: Config, multiple: int
) -> list[int]:
    """Indices in an order in which images with canvases of one size are neighbours."""

    def key(index: int) -> list[tuple[int, int]]:
        info = dataset.info(index)
        size = (info.height, info.width)
        scales = config.test.scales
        return [canvas_size(view_size(size, config, scale), multiple) for scale in scales]

    return sorted(indices, key=key)


def detect_split(
    model: Network,
    dataset: CocoDataset,
    config: Config,
    indices: Sequence[int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[int, Detections]:
    """Detections of a split's images, by image id.

    Args:
        model: on any device.
        dataset: the split.
        config: sections data and test.
        indices: which images; by default all.
        progress: called with the number of images just done.

    Returns:
        Without images that could not be read and are left out.

    Raises:
        UserError: an image cannot be read, or is too large for the memory.
    """
    found: dict[int, Detections] = {}
    chosen = range(len(dataset)) if indices is None else indices
    seen = seen_by(model, config)
    order = _by_canvas(dataset, chosen, seen, pad_multiple(seen, model.size_multiple))
    for result in detect_stream(model, order, lambda index: dataset.load(index).image, config):
        info = dataset.info(result.item)
        if isinstance(result.error, NAMELESS):
            raise type(result.error)(f"{info.path}: {result.error}")
        if result.error is not None:
            dataset.faults.skip(result.error)
        else:
            assert result.detections is not None
            found[info.id] = result.detections
        if progress is not None:
            progress(1)
    return found


def coco_results(
    found: Mapping[Any, Detections], category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Detections in COCO's result format: image_id, category_id, bbox [x, y, w, h], score."""
    results = []
    for image_id, detections in found.items():
        for box, score, label in zip(
            detections.boxes.tolist(),
            detections.scores.tolist(),
            detections.labels.tolist(),
            strict=True,
        ):
            x1, y1, x2, y2 = box
            results.append(
                {
                    "image_id": image_id,
                    "category_id": category_ids[label],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": score,
                }
            )
    return results


def check_evaluator(name: str) -> None:
    """Refuse an evaluator that is not installed.

    Args:
        name: `test.evaluator`.

    Raises:
        UserError: its package is missing.
    """
    try:
        _evaluator(name)
    except ImportError:
        raise UserError(
            f"is {name}, which is not installed; run pip install {name}, or set it to pycocotools",
            field="test.evaluator",
        ) from None


def _evaluator(name: str) -> tuple[Any, Any]:
    """The classes that hold annotations and evaluate them, which are called alike."""
    if name == "faster-coco-eval":
        from faster_coco_eval import COCO as FasterCOCO
        from faster_coco_eval import COCOeval_faster

        return FasterCOCO, COCOeval_faster
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return COCO, COCOeval


def coco_evaluation(
    dataset: CocoDataset,
    results: list[dict[str, Any]],
    evaluator: str = "pycocotools",
    images: Collection[int] | None = None,
) -> Evaluation:
    """COCO's numbers for results in COCO's format.

    Args:
        dataset: whose annotations are the truth; only its images count.
        results: see `coco_results`.
        evaluator: see `test.evaluator`.
        images: ids of the images that count; None: all of `dataset`.
    """
    coco, evaluation = _evaluator(evaluator)
    truth, found = coco(), coco()
    truth.dataset = dataset.ground_truth()
    found.dataset = {
        "images": truth.dataset["images"],
        "categories": truth.dataset["categories"],
        "annotations": [
            {"id": i + 1, "iscrowd": 0, "area": item["bbox"][2] * item["bbox"][3]} | item
            for i, item in enumerate(results)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found.createIndex()
        evaluated = evaluation(truth, found, "bbox")
        ids = (dataset.info(index).id for index in range(len(dataset)))
        evaluated.params.imgIds = [id for id in ids if images is None or id in images]
        evaluated.params.catIds = sorted(dataset.category_ids)
        evaluated.evaluate()
        evaluated.accumulate()
        evaluated.summarize()
    # [IoU thresholds, recall steps, categories, area ranges]
    precision = evaluated.eval["precision"][..., -1]
    class_metrics = {
        name: _class_metrics(precision[:, :, evaluated.params.catIds.index(category)])
        for name, category in zip(dataset.classes, dataset.category_ids, strict=True)
    }
    numbers = [float(value) for value in evaluated.stats[: len(METRICS)]]
    return Evaluation(dict(zip(METRICS, numbers, strict=True)), class_metrics)


def _class_metrics(precision: np.ndarray) -> dict[str, float]:
    """The numbers of `CLASS_METRICS` from one class's precision.

    Args:
        precision: `[10, 101, 4]`: IoU 0.50 to 0.95, recall, areas (all, small, medium, large).
    """
    whole = precision[..., 0]
    parts = (whole, whole[0], whole[5], *(precision[..., area] for area in (1, 2, 3)))
    found = {}
    for name, part in zip(CLASS_METRICS, parts, strict=True):
        values = part[part > -1]
        found[name] = float(np.mean(values)) if len(values) else -1.0
    return found


def evaluate(
    model: Network,
    dataset: CocoDataset,
    config: Config,
    world: World,
    progress: Callable[[int], None] | None = None,
) -> tuple[Evaluation | None, dict[int, Detections]]:
    """Detect a split with all processes together and evaluate it in the first.

    Returns:
        The evaluation and all detections in the first process; None and this process's detections
        in the others.
    """
    share = range(world.rank, len(dataset), world.size)
    found = detect_split(model, dataset, config, share, progress)
    if world.size > 1:
        gathered: list[Any] = [None] * world.size
        torch.distributed.all_gather_object(gathered, found)
        found = {image_id: item for part in gathered for image_id, item in part.items()}
    if not world.is_main:
        return None, found
    results = coco_results(found, dataset.category_ids)
    return coco_evaluation(dataset, results, config.test.evaluator, found.keys()), found
