"""Every op on every case, on the device: the kernels', or the references' where there are none."""

from __future__ import annotations

import pytest

import cornernet_ops
from cornernet_ops import testing


@pytest.mark.parametrize("op", sorted(cornernet_ops.reference.__all__))
def test_results_are_those_of_the_cpu(op: str) -> None:
    testing.assert_matches_cpu(op, "sdaa")
