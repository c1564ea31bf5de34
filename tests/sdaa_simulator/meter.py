"""What the simulated kernels did, and how long a card would take at the publicly known rates.

The time is that of the copies alone: computing is taken to hide behind them, which the simulator
cannot know. Bytes are counted twice: as asked for, and as the whole lines of memory they lie in.
"""

from __future__ import annotations

from dataclasses import dataclass

SPES = 32
COLUMNS = 8  # SPE i is in column i % 8

# Bytes per second.
DEVICE_RATE = 240e9
COLUMN_RATE = 43e9
READ_RATE = 41e9  # of one SPE alone
WRITE_RATE = 40e9
LOCAL_RATE = 62e9  # inside the scratchpad
MISALIGNED_RATE = 0.92e9  # blocking copies whose two addresses differ modulo 4
CLOCK = 2.36e9
BARRIER_CYCLES = 495


@dataclass(frozen=True)
class Launch:
    """One kernel: a list of 32 numbers, one of every SPE, for each quantity."""

    kernel: str
    device: int
    read: list[int]
    written: list[int]
    lines_read: list[int]
    lines_written: list[int]
    sections: list[int]
    copies: list[int]
    blocking: list[int]
    misaligned: list[int]
    local: list[int]
    barriers: list[int]
    peak_scratchpad: list[int]

    @property
    def moved(self) -> int:
        """Bytes between Global and the scratchpads."""
        return sum(self.read) + sum(self.written)

    @property
    def peak(self) -> int:
        """Bytes of scratchpad at the SPE that used the most."""
        return max(self.peak_scratchpad)

    @property
    def balance(self) -> float:
        """Bytes of the busiest SPE over the mean of all 32; 1 is perfect."""
        return _balance([r + w for r, w in zip(self.read, self.written, strict=True)])

    @property
    def column_balance(self) -> float:
        """The same over the 8 columns, whose SPEs share a path to memory."""
        bytes_of = [r + w for r, w in zip(self.read, self.written, strict=True)]
        return _balance([sum(bytes_of[column::COLUMNS]) for column in range(COLUMNS)])

    def seconds(self) -> float:
        """Predicted: copies share device and columns fairly; what blocks an SPE comes on top.

        An SPE's own blocking work (copies inside the scratchpad, misaligned copies, barriers) is
        added for the SPE that has most of it.
        """
        line = 64
        read = [line * lines for lines in self.lines_read]
        written = [line * lines for lines in self.lines_written]
        alone = [
            local / LOCAL_RATE + misaligned / MISALIGNED_RATE + barriers * BARRIER_CYCLES / CLOCK
            for local, misaligned, barriers in zip(
                self.local, self.misaligned, self.barriers, strict=True
            )
        ]
        return _shared_time(read, written) + max(alone)

    def report(self, must_move: int) -> str:
        """One line: what the goals of a kernel are stated in."""
        floor = must_move / DEVICE_RATE
        return (
            f"{self.kernel}: {self.moved / 1e6:.2f} MB moved, {self.moved / must_move:.3f} of the "
            f"least; {sum(self.sections)} sections; peak scratchpad {self.peak / 1024:.0f} KiB; "
            f"balance {self.balance:.2f}, of columns {self.column_balance:.2f}; "
            f"{max(self.barriers)} barriers; {self.seconds() * 1e6:.1f} us predicted, "
            f"{self.seconds() / floor:.2f} of the floor"
        )


def _balance(values: list[int]) -> float:
    mean = sum(values) / len(values)
    return max(values) / mean if mean > 0 else 1.0


def _shared_time(read: list[int], written: list[int]) -> float:
    """Seconds until every SPE has moved its bytes, all at once, each at the rate its share allows.

    An SPE is limited by itself, by its column's rate over those active in it, and by the device's
    rate over all active ones; what a limited SPE leaves over goes to the others.
    """
    left: list[float] = [r + w for r, w in zip(read, written, strict=True)]
    own = [
        (r + w) / (r / READ_RATE + w / WRITE_RATE) if r + w > 0 else READ_RATE
        for r, w in zip(read, written, strict=True)
    ]
    time = 0.0
    while any(left):
        active = [spe for spe in range(SPES) if left[spe] > 0]
        in_column = [sum(spe % COLUMNS == column for spe in active) for column in range(COLUMNS)]
        rates = {spe: min(own[spe], COLUMN_RATE / in_column[spe % COLUMNS]) for spe in active}
        budget = DEVICE_RATE
        for count, spe in enumerate(sorted(active, key=rates.__getitem__)):
            rates[spe] = min(rates[spe], budget / (len(active) - count))
            budget -= rates[spe]
        step = min(left[spe] / rates[spe] for spe in active)
        time += step
        for spe in active:
            rest = left[spe] - step * rates[spe]
            left[spe] = rest if rest > 0.5 else 0
    return time
