"""The inference form of a network: what it computes in evaluation, computed faster.

BatchNorm is folded into the convolutions before it, convolutions that read the feature map are
computed as one, whatever part they belong to, weights are of the wanted precision, and activations
lie in NHWC order.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cornernet.config import TestConfig
from cornernet.errors import UserError
from cornernet.model.detector import Detector, Maps, to_channels_last
from cornernet.model.layers import (
    BasicBlock,
    ConvModule,
    FireBlock,
    Float32Conv2d,
    joint_convolution,
)
from cornernet.parts import Head, Part, SharedConvolution
from cornernet.runtime.memory import is_out_of_memory
from cornernet.runtime.precision import weight_dtype
from cornernet.structures import Candidates, Features, Keypoints, Locations, OfView

# Side of the image on which a network is tried before it is handed out.
_TRIAL_SIDE = 64
# A network holds at least so many maps of the finest stage's size at once: 13 were measured with
# Hourglass-104, 27 with `tiny`.
_LEAST_MAPS = 8


def fold_batch_norm(network: nn.Module) -> None:
    """Put BatchNorm's running statistics into the convolutions before it, in place."""
    for module in network.modules():
        if isinstance(module, ConvModule) and hasattr(module, "bn"):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            del module.bn
        elif isinstance(module, BasicBlock):
            parts: Any = module  # its BatchNorms become identities
            parts.conv1 = fuse_conv_bn_eval(parts.conv1, parts.bn1)
            parts.conv2 = fuse_conv_bn_eval(parts.conv2, parts.bn2)
            parts.bn1 = parts.bn2 = nn.Identity()
            if parts.downsample is not None:
                parts.downsample = fuse_conv_bn_eval(*parts.downsample)
        elif isinstance(module, FireBlock):
            _fold_fire(module)


def _fold_fire(block: FireBlock) -> None:
    """Fold the BatchNorms of a fire block, of which the second spans two convolutions."""
    parts: Any = block  # its BatchNorms become identities
    parts.conv1 = fuse_conv_bn_eval(parts.conv1, parts.bn1)
    half = block.conv_1x1.out_channels
    for name, part in (("conv_1x1", slice(half)), ("conv_3x3", slice(half, None))):
        norm = nn.BatchNorm2d(half, eps=block.bn2.eps).eval()
        for key, value in block.bn2.state_dict().items():
            getattr(norm, key).data = value[part] if value.ndim else value
        setattr(block, name, fuse_conv_bn_eval(getattr(block, name), norm))
    parts.bn1 = parts.bn2 = nn.Identity()


class SharedConvolutions(nn.Module):
    """Convolutions of the backbone's features, computed jointly where all but weights is alike.

    That is what they read, their kernel and their activation.

    Args:
        convolutions: their weights are copied.
    """

    def __init__(self, convolutions: list[SharedConvolution]) -> None:
        super().__init__()
        groups: dict[tuple[int | None, int, bool], list[int]] = {}
        for index, shared in enumerate(convolutions):
            kind = (shared.level, shared.conv.kernel_size[0], shared.relu)
            groups.setdefault(kind, []).append(index)
        self.joint = nn.ModuleList(
            joint_convolution([convolutions[index].conv for index in indices])
            for indices in groups.values()
        )
        self.reads = [(level, relu) for level, _, relu in groups]
        self.channels = [
            [convolutions[index].conv.out_channels for index in indices]
            for indices in groups.values()
        ]
        places = [index for indices in groups.values() for index in indices]
        self.order = sorted(range(len(places)), key=places.__getitem__)

    def forward(self, features: Features) -> list[Tensor]:
        """Features to the results in the order in which the convolutions were given."""
        results: list[Tensor] = []
        for joint, reads, channels in zip(self.joint, self.reads, self.channels, strict=True):
            level, relu = reads
            maps = joint(features.map if level is None else features.levels[level])
            results += (F.relu(maps) if relu else maps).split(channels, dim=1)
        return [results[place] for place in self.order]


class FusedHeads(nn.Module):
    """Heads of parts for inference, whose convolutions of the features are computed jointly.

    Args:
        parts: what the heads predict.
        heads: with BatchNorm folded; their convolutions are taken over.
    """

    def __init__(self, parts: Sequence[Part], heads: Sequence[Head]) -> None:
        super().__init__()
        self.names = [part.name for part in parts]
        self.heads = nn.ModuleList()
        shared: list[SharedConvolution] = []
        self.slices: list[slice] = []
        for head in heads:
            convolutions, fused = head.fused()
            self.slices.append(slice(len(shared), len(shared) + len(convolutions)))
            shared += convolutions
            self.heads.append(fused)
        self.shared = SharedConvolutions(shared)

    def forward(self, features: Features) -> Maps:
        """The maps of each part under its name."""
        shared = self.shared(features)
        return {
            name: head(shared[part_of_shared])
            for name, head, part_of_shared in zip(self.names, self.heads, self.slices, strict=True)
        }


