"""Places of an image that are worth a second look: where, how much enlarged, and which of them.

Law et al., "CornerNet-Lite: Efficient Keypoint Based Object Detection", BMVC 2020, sections 3.1 and
3.2. Places are rows of y, x in pixels of the image, zoom, score; float64, on the host.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cornernet.config import TestConfig

# A view that enlarges the image more shows no detail that a crop could add.
_LARGEST_VIEW_ZOOM = 2.0
# Nor does a crop that would enlarge it more than this.
_LARGEST_ZOOM = 4.0
# Places ask for nearly the same zoom where the quotient of the two lies in between.
_SIMILAR_ZOOMS = (0.8, 1.2)


def places_from_views(
    scores: np.ndarray,
    points: np.ndarray,
    zooms: np.ndarray,
    view_zooms: np.ndarray,
    origins: np.ndarray,
    size: tuple[int, int],
) -> np.ndarray:
    """Places that were found in views of an image.

    Args:
        scores: [V, L]: see `Locations`; 0 where nothing was found.
        points, zooms: [L, 2] and [L]: see `Locations`.
        view_zooms: [V] float32: pixels of each view per pixel of the image.
        origins: [V, 2]: x, y of each view's corner in the image.
        size: height and width of the image in pixels.

    Returns:
        [n, 4], in the order of views and there of `scores`.
    """
    found = []
    for score, view_zoom, (left, top) in zip(scores, view_zooms, origins, strict=True):
        zoom = zooms * view_zoom
        places = np.column_stack([points / np.float64(view_zoom) + [top, left], zoom, score])
        inside = ((places[:, :2] >= 0) & (places[:, :2] < size)).all(1)
        useful = (view_zoom <= _LARGEST_VIEW_ZOOM) & (zoom <= _LARGEST_ZOOM)
        found.append(places[(score > 0) & inside & useful])
    return np.concatenate(found)


def places_from_boxes(
    boxes: np.ndarray, object_sizes: Sequence[int], zoom_sizes: Sequence[int]
) -> np.ndarray:
    """Places in the middle of boxes, with the best score there is.

    Args:
        boxes: [n, 4] float32: x1, y1, x2, y2 in pixels of the image.
        object_sizes: see `ModelConfig.object_sizes`.
        zoom_sizes: see `TestConfig.zoom_sizes`.

    Returns:
        [n, 4].
    """
    side = (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0)
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    kind = np.searchsorted(np.array(object_sizes[:-1]), side)
    zoom = np.array(zoom_sizes, np.float32)[kind] / side
    return np.column_stack([center[:, ::-1], zoom, np.ones_like(side)]).astype(np.float64)


def best_places(places: np.ndarray, config: TestConfig) -> np.ndarray:
    """The best places, best first, each of which leaves out the worse ones around it.

    As in the original, the later one of equal scores comes first, and around is what lies in the
    row or in the column of a place, not only what lies in both.

    Args:
        places: [n, 4].
        config: `location_distance` and `max_crops`.

    Returns:
        [m, 4], at most `max_crops` of them.
    """
    left = places[np.argsort(places[:, 3], kind="stable")[::-1]]
    kept: list[np.ndarray] = []
    low, high = _SIMILAR_ZOOMS
    while len(left) and len(kept) < config.max_crops:
        best, left = left[0], left[1:]
        kept.append(best)
        distance = np.abs(left[:, :2] - best[:2]).min(1)
        quotient = best[2] / left[:, 2]
        around = distance <= config.location_distance / best[2]
        left = left[~(around & (quotient >= low) & (quotient <= high))]
    return np.array(kept).reshape(-1, 4)
