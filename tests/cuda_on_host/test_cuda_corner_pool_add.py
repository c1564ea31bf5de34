"""csrc/cuda/corner_pool_add.cu on the host, against the CPU's kernels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor

from cornernet_ops import corner_pool_add, testing
from cornernet_ops.checks import FLOATING
from tests.cuda_on_host.conftest import OnHost


def test_values_are_the_cpus(on_host: OnHost) -> None:
    testing.check_cases(
        testing.cases_of("corner_pool_add"),
        lambda case: testing.assert_identical(
            case.call(on_host.corner_pool_add), case.call(corner_pool_add)
        ),
    )


# An addend at an address that vectors of 16 bytes do not fit, and maps that end where memory does.
@pytest.mark.parametrize("direction", testing.DIRECTIONS)
def test_addresses_that_vectors_do_not_fit(
    on_host: OnHost, guarded: Callable[[Tensor], Tensor], direction: str
) -> None:
    for dtype in FLOATING:
        values = testing.special_values((1 + 2 * 24 * 64,), 3).to(dtype)
        x = guarded(values[:-1].view(1, 2, 24, 64))
        for addend in (values[1:].view(1, 2, 24, 64), guarded(values[1:].view(1, 2, 24, 64))):
            testing.assert_identical(
                on_host.corner_pool_add(addend, x, direction), corner_pool_add(addend, x, direction)
            )
