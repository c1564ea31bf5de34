"""What happens to pixels before the network, as an ONNX graph: `inference.views` said again there.

Images are resized as OpenCV does it: by bilinear interpolation in whole numbers, equal to the last
bit, or by averages of areas where both sides shrink to half or less, of which a few in 10,000 that
lie between two levels become the other one. Functions with the decorator `script` are
in onnxscript's language, which looks like Python.
"""

from __future__ import annotations

from typing import Any

from onnx import ModelProto, helper, inliner
from onnxscript import BOOL, DOUBLE, FLOAT, INT32, INT64, UINT8, script
from onnxscript import opset18 as op
from onnxscript.values import Opset

from cornernet.config import Config

_LOCAL = Opset("cornernet.views", 1)


@script(_LOCAL, default_opset=op)
def _neighbours(n_in: INT64, n_out: INT64, is_row: BOOL) -> tuple[INT64, INT64, INT32, INT32]:
    """The two pixels that each pixel of a resized row lies between, and their weights of 2048.

    Before the first and behind the last pixel OpenCV gives one of them the whole weight in a row;
    in a column it leaves the weights, of the same pixel twice, which rounds otherwise.
    """
    zero, one = op.Constant(value_int=0), op.Constant(value_int=1)
    ratio = op.Div(op.Cast(n_out, to=DOUBLE.dtype), op.Cast(n_in, to=DOUBLE.dtype))
    half = op.Cast(op.Constant(value_float=0.5), to=DOUBLE.dtype)
    pixels = op.Cast(op.Range(zero, op.Squeeze(n_out), one), to=DOUBLE.dtype)
    place = op.Cast(op.Sub(op.Div(op.Add(pixels, half), ratio), half), to=FLOAT.dtype)
    low = op.Floor(place)
    last = op.Sub(n_in, one)
    index = op.Cast(low, to=INT64.dtype)
    beyond = op.Or(op.Less(index, zero), op.GreaterOrEqual(index, last))
    share = op.Where(op.And(beyond, is_row), op.Constant(value_float=0.0), op.Sub(place, low))
    unit = op.Constant(value_float=2048.0)
    above = op.Cast(op.Round(op.Mul(share, unit)), to=INT32.dtype)
    rest = op.Mul(op.Sub(op.Constant(value_float=1.0), share), unit)
    below = op.Cast(op.Round(rest), to=INT32.dtype)
    next_index = op.Add(index, one)
    first = op.Min(op.Max(index, zero), last)
    return first, op.Min(op.Max(next_index, zero), last), below, above


@script(_LOCAL, default_opset=op)
def _bilinear(images: UINT8, height: INT64, width: INT64) -> FLOAT:
    """[N, H, W, 3] to [N, height, width, 3], in OpenCV's fixed point."""
    yes = op.Cast(op.Constant(value_int=1), to=BOOL.dtype)
    x0, x1, a0, a1 = _neighbours(op.Shape(images, start=2, end=3), width, yes)
    y0, y1, b0, b1 = _neighbours(op.Shape(images, start=1, end=2), height, op.Not(yes))
    pixels = op.Cast(images, to=INT32.dtype)
    last = op.Constant(value_ints=[1])
    column_axes = op.Constant(value_ints=[1, 2])
    a0, a1 = op.Unsqueeze(a0, last), op.Unsqueeze(a1, last)
    b0, b1 = op.Unsqueeze(b0, column_axes), op.Unsqueeze(b1, column_axes)
    rows = op.Add(
        op.Mul(op.Gather(pixels, x0, axis=2), a0), op.Mul(op.Gather(pixels, x1, axis=2), a1)
    )
    sixteenth = op.Cast(op.Constant(value_int=16), to=INT32.dtype)
    shift = op.Cast(op.Constant(value_int=65536), to=INT32.dtype)
    rows = op.Div(rows, sixteenth)
    top = op.Div(op.Mul(op.Gather(rows, y0, axis=1), b0), shift)
    bottom = op.Div(op.Mul(op.Gather(rows, y1, axis=1), b1), shift)
    two = op.Cast(op.Constant(value_int=2), to=INT32.dtype)
    four = op.Cast(op.Constant(value_int=4), to=INT32.dtype)
    return op.Cast(op.Div(op.Add(op.Add(top, bottom), two), four), to=FLOAT.dtype)


@script(_LOCAL, default_opset=op)
def _shares(n_in: INT64, n_out: INT64) -> FLOAT:
    """[n_out, n_in]: the share that each pixel has in each area of a resized row."""
    zero, one = op.Constant(value_int=0), op.Constant(value_int=1)
    length = op.Div(op.Cast(n_in, to=DOUBLE.dtype), op.Cast(n_out, to=DOUBLE.dtype))
    areas = op.Cast(op.Range(zero, op.Squeeze(n_out), one), to=DOUBLE.dtype)
    begin = op.Unsqueeze(op.Mul(areas, length), op.Constant(value_ints=[1]))
    pixels = op.Cast(op.Range(zero, op.Squeeze(n_in), one), to=DOUBLE.dtype)
    unit = op.Cast(op.Constant(value_float=1.0), to=DOUBLE.dtype)
    nothing = op.Cast(op.Constant(value_float=0.0), to=DOUBLE.dtype)
    covered = op.Sub(op.Min(op.Add(pixels, unit), op.Add(begin, length)), op.Max(pixels, begin))
    return op.Cast(op.Div(op.Max(covered, nothing), length), to=FLOAT.dtype)


