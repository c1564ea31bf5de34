"""The product's kernels from Python: each op by its C launchers, on tensors of the host.

What the side of torch does for them (csrc/sdaa/<op>.cpp) is done here: dense tensors, memory for
the results, and the choice between kernels.
"""

from __future__ import annotations

import ctypes

import torch
from meter import Launch
from toolkit_host import Buffer, Runtime, dtype_code
from torch import Tensor

from cornernet_ops.corner_pool import SCANS

MOST_SCRATCHPAD = 220_000  # bytes; the rest of an SPE's 240,640 is for the stack

METHODS = ("gaussian", "linear", "hard", "none")

Pair = ctypes.c_void_p * 2


class Corners(ctypes.Structure):
    """cornernet_sdaa_corners of csrc/sdaa/corner_decode.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("scores", "indices", "embedding", "offset")),
        ("count", ctypes.c_int64),
    )


class Targets(ctypes.Structure):
    """cornernet_sdaa_targets of csrc/sdaa/corner_targets.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("boxes", "labels", "image_index")),
        *((name, Pair) for name in ("heat", "offset", "mask", "cell")),
        ("workspace", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("count", "batch", "classes", "height", "width")),
        *((name, ctypes.c_float) for name in ("scale_y", "scale_x")),
        ("overlap", ctypes.c_double),
    )


