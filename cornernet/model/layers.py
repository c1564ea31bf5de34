"""The layers that backbones and heads are made of.

Modules carry the names that MMDetection gives them, so that weights go both ways by key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class ConvModule(nn.Sequential):
    """Convolution that keeps the size at stride 1, then optionally BatchNorm and ReLU."""

    conv: nn.Conv2d

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        norm: bool = True,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=not norm)
        if norm:
            self.bn = nn.BatchNorm2d(outputs)
        if relu:
            self.relu = nn.ReLU(inplace=True)


# Channels of one SIMD vector of float32 in AVX-512, the longest that oneDNN computes in.
_SIMD_CHANNELS = 16


class PointwiseConv2d(nn.Conv2d):
    """A 1×1 convolution without padding or bias, which at a stride may read few channels.

    For a strided 1×1 convolution of activations in NHWC order, oneDNN (3.12, in torch 2.13) gathers
    the cells that are used in a buffer, in whole SIMD vectors. Where the input has fewer channels
    than a vector, backward writes beyond the buffer and corrupts the heap. With guard pages around
    every buffer, all input channels from 2 to 15 failed in some size of map at stride 2; 1, 16 and
    more, stride 1 and larger kernels never did. Here the cells are gathered by a slice instead,
    which is the same convolution at stride 1.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 1, stride, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        rows, columns = self.stride
        if self.in_channels >= _SIMD_CHANNELS or rows == columns == 1:
            return super().forward(input)
        return F.conv2d(input[..., ::rows, ::columns], self.weight, self.bias)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a skip connection, which is 1×1 where shapes change."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                PointwiseConv2d(inputs, outputs, stride), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        skip = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + skip)


class FireBlock(nn.Module):
    """A 1×1 and a depth-wise 3×3 convolution of few channels (Law et al., CornerNet-Lite, 2019).

    A 1×1 convolution halves the channels of the output, without a ReLU behind its BatchNorm. Each
    of the two convolutions that read the result gives half of the output. There is a skip
    connection only where shapes stay the same.

    Args:
        inputs: channels of the input.
        outputs: channels of the output, an even number.
        stride: of the two convolutions behind the first.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        half = outputs // 2
        self.conv1 = nn.Conv2d(inputs, half, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv_1x1 = PointwiseConv2d(half, half, stride)
        self.conv_3x3 = nn.Conv2d(half, half, 3, stride, 1, groups=half, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.bn1(self.conv1(x))
        y = self.bn2(torch.cat([self.conv_1x1(squeezed), self.conv_3x3(squeezed)], 1))
        return cast(Tensor, self.relu(y + x if self.skip else y))


Block = type[BasicBlock] | type[FireBlock]


def blocks(kind: Block, inputs: int, outputs: int, number: int, stride: int = 1) -> nn.Sequential:
    """`number` blocks of a kind; the first changes channels and resolution."""
    first = kind(inputs, outputs, stride)
    return nn.Sequential(first, *(kind(outputs, outputs) for _ in range(number - 1)))


@contextmanager
def _untouched_statistics(module: nn.Module) -> Iterator[None]:
    """BatchNorm inside works as in training, but takes no batch into its running statistics."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, counter) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counter


def recomputed(module: nn.Module, x: Tensor) -> Tensor:
    """`module(x)`, of which only `x` is kept for backward: the rest is computed again there.

    The second pass leaves BatchNorm's running statistics alone, so that they are the same with and
    without.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _untouched_statistics(module)

    return cast(Tensor, checkpoint(module, x, use_reentrant=False, context_fn=contexts))


class Float32Conv2d(nn.Conv2d):
    """A convolution that computes in float32, whatever the precision of the network around it.

    Inference forms use it where rounding would decide: neighbouring cells of a heat-map would tie
    for the local maximum, and embeddings would differ by what makes two corners a pair.
    """

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.float())


def joint_convolution(convolutions: Sequence[nn.Conv2d]) -> nn.Conv2d:
    """Convolutions of one input as one, whose output channels follow each other.

    Args:
        convolutions: with biases, of one kernel size, at stride 1, padded to keep the size.
    """
    first = convolutions[0]
    side = first.kernel_size[0]
    outputs = sum(part.out_channels for part in convolutions)
    joint = nn.Conv2d(first.in_channels, outputs, side, padding=side // 2)
    weights, biases = zip(*((part.weight, part.bias) for part in convolutions), strict=True)
    joint.weight = nn.Parameter(torch.cat(weights))
    joint.bias = nn.Parameter(torch.cat(biases))
    return joint


def parallel_convolution(convolutions: Sequence[nn.Conv2d]) -> Float32Conv2d:
    """1×1 convolutions of inputs that follow each other in one map, as one with zeros between."""
    joint = Float32Conv2d(
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
