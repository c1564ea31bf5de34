"""The cases that every implementation must pass, on every device, and how results are compared.

    testing.assert_matches_reference("corner_pool")

A new device adds kernels and runs these; cases are made again from fixed seeds on each call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from .. import reference
from . import cases as _cases
from .cases import CORNERS, DIRECTIONS, Case, decode_arguments
from .values import random_values, special_values, tied_values

__all__ = [
    "CORNERS",
    "DIRECTIONS",
    "TOLERANCE",
    "Case",
    "assert_close",
    "assert_identical",
    "assert_matches_cpu",
    "assert_matches_reference",
    "cases_of",
    "check_cases",
    "decode_arguments",
    "on_cpu",
    "random_values",
    "special_values",
    "tied_values",
]
# Relative and absolute tolerance where sums may be taken in another order.
TOLERANCE = {
    torch.float16: (1e-3, 1e-3),
    torch.bfloat16: (8e-3, 8e-3),
    torch.float32: (1e-5, 1e-5),
    torch.float64: (1e-12, 1e-12),
}


# Ops that compute exponentials or add up in an order of their own.
_ROUNDED = {"center_targets", "corner_targets", "crop_resize", "soft_nms"}


def check_cases(cases: Iterable[Case], check: Callable[[Case], None]) -> None:
    """Run a check on all cases, also after some have failed.

    Raises:
        AssertionError: there are no cases; or some have failed: how many, and of each the name and
            the error.
    """
    count, failed = 0, []
    for case in cases:
        count += 1
        try:
            check(case)
        except Exception as error:  # a kernel that refuses a case has failed it, too
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            failed.append(f"{case}: {kind}{' '.join(str(error).split())}")
    assert count > 0, "there are no cases"
    assert not failed, f"{len(failed)} of {count} cases failed:\n" + "\n".join(failed)


def assert_identical(actual: Any, expected: Any) -> None:
    """Same structure, dtypes, shapes, strides, devices and bits; NaN is NaN, whatever its bits."""
    if isinstance(expected, (tuple, list)):
        assert len(actual) == len(expected)
        for a, e in zip(actual, expected, strict=True):
            assert_identical(a, e)
        return
    assert actual.dtype == expected.dtype, f"{actual.dtype}, not {expected.dtype}"
    assert actual.device == expected.device, f"{actual.device}, not {expected.device}"
    assert actual.shape == expected.shape, f"{actual.shape}, not {expected.shape}"
    assert actual.stride() == expected.stride(), f"{actual.stride()}, not {expected.stride()}"
    differs = _bits(actual) != _bits(expected)
    if actual.is_floating_point():
        differs &= ~(actual.isnan() & expected.isnan())
    where = differs.nonzero().tolist()
    assert not where, (
        f"{len(where)} of {actual.numel()} elements differ, the first at {where[0]}: "
        f"{actual[tuple(where[0])].item()}, not {expected[tuple(where[0])].item()}"
    )


def assert_close(actual: Any, expected: Any, dtype: torch.dtype | None = None) -> None:
    """Equal up to the order of summation in `dtype` (by default that of `actual`); whole numbers
    equal. Tensors, or sequences of tensors."""
    if not isinstance(expected, Tensor):
        for one, other in zip(actual, expected, strict=True):
            assert_close(one, other, dtype)
        return
    if not expected.is_floating_point():
        return assert_identical(actual, expected)
    rtol, atol = TOLERANCE[dtype or actual.dtype]
    torch.testing.assert_close(
        actual, expected, rtol=rtol, atol=atol, equal_nan=True, check_dtype=False
    )


def _bits(tensor: Tensor) -> Tensor:
    """The bits of floats as integers, which tells -0.0 from 0.0."""
    if not tensor.is_floating_point():
        return tensor
    integer = {2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    return tensor.contiguous().view(integer)


def cases_of(op: str, device: torch.device | str = "cpu") -> Iterator[Case]:
    """The cases of an op by its name."""
    made: Iterator[Case] = getattr(_cases, f"{op}_cases")(device)
    return made


def on_cpu(value: Any) -> Any:
    """Tensors, also within tuples, lists and dicts, on the CPU; strides are kept."""
    if isinstance(value, Tensor):
        return value.cpu()
    if isinstance(value, (list, tuple)):
        return type(value)(on_cpu(item) for item in value)
    if isinstance(value, dict):
        return {key: on_cpu(item) for key, item in value.items()}
    return value


def _comparison(op: str) -> Callable[[Any, Any], None]:
    """Bits are compared, but for ops whose exponentials or sums are each implementation's own."""
    return assert_close if op in _ROUNDED else assert_identical


def assert_matches_reference(op: str, device: torch.device | str = "cpu") -> None:
    """Call an op on every case, and compare with its reference on the same device.

    Raises:
        AssertionError: with all cases that differ.
    """
    native, expected = getattr(torch.ops.cornernet, op), getattr(reference, op)
    compare = _comparison(op)
    check_cases(cases_of(op, device), lambda case: compare(case.call(native), case.call(expected)))


def assert_matches_cpu(op: str, device: torch.device | str) -> None:
    """Call an op on every case on a device, and compare with what the CPU makes of it.

    Raises:
        AssertionError: with all cases that differ.
    """
    native, compare = getattr(torch.ops.cornernet, op), _comparison(op)

    def check(case: Case) -> None:
        on_host = Case(case.name, on_cpu(case.args), on_cpu(case.kwargs))
        compare(on_cpu(case.call(native)), on_host.call(native))

    check_cases(cases_of(op, device), check)
