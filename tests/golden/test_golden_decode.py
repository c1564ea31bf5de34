"""From heat-maps to corner pairs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cornernet_ops import corner_decode, corner_peaks
from tests.golden.cases import Case
from tests.views import boxes_to_original, view_at


def peaks_of(case: Case, corner: str) -> tuple[Tensor, Tensor]:
    # The stored heat-maps are probabilities already.
    return corner_peaks(case.tensor(f"{corner}_heat"), case.meta["k"], case.meta["kernel"])


@pytest.mark.parametrize("corner", ["tl", "br"])
@pytest.mark.golden_cases("decode", "cases", "{name}_")
def test_peaks(case: Case, corner: str) -> None:
    scores, cells = peaks_of(case, corner)
    wanted = case.tensor(f"{corner}_topk_scores")
    # Where there are fewer peaks than k, the reference fills up with arbitrary cells of score 0
    # and ours says that there is no corner.
    there = wanted > 0
    assert torch.equal(scores[there], wanted[there])
    assert (cells[~there] == -1).all()
    _, _, height, width = case.tensor(f"{corner}_heat").shape
    for name, found in (
        ("inds", cells % (height * width)),
        ("clses", cells // (height * width)),
        ("ys", cells % (height * width) // width),
        ("xs", cells % width),
    ):
        expected = case.tensor(f"{corner}_topk_{name}")
        assert torch.equal(found[there].to(expected.dtype), expected[there]), name


@pytest.mark.parametrize("corner", ["tl", "br"])
@pytest.mark.golden_cases("decode", "cases", "{name}_")
def test_only_local_maxima_are_peaks(case: Case, corner: str) -> None:
    if f"{corner}_localmax" not in case:
        pytest.skip("this case has no map of local maxima")
    heat = case.tensor(f"{corner}_heat")
    _, cells = corner_peaks(heat, heat[0].numel(), case.meta["kernel"])
    wanted = case.tensor(f"{corner}_localmax").flatten(1)
    for found, expected in zip(cells, wanted, strict=True):
        assert torch.equal(found[found >= 0].sort().values, expected.nonzero().flatten())


@pytest.mark.parametrize("corner", ["tl", "br"])
@pytest.mark.golden_cases("decode", "cases", "{name}_")
def test_offsets_at_the_peaks(case: Case, corner: str) -> None:
    _, cells = peaks_of(case, corner)
    if (cells < 0).any():
        pytest.skip("the reference fills up with arbitrary cells, ours has no corner there")
    offset = case.tensor(f"{corner}_off").flatten(2)
    cells = cells % offset.shape[2]
    found = offset.gather(2, cells[:, None].expand(-1, 2, -1)).transpose(1, 2)
    assert torch.equal(found, case.tensor(f"{corner}_off_gathered"))


@pytest.mark.golden_cases("decode", "cases", "{name}_")
def test_pairs(case: Case) -> None:
    tl_scores, tl_cells = peaks_of(case, "tl")
    br_scores, br_cells = peaks_of(case, "br")
    if (tl_cells < 0).any() or (br_cells < 0).any():
        pytest.skip("the reference pairs corners of score 0, ours has none")
    meta = case.meta
    boxes, scores, labels = corner_decode(
        tl_scores,
        tl_cells,
        br_scores,
        br_cells,
        case.tensor("tl_emb"),
        case.tensor("br_emb"),
        case.tensor("tl_off"),
        case.tensor("br_off"),
        distance_threshold=meta["distance_threshold"],
        max_pairs=meta["k"] ** 2,
    )
    height, width = meta["batch_input_shape"]
    cell = torch.tensor([width / meta["W"], height / meta["H"]]).repeat(2)
    top, _, left, _ = meta["border"] or [0, 0, 0, 0]
    # The reference clips at the left and upper edge alone: here the picture has no other edge.
    endless = view_at((10**6, 10**6), (1.0, 1.0), (left, top))
    for image, valid in enumerate(meta["num_valid"]):
        box = boxes_to_original(boxes[image] * cell, endless)
        good = (labels[image] >= 0) & (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1])
        assert min(int(good.sum()), meta["num_dets"]) == valid
        wanted = {name: case.tensor(name)[image, :valid] for name in ("bboxes", "scores", "clses")}
        torch.testing.assert_close(box[good][:valid], wanted["bboxes"], rtol=0, atol=1e-4)
        torch.testing.assert_close(scores[image][good][:valid], wanted["scores"], rtol=0, atol=1e-6)
        assert torch.equal(labels[image][good][:valid], wanted["clses"])
