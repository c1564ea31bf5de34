"""From pictures to detections: views of a picture, the network, and joining what it finds."""

from __future__ import annotations

import glob
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from cornernet.config import Config, TestConfig
from cornernet.data.augment import resize, scaled_size
from cornernet.data.images import IMAGE_SUFFIXES
from cornernet.errors import OutOfMemory, UserError
from cornernet.parts.corners.decode import decode
from cornernet.runtime.device import autocast, free_memory, is_out_of_memory, weight_dtype
from cornernet.structures import Detections
from cornernet_ops import soft_nms

# A network holds at least so many maps of the finest stage's size at once: 13 were measured with
# Hourglass-104, 27 with `tiny`.
_LEAST_MAPS = 8
# Pixels of pictures and canvases that may wait for the network: 12 to 15 bytes each.
_PIXELS_AHEAD = 2**26


@dataclass(frozen=True)
class View:
    """How one input of the network was made from a picture, for the way back."""

    size: tuple[int, int]
    """Height and width of the original picture."""
    scale: tuple[float, float]
    """Factors in x and y from the original to the view."""
    origin: tuple[int, int]
    """x and y of the picture's corner on the canvas, pixels."""
    flipped: bool

    def to_original(self, boxes: Tensor) -> Tensor:
        """Boxes [n, 4] on the canvas to pixels of the original picture, clipped to it."""
        height, width = self.size
        origin = boxes.new_tensor(self.origin).repeat(2)
        boxes = (boxes - origin) / boxes.new_tensor(self.scale).repeat(2)
        limits = boxes.new_tensor([width, height]).repeat(2)
        boxes = torch.minimum(boxes.clamp_min(0), limits)
        if self.flipped:
            boxes = torch.stack(
                [width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1
            )
        return boxes


def canvas_size(size: tuple[int, int], config: Config) -> tuple[int, int]:
    """Height and width of the canvas for a view of (height, width); see `make_view`."""
    multiple = config.test.pad_multiple
    if multiple == 1:
        return size
    return (size[0] // multiple + 1) * multiple - 1, (size[1] // multiple + 1) * multiple - 1


def view_size(size: tuple[int, int], config: Config, scale: float) -> tuple[int, int]:
    """Height and width to which a picture of (height, width) is resized for a scale."""
    if config.data.long_side:
        scale *= config.data.long_side / max(size)
    return scaled_size(size, scale)


def make_view(
    image: np.ndarray, config: Config, scale: float = 1.0, flipped: bool = False
) -> tuple[np.ndarray, View]:
    """Resize, mirror, and centre a picture on a canvas of one colour.

    The canvas has sides of one less than a multiple of `test.pad_multiple`, so that halving them,
    rounding up, meets no odd side before the coarsest resolution, as in training.

    Args:
        image: [H, W, 3] RGB uint8.
        config: `data.long_side`, `test.pad_multiple` and the canvas's colour are used.
        scale: further factor on the size.
        flipped: mirror left and right.

    Returns:
        canvas: [H', W', 3] float32.
        view: the geometry.
    """
    height, width = image.shape[:2]
    new_height, new_width = view_size((height, width), config, scale)
    if (new_height, new_width) != (height, width):
        image = resize(image, (new_height, new_width))
    if flipped:
        image = image[:, ::-1]
    canvas_height, canvas_width = canvas_size((new_height, new_width), config)
    top, left = canvas_height // 2 - new_height // 2, canvas_width // 2 - new_width // 2
    canvas = np.empty((canvas_height, canvas_width, 3), np.float32)
    canvas[:] = config.model.canvas_color
    canvas[top : top + new_height, left : left + new_width] = image
    factors = (new_width / width, new_height / height)
    return canvas, View((height, width), factors, (left, top), flipped)


def suppress(candidates: Detections, config: TestConfig) -> Detections:
    """Non-maximum suppression, the score threshold and the limit per picture."""
    index, boxes, scores = soft_nms(
        candidates.boxes[None],
        candidates.scores[None],
        candidates.labels[None],
        method=config.nms,
        iou_threshold=config.nms_iou,
        sigma=config.nms_sigma,
        min_score=max(config.nms_min_score, config.score_threshold),
        max_detections=config.max_per_image,
        merge_exponent=config.merge_exponent,
    )
    found = index[0] >= 0
    return Detections(boxes[0][found], scores[0][found], candidates.labels[index[0][found]])


@dataclass(frozen=True)
class Prepared:
    """A picture as the network will see it.

    Args:
        views: for each scale the views of one size, mirrored ones first: canvas and geometry.
    """

    views: list[list[tuple[np.ndarray, View]]]

    @property
    def sizes(self) -> list[tuple[int, ...]]:
        """Height and width of the canvas of each scale."""
        return [views[0][0].shape[:2] for views in self.views]

    @property
    def pixels(self) -> int:
        """Of the picture and of all canvases."""
        height, width = self.views[0][0][1].size
        canvases = [canvas for views in self.views for canvas, _ in views]
        return height * width + sum(canvas.size // 3 for canvas in canvases)


def prepare(image: np.ndarray, config: Config) -> Prepared:
    """All views of a picture, [H, W, 3] RGB uint8, that `test.scales` and `test.flip` ask for."""
    mirrored = (False, True) if config.test.flip else (False,)
    return Prepared(
        [
            [make_view(image, config, scale, flipped) for flipped in mirrored]
            for scale in config.test.scales
        ]
    )


def detect(
    model: nn.Module, images: Sequence[np.ndarray], config: Config, precision: str = "fp32"
) -> list[Detections]:
    """Find objects in pictures whose canvases are of one size, such as pictures of one size.

    The candidates of all views (`test.scales`, `test.flip`) are joined as `test.tta_merge` says.

    Args:
        model: a `CornerDetector` in evaluation mode or an `InferenceDetector`, on any device.
        images: [H, W, 3] RGB uint8 each.
        config: sections data and test, and the canvas's colour.
        precision: in which to run a `CornerDetector` by autocast: fp32, bf16 or fp16.

    Returns:
        Detections per picture, on the CPU, in its own pixels.

    Raises:
        OutOfMemory: the device has too little memory for so many pictures of this size.
    """
    return detect_prepared(model, [prepare(image, config) for image in images], config, precision)


@torch.no_grad()
def detect_prepared(
    model: nn.Module, pictures: Sequence[Prepared], config: Config, precision: str = "fp32"
) -> list[Detections]:
    """As `detect`, of pictures that have been prepared."""
    found: list[list[Detections]] = [[] for _ in pictures]
    for scale, size in enumerate(pictures[0].sizes):
        # Mirrored and plain views have one size and go through the network together. In the order
        # of views the mirrored ones come first, as in MMDetection, where that order can matter.
        views = [
            (number, *picture.views[scale][side])
            for side in range(len(pictures[0].views[scale]))
            for number, picture in enumerate(pictures)
        ]
        canvases = [canvas for _, canvas, _ in views]
        try:
            _check_memory(model, canvases, config, precision)
            boxes, scores, labels = _run(model, canvases, config, precision)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f"out of memory with {len(views)} pictures of {size[1]}×{size[0]} at a time on "
                f"{_device_of(model)} ({str(error).partition(chr(10))[0]}); lower "
                "test.batch_size, test.scales or data.long_side"
            ) from None
        for (number, _, view), box, score, label in zip(views, boxes, scores, labels, strict=True):
            box = view.to_original(box)
            good = (label >= 0) & (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1])
            found[number].append(Detections(box[good], score[good], label[good]))
    return [merge(views, config.test) for views in found]


def _device_of(model: nn.Module) -> torch.device:
    device = model.pixel_mean.device
    assert isinstance(device, torch.device)
    return device


def _run(
    model: nn.Module, canvases: Sequence[np.ndarray], config: Config, precision: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, scores and labels on canvases of one size, on the CPU; see `decode`."""
    device = _device_of(model)
    # One canvas is not copied: it may be large.
    pixels = torch.from_numpy(canvases[0][None] if len(canvases) == 1 else np.stack(canvases))
    pixels = pixels.to(device).permute(0, 3, 1, 2)
    with autocast(device, precision):
        outputs = model(pixels)[-1]
    boxes, scores, labels = decode(outputs, config.test, (pixels.shape[2], pixels.shape[3]))
    return boxes.cpu(), scores.cpu(), labels.cpu()


def _check_memory(
    model: nn.Module, canvases: Sequence[np.ndarray], config: Config, precision: str
) -> None:
    """Raise MemoryError where the system would sooner stop the process than refuse memory."""
    free = free_memory(_device_of(model))
    if free is None:
        return
    height, width = canvases[0].shape[:2]
    values = len(canvases) * (height // 4) * (width // 4) * config.model.stage_channels[0]
    own = getattr(model, "dtype", torch.float32)  # of an InferenceDetector's weights
    size = min(own.itemsize, weight_dtype(precision).itemsize)
    if (least := _LEAST_MAPS * values * size) > free:
        raise MemoryError(
            f"they need {least / 2**30:.1f} GiB or more, {free / 2**30:.1f} GiB are free"
        )


Item = TypeVar("Item")


def detect_stream(
    model: nn.Module,
    items: Iterable[Item],
    read: Callable[[Item], np.ndarray],
    config: Config,
    precision: str = "fp32",
) -> Iterator[tuple[Item, Detections | UserError]]:
    """Find objects in many pictures, which are read and prepared while the network computes.

    Neighbours whose canvases are of one size go through the network together, up to
    `test.batch_size` of them.

    Args:
        model: see `detect`.
        items: what `read` takes, one a picture.
        read: gives the pixels; called in other threads, some pictures ahead.
        config: see `detect`.
        precision: see `detect`.

    Yields:
        Each item, in order, with its detections, or with the error that `read` raised, or with
        an OutOfMemory, which does not name the item.
    """
    limit = config.test.batch_size

    def ready(item: Item) -> Prepared | UserError:
        try:
            return prepare(read(item), config)
        except UserError as error:
            return error
        except MemoryError as error:
            return OutOfMemory(
                f"out of memory for a canvas ({error}); lower test.scales or data.long_side"
            )

    def run(group: list[tuple[Item, Prepared]]) -> Iterator[tuple[Item, Detections | UserError]]:
        found: Sequence[Detections | UserError]
        try:
            found = detect_prepared(model, [picture for _, picture in group], config, precision)
        except OutOfMemory as error:
            found = [error] * len(group)
        yield from zip([item for item, _ in group], found, strict=True)

    group: list[tuple[Item, Prepared]] = []
    with ThreadPoolExecutor(max_workers=max(1, config.data.workers)) as pool:
        for item, picture in _ahead(pool, ready, items, 2 * limit + config.data.workers):
            fits = (
                isinstance(picture, Prepared)
                and len(group) < limit
                and (not group or group[0][1].sizes == picture.sizes)
            )
            if group and not fits:
                yield from run(group)
                group = []
            if isinstance(picture, UserError):
                yield item, picture
            else:
                group.append((item, picture))
        if group:
            yield from run(group)


def _ahead(
    pool: ThreadPoolExecutor,
    function: Callable[[Item], Prepared | UserError],
    items: Iterable[Item],
    number: int,
) -> Iterator[tuple[Item, Prepared | UserError]]:
    """Items with what `function` makes of them, computed up to `number` items ahead.

    Fewer where pictures are large; how large the next ones are is guessed from the last one.
    """
    waiting: deque[tuple[Item, Future[Prepared | UserError]]] = deque()
    most = 1  # the first one may be large
    for item in items:
        waiting.append((item, pool.submit(function, item)))
        while len(waiting) > most:
            first, future = waiting.popleft()
            picture = future.result()
            if isinstance(picture, Prepared):
                most = max(1, min(number, _PIXELS_AHEAD // picture.pixels))
            yield first, picture
    for item, future in waiting:
        yield item, future.result()


def merge(views: Sequence[Detections], config: TestConfig) -> Detections:
    """Candidates of a picture's views, in its pixels, to its detections; see `test.tta_merge`."""
    if config.tta_merge == "mmdet3" and len(views) > 1:
        views = [suppress(view, config) for view in views]
    joint = Detections(
        torch.cat([view.boxes for view in views]),
        torch.cat([view.scores for view in views]),
        torch.cat([view.labels for view in views]),
    )
    return suppress(joint, config)


def expand_sources(sources: Sequence[str]) -> Iterator[Path]:
    """Pictures named by files, folders (not their subfolders) and glob patterns, in order.

    Raises:
        UserError: a source names nothing, or a folder holds no picture.
    """
    for source in sources:
        path = Path(source)
        if path.is_dir():
            found = sorted(
                p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.is_dir()
            )
            if not found:
                raise UserError(
                    f"{source}: expected pictures ({', '.join(sorted(IMAGE_SUFFIXES))}) in this "
                    "folder, found none; name another folder, a file or a pattern"
                )
            yield from found
        elif path.is_file():
            yield path
        else:
            matches = sorted(Path(match) for match in glob.glob(source, recursive=True))
            matches = [match for match in matches if match.is_file()]
            if not matches:
                raise UserError(
                    f"{source}: expected a picture, a folder or a pattern, found nothing of that "
                    "name; check the path"
                )
            yield from matches
