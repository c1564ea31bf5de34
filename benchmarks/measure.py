"""Timing one case: everybody who can do the work, in turns, after their results were compared."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

Call = Callable[[], Any]

OP = "op"
FLOOR = "floor"

# What a sample should take at least, far above the clock's resolution: shorter calls are repeated.
_SAMPLE_SECONDS = 1e-3
_LONG_SECONDS = 0.2
_LEAST_SAMPLES = 3
_MOST_SAMPLES = 400


class Disagreement(Exception):
    """Two contenders of a case gave different results, so that their times mean nothing."""


def exactly(actual: Any, expected: Any) -> None:
    """The default comparison: equal values, whatever the strides."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True)


@dataclass(frozen=True)
class Case:
    """One piece of work and those who can do it.

    A contender is a function without arguments that returns its result: a tensor, or a tuple of
    tensors. All of them but the floor have to agree.
    """

    op: str
    part: str  # such as "forward"; summaries are made for each part of an op
    variant: str  # such as a direction
    setting: str  # dtype, layout, shape
    moved: int  # bytes that have to be read and written at least once; 0 if that says nothing
    call: Call  # the op itself
    others: Mapping[str, Call]  # "reference" and peers, by name
    floor: Call | None = None  # reads and writes as many bytes and does nothing else
    same: Callable[[Any, Any], None] = field(default=exactly)  # raises AssertionError
    pictures: int = 0  # that a call goes through, where these are what is counted
    compared: Mapping[str, Call] = field(default_factory=dict)  # whose result is, not whose time

    def __str__(self) -> str:
        return " ".join(word for word in (self.op, self.part, self.variant, self.setting) if word)


@dataclass(frozen=True)
class Times:
    """Seconds a call: the median and the quartiles of so many samples."""

    median: float
    lower: float
    upper: float
    samples: int

    @classmethod
    def of(cls, samples: list[float]) -> Times:
        lower, median, upper = statistics.quantiles(samples, n=4, method="inclusive")
        return cls(median, lower, upper, len(samples))


@dataclass(frozen=True)
class Result:
    """The times of one case's contenders, by name, with a number of threads."""

    op: str
    part: str
    variant: str
    setting: str
    threads: int
    moved: int
    pictures: int
    times: Mapping[str, Times]

    @property
    def rate(self) -> float:
        """Pictures a second where pictures are counted, else gigabytes."""
        return (self.pictures or self.moved / 1e9) / self.times[OP].median

    @property
    def floors(self) -> float | None:
        """The op's time in floors."""
        if FLOOR not in self.times:
            return None
        return self.times[OP].median / self.times[FLOOR].median

    def faster_than(self, other: str) -> float | None:
        if other not in self.times:
            return None
        return self.times[other].median / self.times[OP].median


def geometric_mean(ratios: list[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, ratios)))


def synchronizer(device: torch.device) -> Callable[[], None]:
    """Waits until the device has done what it was given; nothing to wait for on the CPU."""
    if device.type == "cpu":
        return lambda: None
    return getattr(torch, device.type).synchronize


def measure(case: Case, device: torch.device, threads: int, seconds: float) -> Result:
    """Compares the results of a case's contenders and then times them in turns, A B C A B C.

    In turns, because a busy machine slows all of them down, so that their ratios stay; a contender
    that has spent its time and has its least samples sits out the rounds that are left.

    Args:
        case: the work.
        device: where its tensors are.
        threads: what torch.set_num_threads is given while this runs.
        seconds: for each contender.

    Raises:
        Disagreement: a contender's result is not the op's.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        _compare(case)
        contenders = {OP: case.call, **case.others}
        if case.floor is not None:
            contenders[FLOOR] = case.floor
        times = _take_turns(contenders, synchronizer(device), seconds)
    finally:
        torch.set_num_threads(before)
    what = (case.op, case.part, case.variant, case.setting)
    return Result(*what, threads, case.moved, case.pictures, times)


def _compare(case: Case) -> None:
    result = case.call()
    for name, other in {**case.compared, **case.others}.items():
        try:
            case.same(result, other())
        except AssertionError as error:
            detail = " ".join(str(error).split())
            raise Disagreement(f"{case}: the op and {name} disagree: {detail}") from None


def _take_turns(
    contenders: Mapping[str, Call], synchronize: Callable[[], None], seconds: float
) -> dict[str, Times]:
    def timed(call: Call, repeats: int) -> float:
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        synchronize()
        return (time.perf_counter() - start) / repeats

    def sample(call: Call, repeats: int, warm: bool = True) -> float:
        # Once without the clock: otherwise the caches, and how much memory the allocator holds, are
        # as the contender before has left them, and the next one pays or profits.
        if warm:
            call()
            synchronize()
        return timed(call, repeats)

    # The first samples only say how long a call takes.
    lengths = {name: sample(call, 1) for name, call in contenders.items()}
    repeats = {
        name: max(1, math.ceil(_SAMPLE_SECONDS / max(seconds, 1e-9)))
        for name, seconds in lengths.items()
    }
    # What a contender leaves behind is nothing to so much work.
    cold = {name for name, seconds in lengths.items() if seconds > _LONG_SECONDS}
    samples: dict[str, list[float]] = {name: [] for name in contenders}

    def goes_on(name: str) -> bool:
        taken = samples[name]
        spent = sum(taken) * repeats[name] >= seconds or len(taken) >= _MOST_SAMPLES
        return not spent or len(taken) < _LEAST_SAMPLES

    while turns := [name for name in contenders if goes_on(name)]:
        for name in turns:
            samples[name].append(sample(contenders[name], repeats[name], name not in cold))
    return {name: Times.of(taken) for name, taken in samples.items()}
