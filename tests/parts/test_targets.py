"""What all kinds of keypoints share in drawing their targets."""

from __future__ import annotations

from typing import Any

import torch

from cornernet.parts.targets import draw_targets, draw_targets_with_validity, image_index

SIZES: dict[str, Any] = {
    "num_classes": 2,
    "image_size": (64, 64),
    "map_size": (32, 32),
    "gaussian_iou": 0.3,
}


def test_boxes_that_are_not_good_silence_the_cells_around_their_corners() -> None:
    boxes = [
        torch.tensor([[4.0, 4, 40, 40], [10, 12, 30, 34]]), torch.tensor([[8.0, 8, 60, 60]])
    ]  # fmt: skip
    labels = [torch.tensor([0, 1]), torch.tensor([1])]
    good = torch.tensor([True, False, True])
    joint, index = torch.cat(boxes), image_index(boxes)
    maps, tl_valid, br_valid = draw_targets_with_validity(joint, labels, index, good, **SIZES)
    among_good = [[boxes[0][:1], boxes[1]], [labels[0][:1], labels[1]]]
    expected = draw_targets(
        torch.cat(among_good[0]), among_good[1], image_index(among_good[0]), **SIZES
    )
    for found, wanted in zip(maps[:6], expected[:6], strict=True):
        assert torch.equal(found, wanted)
    assert [len(cell) for cell in maps[6:]] == [3, 3]
    others = draw_targets(boxes[0][1:], [labels[0][1:]], index[:1], **SIZES)
    for valid, heat in ((tl_valid, others[0]), (br_valid, others[1])):
        assert torch.equal(valid[0], heat[0] == 0)
        assert valid[1].all()
        assert not valid[0, 1].all()
