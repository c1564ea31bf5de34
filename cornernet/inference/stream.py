"""Detection in many images, which are read while the network computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import numpy as np

from cornernet.config import Config
from cornernet.errors import NAMELESS, OutOfMemory, UserError
from cornernet.inference.detect import Network, detect_prepared, prepare_for
from cornernet.inference.views import Prepared
from cornernet.structures import Detections

# Pixels of images and views that may wait for the network: 3 bytes each.
_PIXELS_AHEAD = 2**28

Item = TypeVar("Item")


class Found(Generic[Item]):
    """What detection in one image of a stream came to.

    Attributes:
        item: as given to `detect_stream`.
        detections: in the image; None where there was an error.
        image: [H, W, 3] RGB uint8, as read; None where it could not be read or prepared.
        error: what `read` raised, or one of `NAMELESS`, which does not name the item.
    """

    __slots__ = ("detections", "error", "image", "item")

    def __init__(
        self,
        item: Item,
        image: np.ndarray | None = None,
        detections: Detections | None = None,
        error: UserError | None = None,
    ) -> None:
        self.item = item
        self.image = image
        self.detections = detections
        self.error = error


def detect_stream(
    model: Network,
    items: Iterable[Item],
    read: Callable[[Item], np.ndarray],
    config: Config,
) -> Iterator[Found[Item]]:
    """Find objects in many images, which are read and prepared while the network computes.

    Neighbours whose canvases are of one size go through the network together, up to
    `test.batch_size` of them.

    Args:
        model: see `detect`.
        items: what `read` takes, one for each image.
        read: gives the pixels; called in other threads, some images ahead.
        config: see `detect`.

    Yields:
        What was found for each item, in order.
    """
    limit = config.test.batch_size

    def ready(item: Item) -> Prepared | UserError:
        try:
            return prepare_for(model, read(item), config)
        except UserError as error:
            return error
        except MemoryError as error:
            return OutOfMemory(
                f"out of memory for a resized image ({error}); lower test.scales or data.long_side"
            )

    def run(group: Sequence[tuple[Item, Prepared]]) -> Iterator[Found[Item]]:
        try:
            found = detect_prepared(model, [image for _, image in group], config)
        except NAMELESS as error:
            yield from (Found(item, image.image, error=error) for item, image in group)
            return
        for (item, image), detections in zip(group, found, strict=True):
            yield Found(item, image.image, detections)

    group: list[tuple[Item, Prepared]] = []
    pool = ThreadPoolExecutor(max_workers=max(1, config.data.workers))
    try:
        for item, image in _ahead(pool, ready, items, 2 * limit + config.data.workers):
            fits = (
                isinstance(image, Prepared)
                and len(group) < limit
                and (not group or group[0][1].sizes == image.sizes)
            )
            if group and not fits:
                yield from run(group)
                group = []
            if isinstance(image, UserError):
                yield Found(item, error=image)
            else:
                group.append((item, image))
        if group:
            yield from run(group)
    finally:  # a reader that has seen enough, or an interruption, waits for no further image
        pool.shutdown(cancel_futures=True)


def _ahead(
    pool: ThreadPoolExecutor,
    function: Callable[[Item], Prepared | UserError],
    items: Iterable[Item],
    number: int,
) -> Iterator[tuple[Item, Prepared | UserError]]:
    """Items with what `function` makes of them, computed up to `number` items ahead.

    Fewer where images are large; how large the next ones are is guessed from the last one.
    """
    waiting: deque[tuple[Item, Future[Prepared | UserError]]] = deque()
    most = 1  # the first one may be large
    for item in items:
        waiting.append((item, pool.submit(function, item)))
        while len(waiting) > most:
            first, future = waiting.popleft()
            image = future.result()
            if isinstance(image, Prepared):
                most = max(1, min(number, _PIXELS_AHEAD // image.pixels))
            yield first, image
    for item, future in waiting:
        yield item, future.result()
