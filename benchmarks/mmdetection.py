"""MMDetection's own CornerNet as a contender, where mmdet is importable (see install_mmdet.py)."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

RECIPE = "cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco.py"
# Of the pictures that its training reads from files.
_READING = ("LoadImageFromFile", "LoadAnnotations")


@functools.cache
def available() -> bool:
    """Whether mmdet with its CornerNet can be imported; a warning says what is wrong with it."""
    if importlib.util.find_spec("mmdet") is None:
        return False
    try:
        _config()
    except Exception as error:  # version checks, compiled parts, missing dependencies
        warnings.warn(
            f"mmdet is installed and cannot be compared with: {type(error).__name__}: {error}",
            UserWarning,
            stacklevel=2,
        )
        return False
    return True


@functools.cache
def _config() -> Any:
    import mmcv.ops  # noqa: F401
    import mmdet
    from mmdet.utils import register_all_modules
    from mmengine.config import Config

    register_all_modules()
    return Config.fromfile(Path(mmdet.__file__).parent / ".mim" / "configs" / RECIPE)


def detector(state: dict[str, Tensor], device: torch.device) -> Any:
    """Its CornerNet with Hourglass-104, with weights in its own layout."""
    from mmdet.registry import MODELS

    model = MODELS.build(_config().model)
    model.load_state_dict(state, strict=False)
    return model.to(device)


@functools.cache
def _head(num_classes: int) -> Any:
    """Its head, for the functions around the network that it holds."""
    from mmdet.registry import MODELS

    settings = dict(_config().model.bbox_head, num_classes=num_classes)
    return MODELS.build(settings | {"test_cfg": _config().model.test_cfg})


def decode(
    tl_heat: Tensor,
    br_heat: Tensor,
    tl_embedding: Tensor,
    br_embedding: Tensor,
    tl_offset: Tensor,
    br_offset: Tensor,
    *,
    topk: int,
    max_pairs: int,
    distance_threshold: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes in cells, scores and labels from its `_decode_heatmap`, of maps of logits."""
    boxes, scores, labels = _head(tl_heat.shape[1])._decode_heatmap(
        tl_heat.sigmoid(),
        br_heat.sigmoid(),
        tl_offset,
        br_offset,
        tl_embedding,
        br_embedding,
        img_meta={"batch_input_shape": tuple(tl_heat.shape[2:])},
        k=topk,
        kernel=3,
        distance_threshold=distance_threshold,
        num_dets=max_pairs,
    )
    return boxes, scores.flatten(1), labels.flatten(1)


def targets(
    boxes: list[Tensor], labels: list[Tensor], num_classes: int, cells: int, pixels: int
) -> dict[str, Any]:
    """What its `get_targets` makes of a batch's boxes in pixels."""
    shape = (len(boxes), num_classes, cells, cells)
    found: dict[str, Any] = _head(num_classes).get_targets(
        boxes, labels, shape, (pixels, pixels), with_corner_emb=True
    )
    return found


def soft_nms(
    boxes: Tensor, scores: Tensor, labels: Tensor, *, sigma: float, min_score: float
) -> tuple[Tensor, Tensor]:
    """Its boxes with their scores, from the best on, [K, 5], and the indices of these."""
    from mmcv.ops import batched_nms

    settings = {"type": "soft_nms", "method": "gaussian", "sigma": sigma, "min_score": min_score}
    found: tuple[Tensor, Tensor] = batched_nms(boxes, scores, labels, settings)
    return found


def _pipeline(steps: list[Any], without: tuple[str, ...]) -> Any:
    from mmcv.transforms import Compose

    return Compose([step for step in steps if step["type"] not in without])


def detect(model: Any) -> Any:
    """A function from a picture, [H, W, 3] RGB uint8, to boxes, scores and labels."""
    pipeline = _pipeline(_config().test_pipeline, _READING)

    def call(image: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        pixels = image[..., ::-1].astype(np.float32)  # as its reader gives them
        size = image.shape[:2]
        data = pipeline({"img": pixels, "img_shape": size, "ori_shape": size, "img_id": 0,
                         "img_path": ""})  # fmt: skip
        batch = {"inputs": [data["inputs"]], "data_samples": [data["data_samples"]]}
        with torch.no_grad():
            found = model.eval().test_step(batch)[0].pred_instances
        return found.bboxes.cpu(), found.scores.cpu(), found.labels.cpu()

    return call


def training_sample(path: str, boxes: np.ndarray, labels: np.ndarray) -> Any:
    """A function that reads a picture and changes it as its recipe does, at random."""
    pipeline = _pipeline(_config().train_pipeline, ())
    instances = [
        {"bbox": box.tolist(), "bbox_label": int(label), "ignore_flag": 0}
        for box, label in zip(boxes, labels, strict=True)
    ]

    def call() -> Any:
        return pipeline({"img_path": path, "img_id": 0, "instances": list(instances)})

    return call


def train_step(model: Any, images: Tensor, boxes: list[Tensor], labels: list[Tensor]) -> Any:
    """A function that trains on a batch, [N, 3, H, W] RGB in 0..255, and returns the total loss."""
    from mmdet.structures import DetDataSample
    from mmengine.optim import build_optim_wrapper
    from mmengine.structures import InstanceData

    wrapper = build_optim_wrapper(model, _config().optim_wrapper)
    size = tuple(images.shape[2:])
    samples = []
    for box, label in zip(boxes, labels, strict=True):
        sample = DetDataSample(metainfo={"img_shape": size, "batch_input_shape": size})
        sample.gt_instances = InstanceData(bboxes=box, labels=label)
        samples.append(sample)
    batch = {"inputs": list(images.flip(1).byte()), "data_samples": samples}

    def call() -> Tensor:
        model.train()
        logged = model.train_step(batch, wrapper)
        return logged["loss"].detach().cpu()

    return call
