"""The images in which a detector errs most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cornernet.inference.matching import Matches


@dataclass(frozen=True)
class Errors:
    """What is wrong in one image.

    Attributes:
        image: index in the split.
        missed: objects that no detection above the threshold finds.
        false: detections above the threshold that find no object.
    """

    image: int
    missed: int
    false: int


def worst_images(matches: Matches, threshold: float, number: int) -> list[Errors]:
    """The images with most errors, the worst first; none without an error.

    Of images with equally many errors, those come first whose false detections have higher scores
    and whose missed objects have lower ones.

    Args:
        matches: of the split.
        threshold: score from which a detection counts.
        number: how many images at most.
    """
    above = matches.scores >= threshold
    wrong = above & ~matches.correct
    missed = matches.object_scores < threshold
    images = max([-1, *matches.images.tolist(), *matches.object_images.tolist()]) + 1
    false_count = np.bincount(matches.images[wrong], minlength=images)
    missed_count = np.bincount(matches.object_images[missed], minlength=images)
    weight = np.bincount(matches.images[wrong], matches.scores[wrong], images)
    lacking = threshold - np.maximum(matches.object_scores[missed], 0)
    weight = weight + np.bincount(matches.object_images[missed], lacking, images)
    order = np.lexsort((-weight, -(false_count + missed_count)))[:number]
    found = (Errors(i, int(missed_count[i]), int(false_count[i])) for i in order.tolist())
    return [errors for errors in found if errors.missed or errors.false]
