"""`python -m cornernet.runtime.probe [DEVICE]`: checks the ops that the detector needs on a device.

A plug-in of PyTorch may run an op natively, hand it to the CPU without a word, compute it wrongly,
or lack it. Each op that training, decoding and evaluation call is called here once in each dtype
that they call it in, on small tensors, and compared with the CPU:

    native      right, by a kernel that is registered for the device;
    composite   right, by PyTorch's formula of other ops, each of which may be any of these; for
                ops of ours: by the reference;
    fallback    right, but registered for no device of the kind, so that the plug-in's general
                fallback ran it; or the plug-in warned that it fell back;
    wrong       the result is not the CPU's;
    missing     the call failed.

What cannot be seen from here: a kernel that is registered and falls back inside, silently.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from cornernet.errors import UserError
from cornernet_ops.devices import DEVICES, import_plugin
from cornernet_ops.registration import NAMESPACE

F32, F16, BF16, INT, BOOL = torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool
DTYPES = (F32, F16, BF16, INT, BOOL)
NETWORK = (F32, F16, BF16)  # what autocast and the network for inference compute in

STATUSES = ("native", "composite", "fallback", "wrong", "missing")

# How far the largest element may be off, as a part of the CPU's largest (of 1, where that is less).
TOLERANCE = {F32: 1e-4, F16: 4e-3, BF16: 3e-2}

# These are formulas that end in an op each device brings itself; a plug-in's goes by this name.
_INNER = {
    "aten::convolution": "aten::convolution_overrideable",
    "aten::convolution_backward": "aten::convolution_backward_overrideable",
}


# The dispatcher's names for such formulas.
_FORMULAS = (
    "CompositeExplicitAutogradNonFunctional",
    "CompositeExplicitAutograd",
    "CompositeImplicitAutograd",
)


class Values:
    """Makes the same tensors on every device: each is drawn on the CPU and brought over."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype
        self._random = torch.Generator().manual_seed(0)

    def __call__(self, *shape: int) -> Tensor:
        """In -4..4, in the dtype that is probed."""
        drawn = torch.rand(shape, generator=self._random) * 8 - 4
        return (drawn > 0 if self.dtype == BOOL else drawn.to(self.dtype)).to(self.device)

    def positive(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """In 0.5..1.5."""
        drawn = torch.rand(shape, generator=self._random) + 0.5
        return drawn.to(dtype or self.dtype).to(self.device)

    def indices(self, high: int, *shape: int) -> Tensor:
        """In 0..high-1."""
        return torch.randint(high, shape, generator=self._random).to(self.device)

    def flags(self, *shape: int) -> Tensor:
        return (torch.rand(shape, generator=self._random) > 0.5).to(self.device)

    def scalar(self, value: float, dtype: torch.dtype = F32) -> Tensor:
        return torch.tensor(value, dtype=dtype).to(self.device)

    def boxes(self, count: int) -> Tensor:
        """[count, 4], x1 < x2 and y1 < y2, in 0..64."""
        corner = torch.rand(count, 2, generator=self._random) * 40
        size = torch.rand(count, 2, generator=self._random) * 20 + 4
        return torch.cat([corner, corner + size], 1).to(self.device)


@dataclass(frozen=True)
class Check:
    """One op and how it is called."""

    op: str  # namespace::name.overload
    call: Callable[[Values], tuple[Any, ...]]  # its positional arguments; a dict at the end: named
    dtypes: tuple[torch.dtype, ...] = (F32,)
    uninitialised: bool = False  # the result has a shape and no values
    only_first: bool = False  # of the results; the others are each back end's own
    half_is_enough: bool = False  # devices may multiply float32 in half precision by default


def _batch_norm(v: Values) -> tuple[Any, ...]:
    statistics = (v.positive(8, dtype=F32) for _ in range(4))
    return (v(2, 8, 6, 5), *statistics, True, 0.1, 1e-5)


def _batch_norm_backward(v: Values) -> tuple[Any, ...]:
    weight, mean, variance, saved, inverse = (v.positive(8, dtype=F32) for _ in range(5))
    maps = (v(2, 8, 6, 5), v(2, 8, 6, 5))
    return (*maps, weight, mean, variance, saved, inverse, True, 1e-5, [True] * 3)


_STRIDED = ([2, 2], [1, 1], [1, 1], False, [0, 0], 1)  # as the network's convolutions


def _decode(v: Values) -> tuple[Any, ...]:
    peaks = [(v.positive(2, 10), v.indices(3 * 8 * 8, 2, 10)) for _ in range(2)]
    maps = [v(2, channels, 8, 8) for channels in (1, 1, 2, 2)]
    return (*peaks[0], *peaks[1], *maps, {"distance_threshold": 2.0, "max_pairs": 20})


def _targets(v: Values) -> tuple[Any, ...]:
    sizes = {"batch": 2, "num_classes": 3, "height": 16, "width": 16}
    how = {"scale_y": 0.25, "scale_x": 0.25, "overlap": 0.3}
    return v.boxes(5), v.indices(3, 5), v.indices(2, 5), sizes | how


def _crops(v: Values) -> tuple[Any, ...]:
    def windows(places: list[list[int]]) -> Tensor:
        return torch.tensor(places, device=v.device)

    sources, targets = windows([[1, 2, 7, 6], [0, 0, 8, 7]]), windows([[0, 0, 6, 6], [2, 1, 5, 6]])
    return v(1, 3, 7, 8), sources, targets, {"height": 6, "width": 6}


def _nms(v: Values) -> tuple[Any, ...]:
    how = {"method": "gaussian", "iou_threshold": 0.5, "sigma": 0.5, "min_score": 1e-3}
    scores = v.positive(1, 12) / 2
    return v.boxes(12)[None], scores, v.indices(3, 1, 12), how | {"max_detections": 10}


def _placed(v: Values, dtype: torch.dtype | None = None) -> dict[str, Any]:
    """The named arguments of ops that make tensors."""
    return {"dtype": v.dtype if dtype is None else dtype, "device": v.device}


# Sorted by name. tests/sdaa/test_detector_ops.py traces the detector and compares.
CHECKS = [
    Check(
        "aten::_amp_foreach_non_finite_check_and_unscale_",
        lambda v: ([v(3, 4), v(5)], v.scalar(0), v.scalar(0.5)),
    ),
    Check(
        "aten::_amp_update_scale_",
        lambda v: (v.scalar(8), v.scalar(0, torch.int32), v.scalar(1), 2.0, 0.5, 10),
    ),
    Check("aten::_foreach_lerp_.Scalar", lambda v: ([v(3), v(2, 2)], [v(3), v(2, 2)], 0.1)),
    Check("aten::_foreach_mul_.Tensor", lambda v: ([v(3), v(2, 2)], v.scalar(0.5))),
    Check("aten::_foreach_norm.Scalar", lambda v: ([v(3), v(2, 2)], 2)),
    Check("aten::_local_scalar_dense", lambda v: (v(1),), (F32, INT, BOOL)),
    Check("aten::_to_copy", lambda v: (v(3, 4), {"dtype": F32}), (F16, BF16, INT, BOOL)),
    Check("aten::_to_copy", lambda v: (v(3, 4), {"dtype": F16}), (F32,)),
    Check("aten::_unsafe_view", lambda v: (v(3, 4), [2, 6])),
    Check("aten::add.Tensor", lambda v: (v(2, 3, 4), v(3, 1)), NETWORK),
    Check("aten::add_.Tensor", lambda v: (v(3, 4), v(4)), (F32, INT)),
    Check("aten::addcdiv_", lambda v: (v(5), v(5), v.positive(5), {"value": -0.1})),
    Check("aten::addcmul_", lambda v: (v(5), v(5), v(5), {"value": 0.1})),
    Check("aten::amax", lambda v: (v(2, 3, 4, 5), [2], True), NETWORK),
    Check("aten::bitwise_and.Tensor", lambda v: (v.flags(3, 4), v.flags(3, 4)), (BOOL,)),
    Check("aten::bitwise_not", lambda v: (v(3, 4),), (BOOL,)),
    Check("aten::block_diag", lambda v: ([v(2, 3), v(1, 2)],)),
    Check("aten::cat", lambda v: ([v(2, 3), v(1, 3)],), (*NETWORK, INT)),
    Check("aten::clamp", lambda v: (v(3, 4), -1, 1)),
    Check("aten::clamp_min", lambda v: (v(3, 4), 0.5)),
    Check("aten::clone", lambda v: (v(3, 4).t(),), NETWORK),
    Check(
        "aten::convolution",
        lambda v: (v(2, 8, 9, 7), v(4, 8, 3, 3), v(4), *_STRIDED),
        NETWORK,
        half_is_enough=True,
    ),
    Check(
        "aten::convolution_backward",
        lambda v: (v(2, 4, 5, 4), v(2, 8, 9, 7), v(4, 8, 3, 3), [4], *_STRIDED, [True] * 3),
        NETWORK,
        half_is_enough=True,
    ),
    Check("aten::copy_", lambda v: (v(3, 4), v(4, 3).t()), DTYPES),
    Check("aten::detach", lambda v: (v(3),), (*NETWORK, INT)),
    Check("aten::div.Tensor", lambda v: (v(3, 4), v.positive(4))),
    Check("aten::empty.memory_format", lambda v: ([2, 3], _placed(v)), DTYPES, uninitialised=True),
    Check("aten::eq.Scalar", lambda v: (v(3, 4), 1), (F32, BOOL)),
    Check("aten::eq.Tensor", lambda v: (v(3, 4), v(3, 1)), NETWORK),
    Check("aten::exp", lambda v: (v(3, 4),)),
    Check("aten::expand", lambda v: (v(3, 1), [3, 4])),
    Check("aten::eye", lambda v: (3, _placed(v)), (F32, BOOL)),
    Check("aten::flip", lambda v: (v(2, 3, 4), [1])),
    Check("aten::full", lambda v: ([2, 3], 2, _placed(v)), (F32, INT)),
    Check("aten::gather", lambda v: (v(3, 8), 1, v.indices(8, 3, 5)), (F32, INT)),
    Check("aten::ge.Scalar", lambda v: (v(3, 4), 0), (F32, INT)),
    Check("aten::gt.Tensor", lambda v: (v(3, 4), v(3, 4))),
    Check("aten::index.Tensor", lambda v: (v(5, 3), [v.indices(5, 7)]), (F32, INT)),
    Check(
        "aten::index_add_", lambda v: (v(5, 3), 0, v.indices(5, 2), v.positive(2, 3)), (F32, INT)
    ),
    Check(
        "aten::index_put",
        lambda v: (v(5, 3), [v.indices(5, 7)], v.positive(7, 3), True),
        (F32, INT),
    ),
    Check("aten::lerp_.Scalar", lambda v: (v(3, 4), v(3, 4), 0.1)),
    Check("aten::lift_fresh", lambda v: (v(3),)),
    Check("aten::linalg_vector_norm", lambda v: (v(3, 4),)),
    Check("aten::log", lambda v: (v.positive(3, 4),)),
    Check("aten::log_sigmoid_backward", lambda v: (v(7), v(7), v.positive(7) / 2)),
    Check("aten::log_sigmoid_forward", lambda v: (v(7),), only_first=True),
    Check("aten::lt.Scalar", lambda v: (v(3, 4), 0), (F32, INT)),
    Check("aten::masked_fill_.Scalar", lambda v: (v(3, 4), v.flags(3, 4), 0), (F32, BOOL)),
    Check("aten::max_pool2d_with_indices", lambda v: (v(2, 3, 6, 5), [3, 3], [1, 1], [1, 1])),
    Check("aten::minimum", lambda v: (v(3, 4), v(4))),
    Check("aten::mul.Scalar", lambda v: (v(3, 4), 0.5)),
    Check("aten::mul.Tensor", lambda v: (v(3, 4), v(4)), (F32, BOOL)),
    Check("aten::mul_.Tensor", lambda v: (v(3, 4), v(4))),
    Check("aten::native_batch_norm", _batch_norm, NETWORK),
    Check("aten::native_batch_norm_backward", _batch_norm_backward, NETWORK),
    Check("aten::neg", lambda v: (v(3, 4),)),
    Check("aten::new_empty", lambda v: (v(1), [2, 3]), (F32, INT), uninitialised=True),
    Check("aten::new_empty_strided", lambda v: (v(1), [2, 3], [1, 2]), uninitialised=True),
    Check("aten::new_zeros", lambda v: (v(1), [2, 3]), NETWORK),
    Check("aten::ones_like", lambda v: (v(3, 4),), (F32, INT)),
    Check("aten::permute", lambda v: (v(2, 3, 4), [0, 2, 1])),
    Check("aten::pow.Tensor_Scalar", lambda v: (v(3, 4), 2)),
    Check("aten::reciprocal", lambda v: (v.positive(3, 4),)),
    Check("aten::relu", lambda v: (v(3, 4),), NETWORK),
    Check("aten::relu_", lambda v: (v(3, 4),), NETWORK),
    Check("aten::rsqrt", lambda v: (v.positive(3, 4),)),
    Check("aten::rsub.Scalar", lambda v: (v(3, 4), 1)),
    Check("aten::scalar_tensor", lambda v: (2.5, _placed(v))),
    Check("aten::select.int", lambda v: (v(3, 4), 1, 2)),
    Check("aten::set_.source_Storage", lambda v: (v(0), v(6).untyped_storage())),
    Check(
        "aten::set_.source_Storage_storage_offset",
        lambda v: (v(0), v(6).untyped_storage(), 1, [2], [3]),
        (F32, INT),
    ),
    Check("aten::sigmoid", lambda v: (v(3, 4),)),
    Check("aten::slice.Tensor", lambda v: (v(3, 4), 1, 1, 4, 2)),
    Check("aten::slice_backward", lambda v: (v(3, 2), [3, 4], 1, 1, 3, 1)),
    Check("aten::smooth_l1_loss", lambda v: (v(3, 4), v(3, 4), 0)),
    Check("aten::smooth_l1_loss_backward", lambda v: (v(3, 4), v(3, 4), v(3, 4), 0, 1.0)),
    Check("aten::split.Tensor", lambda v: (v(5, 3), 2)),
    Check("aten::split_with_sizes", lambda v: (v(5, 3), [2, 3])),
    Check("aten::sqrt", lambda v: (v.positive(3, 4),)),
    Check("aten::squeeze.dim", lambda v: (v(3, 1), 1)),
    Check("aten::stack", lambda v: ([v(2, 3), v(2, 3)], 1)),
    Check("aten::sub.Tensor", lambda v: (v(3, 4), v(4))),
    Check("aten::sum", lambda v: (v(3, 40),), (F32, INT, BOOL)),
    Check("aten::sum.dim_IntList", lambda v: (v(3, 40), [1])),
    Check("aten::threshold_backward", lambda v: (v(3, 4), v(3, 4), 0), NETWORK),
    Check("aten::unbind.int", lambda v: (v(3, 4), 1)),
    Check("aten::unsqueeze", lambda v: (v(3), 0)),
    Check("aten::upsample_nearest2d", lambda v: (v(2, 3, 4, 5), [8, 10]), NETWORK),
    Check(
        "aten::upsample_nearest2d_backward",
        lambda v: (v(2, 3, 8, 10), [8, 10], [2, 3, 4, 5]),
        NETWORK,
    ),
    Check("aten::view", lambda v: (v(3, 4), [2, 6])),
    Check("aten::where.self", lambda v: (v.flags(3, 4), v(3, 4), v(3, 4)), (F32, BOOL)),
    Check("aten::zeros", lambda v: ([2, 3], _placed(v))),
    Check("aten::zeros_like", lambda v: (v(3, 4),)),
    Check(f"{NAMESPACE}::center_pool", lambda v: (v(2, 3, 8, 7), v(2, 3, 8, 7)), NETWORK),
    Check(
        f"{NAMESPACE}::center_pool_backward",
        lambda v: tuple(v(2, 3, 8, 7) for _ in range(3)),
        NETWORK,
    ),
    Check(f"{NAMESPACE}::center_targets", _targets),
    Check(f"{NAMESPACE}::corner_decode", _decode),
    Check(f"{NAMESPACE}::corner_peaks", lambda v: (v(2, 3, 8, 8), 10, 3), NETWORK),
    Check(f"{NAMESPACE}::corner_pool", lambda v: (v(2, 3, 8, 7), "left"), NETWORK),
    Check(
        f"{NAMESPACE}::corner_pool_add",
        lambda v: (v(2, 3, 8, 7), v(2, 3, 8, 7), "right"),
        NETWORK,
    ),
    Check(
        f"{NAMESPACE}::corner_pool_backward",
        lambda v: (v(2, 3, 8, 7), v(2, 3, 8, 7), "top"),
        NETWORK,
    ),
    Check(
        f"{NAMESPACE}::corner_pool_pair",
        lambda v: (v(2, 3, 8, 7), v(2, 3, 8, 7), "top_left"),
        NETWORK,
    ),
    Check(
        f"{NAMESPACE}::corner_pool_pair_backward",
        lambda v: (*(v(2, 3, 8, 7) for _ in range(3)), "bottom_right"),
        NETWORK,
    ),
    Check(f"{NAMESPACE}::corner_targets", _targets),
    Check(f"{NAMESPACE}::crop_resize", _crops),
    Check(f"{NAMESPACE}::soft_nms", _nms),
]


@dataclass(frozen=True)
class Finding:
    """What was found out about an op in a dtype."""

    op: str
    dtype: torch.dtype
    status: str  # one of STATUSES
    remark: str = ""


def find_device(name: str) -> torch.device:
    """The device of this name, with its plug-in imported.

    Raises:
        UserError: the device is not available.
    """
    kind = name.partition(":")[0]
    try:
        if kind in DEVICES and (why := import_plugin(kind)) is not None:
            raise ModuleNotFoundError(why)
        device = torch.device(name)
        torch.empty(1, device=device)
    # Also what is no ImportError: a plug-in looks for its driver when it is imported; and a build
    # of torch without a device fails an assertion.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"must be an available device, got {name!r} ({type(error).__name__}: {reason})",
            field="device",
        ) from None
    return device


