"""How a network of another program wants its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass
class Pixels:
    """How a network wants its input, in the order of colours that it takes.

    Attributes:
        mean, std: subtracted from and divided by, 0..255.
        padding: the colour around images; None for the mean.
        rgb: whether the order is RGB, not BGR.
    """

    mean: Sequence[float]
    std: Sequence[float]
    padding: Sequence[float] | None
    rgb: bool

    def settings(self) -> dict[str, list[float]]:
        """The same as settings of `ModelConfig`, whose network takes RGB."""
        colors = {"pixel_mean": self.mean, "pixel_std": self.std}
        if self.padding is not None and list(self.padding) != list(self.mean):
            colors["padding_color"] = self.padding
        return {
            name: [float(value) for value in (color if self.rgb else color[::-1])]
            for name, color in colors.items()
        }


def with_reversed_colors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn a network for BGR into one for RGB, by the first convolution's input channels."""
    first = "backbone.stem.0.conv.weight"
    return {key: value.flip(1) if key == first else value for key, value in state.items()}
