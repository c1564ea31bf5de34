"""The product's kernels from Python: each op by its C launchers, on tensors of the host.

What the side of torch does for them (csrc/sdaa/<op>.cpp) is done here: dense tensors, memory for
the results, and the choice between kernels.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from cornernet_ops.corner_pool import SCANS
from cornernet_ops.formulas import RADIUS_FORMULAS
from tests.sdaa_simulator.meter import Launch
from tests.sdaa_simulator.toolkit_host import Buffer, Runtime, dtype_code

MOST_SCRATCHPAD = 220_000  # bytes; the rest of an SPE's 240,640 is for the stack

METHODS = ("gaussian", "linear", "hard", "none")


def fields(kind: type, names: str) -> list[tuple[str, type]]:
    return [(name, kind) for name in names.split()]


PAIR = ctypes.c_void_p * 2


class Scan(ctypes.Structure):
    """Scan of csrc/common/corner_pool.h."""

    _fields_ = (*fields(ctypes.c_int64, "outer length inner"), ("reverse", ctypes.c_bool))


class CornerPool(ctypes.Structure):
    """CornerPool of csrc/common/corner_pool.h."""

    _fields_ = (("dtype", ctypes.c_int32), *fields(ctypes.c_void_p, "x y"), ("scan", Scan))


class CornerPoolAdd(ctypes.Structure):
    """CornerPoolAdd of csrc/common/corner_pool.h."""

    _fields_ = (("pool", CornerPool), ("addend", ctypes.c_void_p))


class CornerPoolBackward(ctypes.Structure):
    """CornerPoolBackward of csrc/common/corner_pool.h."""

    _fields_ = (
        ("dtype", ctypes.c_int32),
        *fields(ctypes.c_void_p, "grad_out x grad_x"),
        ("scan", Scan),
    )


class CornerPoolPair(ctypes.Structure):
    """CornerPoolPair of csrc/common/corner_pool_pair.h."""

    _fields_ = (
        ("dtype", ctypes.c_int32),
        *fields(ctypes.c_void_p, "vertical horizontal y"),
        *fields(ctypes.c_int64, "planes height width"),
        ("reverse", ctypes.c_bool),
    )


class CornerPeaks(ctypes.Structure):
    """CornerPeaks of csrc/common/corner_peaks.h."""

    _fields_ = (
        ("dtype", ctypes.c_int32),
        *fields(ctypes.c_void_p, "heat min_scores scores indices"),
        *fields(ctypes.c_int64, "n c h w k radius"),
    )


class StridedMap(ctypes.Structure):
    """StridedMap of csrc/common/corner_decode.h."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("strides", ctypes.c_int64 * 4),
    )


