"""The settings of detection: section `test` of a configuration; see `schema`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cornernet.config.checks import LONGEST_SIDE, require, require_at_least, require_at_most

_LARGEST_SCALE = 100


@dataclass(frozen=True)
class TestConfig:
    """From the network's maps to detections.

    Attributes:
        topk: corners of each kind kept per image.
        peak_kernel: side of the window in which a corner must be the maximum; odd.
        distance_threshold: largest distance between the embeddings of one object's corners.
        skip_border: make no boxes of top-left corners in the first row or column of the maps, nor
            of bottom-right corners in the last: where the network sees crops, they are mostly those
            of objects that a crop has cut.
        pair_score: a box's score from its corners': their "mean", as in the paper, or their
            "geometric" mean, which a single strong corner cannot carry: fewer wrong pairs.
        center_weight: how often a centre's score counts in that of a box, where the corners' counts
            twice, for networks with the part "centers".
        center_rule: what centres do to boxes. "nearby": each score is joined with the largest
            probability of a centre near the middle of its box. "verify", as in CenterNet: a box
            needs one of the `topk` centres in its central region, and is dropped without.
        max_pairs: corner pairs kept per image and view before non-maximum suppression.
        max_outside: boxes that reach this many pixels or more beyond the resized image are left
            out, as in CenterNet with 5; 0: they are clipped to the image, as others are.
        score_threshold: detections below are left out.
        max_per_image: detections kept per image.
        nms: how overlapping boxes of a class are treated: their scores decay with a Gaussian of
            the overlap ("gaussian"), by one minus the overlap ("linear"), to zero ("hard"), or
            not at all ("none").
        nms_iou: overlap from which "linear" and "hard" act.
        nms_sigma: width of the Gaussian of "gaussian".
        nms_min_score: boxes whose score decays below are dropped.
        merge_exponent: how strongly overlapping boxes of a class pull a detection towards their
            mean, as the original does in its multi-scale test with 10; 0: not at all. See
            `cornernet_ops.soft_nms`.
        flip: also run the mirrored image and join the candidates.
        scales: factors by which images are resized before the network; several are joined.
        tta_merge: how several views of an image are joined. "joint": all candidates pass one
            non-maximum suppression, as in the original. "mmdet3": each view passes it alone and
            keeps `max_per_image`, then what is left passes it again with the lowered scores, as
            in MMDetection 3.
        pad_multiple: images are centred on a canvas whose sides are one less than a multiple of
            this number of pixels; 1: on none; 0: the multiple that suits the network.
        batch_size: images of equal size run together.
        evaluator: package that computes COCO's numbers: "pycocotools", or "faster-coco-eval", which
            is installed on request and gives the same numbers in less time.
        view_sizes: pixels of the longer side of the whole image in the views at which a network
            with the part "attention" looks first. Each view is a square of `augment.crop_size`;
            `scales` and `pad_multiple` do not act on such a network.
        first_score: boxes of the `view_sizes` are kept if they score above this.
        location_score: places that attention rates above this are looked at again, enlarged.
        box_location_score: boxes of the `view_sizes` that score above this are looked at again.
        zoom_sizes: pixels that the longer side of such a box gets in its crop: one number for boxes
            up to each of `model.object_sizes`, of which the last also acts beyond.
        location_distance: a place leaves out all that score less, ask for nearly the same zoom, and
            lie in the band of so many pixels of the enlarged image, to either side, along its row
            or its column.
        max_crops: how many of the best places are looked at again.
        crop_batch: crops that run together.
    """

    topk: int = 100
    peak_kernel: int = 3
    distance_threshold: float = 0.5
    skip_border: bool = False
    pair_score: Literal["mean", "geometric"] = "mean"
    center_weight: float = 1.0
    center_rule: Literal["nearby", "verify"] = "nearby"
    max_pairs: int = 1000
    max_outside: float = 0.0
    score_threshold: float = 0.0
    max_per_image: int = 100
    nms: Literal["gaussian", "linear", "hard", "none"] = "gaussian"
    nms_iou: float = 0.5
    nms_sigma: float = 0.5
    nms_min_score: float = 1e-3
    merge_exponent: float = 0.0
    flip: bool = False
    scales: list[float] = field(default_factory=lambda: [1.0])
    tta_merge: Literal["joint", "mmdet3"] = "joint"
    pad_multiple: int = 0
    batch_size: int = 1
    evaluator: Literal["pycocotools", "faster-coco-eval"] = "pycocotools"
    view_sizes: list[int] = field(default_factory=lambda: [192, 255])
    first_score: float = 0.3
    location_score: float = 0.3
    box_location_score: float = 0.5
    zoom_sizes: list[int] = field(default_factory=lambda: [24, 64, 192])
    location_distance: float = 16.0
    max_crops: int = 30
    crop_batch: int = 32

    def __post_init__(self) -> None:
        require_at_least(
            1, "test", self,
            "topk", "peak_kernel", "max_pairs", "max_per_image", "batch_size", "crop_batch",
        )  # fmt: skip
        require_at_most(LONGEST_SIDE, "test", self, "pad_multiple")
        require_at_least(
            0, "test", self,
            "distance_threshold", "score_threshold", "nms_min_score", "merge_exponent",
            "center_weight", "pad_multiple", "max_outside", "location_score", "location_distance",
            "max_crops",
        )  # fmt: skip
        require(
            self.peak_kernel % 2 == 1, "test.peak_kernel", f"must be odd, got {self.peak_kernel}"
        )
        require(self.nms_sigma > 0, "test.nms_sigma", f"must be positive, got {self.nms_sigma}")
        require(
            bool(self.scales) and min(self.scales) > 0 and max(self.scales) <= _LARGEST_SCALE,
            "test.scales",
            f"must be one or more positive factors of at most {_LARGEST_SCALE}, got {self.scales}",
        )
        for key in ("view_sizes", "zoom_sizes"):
            sizes = getattr(self, key)
            require(
                bool(sizes) and min(sizes) > 0,
                f"test.{key}",
                f"must be one or more positive sizes, got {sizes}",
            )
