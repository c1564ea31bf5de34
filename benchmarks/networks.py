"""What the benchmarks of whole networks share: networks, pictures, and the speed of arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cornernet.config import Config, load_recipe
from cornernet.model.detector import Detector
from cornernet.runtime.precision import weight_dtype

RECIPE = "cornernet_hourglass104_8xb6-210e-mstest_coco"
SIDE = 511  # of what goes through the network, in pixels
# Of pictures, which are padded to 511: of one that needs no padding MMDetection loses an edge.
PICTURE_SIDE = 500

# Sides of matrices whose product takes tenths of a second, and no more memory than a network.
MATRIX_SIDE_CPU = 2048
MATRIX_SIDE = 8192


def recipe(*words: str) -> Config:
    """Hourglass-104 with settings changed, for 80 classes."""
    return load_recipe(RECIPE, ["--model.num_classes", "80", *words])


def picture(number: int = 0) -> np.ndarray:
    """Blurred noise, [500, 500, 3] RGB uint8."""
    random = np.random.default_rng(number)
    coarse = random.random((16, 16, 3)).astype(np.float32) * 255
    smooth = cv2.resize(coarse, (PICTURE_SIDE, PICTURE_SIDE), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth, 0, 255).astype(np.uint8)


def network(config: Config, device: torch.device) -> Detector:
    """A network with random weights, whose BatchNorm has the statistics of a picture.

    Without them the activations of a hundred layers shrink or grow beyond all bounds.
    """
    torch.manual_seed(0)
    model = Detector(config.model, config.model.num_classes).to(device)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.from_numpy(picture()).to(device).permute(2, 0, 1)[None].float())
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
    return model.eval()


def count_flops(call: Callable[[], object]) -> int:
    """Floating-point operations of convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def matrix_side(device: torch.device) -> int:
    """Side of the matrices by which the speed of a device's arithmetic is measured."""
    return MATRIX_SIDE_CPU if device.type == "cpu" else MATRIX_SIDE


def arithmetic(flops: int, precision: str, device: torch.device) -> Callable[[], Tensor]:
    """About so many operations as large matrix products: the least time the device can take."""
    side = matrix_side(device)
    dtype = weight_dtype(precision)
    a, b = (torch.rand(side, side, device=device, dtype=dtype) for _ in range(2))
    products = max(1, round(flops / (2 * side**3)))

    def call() -> Tensor:
        for _ in range(products):
            product = a @ b
        return product

    return call
