"""The kernels for SDAA meet their goals: goals.py, at sizes that are quickly run.

Least bytes, scratchpad to spare, all SPEs busy, near the speed of memory.
"""

from __future__ import annotations

import pytest

from tests.sdaa_simulator.goals import GOALS, QUICK_BYTES, Case, cases, measure, missed
from tests.sdaa_simulator.launchers import Launchers


@pytest.mark.parametrize("case", [c for c in cases() if c.must_move <= QUICK_BYTES], ids=str)
def test_goals_are_met_but_for_the_excused(launchers: Launchers, case: Case) -> None:
    figures = measure(case, launchers)
    assert missed(case, figures) == [goal for goal in GOALS if goal in case.excused], figures
