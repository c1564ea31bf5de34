"""What a detector knows of its parts.

A detector is a backbone and a list of parts. A part is one kind of prediction, such as the corners
of boxes, and owns everything about it: the head that computes its maps from the backbone's
features, the targets of a batch, its losses and what they are divided by, and its share of
decoding. The trainer, the log, validation and the network for inference know parts by these
classes alone.

N images in a batch, h × w cells of a map.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from cornernet.config import LossConfig, ModelConfig, TestConfig
from cornernet.model.layers import recomputed
from cornernet.structures import Batch, Candidates, Features, Keypoints, Locations


@dataclass(frozen=True)
class SharedConvolution:
    """A convolution that reads what the backbone computes.

    Attributes:
        conv: the convolution, with a bias and without a normalisation after it.
        relu: whether a ReLU follows.
        level: index into `Features.levels` of what it reads; None for the feature map.
    """

    conv: nn.Conv2d
    relu: bool
    level: int | None = None


class Head(nn.Module, ABC):
    """The trainable head of a part.

    Attributes:
        recompute: whether hidden maps are computed again in backward instead of kept.
    """

    recompute: bool = False

    def run(self, module: nn.Module, x: Tensor) -> Tensor:
        """`module(x)`, of which only `x` is kept for backward where `recompute` says so."""
        if self.recompute and torch.is_grad_enabled():
            return recomputed(module, x)
        return cast(Tensor, module(x))

    def forward(self, features: list[Features]) -> list[Any]:
        """Maps of every stack in training, of the last stack alone in evaluation.

        Args:
            features: of every stack.
        """
        stacks = range(len(features)) if self.training else [len(features) - 1]
        return [self.maps(stack, features[stack]) for stack in stacks]

    @abstractmethod
    def maps(self, stack: int, features: Features) -> Any:
        """The part's maps of one stack, by that stack's layers.

        Args:
            stack: its index.
            features: of this stack.
        """

    @abstractmethod
    def class_dependent_layers(self) -> list[str]:
        """Names, within the head, of the layers whose shape depends on the number of classes."""

    @abstractmethod
    def fused(self) -> tuple[list[SharedConvolution], nn.Module]:
        """The last stack's head for inference; takes over this head's weights.

        BatchNorm has been folded into the convolutions before it.

        Returns:
            The convolutions that read the backbone's features, which the network for inference
            computes jointly with those of the other parts; and what follows: a module that takes
            the list of their results, [N, channels, h, w] each, in their order, and gives the
            part's maps.
        """


class Part(ABC):
    """One kind of prediction. Holds no tensors: its weights are those of the head it builds.

    Args:
        model: sizes of the network.
        num_classes: number of classes.
    """

    name: ClassVar[str]
    """As in the setting model.parts; the key of the part's maps in the network's output."""
    head_name: ClassVar[str]
    """Attribute of the network that holds the head; state dicts begin with it."""
    loss_names: ClassVar[tuple[str, ...]]
    """Names of the losses, in the order in which they are logged."""
    locates: ClassVar[bool] = False
    """Whether it finds places that deserve a closer look, and no boxes; see `locations`."""

    def __init__(self, model: ModelConfig, num_classes: int) -> None:
        self.model = model
        self.num_classes = num_classes

    @property
    def levels(self) -> int:
        """How many of a hourglass's finest resolutions the head reads besides the feature map."""
        return 0

    @abstractmethod
    def build_head(self) -> Head:
        """A new head with random weights."""

    @abstractmethod
    def targets(
        self,
        batch: Batch,
        image_size: tuple[int, int],
        map_size: tuple[int, int],
        config: LossConfig,
        ignored: Tensor | None,
    ) -> Any:
        """What a perfect head would put out for a batch, on the batch's device.

        Args:
            batch: the objects.
            image_size: height and width of the network's input in pixels.
            map_size: height and width of its maps in cells.
            config: shapes of the targets.
            ignored: [N, num_classes, h, w] bool, cells of crowds, of which nobody knows whether a
                keypoint lies there; None where there are none.
        """

    @abstractmethod
    def counts(self, targets: Any) -> Tensor:
        """What the losses are divided by, [C] float32; added up over a batch that is split."""

    @abstractmethod
    def losses(
        self,
        maps: list[Any],
        targets: Any,
        counts: Tensor,
        config: LossConfig,
        processes: int,
    ) -> dict[str, Tensor]:
        """The losses by name, scalars with their weights applied.

        Args:
            maps: of each stack.
            targets: of these images.
            counts: `counts` of the whole batch, [C].
            config: weights and exponents.
            processes: over which gradients are averaged afterwards; this process's share of the
                losses is multiplied by it, so that the average is the joint batch's gradient.
        """

    def decode(
        self,
        maps: Any,
        found: Candidates | None,
        config: TestConfig,
        image_size: tuple[int, int],
    ) -> Candidates:
        """The part's share of decoding; by default it leaves the candidates as they are.

        Args:
            maps: of the last stack.
            found: candidates of the parts before this one; None for the first.
            config: settings of decoding.
            image_size: height and width of the network's input in pixels.
        """
        assert found is not None, f"the part {self.name} proposes no boxes"
        return found

    def keypoints(
        self, maps: Any, config: TestConfig, image_size: tuple[int, int]
    ) -> Keypoints | None:
        """Points that `confirm` needs once all views are there; by default none.

        Args:
            maps: of the last stack.
            config: settings of decoding.
            image_size: height and width of the network's input in pixels.
        """
        return None

    def confirm(
        self, views: list[Candidates], keypoints: list[Keypoints], config: TestConfig
    ) -> list[Candidates]:
        """What the part makes of the boxes of all views, if it gives keypoints.

        Args:
            views: of each of `test.scales`: with `test.flip` those of the mirror images, then those
                of the images; in pixels of the images.
            keypoints: of the same views, in the same pixels.
            config: settings of decoding.
        """
        return views

    def locations(self, maps: Any, config: TestConfig) -> Locations:
        """Places that deserve a closer look, from a part that `locates`.

        Args:
            maps: of the last stack.
            config: settings of decoding.
        """
        raise NotImplementedError(f"the part {self.name} finds no places")