class SoftNms(ctypes.Structure):
    """cornernet_sdaa_soft_nms_arguments of csrc/sdaa/soft_nms.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("boxes", "scores", "labels")),
        *((name, ctypes.c_void_p) for name in ("picked_index", "picked_boxes", "picked_scores")),
        *((name, ctypes.c_int64) for name in ("pictures", "candidates", "limit")),
        ("method", ctypes.c_int),
        *((name, ctypes.c_float) for name in ("iou_threshold", "sigma", "min_score", "exponent")),
    )


def dense(x: Tensor) -> Tensor:
    channels_last = x.shape[1] > 1 and x.stride(1) == 1 and not x.is_contiguous()
    format = torch.channels_last if channels_last else torch.contiguous_format
    return x.contiguous(memory_format=format)


def scan_of(x: Tensor, direction: str) -> tuple[int, int, int, bool]:
    """Outer, length and inner of a dense x, as csrc/common/corner_pool.h has them, and reverse."""
    n, c, h, w = x.shape
    dim, reverse = SCANS[direction]
    if x.is_contiguous():
        return (n * c, h, w, reverse) if dim == 2 else (n * c * h, w, 1, reverse)
    return (n, h, w * c, reverse) if dim == 2 else (n * h, w, c, reverse)


def wide(values: tuple[int, ...]) -> list[ctypes.c_int64]:
    return [ctypes.c_int64(value) for value in values]


class Launchers:
    """The ops on the simulated device. `launched` holds what the last op's kernels did.

    Every launch has to keep the language's rules and MOST_SCRATCHPAD.
    """

    def __init__(self, runtime: Runtime, library: ctypes.CDLL) -> None:
        self.runtime = runtime
        self.library = library
        self.launched: list[Launch] = []
        for op in ("corner_peaks", "corner_decode", "corner_targets"):
            getattr(library, f"cornernet_sdaa_{op}_workspace").restype = ctypes.c_int64
        ops = ("corner_pool_backward", "corner_pool_pair", "corner_peaks", "corner_decode")
        for op in (*ops, "soft_nms"):
            getattr(library, f"cornernet_sdaa_{op}_fits").restype = ctypes.c_bool

    def _buffer(self, tensor: Tensor) -> Buffer:
        return Buffer(self.runtime, tensor.numel() * tensor.element_size())

    def _launch(self, name: str, *arguments: object) -> None:
        self.runtime.launches()
        getattr(self.library, f"cornernet_sdaa_{name}")(self.runtime.stream, *arguments)
        assert self.runtime.error() == ""
        launched = self.runtime.launches()
        self.launched += launched
        for launch in launched:
            assert launch.peak <= MOST_SCRATCHPAD, f"{launch.kernel}: {launch.peak} bytes"

    def pool(self, x: Tensor, direction: str, grad: Tensor | None = None) -> Tensor:
        """corner_pool, or its gradient where one is given."""
        self.launched = []
        x = dense(x)
        *scan, reverse = scan_of(x, direction)
        arguments = [Buffer.of(self.runtime, x)]
        if grad is not None:
            arguments.insert(0, Buffer.of(self.runtime, torch.empty_like(x).copy_(grad)))
        result = self._buffer(x)
        name = "corner_pool" + ("" if grad is None else "_backward")
        pointers = [buffer.pointer for buffer in (*arguments, result)]
        self._launch(
            name, dtype_code(x.dtype), *pointers, *wide(tuple(scan)), ctypes.c_bool(reverse)
        )
        return result.into(torch.empty_like(x))

    def backward_fits(self, length: int) -> bool:
        """Whether the gradient's kernel can do scans of this length."""
        return bool(self.library.cornernet_sdaa_corner_pool_backward_fits(*wide((length,))))

    def pair(self, vertical: Tensor, horizontal: Tensor, corner: str) -> Tensor:
        """corner_pool_pair."""
        self.launched = []
        vertical = dense(vertical)
        horizontal = torch.empty_like(vertical).copy_(horizontal)
        n, c, h, w = vertical.shape
        dtype = dtype_code(vertical.dtype)
        v, hor = Buffer.of(self.runtime, vertical), Buffer.of(self.runtime, horizontal)
        y = self._buffer(vertical)
        fits = self.library.cornernet_sdaa_corner_pool_pair_fits(dtype, *wide((h, w)))
        if vertical.is_contiguous() and fits:
            reverse = ctypes.c_bool(corner == "top_left")
            pointers = (v.pointer, hor.pointer, y.pointer)
            self._launch("corner_pool_pair", dtype, *pointers, *wide((n * c, h, w)), reverse)
        else:
            directions = ("top", "left") if corner == "top_left" else ("bottom", "right")
            for name, x, direction in zip(("pool", "pool_add"), (v, hor), directions, strict=True):
                *scan, reverse = scan_of(vertical, direction)
                sizes = (*wide(tuple(scan)), ctypes.c_bool(reverse))
                self._launch(f"corner_{name}", dtype, x.pointer, y.pointer, *sizes)
        return y.into(torch.empty_like(vertical))

    def peaks(
        self, heat: Tensor, k: int, kernel_size: int = 3, min_scores: Tensor | None = None
    ) -> tuple[Tensor, Tensor] | None:
        """corner_peaks; None where the kernel says that it cannot."""
        self.launched = []
        n, c, h, w = heat.shape
        dtype = dtype_code(heat.dtype)
        sizes = wide((n, c, h, w, k, kernel_size))
        if not self.library.cornernet_sdaa_corner_peaks_fits(dtype, *sizes[1:]):
            return None
        size = self.library.cornernet_sdaa_corner_peaks_workspace(*wide((n, k)))
        workspace = Buffer(self.runtime, size)
        scores = torch.empty(n, k, dtype=heat.dtype)
        indices = torch.empty(n, k, dtype=torch.int64)
        on_device = Buffer.of(self.runtime, heat.contiguous())
        least = None if min_scores is None else Buffer.of(self.runtime, min_scores.contiguous())
        results = (self._buffer(scores), self._buffer(indices))
        self._launch(
            "corner_peaks",
            dtype,
            on_device.pointer,
            None if least is None else least.pointer,
            *(buffer.pointer for buffer in results),
            workspace.pointer,
            *sizes,
        )
        return results[0].into(scores), results[1].into(indices)

    def decode(
        self, *tensors: Tensor, distance_threshold: float, max_pairs: int
    ) -> tuple[Tensor, ...] | None:
        """corner_decode; None where the kernel says that it cannot."""
        self.launched = []
        tl_scores, tl_indices, br_scores, br_indices, tl_tag, br_tag, tl_off, br_off = tensors
        n, channels, h, w = tl_tag.shape
        tl_count, br_count = tl_scores.shape[1], br_scores.shape[1]
        sizes = wide((channels, tl_count, br_count, max_pairs))
        if not self.library.cornernet_sdaa_corner_decode_fits(*sizes):
            return None
        held: list[Buffer] = []

        def on_device(tensor: Tensor) -> ctypes.c_void_p:
            single = tensor.float() if tensor.is_floating_point() else tensor
            held.append(Buffer.of(self.runtime, single.contiguous()))
            return held[-1].pointer

        kinds = [
            Corners(*(on_device(t).value for t in four), count)
            for four, count in [
                ((tl_scores, tl_indices, tl_tag, tl_off), tl_count),
                ((br_scores, br_indices, br_tag, br_off), br_count),
            ]
        ]
        boxes = torch.empty(n, max_pairs, 4)
        scores = torch.empty(n, max_pairs)
        labels = torch.empty(n, max_pairs, dtype=torch.int64)
        results = [self._buffer(tensor) for tensor in (boxes, scores, labels)]
        size = self.library.cornernet_sdaa_corner_decode_workspace(*wide((n,)), *sizes)
        workspace = Buffer(self.runtime, size)
        self._launch(
            "corner_decode",
            *kinds,
            ctypes.c_float(distance_threshold),
            *(buffer.pointer for buffer in results),
            workspace.pointer,
            *wide((n, channels, h, w, max_pairs)),
        )
        pairs = zip(results, (boxes, scores, labels), strict=True)
        return tuple(buffer.into(tensor) for buffer, tensor in pairs)

    def targets(
        self, boxes: Tensor, labels: Tensor, image_index: Tensor, *, batch: int, num_classes: int,
        height: int, width: int, scale_y: float, scale_x: float, overlap: float
    ) -> tuple[Tensor, ...]:  # fmt: skip
        """corner_targets."""
        self.launched = []
        count = boxes.shape[0]
        inputs = [Buffer.of(self.runtime, t.contiguous()) for t in (boxes, labels, image_index)]
        shapes = [(batch, c, height, width) for c in (num_classes,) * 2 + (2, 2, 1, 1)]
        results = [torch.empty(shape) for shape in shapes]
        results += [torch.empty(count, dtype=torch.int64) for _ in range(2)]
        outputs = [self._buffer(tensor) for tensor in results]
        size = self.library.cornernet_sdaa_corner_targets_workspace(*wide((count,)))
        workspace = Buffer(self.runtime, size)
        pairs = [Pair(outputs[i].pointer, outputs[i + 1].pointer) for i in range(0, 8, 2)]
        numbers = (count, batch, num_classes, height, width, scale_y, scale_x, overlap)
        arguments = Targets(*(b.pointer for b in inputs), *pairs, workspace.pointer, *numbers)
        self._launch("corner_targets", arguments)
        return tuple(buffer.into(t) for buffer, t in zip(outputs, results, strict=True))

    def suppress(
        self, boxes: Tensor, scores: Tensor, labels: Tensor, *, method: str, iou_threshold: float,
        sigma: float, min_score: float, max_detections: int, merge_exponent: float
    ) -> tuple[Tensor, ...] | None:  # fmt: skip
        """soft_nms; None where the kernel says that it cannot."""
        self.launched = []
        n, count = scores.shape
        if not self.library.cornernet_sdaa_soft_nms_fits(*wide((count,))):
            return None
        inputs = [Buffer.of(self.runtime, tensor) for tensor in (boxes, scores, labels)]
        results = (
            torch.empty(n, max_detections, dtype=torch.int64),
            torch.empty(n, max_detections, 4),
            torch.empty(n, max_detections),
        )
        outputs = [self._buffer(tensor) for tensor in results]
        pointers = (buffer.pointer for buffer in (*inputs, *outputs))
        numbers = (METHODS.index(method), iou_threshold, sigma, min_score, merge_exponent)
        self._launch("soft_nms", SoftNms(*pointers, n, count, max_detections, *numbers))
        return tuple(b.into(t) for b, t in zip(outputs, results, strict=True))