def dispatch_key(device: torch.device) -> str:
    """The dispatcher's name for kernels of the device."""
    if device.type == torch._C._get_privateuse1_backend_name():
        return "PrivateUse1"
    return device.type.upper()


def _has_kernel(op: str, *keys: str) -> bool:
    return any(torch._C._dispatch_has_kernel_for_dispatch_key(op, key) for key in keys)


def _by_whom(op: str, key: str) -> str:
    """Who runs the op there if nobody says otherwise: "native", "composite" or "fallback"."""
    if key == "PrivateUse1" and op in _INNER:
        return "native" if _has_kernel(_INNER[op], key) else "fallback"
    if _has_kernel(op, key) or any(_has_kernel(out, key) for out in _kernels_of(op)):
        return "native"
    return "composite" if _has_kernel(op, *_FORMULAS) and not _kernels_of(op) else "fallback"


def _kernels_of(op: str) -> list[str]:
    """Of an op whose formula is no more than a call of its variant that writes into a tensor that
    is given: that variant."""
    if not _has_kernel(op, "CompositeExplicitAutogradNonFunctional"):
        return []
    name = op.partition(".")[0].removesuffix("_")
    packet = getattr(torch.ops.aten, name.removeprefix("aten::"), None)
    variants = [getattr(packet, one)._schema for one in packet.overloads()] if packet else []
    found = [
        f"{name}.{schema.overload_name}"
        for schema in variants
        if any(one.kwarg_only and one.alias_info is not None for one in schema.arguments)
    ]
    return [variant for variant in found if not _has_kernel(variant, *_FORMULAS)]


