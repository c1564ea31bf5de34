"""From a picture to boxes: the optimised network against the plain one and MMDetection's.

The floor are large matrix products of as many floating-point operations in the same precision: the
share of the machine's peak is 1 / "× floor".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from cornernet.inference.detect import detect
from cornernet.model.detector import Detector, Maps
from cornernet.model.fuse import FusedDetector
from cornernet.structures import Detections
from cornernet.weights.foreign import to_mmdet

from . import mmdetection, networks
from .measure import Case
from .networks import arithmetic, count_flops, network, picture, recipe

Found = tuple[Tensor, Tensor, Tensor]
Implementation = Callable[[], Found]


class _Unfused(FusedDetector):
    """The network as it is trained, behind the interface of its inference form."""

    def __init__(self, model: Detector) -> None:
        super().__init__(model)
        self.trained = model

    def forward(self, images: Tensor, locate: bool = True) -> Maps:
        maps: list[Maps] = self.trained(images)
        return maps[-1]


def _tuple(found: Detections) -> Found:
    return found.boxes, found.scores, found.labels


def same_detections(actual: Found, expected: Found) -> None:
    """Equal scores from the best on, and nine of ten boxes in equal places.

    The others have nearly equal scores and stand in another order, or fall below the least score.
    """
    assert abs(len(actual[1]) - len(expected[1])) <= 3
    count = min(len(actual[1]), len(expected[1]))
    torch.testing.assert_close(actual[1][:count], expected[1][:count], rtol=0, atol=5e-3)
    moved = (actual[0][:count] - expected[0][:count]).abs().amax(1)
    same = (moved < 0.5) & (actual[2][:count] == expected[2][:count])
    assert same.float().mean() >= 0.9, f"{int(same.sum())} of {count} boxes are the same"


def similar_detections(actual: Found, expected: Found) -> None:
    """Similar best scores: with random weights the maps are so flat that few boxes stay in place.

    What low precision changes of a trained network's boxes stands in docs/benchmarks.md.
    """
    torch.testing.assert_close(actual[1][:10], expected[1][:10], rtol=0, atol=0.1)


def cases(device: torch.device, full: bool) -> Iterator[Case]:
    config = recipe("--test.flip", "false")
    plain = network(config, device)
    names = [str(label) for label in range(config.model.num_classes)]
    one = torch.zeros(1, 3, networks.SIDE, networks.SIDE, device=device)
    with torch.no_grad():
        flops = count_flops(lambda: plain(one))
    others: dict[str, Implementation] = {}
    if mmdetection.available():
        theirs, _ = to_mmdet(plain.state_dict(), config.model, names, "random weights")
        call = mmdetection.detect(mmdetection.detector(theirs["state_dict"], device))
        others["mmdetection"] = lambda: call(picture())
    for precision in ("fp32", "bf16"):
        for batch in (1, 16) if full and device.type != "cpu" else (1,):
            images = [picture(number) for number in range(batch)]

            def first_of(model: FusedDetector, images: list[np.ndarray] = images) -> Implementation:
                return lambda: _tuple(detect(model, images, config)[0])

            def optimised(compile: bool, precision: str = precision) -> FusedDetector:
                return FusedDetector(plain, precision, compile)

            implementations = {"plain": first_of(_Unfused(plain))}
            if full:
                implementations["compiled"] = first_of(optimised(True))
            yield Case(
                op="inference",
                part="picture to boxes",
                variant=precision,
                setting=f"Hourglass-104, {networks.SIDE}×{networks.SIDE}, batch {batch}",
                moved=0,
                call=first_of(optimised(False)),
                others=implementations | (others if batch == 1 else {}),
                floor=arithmetic(batch * flops, precision, device),
                same=same_detections if precision == "fp32" else similar_detections,
                pictures=batch,
            )