class FusedDetector(nn.Module):
    """A network that detects as a `Detector` does in evaluation, and cannot be trained.

    Args:
        model: is not changed; its weights are copied.
        precision: of weights and activations: fp32, bf16 or fp16. Pixels are normalised, and the
            maps themselves computed, in float32.
        compile: hand the network to torch.compile at the first image; where that fails, a warning
            is given and it runs without.

    Attributes:
        parts: as of the model.
        num_classes: number of classes.
        size_multiple: see `HourglassNet`.
        locates: whether a part finds places that deserve a closer look; see `locations`.
        precision: as given.

    Raises:
        UserError: the model's device does not compute in this precision.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, model: Detector, precision: str = "fp32", compile: bool = False) -> None:
        super().__init__()
        self.parts = model.parts
        self.num_classes = model.num_classes
        self.size_multiple = model.backbone.size_multiple
        self.stride = model.backbone.stride
        self.locates = any(part.locates for part in model.parts)
        with torch.no_grad():
            model = copy.deepcopy(model).eval()
            fold_batch_norm(model)
            self.backbone = model.backbone
            by_use: dict[bool, list[tuple[Part, Head]]] = {False: [], True: []}
            for part, head in zip(model.parts, model.heads(), strict=True):
                by_use[part.locates].append((part, head))
            self.heads, self.locators = (
                FusedHeads([part for part, _ in of_use], [head for _, head in of_use])
                for of_use in by_use.values()
            )
        self.register_buffer("pixel_mean", model.pixel_mean, persistent=False)
        self.register_buffer("pixel_std", model.pixel_std, persistent=False)
        self.requires_grad_(False)
        self.eval()
        self._prepare(precision, compile)

    def with_options(self, precision: str, compile: bool = False) -> FusedDetector:
        """A copy in another precision, compiled or not; rounded weights stay rounded."""
        other = copy.deepcopy(self, {id(self._compiled): None})
        other._prepare(precision, compile)
        return other

    def _prepare(self, precision: str, compile: bool) -> None:
        self.precision = precision
        self.dtype = weight_dtype(precision)
        for module in self.modules():
            if not isinstance(module, Float32Conv2d):
                for parameter in module.parameters(recurse=False):
                    parameter.data = parameter.data.to(self.dtype)
        to_channels_last(self)
        self._compiled: Any = None
        self._to_compile = compile
        self._try()

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.pixel_mean.device

    def least_memory(self, images: int, image_size: tuple[int, int]) -> int:
        """Bytes that the network takes at the very least for images of (height, width)."""
        cells = (image_size[0] // self.stride) * (image_size[1] // self.stride)
        values = images * cells * self.backbone.finest_channels
        return _LEAST_MAPS * values * self.dtype.itemsize

    def forward(self, images: Tensor, locate: bool = True) -> Maps:
        """The maps of the last stack.

        Args:
            images: [N, 3, H, W] RGB in 0..255, uint8 or float.
            locate: also compute the maps of parts that find places and no boxes.
        """
        if self._to_compile:
            self._to_compile = False
            return self._first_compiled(images, locate)
        run = self._compiled or self._forward
        maps: Maps = run(images, locate)
        return maps

    def _first_compiled(self, images: Tensor, locate: bool) -> Maps:
        """The first call: whether the compiler can do it shows here and nowhere else."""
        try:
            compiled: Any = torch.compile(self._forward)  # fails at once where Python is newer
            maps: Maps = compiled(images, locate)
        except Exception as error:  # whatever a compiler may raise
            if is_out_of_memory(error):
                raise
            # If the network itself cannot take these images, its own error says so.
            maps = self._forward(images, locate)
            warnings.warn(
                "torch.compile failed on this network and device "
                f"({type(error).__name__}: {str(error).partition(chr(10))[0]}); running without",
                UserWarning,
                stacklevel=3,
            )
            return maps
        self._compiled = compiled
        return maps

    def _forward(self, images: Tensor, locate: bool) -> Maps:
        pixels = ((images.float() - self.pixel_mean) / self.pixel_std).to(self.dtype)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        features = self.backbone(pixels)[-1]
        maps: Maps = self.heads(features)
        return maps | self.locators(features) if locate else maps

    @torch.no_grad()
    def decode(self, maps: Maps, config: TestConfig, image_size: tuple[int, int]) -> Candidates:
        """Candidates of all parts, in pixels of the network's input.

        Args:
            maps: what `forward` returned.
            config: settings of decoding.
            image_size: height and width of the network's input in pixels.
        """
        found: Candidates | None = None
        for part in self.parts:
            if part.name in maps:
                found = part.decode(maps[part.name], found, config, image_size)
        assert found is not None
        return found

    @torch.no_grad()
    def locations(self, maps: Maps, config: TestConfig) -> Locations:
        """Places in the input that deserve a closer look; see `Part.locations`.

        Args:
            maps: of a network that `locates`.
            config: settings of decoding.
        """
        part = next(part for part in self.parts if part.locates)
        return part.locations(maps[part.name], config)

    @torch.no_grad()
    def keypoints(
        self, maps: Maps, config: TestConfig, image_size: tuple[int, int]
    ) -> dict[str, Keypoints]:
        """The keypoints of each part that gives some; arguments as of `decode`."""
        found = {
            part.name: part.keypoints(maps[part.name], config, image_size)
            for part in self.parts
            if part.name in maps
        }
        return {name: points for name, points in found.items() if points is not None}

    @torch.no_grad()
    def confirm(self, views: list[OfView], config: TestConfig) -> list[Candidates]:
        """What the parts make of the candidates of all views of a batch; see `Part.confirm`."""
        candidates = [view.candidates for view in views]
        for part in self.parts:
            points = [view.keypoints[part.name] for view in views if part.name in view.keypoints]
            if points:
                candidates = part.confirm(candidates, points, config)
        return candidates

    @torch.no_grad()
    def _try(self) -> None:
        side = _TRIAL_SIDE
        try:
            self._forward(torch.zeros(1, 3, side, side, device=self.device), locate=True)
        except RuntimeError as error:
            raise UserError(
                f"{self.precision} is not supported on {self.device.type} "
                f"({str(error).partition(chr(10))[0]}); use fp32",
                field="precision",
            ) from None
