"""Errors of networks that run out of memory, as one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cornernet.errors import OutOfMemory
from cornernet.model.fuse import FusedDetector
from cornernet.runtime.memory import free_memory, is_out_of_memory


@contextmanager
def within_memory(
    model: FusedDetector, images: int, image_size: tuple[int, int], advice: str
) -> Iterator[None]:
    """Turn errors for want of memory inside the block into OutOfMemory.

    Args:
        model: what is to run.
        images: how many go through it at a time.
        image_size: their height and width in pixels.
        advice: what the user should do.

    Raises:
        OutOfMemory: there is too little memory, or was inside the block.
    """
    height, width = image_size
    try:
        _check_memory(model, images, image_size)
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"out of memory with {images} images of {width}×{height} at a time on {model.device} "
            f"({str(error).partition(chr(10))[0]}); {advice}"
        ) from None


def _check_memory(model: FusedDetector, images: int, image_size: tuple[int, int]) -> None:
    """Raise MemoryError where the system would rather stop the process than refuse memory."""
    free = free_memory(model.device)
    if free is not None and (least := model.least_memory(images, image_size)) > free:
        raise MemoryError(
            f"they need {least / 2**30:.1f} GiB or more, {free / 2**30:.1f} GiB are free"
        )