def _overload(op: str) -> Any | None:
    """The callable of `namespace::name.overload`; None if this version of torch has no such op."""
    namespace, _, name = op.partition("::")
    packet, _, overload = name.partition(".")
    try:
        return getattr(getattr(getattr(torch.ops, namespace), packet), overload or "default")
    except AttributeError:
        return None


def _run(check: Check, device: torch.device, dtype: torch.dtype) -> list[Any]:
    """Results, and arguments that may have been written to, on the CPU."""
    values = check.call(Values(device, dtype))
    named = values[-1] if isinstance(values[-1], dict) else {}
    given = values[:-1] if named else values
    overload = _overload(check.op)
    assert overload is not None
    with torch.no_grad():
        leaves = pytree.tree_leaves((overload(*given, **named), given))
    for leaf in leaves:
        if isinstance(leaf, Tensor) and leaf.device.type != device.type:
            raise ValueError(f"a tensor on {leaf.device}")
    return [leaf.cpu() if isinstance(leaf, Tensor) else leaf for leaf in leaves]


def _difference(actual: Sequence[Any], expected: Sequence[Any]) -> tuple[float, str]:
    """The largest difference, as a part of the largest value; or infinity and what is wrong."""
    largest = 0.0
    for one, other in zip(actual, expected, strict=True):
        if isinstance(other, float):
            one, other = torch.tensor(one), torch.tensor(other)
        if not isinstance(other, Tensor):
            if not isinstance(other, torch.UntypedStorage) and one != other:
                return torch.inf, f"{one}, not {other}"
            continue
        if one.dtype != other.dtype or one.shape != other.shape:
            found, wanted = ([*t.shape, t.dtype] for t in (one, other))
            return torch.inf, f"{found}, not {wanted}"
        if not other.is_floating_point():
            if not torch.equal(one, other):
                return torch.inf, f"{int((one != other).sum())} elements differ"
            continue
        if not torch.equal(one.isfinite(), other.isfinite()):
            return torch.inf, "infinities or NaN where the CPU has none, or the other way round"
        one, other = (torch.where(t.isfinite(), t, 0).double() for t in (one, other))
        if other.numel() > 0:
            scale = max(1.0, float(other.abs().max()))
            largest = max(largest, float((one - other).abs().max()) / scale)
    return largest, ""