class CornerPredictions(ctypes.Structure):
    """CornerPredictions of csrc/common/corner_decode.h."""

    _fields_ = (
        ("scores", ctypes.c_void_p),
        ("score_dtype", ctypes.c_int32),
        ("indices", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("embedding", StridedMap),
        ("offset", StridedMap),
    )


class CornerDecode(ctypes.Structure):
    """CornerDecode of csrc/common/corner_decode.h."""

    _fields_ = (
        ("kinds", CornerPredictions * 2),
        ("dtype", ctypes.c_int32),
        *fields(ctypes.c_void_p, "boxes scores labels"),
        *fields(ctypes.c_int64, "n channels height width max_pairs"),
        ("distance_threshold", ctypes.c_double),
        ("skip_border", ctypes.c_bool),
    )


class CornerTargets(ctypes.Structure):
    """CornerTargets of csrc/common/corner_targets.h."""

    _fields_ = (
        *fields(ctypes.c_void_p, "boxes labels image_index"),
        *fields(PAIR, "heat offset mask cell"),
        *fields(ctypes.c_int64, "count batch num_classes height width"),
        *fields(ctypes.c_float, "scale_y scale_x"),
        ("overlap", ctypes.c_double),
        ("radius_formula", ctypes.c_int32),
        ("sigma_divisor", ctypes.c_float),
        ("kinds", ctypes.c_int32),
    )


class SoftNms(ctypes.Structure):
    """SoftNms<float> of csrc/common/soft_nms.h."""

    _fields_ = (
        *fields(ctypes.c_void_p, "boxes scores labels picked_index picked_boxes picked_scores"),
        *fields(ctypes.c_int64, "images candidates limit"),
        ("method", ctypes.c_int32),
        *fields(ctypes.c_float, "iou_threshold sigma min_score merge_exponent"),
    )


def dense(x: Tensor) -> Tensor:
    channels_last = x.shape[1] > 1 and x.stride(1) == 1 and not x.is_contiguous()
    format = torch.channels_last if channels_last else torch.contiguous_format
    return x.contiguous(memory_format=format)


def scan_of(x: Tensor, direction: str) -> Scan:
    """How a dense x is scanned."""
    n, c, h, w = x.shape
    dim, reverse = SCANS[direction]
    if x.is_contiguous():
        return Scan(n * c, h, w, reverse) if dim == 2 else Scan(n * c * h, w, 1, reverse)
    return Scan(n, h, w * c, reverse) if dim == 2 else Scan(n * h, w, c, reverse)


class Launchers:
    """The ops on the simulated device. `launched` holds what the last op's kernels did.

    Every launch has to keep the language's rules and MOST_SCRATCHPAD.
    """

    def __init__(self, runtime: Runtime, library: ctypes.CDLL) -> None:
        self.runtime = runtime
        self.library = library
        self.launched: list[Launch] = []
        for op in ("corner_peaks", "corner_decode", "corner_targets"):
            self._function(f"{op}_workspace").restype = ctypes.c_int64
        ops = ("corner_pool_backward", "corner_pool_pair", "corner_peaks", "corner_decode")
        for op in (*ops, "soft_nms"):
            self._function(f"{op}_fits").restype = ctypes.c_bool

    def _function(self, name: str) -> Any:
        return getattr(self.library, f"cornernet_sdaa_{name}")

    def _buffer(self, tensor: Tensor) -> Buffer:
        return Buffer(self.runtime, tensor.numel() * tensor.element_size())

    def _launch(self, name: str, *arguments: object) -> None:
        self.runtime.launches()
        self._function(name)(self.runtime.stream, *arguments)
        assert self.runtime.error() == ""
        launched = self.runtime.launches()
        self.launched += launched
        for launch in launched:
            assert launch.peak <= MOST_SCRATCHPAD, f"{launch.kernel}: {launch.peak} bytes"

    def pool(self, x: Tensor, direction: str, grad: Tensor | None = None) -> Tensor:
        """corner_pool, or its gradient where one is given."""
        self.launched = []
        x = dense(x)
        scan = scan_of(x, direction)
        dtype = dtype_code(x.dtype)
        on_device = Buffer.of(self.runtime, x)
        result = self._buffer(x)
        if grad is None:
            task = CornerPool(dtype, on_device.pointer, result.pointer, scan)
            self._launch("corner_pool", task)
        else:
            grads = Buffer.of(self.runtime, torch.empty_like(x).copy_(grad))
            pointers = (grads.pointer, on_device.pointer, result.pointer)
            self._launch("corner_pool_backward", CornerPoolBackward(dtype, *pointers, scan))
        return result.into(torch.empty_like(x))

    def backward_fits(self, length: int) -> bool:
        """Whether the gradient's kernel can do scans of this length."""
        return bool(self._function("corner_pool_backward_fits")(ctypes.c_int64(length)))

    def pool_add(self, addend: Tensor, x: Tensor, direction: str) -> Tensor:
        """corner_pool_add."""
        self.launched = []
        x = dense(x)
        added = Buffer.of(self.runtime, torch.empty_like(x).copy_(addend))
        on_device, result = Buffer.of(self.runtime, x), self._buffer(x)
        pointers = (on_device.pointer, result.pointer)
        pool = CornerPool(dtype_code(x.dtype), *pointers, scan_of(x, direction))
        self._launch("corner_pool_add", CornerPoolAdd(pool, added.pointer))
        return result.into(torch.empty_like(x))

    def pair(self, vertical: Tensor, horizontal: Tensor, corner: str) -> Tensor:
        """corner_pool_pair."""
        self.launched = []
        vertical = dense(vertical)
        horizontal = torch.empty_like(vertical).copy_(horizontal)
        n, c, h, w = vertical.shape
        dtype = dtype_code(vertical.dtype)
        v, hor = Buffer.of(self.runtime, vertical), Buffer.of(self.runtime, horizontal)
        y = self._buffer(vertical)
        pointers = (v.pointer, hor.pointer, y.pointer)
        planes = CornerPoolPair(dtype, *pointers, n * c, h, w, corner == "top_left")
        if vertical.is_contiguous() and self._function("corner_pool_pair_fits")(planes):
            self._launch("corner_pool_pair", planes)
        else:
            directions = ("top", "left") if corner == "top_left" else ("bottom", "right")
            down, along = (scan_of(vertical, direction) for direction in directions)
            self._launch("corner_pool", CornerPool(dtype, v.pointer, y.pointer, down))
            second = CornerPool(dtype, hor.pointer, y.pointer, along)
            self._launch("corner_pool_add", CornerPoolAdd(second, y.pointer))
        return y.into(torch.empty_like(vertical))

    def peaks(
        self, heat: Tensor, k: int, kernel_size: int = 3, min_scores: Tensor | None = None
    ) -> tuple[Tensor, Tensor] | None:
        """corner_peaks; None where the kernel says that it cannot."""
        self.launched = []
        n, c, h, w = heat.shape
        scores = torch.empty(n, k, dtype=heat.dtype)
        indices = torch.empty(n, k, dtype=torch.int64)
        on_device = Buffer.of(self.runtime, heat.contiguous())
        least = None if min_scores is None else Buffer.of(self.runtime, min_scores.contiguous())
        results = (self._buffer(scores), self._buffer(indices))
        task = CornerPeaks(
            dtype_code(heat.dtype),
            on_device.pointer,
            None if least is None else least.pointer,
            *(buffer.pointer for buffer in results),
            *(n, c, h, w, k, min(kernel_size // 2, max(h, w))),
        )
        if not self._function("corner_peaks_fits")(task):
            return None
        workspace = Buffer(self.runtime, self._function("corner_peaks_workspace")(task))
        self._launch("corner_peaks", task, workspace.pointer)
        return results[0].into(scores), results[1].into(indices)

    def decode(
        self,
        *tensors: Tensor,
        distance_threshold: float,
        max_pairs: int,
        skip_border: bool = False,
    ) -> tuple[Tensor, ...] | None:
        """corner_decode; None where the kernel says that it cannot."""
        self.launched = []
        tl_scores, tl_indices, br_scores, br_indices, tl_tag, br_tag, tl_off, br_off = tensors
        n, channels, h, w = tl_tag.shape
        single = dtype_code(torch.float32)
        held: list[Buffer] = []

        def on_device(tensor: Tensor) -> ctypes.c_void_p:
            tensor = tensor.float() if tensor.is_floating_point() else tensor
            held.append(Buffer.of(self.runtime, tensor.contiguous()))
            return held[-1].pointer

        def predictions(scores: Tensor, indices: Tensor, *maps: Tensor) -> CornerPredictions:
            strided = (StridedMap(on_device(one), single) for one in maps)  # strides are not read
            count = scores.shape[1]
            return CornerPredictions(on_device(scores), single, on_device(indices), count, *strided)

        boxes = torch.empty(n, max_pairs, 4)
        scores = torch.empty(n, max_pairs)
        labels = torch.empty(n, max_pairs, dtype=torch.int64)
        results = [self._buffer(tensor) for tensor in (boxes, scores, labels)]
        kinds = (CornerPredictions * 2)(
            predictions(tl_scores, tl_indices, tl_tag, tl_off),
            predictions(br_scores, br_indices, br_tag, br_off),
        )
        pointers = (buffer.pointer for buffer in results)
        sizes = (n, channels, h, w, max_pairs)
        task = CornerDecode(kinds, single, *pointers, *sizes, distance_threshold, skip_border)
        if not self._function("corner_decode_fits")(task):
            return None
        workspace = Buffer(self.runtime, self._function("corner_decode_workspace")(task))
        self._launch("corner_decode", task, workspace.pointer)
        pairs = zip(results, (boxes, scores, labels), strict=True)
        return tuple(buffer.into(tensor) for buffer, tensor in pairs)

    def targets(
        self, boxes: Tensor, labels: Tensor, image_index: Tensor, *, kinds: int = 2, batch: int,
        num_classes: int, height: int, width: int, scale_y: float, scale_x: float, overlap: float,
        radius_formula: str = "2019", sigma_divisor: float | None = None,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        """corner_targets; center_targets where there is one kind of keypoint."""
        self.launched = []
        count = boxes.shape[0]
        inputs = [Buffer.of(self.runtime, t.contiguous()) for t in (boxes, labels, image_index)]
        shapes = [(batch, c, height, width) for c in (num_classes, 2, 1) for _ in range(kinds)]
        results = [torch.empty(shape) for shape in shapes]
        results += [torch.empty(count, dtype=torch.int64) for _ in range(kinds)]
        outputs = [self._buffer(tensor) for tensor in results]
        pointers = [buffer.pointer for buffer in outputs]
        of_kinds = [PAIR(*pointers[i : i + kinds]) for i in range(0, 4 * kinds, kinds)]
        divisor = sigma_divisor or (6.0 if kinds == 2 else 5.0)
        gaussians = (RADIUS_FORMULAS.index(radius_formula), divisor, kinds)
        numbers = (count, batch, num_classes, height, width, scale_y, scale_x, overlap, *gaussians)
        task = CornerTargets(*(b.pointer for b in inputs), *of_kinds, *numbers)
        workspace = Buffer(self.runtime, self._function("corner_targets_workspace")(task))
        self._launch("corner_targets", task, workspace.pointer)
        return tuple(buffer.into(t) for buffer, t in zip(outputs, results, strict=True))

    def center_targets(self, *tensors: Tensor, **numbers: Any) -> tuple[Tensor, ...]:
        """center_targets."""
        return self.targets(*tensors, kinds=1, **numbers)

    def suppress(
        self, boxes: Tensor, scores: Tensor, labels: Tensor, *, method: str, iou_threshold: float,
        sigma: float, min_score: float, max_detections: int, merge_exponent: float
    ) -> tuple[Tensor, ...] | None:  # fmt: skip
        """soft_nms; None where the kernel says that it cannot."""
        self.launched = []
        n, count = scores.shape
        if not self._function("soft_nms_fits")(ctypes.c_int64(count)):
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