@script(_LOCAL, default_opset=op)
def _averaged(images: UINT8, height: INT64, width: INT64) -> FLOAT:
    """[N, H, W, 3] to [N, height, width, 3], averages of areas."""
    n_height, n_width = op.Shape(images, start=1, end=2), op.Shape(images, start=2, end=3)
    planes = op.Transpose(op.Cast(images, to=FLOAT.dtype), perm=[0, 3, 1, 2])
    columns = op.Transpose(_shares(n_width, width), perm=[1, 0])
    result = op.MatMul(_shares(n_height, height), op.MatMul(planes, columns))
    # OpenCV rounds half up where four pixels become one, and to even elsewhere.
    two = op.Constant(value_int=2)
    is_half = op.And(op.Equal(op.Mul(height, two), n_height), op.Equal(op.Mul(width, two), n_width))
    up = op.Floor(op.Add(result, op.Constant(value_float=0.5)))
    return op.Transpose(op.Where(is_half, up, op.Round(result)), perm=[0, 2, 3, 1])


def views_model(
    config: Config, multiple: int, size: tuple[int, int] | None, batch: int | None
) -> ModelProto:
    """The graph from images to canvases and their geometry.

    Its input `images` is [N, H, W, 3] uint8 RGB. Its outputs are canvases, [N, 3, h, w] float32,
    twice as many with mirror images, and [8] float32, the row of `geometry_of` that all views
    share.

    Args:
        config: `data.long_side`, `test.scales`, of which there is one, `test.flip` and the colour
            of canvases.
        multiple: sides of canvases are one less than a multiple of it; 1: those of the view.
        size: height and width of images; None for any.
        batch: number of images; None for any.
    """
    script = _script(
        config.data.long_side,
        config.test.scales[0],
        multiple,
        config.model.canvas_color,
        config.test.flip,
    )
    height, width = size or ("height", "width")
    model = script.to_model_proto(
        input_types=[UINT8[batch or "images", height, width, 3]],
        output_types=[FLOAT["canvases", 3, "canvas_height", "canvas_width"], FLOAT[8]],
    )
    return inliner.inline_local_functions(model)


def _script(
    long_side: int, scale: float, multiple: int, color: tuple[float, float, float], mirrored: bool
) -> Any:
    factor_tensor = helper.make_tensor("factor", DOUBLE.dtype, [1], [scale])
    color_tensor = helper.make_tensor("color", FLOAT.dtype, [3], color)
    has_long_side, pads = long_side > 0, multiple > 1

    @script(_LOCAL, default_opset=op)
    def prepare(images: UINT8) -> tuple[FLOAT, FLOAT]:
        height, width = op.Shape(images, start=1, end=2), op.Shape(images, start=2, end=3)
        rows, columns = op.Cast(height, to=DOUBLE.dtype), op.Cast(width, to=DOUBLE.dtype)
        factor = op.Constant(value=factor_tensor)
        if has_long_side:
            length = op.Cast(op.Constant(value_ints=[long_side]), to=DOUBLE.dtype)
            factor = op.Mul(factor, op.Div(length, op.Max(rows, columns)))
        one, two = op.Constant(value_ints=[1]), op.Constant(value_ints=[2])
        view_height = op.Max(op.Cast(op.Round(op.Mul(rows, factor)), to=INT64.dtype), one)
        view_width = op.Max(op.Cast(op.Round(op.Mul(columns, factor)), to=INT64.dtype), one)
        shrinks = op.And(
            op.LessOrEqual(op.Mul(view_height, two), height),
            op.LessOrEqual(op.Mul(view_width, two), width),
        )
        if op.Squeeze(shrinks):
            resized = _averaged(images, view_height, view_width)
        else:
            resized = _bilinear(images, view_height, view_width)

        # The view lies in the middle of its canvas.
        canvas_height, canvas_width = view_height, view_width
        if pads:
            sides = op.Constant(value_ints=[multiple])
            canvas_height = op.Sub(op.Mul(op.Add(op.Div(view_height, sides), one), sides), one)
            canvas_width = op.Sub(op.Mul(op.Add(op.Div(view_width, sides), one), sides), one)
        top = op.Sub(op.Div(canvas_height, two), op.Div(view_height, two))
        left = op.Sub(op.Div(canvas_width, two), op.Div(view_width, two))
        bottom = op.Sub(op.Sub(canvas_height, view_height), top)
        right = op.Sub(op.Sub(canvas_width, view_width), left)
        none = op.Constant(value_ints=[0])
        margins = op.Concat(none, top, left, none, none, bottom, right, none, axis=0)
        color_value = op.Constant(value=color_tensor)
        shifted = op.Sub(resized, color_value)
        canvases = op.Pad(shifted, margins)
        if mirrored:
            turned = op.Slice(
                shifted,
                op.Constant(value_ints=[-1]),
                op.Constant(value_ints=[-(2**31)]),
                two,
                op.Constant(value_ints=[-1]),
            )
            canvases = op.Concat(op.Pad(turned, margins), canvases, axis=0)
        canvases = op.Transpose(op.Add(canvases, color_value), perm=[0, 3, 1, 2])
        places = op.Cast(op.Concat(left, top, axis=0), to=FLOAT.dtype)
        view_columns = op.Cast(view_width, to=DOUBLE.dtype)
        view_rows = op.Cast(view_height, to=DOUBLE.dtype)
        scales = op.Concat(op.Div(view_columns, columns), op.Div(view_rows, rows), axis=0)
        sizes = op.Cast(op.Concat(width, height, view_width, view_height, axis=0), to=FLOAT.dtype)
        geometry = op.Concat(places, op.Cast(scales, to=FLOAT.dtype), sizes, axis=0)
        return canvases, geometry

    return prepare
