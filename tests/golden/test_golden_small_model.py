"""A small network of two stacks: maps, losses, gradients, BatchNorm, picture to boxes, flip."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from cornernet.config import Config, LossConfig, with_overrides
from cornernet.inference.detect import detect
from cornernet.inference.merge import merge, suppress
from cornernet.inference.views import View
from cornernet.model.detector import Detector, count_parameters
from cornernet.model.fuse import FusedDetector
from cornernet.parts.corners.decode import decode
from cornernet.parts.corners.losses import corner_losses
from cornernet.parts.corners.structures import Outputs
from cornernet.parts.corners.targets import build_targets
from cornernet.structures import Detections
from tests.golden.cases import AllStacks, AssertSameDetections, BuildModel, Case, Golden
from tests.views import candidates_of as batch_of
from tests.views import detections_of, make_view

MAPS = ("tl_heat", "br_heat", "tl_emb", "br_emb", "tl_off", "br_off")
NAMES = {"focal": "det", "offset": "off", "pull": "pull", "push": "push"}


def our_key(key: str) -> str:
    return key.replace("bbox_head.", "head.", 1)


@pytest.fixture
def model(golden: Golden, build_model: BuildModel) -> Detector:
    content = golden("small_model_state")
    state = {key: content.tensor(key) for key in content.meta["keys"]}
    return build_model(content.meta["spec"], state).eval()


def eval_cases(content: Case) -> list[str]:
    found = sorted(name.removesuffix("_x") for name in content.arrays if name.endswith("_x"))
    assert found
    return found


def test_number_of_parameters(golden: Golden, model: Detector) -> None:
    assert count_parameters(model) == golden("small_model_state").meta["num_params"]


def test_features_of_each_stack(golden: Golden, model: Detector) -> None:
    content = golden("small_model_io")
    for name in eval_cases(content):
        with torch.no_grad():
            features = model.backbone(content.tensor(f"{name}_x"))
        for level, found in enumerate(features):
            wanted = content.tensor(f"{name}_feat_l{level}")
            torch.testing.assert_close(found.map, wanted, rtol=0, atol=2e-4)


@pytest.mark.parametrize("corner", ["tl", "br"])
def test_corner_pooling_modules(golden: Golden, model: Detector, corner: str) -> None:
    content = golden("small_model_io")
    for name in eval_cases(content):
        for level, module in enumerate(getattr(model.head, f"{corner}_pool")):
            with torch.no_grad():
                found = module(content.tensor(f"{name}_feat_l{level}"))
            wanted = content.tensor(f"{name}_{corner}_pool_l{level}")
            torch.testing.assert_close(found, wanted, rtol=0, atol=2e-4)


def test_maps_of_each_stack(golden: Golden, model: Detector, all_stacks: AllStacks) -> None:
    content = golden("small_model_io")
    for name in eval_cases(content):
        outputs = all_stacks(model, content.tensor(f"{name}_x"))
        assert len(outputs) == golden("small_model_state").meta["spec"]["stacks"]
        for level, maps in enumerate(outputs):
            for found, kind in zip(maps, MAPS, strict=True):
                wanted = content.tensor(f"{name}_{kind}_l{level}")
                torch.testing.assert_close(found, wanted, rtol=0, atol=2e-4)


class Step:
    """One forward and backward pass in training."""

    def __init__(self, content: Case, model: Detector) -> None:
        x = content.tensor("eval0_x")
        boxes, labels = content.per_image("train_boxes"), content.per_image("train_labels")
        model.train()
        outputs = model.head(model.backbone(x))
        targets = build_targets(
            boxes,
            labels,
            model.num_classes,
            (x.shape[2], x.shape[3]),
            outputs[-1].tl_heat.shape[2:],
        )
        config = LossConfig(embedding_batch=len(boxes))
        self.by_stack = [corner_losses([maps], targets, config) for maps in outputs]
        self.losses = corner_losses(outputs, targets, config)
        self.losses["total"] = torch.stack(list(self.losses.values())).sum()
        self.losses["total"].backward()
        self.parameters = dict(model.named_parameters())
        self.buffers = dict(model.named_buffers())

    def gradient(self, key: str) -> Tensor:
        gradient = self.parameters[our_key(key)].grad
        assert gradient is not None
        return gradient


@pytest.fixture
def step(golden: Golden, model: Detector) -> Step:
    return Step(golden("small_model_io"), model)


def test_losses_of_each_stack(golden: Golden, step: Step) -> None:
    content = golden("small_model_io")
    for level, losses in enumerate(step.by_stack):
        for ours, theirs in NAMES.items():
            wanted = content.tensor(f"train_{theirs}_loss")[level]
            torch.testing.assert_close(losses[ours].detach(), wanted, rtol=1e-4, atol=1e-7)


def test_total_loss(golden: Golden, step: Step) -> None:
    wanted = golden("small_model_io").tensor("train_total")
    torch.testing.assert_close(step.losses["total"].detach(), wanted, rtol=1e-4, atol=0)


def test_norm_of_every_gradient(golden: Golden, step: Step) -> None:
    content = golden("small_model_io")
    names = content.meta["train_param_names"]
    assert {our_key(name) for name in names} == set(step.parameters)
    found = torch.stack([step.gradient(name).norm() for name in names])
    wanted = content.tensor("train_grad_norms")
    # Rounding can flip a ReLU or a pooling maximum and so move single norms.
    off = (found - wanted).abs() / wanted.clamp_min(1e-12)
    off[(found - wanted).abs() < 1e-7] = 0
    assert float((off <= 1e-3).float().mean()) >= 0.95
    assert float(off.max()) <= 3e-2


def test_clipped_gradients(golden: Golden, model: Detector, step: Step) -> None:
    content = golden("small_model_io")
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 35.0)
    torch.testing.assert_close(norm, content.tensor("train_grad_total_norm"), rtol=1e-3, atol=0)
    names = [name for name in content.arrays if name.startswith("train_grad__")]
    assert names
    for name in names:
        found, wanted = step.gradient(name.removeprefix("train_grad__")), content.tensor(name)
        assert float((found - wanted).norm()) <= 3e-2 * float(wanted.norm()) + 1e-7, name


def test_batch_norm_after_one_step(golden: Golden, step: Step) -> None:
    content = golden("small_model_io")
    names = [name for name in content.arrays if name.startswith("train_buffer__")]
    assert names
    for name in names:
        found = step.buffers[our_key(name.removeprefix("train_buffer__"))]
        torch.testing.assert_close(found, content.tensor(name), rtol=1e-4, atol=1e-5)


def reference_view(case: Case, flipped: bool = False) -> tuple[np.ndarray, View]:
    """Our view, but for the last row or column that the reference loses at a side of side|127."""
    canvas, view = make_view(case.image("image"), Config(), flipped=flipped)
    _, bottom, _, right = (int(edge) for edge in case.array("border"))
    canvas[bottom:], canvas[:, right:] = (Config().model.canvas_color,) * 2
    return canvas, view


def maps_of(model: Detector, canvas: np.ndarray) -> Outputs:
    with torch.no_grad():
        return model(torch.from_numpy(canvas).permute(2, 0, 1)[None])[-1]["corners"]


def candidates_of(model: Detector, case: Case, flipped: bool = False) -> Detections:
    """Candidates clipped as the reference does, at the left and upper edge alone."""
    canvas, view = reference_view(case, flipped)
    boxes, scores, labels = decode(maps_of(model, canvas), Config().test, canvas.shape[:2])
    box = (boxes[0] - torch.tensor(view.origin).repeat(2)).clamp_min(0)
    good = (labels[0] >= 0) & (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1])
    if flipped:
        width = view.size[1]
        box = torch.stack([width - box[:, 2], box[:, 1], width - box[:, 0], box[:, 3]], 1)
    return Detections(box[good], scores[0][good], labels[0][good])


def suppressed(candidates: Detections) -> Detections:
    return detections_of(suppress(batch_of(candidates), Config().test))


def merged(views: list[Detections], *overrides: str) -> Detections:
    settings = with_overrides(Config(), overrides).test
    return detections_of(merge([batch_of(view) for view in views], settings))


def wanted_detections(case: Case, before: str = "") -> list[Tensor]:
    return [case.tensor(before + name) for name in ("bboxes", "scores", "labels")]


@pytest.mark.golden_cases("small_model_io", "e2e", "e2e{index}_")
def test_place_of_the_picture_on_the_canvas(case: Case) -> None:
    canvas, view = make_view(case.image("image"), Config())
    top, _, left, _ = case.array("border")
    assert list(canvas.shape[:2]) == case.meta["padded"]
    assert view.origin == (left, top)


@pytest.mark.golden_cases("small_model_io", "e2e", "e2e{index}_")
def test_input_of_the_network(case: Case, model: Detector) -> None:
    if "net_input" not in case:
        pytest.skip("this case has no network input")
    canvas, _ = reference_view(case)
    found = model.normalize(torch.from_numpy(canvas).permute(2, 0, 1)[None])
    torch.testing.assert_close(found, case.tensor("net_input"), rtol=0, atol=1e-5)


@pytest.mark.golden_cases("small_model_io", "e2e", "e2e{index}_")
def test_maps_of_a_picture(case: Case, model: Detector) -> None:
    canvas, _ = reference_view(case)
    for found, kind in zip(maps_of(model, canvas), MAPS, strict=True):
        torch.testing.assert_close(found, case.tensor(kind), rtol=0, atol=2e-4)


@pytest.mark.golden_cases("small_model_io", "e2e", "e2e{index}_")
def test_candidates_of_a_picture(
    case: Case, model: Detector, assert_same_detections: AssertSameDetections
) -> None:
    found = candidates_of(model, case)
    assert_same_detections(found, *wanted_detections(case, "raw_"), 1e-3, 1e-3)


@pytest.mark.golden_cases("small_model_io", "e2e", "e2e{index}_")
def test_detections_in_a_picture(
    case: Case, model: Detector, assert_same_detections: AssertSameDetections
) -> None:
    found = suppressed(candidates_of(model, case))
    assert_same_detections(found, *wanted_detections(case), 1e-3, 1e-3)


@pytest.mark.golden_cases("small_model_io", "e2e", "tta{index}_")
def test_detections_in_the_mirrored_picture(
    case: Case, model: Detector, assert_same_detections: AssertSameDetections
) -> None:
    found = suppressed(candidates_of(model, sibling(case), flipped=True))
    boxes, scores, labels = wanted_detections(case, "flip_")
    width = sibling(case).array("image").shape[1]  # stored in the mirrored picture's pixels
    boxes = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
    assert_same_detections(found, boxes, scores, labels, 1e-3, 1e-3)


@pytest.mark.golden_cases("small_model_io", "e2e", "tta{index}_")
def test_detections_in_the_plain_view(
    case: Case, model: Detector, assert_same_detections: AssertSameDetections
) -> None:
    found = suppressed(candidates_of(model, sibling(case)))
    assert_same_detections(found, *wanted_detections(case, "plain_"), 1e-3, 1e-3)


@pytest.mark.golden_cases("small_model_io", "e2e", "tta{index}_")
def test_views_suppressed_one_by_one_and_again_together(
    case: Case, model: Detector, assert_same_detections: AssertSameDetections
) -> None:
    views = [candidates_of(model, sibling(case), flipped) for flipped in (True, False)]
    found = merged(views, "--test.tta_merge", "mmdet3")
    assert_same_detections(found, *wanted_detections(case), 1e-3, 1e-3)


# A difference: the reference suppresses each view and then their union again; ours joins the
# candidates of all views and suppresses once, as the original and MMDetection 2.x did.
@pytest.mark.golden_cases("small_model_io", "e2e", "tta{index}_")
def test_both_views_joined_before_one_suppression(
    case: Case, model: Detector, assert_same_detections: AssertSameDetections
) -> None:
    views = [candidates_of(model, sibling(case), flipped) for flipped in (True, False)]
    found = merged(views)
    dets, labels = case.tensor("single_nms_dets"), case.tensor("single_nms_labels")
    assert_same_detections(found, dets[:, :4], dets[:, 4], labels, 1e-3, 1e-3)


# A difference: `detect` clips at all sides before it suppresses. Apart from that and from the row
# or column that the reference loses, its candidates are the reference's.
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.golden_cases("small_model_io", "e2e", "e2e{index}_")
def test_detect_gives_the_references_candidates_clipped_and_suppressed(
    case: Case, model: Detector, assert_same_detections: AssertSameDetections, flip: bool
) -> None:
    _, bottom, _, right = (int(edge) for edge in case.array("border"))
    padded_height, padded_width = case.meta["padded"]
    height, width = case.array("image").shape[:2]
    if height == padded_height or width == padded_width:
        pytest.skip("the reference loses the last row or column of this picture")
    candidates = []
    for flipped in (True, False) if flip else (False,):
        found = candidates_of(model, case, flipped)
        box = found.boxes.clamp_min(0)
        box = torch.minimum(box, torch.tensor([width, height]).repeat(2))
        good = (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1])
        candidates.append(Detections(box[good], found.scores[good], found.labels[good]))
    wanted = merged(candidates)
    words = [f"--test.flip={str(flip).lower()}", "--test.pad_multiple=128"]
    config = with_overrides(Config(), words)
    found = detect(FusedDetector(model), [case.image("image")], config)[0]
    assert_same_detections(found, wanted.boxes, wanted.scores, wanted.labels, 1e-3, 1e-5)


def sibling(case: Case) -> Case:
    """The picture to which the numbers of a mirrored test belong."""
    return type(case)(case.arrays, case.meta, case.prefix.replace("tta", "e2e"))
