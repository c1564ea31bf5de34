"""The part of an exported graph that torch traces: from canvases to boxes, or to maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cornernet.config import Config
from cornernet.export.request import Request
from cornernet.inference.detect import of_images
from cornernet.inference.merge import merge
from cornernet.inference.views import geometry_of, place, prepare
from cornernet.model.fuse import FusedDetector
from cornernet.structures import OfView

# Canvases of the example for tracing, in multiples of the network's. Neither 1 nor equal, which
# torch.export would take for constants.
_EXAMPLE = (3, 2)
_EXAMPLE_IMAGES = 2
# The most of each that a graph for any size allows.
_MOST = 1024


class ToBoxes(nn.Module):
    """Canvases, and where the views lie on them, to the final boxes of each image.

    Args:
        model: the network, which does not look twice.
        config: section test.
    """

    def __init__(self, model: FusedDetector, config: Config) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.output_names = ["boxes", "scores", "labels"]

    def forward(self, canvases: Tensor, geometry: Tensor) -> tuple[Tensor, ...]:
        """Boxes of N images of one size.

        Args:
            canvases: [N, 3, H, W] RGB in 0..255; with `test.flip` [2 * N, 3, H, W], mirror images
                first.
            geometry: [8], the row of `geometry_of` that all views share.

        Returns:
            `[N, D, 4]` boxes in pixels of the images, `[N, D]` scores and labels, best first; a
            label of -1 marks no box. D is `test.max_per_image`.
        """
        test, size = self.config.test, (canvases.shape[2], canvases.shape[3])
        maps = self.model(canvases, locate=False)
        found = OfView(self.model.decode(maps, test, size), self.model.keypoints(maps, test, size))
        images = canvases.shape[0] // (2 if test.flip else 1)
        views = of_images(found, geometry.expand(images, -1), test)
        return tuple(merge(self.model.confirm(views, test), test))


class ToMaps(nn.Module):
    """Canvases to the network's maps; `geometry` is handed through.

    Args:
        model: the network.

    Attributes:
        output_names: those of all parts' maps, then "geometry".
    """

    def __init__(self, model: FusedDetector) -> None:
        super().__init__()
        self.model = model
        with torch.no_grad():
            side = 2 * model.size_multiple - 1
            example = model(torch.zeros(1, 3, side, side, device=model.device), locate=False)
        self.output_names = [*(name for name, _ in _named(example)), "geometry"]

    def forward(self, canvases: Tensor, geometry: Tensor) -> tuple[Tensor, ...]:
        maps = self.model(canvases, locate=False)
        return *(tensor for _, tensor in _named(maps)), geometry.clone()


def _named(maps: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of all parts' maps, by names such as corners_tl_heat."""
    for part, of_part in maps.items():
        for name, tensor in zip(of_part._fields, of_part, strict=True):
            yield f"{part}_{name}", tensor


def inputs_of(images: Sequence[np.ndarray], config: Config, multiple: int) -> tuple[Tensor, Tensor]:
    """The arguments of `ToBoxes` and `ToMaps`, on the CPU.

    Args:
        images: of one size, [H, W, 3] RGB uint8 each.
        config: the `config` of a file's metadata, as `config_from_dict` reads it.
        multiple: the `multiple` of a file's metadata.
    """
    views = [prepare(image, config, multiple).views[0] for image in images]
    device = torch.device("cpu")
    canvases = place(views, config.model.canvas_color, device, config.test.flip)
    # AOTInductor's packages take the example's memory format for granted.
    return canvases.contiguous(), geometry_of(views[:1])[0]


def network_of(request: Request) -> ToBoxes | ToMaps:
    """The network that ends where it should."""
    if request.stage == "boxes":
        return ToBoxes(request.model, request.config)
    return ToMaps(request.model)


def example_of(request: Request) -> tuple[Tensor, Tensor]:
    """Arguments for tracing."""
    images = request.batch or _EXAMPLE_IMAGES
    if request.canvas is None:
        height, width = (number * request.multiple - 1 for number in _EXAMPLE)
    else:
        height, width = request.canvas
    geometry = torch.tensor([0, 0, 1, 1, width, height, width, height], dtype=torch.float32)
    return torch.zeros(request.copies * images, 3, height, width), geometry


def trace(request: Request, network: ToBoxes | ToMaps) -> torch.export.ExportedProgram:
    """torch.export of a network, for canvases of any size unless the request has one."""
    multiple, copies = request.multiple, request.copies
    dynamic: dict[int, Any] = {}
    if request.canvas is None:
        rows, columns = (torch.export.Dim(name, min=1, max=_MOST) for name in ("rows", "columns"))
        dynamic = {2: multiple * rows - 1, 3: multiple * columns - 1}
    if request.batch is None:
        dynamic[0] = copies * torch.export.Dim("images", min=1, max=_MOST)
    with torch.no_grad():
        return torch.export.export(
            network.eval(), example_of(request),
            dynamic_shapes={"canvases": dynamic, "geometry": None}, strict=False,
        )  # fmt: skip
