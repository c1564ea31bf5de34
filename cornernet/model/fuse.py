"""The network as it runs fastest when it has nothing more to learn.

The same function as `CornerDetector` in evaluation, computed otherwise: BatchNorm is folded into
the convolutions before it, convolutions that read the same map are computed as one, weights are of
the wanted precision, and activations lie in NHWC order.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cornernet.errors import UserError
from cornernet.model.detector import CornerDetector, to_channels_last
from cornernet.model.layers import BasicBlock, ConvModule
from cornernet.parts.corners.head import BiCornerPool, Branch, CornerHead
from cornernet.parts.corners.structures import Outputs
from cornernet.runtime.device import is_out_of_memory, weight_dtype
from cornernet_ops import corner_pool_pair

# Side of the picture on which a network is tried before it is handed out.
_TRIAL_SIDE = 64


def fold_batch_norm(network: nn.Module) -> None:
    """Put BatchNorm's running statistics into the convolutions before it, in place."""
    for module in network.modules():
        if isinstance(module, ConvModule) and hasattr(module, "bn"):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            del module.bn
        elif isinstance(module, BasicBlock):
            parts: Any = module  # whose BatchNorm gives way to nothing
            parts.conv1 = fuse_conv_bn_eval(parts.conv1, parts.bn1)
            parts.conv2 = fuse_conv_bn_eval(parts.conv2, parts.bn2)
            parts.bn1 = parts.bn2 = nn.Identity()
            if parts.downsample is not None:
                parts.downsample = fuse_conv_bn_eval(*parts.downsample)


