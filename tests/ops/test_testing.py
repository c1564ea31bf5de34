"""Running all cases of a test: none is left out, and every failure is told."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cornernet_ops import testing
from cornernet_ops.testing import Case, check_cases

CASES = [Case(f"case {number}", (number,)) for number in range(5)]


def test_all_cases_run_and_all_failures_are_reported() -> None:
    seen = []

    def check(case: Case) -> None:
        (number,) = case.args
        seen.append(number)
        assert number != 1, "one"
        if number == 3:
            raise RuntimeError("three\nlines")

    with pytest.raises(AssertionError) as caught:
        check_cases(CASES, check)
    assert seen == [0, 1, 2, 3, 4]
    count, first, second = str(caught.value).splitlines()
    assert "2 of 5" in count
    assert first.startswith("case 1: one")
    assert second == "case 3: RuntimeError: three lines"


def test_no_cases_are_a_failure() -> None:
    with pytest.raises(AssertionError, match="no cases"):
        check_cases([], lambda case: None)


def test_op_that_differs_from_its_reference_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = testing.reference.corner_peaks

    def skewed(heat: torch.Tensor, *rest: Any) -> tuple[torch.Tensor, torch.Tensor]:
        scores, indices = plain(heat, *rest)
        return scores, indices + (heat.shape[0] == 1)

    monkeypatch.setattr(testing.reference, "corner_peaks", skewed)
    with pytest.raises(AssertionError, match="cases failed:\n.*elements differ"):
        testing.assert_matches_reference("corner_peaks")