def probe_op(check: Check, device: torch.device, dtype: torch.dtype) -> Finding:
    """Calls an op on a device and on the CPU, and compares."""
    expected = _run(check, torch.device("cpu"), dtype)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            actual = _run(check, device, dtype)
    except Exception as error:  # whatever a plug-in raises
        reason = str(error).strip().partition("\n")[0]
        return Finding(check.op, dtype, "missing", f"{type(error).__name__}: {reason}")
    if check.uninitialised:
        actual, expected = (
            [leaf.new_zeros(leaf.shape) for leaf in run[:1]] for run in (actual, expected)
        )
    if check.only_first:
        actual, expected = actual[:1], expected[:1]
    off, reason = _difference(actual, expected)
    allowed = TOLERANCE[F16] if check.half_is_enough and dtype == F32 else TOLERANCE.get(dtype, 0)
    if off > allowed:
        return Finding(check.op, dtype, "wrong", reason or f"off by {off:.1e} of the largest value")
    remark = f"off by {off:.1e}: half precision?" if dtype == F32 and off > TOLERANCE[F32] else ""
    for warning in warned:
        text = str(warning.message).strip().partition("\n")[0]
        if "fall" in text.lower():  # falls back, fallback, falling back
            return Finding(check.op, dtype, "fallback", text)
    return Finding(check.op, dtype, _by_whom(check.op, dispatch_key(device)), remark)


