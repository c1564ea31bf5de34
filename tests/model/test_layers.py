"""Layers that differ from PyTorch's of the same name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from cornernet.config import ModelConfig
from cornernet.model.detector import Detector, to_channels_last
from cornernet.model.fuse import FusedDetector
from cornernet.model.layers import PointwiseConv2d


class Convolutions(TorchDispatchMode):
    """Collects the convolutions that are computed: channels of the input, kernel and stride."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[int, tuple[int, ...], tuple[int, ...]]] = set()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func.overloadpacket is torch.ops.aten.convolution:
            images, weight, _, stride = args[:4]
            self.found.add((images.shape[1], tuple(weight.shape[2:]), tuple(stride)))
        return func(*args, **(kwargs or {}))


def convolutions_of(network: nn.Module, images: Tensor) -> set[Any]:
    with Convolutions() as mode:
        network(images)
    return mode.found


@pytest.mark.parametrize("channels", [8, 14, 32])
@pytest.mark.parametrize("form", [nn.Identity(), FusedDetector])
def test_no_network_asks_for_the_convolution_that_corrupts_memory(channels: int, form: Any) -> None:
    """1×1 at stride 2 with fewer channels than a SIMD vector, in oneDNN's backward pass."""
    config = ModelConfig(
        stacks=1, stage_channels=[channels, channels, 24], stage_blocks=[1, 1, 1],
        feature_channels=8, pool_channels=8, head_channels=8,
    )  # fmt: skip
    network = form(Detector(config, 2).eval())
    to_channels_last(network)
    found = convolutions_of(network, torch.zeros(1, 3, 64, 64))
    assert any(stride == (2, 2) for _, _, stride in found)
    assert not [one for one in found if one[1:] == ((1, 1), (2, 2)) and one[0] < 16]


@pytest.mark.parametrize("inputs", [1, 5, 15, 16, 24])
@pytest.mark.parametrize("size", [(8, 8), (7, 12), (1, 3)])
def test_strided_pointwise_convolution_is_pytorchs(inputs: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    own = PointwiseConv2d(inputs, 6, 2)
    pytorchs = nn.Conv2d(inputs, 6, 1, 2, bias=False)
    pytorchs.load_state_dict(own.state_dict())
    images = torch.randn(2, inputs, *size)
    results: list[list[Tensor]] = []
    for convolution in (own, pytorchs):
        given = images.clone().requires_grad_()
        y: Tensor = convolution(given)  # NCHW, which is safe in both
        results.append([y, *torch.autograd.grad(y.square().sum(), [given, convolution.weight])])
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted)