def joint_convolution(convolutions: Sequence[nn.Conv2d]) -> nn.Conv2d:
    """Convolutions of one input as one, whose output channels follow each other."""
    first = convolutions[0]
    side = first.kernel_size[0]
    outputs = sum(part.out_channels for part in convolutions)
    joint = nn.Conv2d(first.in_channels, outputs, side, padding=side // 2)
    weights, biases = zip(*((part.weight, part.bias) for part in convolutions), strict=True)
    joint.weight = nn.Parameter(torch.cat(weights))
    joint.bias = nn.Parameter(torch.cat(biases))
    return joint


def parallel_convolution(convolutions: Sequence[nn.Conv2d]) -> nn.Conv2d:
    """1×1 convolutions of inputs that follow each other in one map, as one with zeros between."""
    joint = nn.Conv2d(
        sum(part.in_channels for part in convolutions),
        sum(part.out_channels for part in convolutions),
        1,
    )
    biases = [part.bias for part in convolutions if part.bias is not None]
    joint.weight = nn.Parameter(
        torch.block_diag(*(part.weight[:, :, 0, 0] for part in convolutions))[:, :, None, None]
    )
    joint.bias = nn.Parameter(torch.cat(biases))
    return joint


class _CornerMaps(nn.Module):
    """From pooled maps of one kind of corner to its heat-map, embedding and offset."""

    def __init__(self, pool: BiCornerPool, branches: Sequence[Branch]) -> None:
        super().__init__()
        self.after_pool = pool.aftpool_conv.conv
        self.features = pool.conv2
        self.hidden = joint_convolution([_first(branch).conv for branch in branches])
        self.maps = parallel_convolution([branch.output for branch in branches])
        self.channels = [branch.output.out_channels for branch in branches]

    def forward(self, pooled: Tensor, skip: Tensor) -> Sequence[Tensor]:
        features = self.features(F.relu(self.after_pool(pooled) + skip))
        # In float32: rounded to few bits, neighbouring cells would tie for the local maximum, and
        # embeddings would differ by what decides whether two corners make a pair.
        maps = self.maps(F.relu(self.hidden(features)).float())
        return maps.split(self.channels, dim=1)


def _first(branch: Branch) -> ConvModule:
    module = branch[0]
    assert isinstance(module, ConvModule)
    return module


class InferenceHead(nn.Module):
    """The last stack's prediction module.

    Args:
        head: with BatchNorm folded; its convolutions are taken over.
    """

    def __init__(self, head: CornerHead) -> None:
        super().__init__()
        pools = [cast(BiCornerPool, pool[-1]) for pool in (head.tl_pool, head.br_pool)]
        self.before_pool = joint_convolution(
            [conv.conv for pool in pools for conv in (pool.direction1_conv, pool.direction2_conv)]
        )
        self.skip = joint_convolution([pool.conv1.conv for pool in pools])
        branches = (
            (head.tl_heat, head.tl_emb, head.tl_off),
            (head.br_heat, head.br_emb, head.br_off),
        )
        self.tl, self.br = (
            _CornerMaps(pool, [cast(Branch, branch[-1]) for branch in kinds])
            for pool, kinds in zip(pools, branches, strict=True)
        )

    def forward(self, feature: Tensor) -> Outputs:
        top, left, bottom, right = F.relu(self.before_pool(feature)).chunk(4, dim=1)
        tl_skip, br_skip = self.skip(feature).chunk(2, dim=1)
        tl = self.tl(corner_pool_pair(top, left, "top_left"), tl_skip)
        br = self.br(corner_pool_pair(bottom, right, "bottom_right"), br_skip)
        return Outputs(tl[0], br[0], tl[1], br[1], tl[2], br[2])


class InferenceDetector(nn.Module):
    """A network that detects as the given one does in evaluation, and cannot be trained.

    Args:
        model: is not changed; its weights are copied.
        precision: of weights and activations: fp32, bf16 or fp16. Pixels are normalised, and the
            maps themselves computed, in float32.
        compile: hand the network to torch.compile at the first picture; where that fails, a
            warning is given and it runs without.

    Raises:
        UserError: the model's device does not compute in this precision.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self, model: CornerDetector, precision: str = "fp32", compile: bool = False
    ) -> None:
        super().__init__()
        with torch.no_grad():
            model = copy.deepcopy(model).eval()
            fold_batch_norm(model)
            self.num_classes = model.num_classes
            self.backbone = model.backbone
            self.head = InferenceHead(model.head)
        self.dtype = weight_dtype(precision)
        self.requires_grad_(False)
        for name, parameter in self.named_parameters():
            if ".maps." not in name:
                parameter.data = parameter.data.to(self.dtype)
        to_channels_last(self)
        self.register_buffer("pixel_mean", model.pixel_mean, persistent=False)
        self.register_buffer("pixel_std", model.pixel_std, persistent=False)
        self.eval()
        self._network: Any = None if compile else self._forward
        self._try(precision)

    def forward(self, images: Tensor) -> list[Outputs]:
        """As `CornerDetector.forward` in evaluation: the maps of the last stack."""
        if self._network == self._forward:
            return [self._forward(images)]
        try:
            if self._network is None:
                self._network = torch.compile(self._forward)  # fails at once where Python is newer
            return [self._network(images)]
        except Exception as error:  # whatever a compiler may raise
            if is_out_of_memory(error):
                raise
            warnings.warn(
                "torch.compile failed on this network and device "
                f"({type(error).__name__}: {str(error).partition(chr(10))[0]}); running without",
                UserWarning,
                stacklevel=2,
            )
            self._network = self._forward
            return [self._forward(images)]

    def _forward(self, images: Tensor) -> Outputs:
        pixels = ((images.float() - self.pixel_mean) / self.pixel_std).to(self.dtype)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        outputs: Outputs = self.head(self.backbone(pixels)[-1])
        return outputs

    @torch.no_grad()
    def _try(self, precision: str) -> None:
        side = _TRIAL_SIDE
        try:
            self._forward(torch.zeros(1, 3, side, side, device=self.pixel_mean.device))
        except RuntimeError as error:
            raise UserError(
                f"--precision: {precision} is not to be had on {self.pixel_mean.device.type} "
                f"({str(error).partition(chr(10))[0]}); use fp32"
            ) from None