def probe(
    device: torch.device, out: TextIO = sys.stdout, checks: Iterable[Check] = CHECKS
) -> list[Finding]:
    """Probes all ops, and prints a table, remarks and a summary.

    Each row is begun before its op is called: should the driver end the process, the last row says
    which op it was.
    """
    rows: dict[str, list[Check]] = {}
    for check in checks:
        if _overload(check.op) is not None:
            rows.setdefault(check.op, []).append(check)
    width = max(map(len, rows)) + 2
    names = [str(dtype).removeprefix("torch.") for dtype in DTYPES]
    print("op".ljust(width) + "".join(name.ljust(11) for name in names).rstrip(), file=out)
    findings: list[Finding] = []
    warn_always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        for op, row in rows.items():
            print(op.ljust(width), end="", file=out, flush=True)
            cells = dict.fromkeys(DTYPES, "")
            for check in row:
                for dtype in check.dtypes:
                    findings.append(probe_op(check, device, dtype))
                    cells[dtype] = findings[-1].status
            print("".join(cell.ljust(11) for cell in cells.values()).rstrip(), file=out)
    finally:
        torch.set_warn_always(warn_always)
    print(file=out)
    for one in findings:
        if one.remark:
            dtype_name = str(one.dtype).removeprefix("torch.")
            print(f"{one.status}: {one.op}, {dtype_name}: {one.remark}", file=out)
    counts = {status: sum(one.status == status for one in findings) for status in STATUSES}
    print(f"{device}: " + ", ".join(f"{count} {name}" for name, count in counts.items()), file=out)
    return findings


def is_fit(findings: Iterable[Finding]) -> bool:
    """Whether the detector can run with this: nothing is wrong, nothing is missing."""
    return not any(one.status in ("wrong", "missing") for one in findings)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 1 if an op is wrong or missing."""
    parser = argparse.ArgumentParser(prog="python -m cornernet.runtime.probe")
    parser.add_argument("device", nargs="?", default="cpu", help="cpu, cuda, sdaa:1, …")
    try:
        device = find_device(parser.parse_args(arguments).device)
    except UserError as error:
        parser.error(str(error))
    return 0 if is_fit(probe(device)) else 1


if __name__ == "__main__":
    sys.exit(main())
