"""The ops in ONNX, by standard operators alone, for torch.onnx.export.

    torch.onnx.export(module, arguments, "file.onnx", dynamo=True,
                      custom_translation_table=cornernet_ops.onnx.translations())

makes a file that any runtime of ONNX's operator set 18 or newer runs. Needs onnxscript, and torch
2.7 or newer, whose exporter takes a table of translations.

A pool is ONNX's `Scan` over rows: of the standard forms the fastest in ONNX Runtime on a CPU, and
good for maps of any size. Values equal the ops', but for NaN, with which a runtime does what it
likes.

Functions with the decorator `script` are in onnxscript's language, which looks like Python: they
are read, not run, and annotations of values would be read as types of tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import BOOL, FLOAT, INT64, graph, script
from onnxscript import opset18 as op
from onnxscript.values import Opset

from . import center_pool, corner_pool_add  # noqa: F401  (registers all ops)
from .corner_pool import SCANS
from .corner_pool_pair import CORNERS

# The domain of the functions below; an exported file holds them inlined.
_LOCAL = Opset("cornernet", 1)
_LOWEST = -float("inf")


@script(_LOCAL, default_opset=op)
def _scan_up(x: FLOAT) -> FLOAT:
    """The running maximum of [N, C, H, W] along H, from the last row to the first."""

    @graph()
    def step(largest, row):
        larger = op.Max(largest, row)
        return larger, op.Identity(larger)

    start = op.Gather(x, op.Constant(value_int=-1), axis=2)
    _, result = op.Scan(
        start,
        x,
        body=step,
        num_scan_inputs=1,
        scan_input_axes=[2],
        scan_input_directions=[1],
        scan_output_axes=[2],
        scan_output_directions=[1],
    )
    return result


@script(_LOCAL, default_opset=op)
def _scan_down(x: FLOAT) -> FLOAT:
    """The running maximum of [N, C, H, W] along H, from the first row to the last."""

    @graph()
    def step(largest, row):
        larger = op.Max(largest, row)
        return larger, op.Identity(larger)

    start = op.Gather(x, op.Constant(value_int=0), axis=2)
    _, result = op.Scan(
        start, x, body=step, num_scan_inputs=1, scan_input_axes=[2], scan_output_axes=[2]
    )
    return result


@script(_LOCAL, default_opset=op)
def _pick_boxes(
    boxes: FLOAT,
    scores: FLOAT,
    labels: INT64,
    picks: FLOAT,
    is_gaussian: BOOL,
    sigma: FLOAT,
    iou_threshold: FLOAT,
    base: FLOAT,
    slope: FLOAT,
    least: FLOAT,
    exponent: FLOAT,
) -> tuple[INT64, FLOAT, FLOAT]:
    """`soft_nms`, one step a pick.

    Args:
        boxes, scores, labels: [N, P, 4], [N, P] and [N, P].
        picks: [D], of any values.
        is_gaussian: whether factors are exp(-o² / sigma), or from `iou_threshold` on base - slope
            * o, of the overlap o.
        sigma, iou_threshold, base, slope: see there.
        least, exponent: `min_score` and `merge_exponent`.
    """
    lowest = op.Constant(value_float=-float("inf"))
    zero = op.Constant(value_float=0.0)
    one = op.Constant(value_float=1.0)
    no_index = op.Constant(value_ints=[-1])
    candidate_axis = op.Constant(value_ints=[1])
    side_axis = op.Constant(value_ints=[2])
    candidates = op.Squeeze(op.Shape(scores, start=1, end=2))
    numbers = op.Range(op.Constant(value_int=0), candidates, op.Constant(value_int=1))
    left_sides, top_sides, right_sides, bottom_sides = op.Split(boxes, axis=2, num_outputs=4)
    areas = op.Mul(op.Sub(right_sides, left_sides), op.Sub(bottom_sides, top_sides))
    allowed = op.And(
        op.GreaterOrEqual(scores, least), op.GreaterOrEqual(labels, op.Constant(value_int=0))
    )
    start = op.Where(allowed, scores, lowest)

    @graph()
    def pick(left, tick):
        best = op.ReduceMax(left, candidate_axis, keepdims=1)
        index = op.ArgMax(left, axis=1, keepdims=1)
        found = op.Greater(best, lowest)
        chosen = op.Equal(numbers, index)
        box = op.GatherND(boxes, index, batch_dims=1)
        label = op.Unsqueeze(op.GatherND(labels, index, batch_dims=1), candidate_axis)
        score = op.Unsqueeze(op.GatherND(scores, index, batch_dims=1), candidate_axis)

        x1, y1, x2, y2 = op.Split(op.Unsqueeze(box, candidate_axis), axis=2, num_outputs=4)
        width = op.Max(op.Sub(op.Min(x2, right_sides), op.Max(x1, left_sides)), zero)
        height = op.Max(op.Sub(op.Min(y2, bottom_sides), op.Max(y1, top_sides)), zero)
        intersection = op.Mul(width, height)
        area = op.Mul(op.Sub(x2, x1), op.Sub(y2, y1))
        union = op.Sub(op.Add(area, areas), intersection)
        share = op.Where(op.Greater(union, zero), op.Div(intersection, union), zero)
        overlap = op.Squeeze(share, side_axis)

        decay = op.Exp(op.Neg(op.Div(op.Mul(overlap, overlap), sigma)))
        acts = op.GreaterOrEqual(overlap, iou_threshold)
        lowers = op.Where(acts, op.Sub(base, op.Mul(slope, overlap)), one)
        same = op.Equal(labels, label)
        factor = op.Where(same, op.Where(is_gaussian, decay, lowers), one)

        # Without an exponent the merged box is computed and not taken.
        is_open = op.And(op.Greater(left, lowest), same)
        shared = op.Mul(scores, op.Pow(op.Sub(one, factor), exponent))
        weight = op.Where(chosen, score, op.Where(is_open, shared, zero))
        weight = op.Where(op.Greater(weight, zero), weight, zero)
        total = op.ReduceSum(weight, candidate_axis, keepdims=1)
        weighted = op.Mul(boxes, op.Unsqueeze(weight, side_axis))
        mean = op.Div(op.ReduceSum(weighted, candidate_axis, keepdims=0), total)
        merges = op.And(op.Greater(total, zero), op.Greater(exponent, zero))
        result = op.Where(merges, mean, box)

        lowered = op.Mul(left, factor)
        stays = op.And(op.GreaterOrEqual(lowered, least), op.Greater(factor, zero))
        stays = op.And(stays, op.Not(chosen))
        return (
            op.Where(stays, lowered, lowest),
            op.Where(found, index, no_index),
            op.Where(found, result, zero),
            op.Where(found, best, op.Neg(one)),
        )

    _, indices, picked, picked_scores = op.Scan(
        start, picks, body=pick, num_scan_inputs=1, scan_output_axes=[1, 1, 1]
    )
    return op.Squeeze(indices, side_axis), picked, op.Squeeze(picked_scores, side_axis)


def _corner_pool(x: Any, direction: str) -> Any:
    dim, reverse = SCANS[direction]
    scan = _scan_up if reverse else _scan_down
    if dim == 2:
        return scan(x)
    turned = scan(op.Transpose(x, perm=[0, 1, 3, 2]))
    return op.Transpose(turned, perm=[0, 1, 3, 2])


def _corner_pool_pair(vertical: Any, horizontal: Any, corner: str) -> Any:
    down, along = CORNERS[corner]
    return op.Add(_corner_pool(vertical, down), _corner_pool(horizontal, along))


def _corner_pool_add(addend: Any, x: Any, direction: str) -> Any:
    return op.Add(addend, _corner_pool(x, direction))


def _center_pool(vertical: Any, horizontal: Any) -> Any:
    columns = op.ReduceMax(vertical, op.Constant(value_ints=[2]), keepdims=1)
    return op.Add(columns, op.ReduceMax(horizontal, op.Constant(value_ints=[3]), keepdims=1))


def _best(scores: Any, number: int) -> tuple[Any, Any]:
    """The largest of [N, n], of which there may be fewer, best first, and their places."""
    rows = op.Shape(scores, start=0, end=1)
    shape = op.Concat(rows, op.Constant(value_ints=[number]), axis=0)
    filling = op.Expand(op.CastLike(op.Constant(value_float=_LOWEST), scores), shape)
    # Of equal values the first one comes first.
    values, places = op.TopK(op.Concat(scores, filling, axis=1), op.Constant(value_ints=[number]))
    return values, places


def _corner_peaks(heat: Any, k: int, kernel_size: int = 3, min_scores: Any = None) -> Any:
    half = kernel_size // 2
    highest, _ = op.MaxPool(
        heat, kernel_shape=[kernel_size, kernel_size], pads=[half, half, half, half]
    )
    is_peak = op.Equal(highest, heat)
    if min_scores is not None:
        limits = op.Unsqueeze(min_scores, op.Constant(value_ints=[1, 2]))
        is_peak = op.And(is_peak, op.GreaterOrEqual(heat, limits))
    lowest = op.CastLike(op.Constant(value_float=_LOWEST), heat)
    scores, places = _best(op.Flatten(op.Where(is_peak, heat, lowest)), k)
    return scores, op.Where(op.Greater(scores, lowest), places, op.Constant(value_ints=[-1]))


def _without_border(indices: Any, area: Any, width: Any, row: Any, column: Any) -> Any:
    """Indices of cells, with -1 for those of a row and of a column."""
    cell = op.Mod(op.Max(indices, op.Constant(value_int=0)), area)
    on_border = op.Or(op.Equal(op.Div(cell, width), row), op.Equal(op.Mod(cell, width), column))
    return op.Where(on_border, op.Constant(value_int=-1), indices)


def _corner_decode(
    tl_scores: Any,
    tl_indices: Any,
    br_scores: Any,
    br_indices: Any,
    tl_embedding: Any,
    br_embedding: Any,
    tl_offset: Any,
    br_offset: Any,
    distance_threshold: float,
    max_pairs: int,
    skip_border: bool = False,
) -> Any:
    height, width = op.Shape(tl_offset, start=2, end=3), op.Shape(tl_offset, start=3, end=4)
    area = op.Mul(height, width)
    zero, none = op.Constant(value_int=0), op.Constant(value_int=-1)

    def corner(indices: Any, embedding: Any, offset: Any) -> tuple[Any, Any, Any, Any]:
        """Label, x, y [N, K] and embedding [N, E, K]."""
        label = op.Where(op.Less(indices, zero), none, op.Div(indices, area))
        cell = op.Mod(op.Max(indices, zero), area)

        def at_cells(map: Any) -> Any:  # [N, D, H, W] -> [N, D, K]
            shape = op.Constant(value_ints=[0, 0, -1])
            channels = op.Shape(map, start=1, end=2)
            index = op.Unsqueeze(cell, op.Constant(value_ints=[1]))
            one = op.Constant(value_ints=[1])
            index = op.Expand(index, op.Concat(one, channels, one, axis=0))
            return op.GatherElements(op.Reshape(map, shape), index, axis=2)

        offsets = at_cells(offset)
        dx = op.Gather(offsets, zero, axis=1)
        dy = op.Gather(offsets, op.Constant(value_int=1), axis=1)
        x = op.Add(op.CastLike(op.Mod(cell, width), offset), dx)
        y = op.Add(op.CastLike(op.Div(cell, width), offset), dy)
        return label, x, y, at_cells(embedding)

    if skip_border:
        last = op.Constant(value_ints=[1])
        tl_indices = _without_border(tl_indices, area, width, zero, zero)
        last_row, last_column = op.Sub(height, last), op.Sub(width, last)
        br_indices = _without_border(br_indices, area, width, last_row, last_column)
    tl_label, x1, y1, tl_tag = corner(tl_indices, tl_embedding, tl_offset)
    br_label, x2, y2, br_tag = corner(br_indices, br_embedding, br_offset)

    def rows(x: Any, axis: int) -> Any:
        return op.Unsqueeze(x, op.Constant(value_ints=[axis]))

    two = op.CastLike(op.Constant(value_float=2.0), tl_scores)
    score = op.Div(op.Add(rows(tl_scores, 2), rows(br_scores, 1)), two)
    difference = op.Sub(rows(tl_tag, 3), rows(br_tag, 2))
    distance = op.ReduceL2(difference, op.Constant(value_ints=[1]), keepdims=0)
    threshold = op.CastLike(op.Constant(value_float=distance_threshold), tl_scores)
    lowest = op.CastLike(op.Constant(value_float=_LOWEST), tl_scores)
    valid = op.And(
        op.Equal(rows(tl_label, 2), rows(br_label, 1)),
        op.GreaterOrEqual(rows(tl_label, 2), zero),
    )
    valid = op.And(valid, op.Greater(rows(x2, 1), rows(x1, 2)))
    valid = op.And(valid, op.Greater(rows(y2, 1), rows(y1, 2)))
    valid = op.And(valid, op.LessOrEqual(distance, threshold))
    best, order = _best(op.Flatten(op.Where(valid, score, lowest)), max_pairs)
    found = op.Greater(best, lowest)
    order = op.Where(found, order, zero)
    number = op.Shape(br_scores, start=1, end=2)
    tl, br = op.Div(order, number), op.Mod(order, number)
    sides = [
        rows(op.GatherElements(x, index, axis=1), 2)
        for x, index in ((x1, tl), (y1, tl), (x2, br), (y2, br))
    ]
    boxes = op.Concat(*sides, axis=2)
    boxes = op.Where(rows(found, 2), boxes, op.CastLike(op.Constant(value_float=0.0), boxes))
    scores = op.Where(found, best, op.CastLike(op.Constant(value_float=-1.0), best))
    return boxes, scores, op.Where(found, op.GatherElements(tl_label, tl, axis=1), none)


def _soft_nms(
    boxes: Any,
    scores: Any,
    labels: Any,
    method: str,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    max_detections: int,
    merge_exponent: float = 0.0,
) -> Any:
    base, slope = {"linear": (1.0, 1.0), "hard": (0.0, 0.0)}.get(method, (1.0, 0.0))
    is_gaussian = op.Cast(op.Constant(value_int=int(method == "gaussian")), to=BOOL.dtype)
    return _pick_boxes(
        boxes,
        scores,
        labels,
        op.ConstantOfShape(op.Constant(value_ints=[max_detections])),
        is_gaussian,
        op.Constant(value_float=sigma),
        op.Constant(value_float=iou_threshold),
        op.Constant(value_float=base),
        op.Constant(value_float=slope),
        op.Constant(value_float=min_score),
        op.Constant(value_float=merge_exponent),
    )


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """The translations of all ops of inference, as torch.onnx.export's `custom_translation_table`.

    Those of training (`corner_targets` and the backward ops) have none, nor has `crop_resize`.
    """
    ops = torch.ops.cornernet
    return {
        ops.corner_pool.default: _corner_pool,
        ops.corner_pool_pair.default: _corner_pool_pair,
        ops.corner_pool_add.default: _corner_pool_add,
        ops.center_pool.default: _center_pool,
        ops.corner_peaks.default: _corner_peaks,
        ops.corner_decode.default: _corner_decode,
        ops.soft_nms.default: _soft_nms,
    }
