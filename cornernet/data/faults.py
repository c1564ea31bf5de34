"""What becomes of images that cannot be read, or only with a remark."""

from __future__ import annotations

import warnings
from typing import Literal

from cornernet.errors import UserError


class ImageFaults:
    """The faults met among the images of a split: each is named once, and counted.

    Args:
        images: of the split.
        on_error: what an image that cannot be read does: "stop", or "skip", which leaves it out.
        largest_share: of the images that may be left out.

    Attributes:
        most: how many images may be left out.
    """

    def __init__(
        self, images: int, on_error: Literal["stop", "skip"] = "stop", largest_share: float = 0.01
    ) -> None:
        self.images = images
        self.largest_share = largest_share
        self.most = int(images * largest_share) if on_error == "skip" else 0
        self._skips = on_error == "skip"
        self._said: set[str] = set()
        self._skipped: set[str] = set()

    def warn(self, text: str) -> None:
        """Give a warning, if it has not been given."""
        if text not in self._said:
            self._said.add(text)
            warnings.warn(text, UserWarning, stacklevel=2)

    def skip(self, error: UserError) -> None:
        """Leave out an image that could not be read.

        Args:
            error: names the image.

        Raises:
            UserError: `error`, or that too many images are left out.
        """
        if not self._skips:
            raise error
        self._skipped.add(str(error))
        number = len(self._skipped)
        if number > self.most:
            raise UserError(
                f"is {self.largest_share:g}, but {number} of {self.images} images cannot be read, "
                f"the last because: {error}",
                field="data.max_skipped",
            )
        self.warn(f"{error}; left out, {number} of {self.images} images so far")
