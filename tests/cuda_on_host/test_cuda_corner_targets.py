"""csrc/cuda/corner_targets.cu on the host, against the CPU's kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cornernet_ops import center_targets, corner_targets, testing
from tests.cuda_on_host.conftest import OnHost

SETTINGS: dict[str, Any] = {
    "batch": 2, "num_classes": 3, "height": 24, "width": 40, "scale_y": 0.25, "scale_x": 0.25,
    "overlap": 0.3,
}  # fmt: skip


# Exponentials are each library's own in their last bits.
def test_targets_are_the_cpus(on_host: OnHost) -> None:
    testing.check_cases(
        testing.cases_of("corner_targets"),
        lambda case: testing.assert_close(
            case.call(on_host.corner_targets), case.call(corner_targets)
        ),
    )


def test_centres_are_the_cpus(on_host: OnHost) -> None:
    testing.check_cases(
        testing.cases_of("center_targets"),
        lambda case: testing.assert_close(
            case.call(on_host.center_targets), case.call(center_targets)
        ),
    )


def test_the_last_of_a_cells_boxes_stands_whatever_the_turns(
    on_host: OnHost, guarded: Callable[[Tensor], Tensor]
) -> None:
    generator = torch.Generator().manual_seed(1)
    boxes = (torch.rand(300, 4, generator=generator) * 3 + torch.tensor([0.0, 0, 40, 40])) * 1.5
    labels = torch.randint(0, 3, (300,), generator=generator)
    images = torch.randint(0, 2, (300,), generator=generator)
    expected = corner_targets(boxes, labels, images, **SETTINGS)
    for seed in range(5):
        on_host.seed(seed)
        given = map(guarded, (boxes, labels, images))
        testing.assert_close(on_host.corner_targets(*given, **SETTINGS), expected)


@pytest.mark.parametrize(
    ("label", "image", "name"), [(3, 0, "labels"), (-1, 0, "labels"), (0, 2, "image_index")]
)
def test_what_is_out_of_range_fails_an_assertion(
    on_host: OnHost, label: int, image: int, name: str
) -> None:
    given = torch.zeros(1, 4), torch.tensor([label]), torch.tensor([image])
    with pytest.raises(RuntimeError, match=f"an assertion failed.*{name}: expected 0 to"):
        on_host.corner_targets(*given, **SETTINGS)
