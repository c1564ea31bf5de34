"""The settings of the network: section `model` of a configuration; see `schema`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cornernet.config.checks import require, require_at_least, require_at_most

# Far beyond any network that is trained. A recipe or a weights file that asks for more is wrong,
# and would take all memory or time before anything else could be found.
_MOST_STACKS, _MOST_STAGES, _MOST_BLOCKS, _MOST_CHANNELS = 16, 12, 100, 2**14


@dataclass(frozen=True)
class ModelConfig:
    """The network (section 4 of the paper).

    Attributes:
        stacks: hourglasses one behind the other; each has its own head and its own loss.
        stage_channels: channels at each resolution of an hourglass, finest first; one down-sampling
            by 2 lies between neighbours. The finest stage has the image's resolution divided by
            `stem_stride`.
        stage_blocks: blocks at each resolution, as many entries as `stage_channels`.
        feature_channels: channels of the features each hourglass hands to its head.
        pool_channels: channels inside the corner pooling modules.
        head_channels: hidden channels of the heat-map, embedding and offset branches.
        embedding_channels: length of the vector by which corners are grouped (1 in the paper).
        num_classes: number of classes; 0 takes it from the training data.
        freeze_batch_norm: keep BatchNorm's statistics and parameters as they are; for fine-tuning
            with batches too small to estimate them.
        pixel_mean: mean of red, green and blue, in 0..255, that the network subtracts from its
            input. By default ImageNet's, as in MMDetection.
        pixel_std: what it divides by then.
        padding_color: red, green and blue, in 0..255, around an image on its canvas; an empty
            list stands for `pixel_mean`.
        parts: what the network predicts: "corners", boxes as pairs of corners, and optionally
            "centers", which lower the scores of pairs that belong to no object, and "attention",
            which finds places to look at again, enlarged, as CornerNet-Saccade does.
        stem_stride: pixels per cell of the network's maps in each direction, 4 or 8.
        block: what hourglasses are made of: "residual" blocks of two 3×3 convolutions, or the
            "fire" blocks of CornerNet-Squeeze, with about a twentieth of the weights.
        upsampling: how an hourglass comes back to a finer resolution: by the "nearest" cell, or by
            a learnt "transposed" convolution, as in CornerNet-Squeeze.
        corner_pooling: "single", the corner pooling of CornerNet, or "cascade", that of CenterNet,
            which looks from the border into the object first.
        branch_kernel: side of the first convolution of the branches, 3 or, as in
            CornerNet-Squeeze, 1.
        object_sizes: longer side, in pixels of the network's input, of the largest objects that
            each map of the part "attention" marks, the finest map first; every map has half of the
            resolution of the one before.
    """

    stacks: int = 2
    stage_channels: list[int] = field(default_factory=lambda: [256, 256, 384, 384, 384, 512])
    stage_blocks: list[int] = field(default_factory=lambda: [2, 2, 2, 2, 2, 4])
    feature_channels: int = 256
    pool_channels: int = 128
    head_channels: int = 256
    embedding_channels: int = 1
    num_classes: int = 0
    freeze_batch_norm: bool = False
    pixel_mean: list[float] = field(default_factory=lambda: [123.675, 116.28, 103.53])
    pixel_std: list[float] = field(default_factory=lambda: [58.395, 57.12, 57.375])
    padding_color: list[float] = field(default_factory=list)
    parts: list[str] = field(default_factory=lambda: ["corners"])
    stem_stride: int = 4
    block: Literal["residual", "fire"] = "residual"
    upsampling: Literal["nearest", "transposed"] = "nearest"
    corner_pooling: Literal["single", "cascade"] = "single"
    branch_kernel: int = 3
    object_sizes: list[int] = field(default_factory=lambda: [32, 96, 256])

    @property
    def size_multiple(self) -> int:
        """Pixels of which the sides of the network's input are best one less than a multiple.

        Such an input is halved down to the coarsest resolution, rounding up, without an odd side
        in between. Other sizes are accepted, too.
        """
        return self.stem_stride * 2 ** (len(self.stage_channels) - 1)

    @property
    def canvas_color(self) -> tuple[float, float, float]:
        """Red, green and blue around an image, in 0..255."""
        red, green, blue = self.padding_color or self.pixel_mean
        return red, green, blue

    def __post_init__(self) -> None:
        require_at_least(
            1, "model", self,
            "stacks", "feature_channels", "pool_channels", "head_channels", "embedding_channels",
        )  # fmt: skip
        require_at_least(0, "model", self, "num_classes")
        require_at_most(_MOST_STACKS, "model", self, "stacks")
        require_at_most(
            _MOST_CHANNELS, "model", self,
            "feature_channels", "pool_channels", "head_channels", "embedding_channels",
            "num_classes",
        )  # fmt: skip
        require(
            len(self.stage_channels) >= 2 and len(self.stage_channels) == len(self.stage_blocks),
            "model.stage_channels",
            "must have two or more entries and as many as model.stage_blocks, "
            f"got {self.stage_channels} and {self.stage_blocks}",
        )
        require(
            len(self.stage_channels) <= _MOST_STAGES,
            "model.stage_channels",
            f"must have at most {_MOST_STAGES} entries, got {len(self.stage_channels)}",
        )
        for key, most in (("stage_channels", _MOST_CHANNELS), ("stage_blocks", _MOST_BLOCKS)):
            numbers = getattr(self, key)
            require(
                1 <= min(numbers) and max(numbers) <= most,
                f"model.{key}",
                f"must be from 1 to {most} each, got {numbers}",
            )
        require(
            self.stage_channels[0] % 2 == 0,
            "model.stage_channels",
            "must start with an even number, because the stem has half as many channels, "
            f"got {self.stage_channels}",
        )
        require(
            self.block != "fire" or all(number % 2 == 0 for number in self.stage_channels),
            "model.stage_channels",
            f"must be even numbers where model.block is fire, got {self.stage_channels}",
        )
        for key, allowed in (("stem_stride", (4, 8)), ("branch_kernel", (1, 3))):
            value = getattr(self, key)
            require(
                value in allowed,
                f"model.{key}",
                f"must be {allowed[0]} or {allowed[1]}, got {value}",
            )
        require(
            bool(self.object_sizes)
            and self.object_sizes[0] > 0
            and sorted(set(self.object_sizes)) == self.object_sizes,
            "model.object_sizes",
            f"must be one or more positive sizes in rising order, got {self.object_sizes}",
        )
        require(
            "attention" not in self.parts or len(self.object_sizes) < len(self.stage_channels),
            "model.object_sizes",
            f"must have fewer entries than model.stage_channels, which has "
            f"{len(self.stage_channels)}, got {self.object_sizes}",
        )
        for key in ("pixel_mean", "pixel_std", "padding_color"):
            color = getattr(self, key)
            require(
                len(color) == 3 or (key == "padding_color" and not color),
                f"model.{key}",
                f"must be three numbers, for red, green and blue, got {color}",
            )
        require(
            min(self.pixel_std) > 0, "model.pixel_std", f"must be positive, got {self.pixel_std}"
        )
