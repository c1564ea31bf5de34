"""csrc/cuda/crop_resize.cu on the host, against the CPU's kernel."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cornernet_ops import crop_resize, testing
from tests.cuda_on_host.conftest import OnHost


def test_crops_are_the_cpus(on_host: OnHost) -> None:
    testing.check_cases(
        testing.cases_of("crop_resize"),
        lambda case: testing.assert_close(case.call(on_host.crop_resize), case.call(crop_resize)),
    )


def test_nothing_beyond_the_images_is_read(
    on_host: OnHost, guarded: Callable[[Tensor], Tensor]
) -> None:
    images = guarded(torch.arange(2.0 * 3 * 7 * 9).view(2, 3, 7, 9))
    sources = torch.tensor([[0, 0, 9, 7], [-5, -5, 20, 20], [7, 5, 9, 7]])
    targets = torch.tensor([[0, 0, 12, 12], [-3, -3, 15, 15], [0, 0, 12, 12]])
    index = torch.tensor([1, 1, 1])
    sizes = {"height": 12, "width": 12, "image_index": index}
    testing.assert_close(
        on_host.crop_resize(images, sources, targets, **sizes),
        crop_resize(images, sources, targets, height=12, width=12, image_index=index),
    )


@pytest.mark.parametrize("image", [-1, 2])
def test_an_image_out_of_range_fails_an_assertion(on_host: OnHost, image: int) -> None:
    window, index = torch.tensor([[0, 0, 4, 4]]), torch.tensor([image])
    sizes = {"height": 4, "width": 4, "image_index": index}
    with pytest.raises(RuntimeError, match="an assertion failed.*image_index: expected 0 to"):
        on_host.crop_resize(torch.zeros(2, 1, 4, 4), window, window, **sizes)
