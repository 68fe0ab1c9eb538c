"""A cumulative counter as a function of time: integer microjoules between its samples, by straight lines.

Interpolating the cumulative total, not its differences, is what conserves energy when the clocks of two rings differ:
differences of `at` over adjoining intervals always add up to the difference over the whole.
"""

from bisect import bisect_left, bisect_right


class Timeline:
    """Samples (mono_ns, energy_uj), both non-decreasing. `at` is exact in integers and constant before the first sample."""

    def __init__(self) -> None:
        self.times_ns: list[int] = []
        self.energies_uj: list[int] = []

    def __bool__(self) -> bool:
        return bool(self.times_ns)

    @property
    def frontier_ns(self) -> int:
        """Time of the newest sample: up to here the total is known."""
        return self.times_ns[-1]

    def append(self, mono_ns: int, energy_uj: int) -> None:
        assert not self.times_ns or energy_uj >= self.energies_uj[-1], "BUG: a total went back"
        if self.times_ns and mono_ns <= self.times_ns[-1]:  # the same instant read twice: the later reading stands
            self.energies_uj[-1] = energy_uj
            return
        self.times_ns.append(mono_ns)
        self.energies_uj.append(energy_uj)

    def at(self, mono_ns: int) -> int:
        """Microjoules accumulated by `mono_ns`, which must not lie beyond the frontier."""
        times_ns, energies_uj = self.times_ns, self.energies_uj
        assert mono_ns <= times_ns[-1], "BUG: asked for energy that has not been measured yet"
        after = bisect_left(times_ns, mono_ns)
        if times_ns[after] == mono_ns or after == 0:
            return energies_uj[after]
        t0_ns, t1_ns = times_ns[after - 1], times_ns[after]
        e0_uj, e1_uj = energies_uj[after - 1], energies_uj[after]
        return e0_uj + (e1_uj - e0_uj) * (mono_ns - t0_ns) // (t1_ns - t0_ns)

    def power_w(self, window_ns: int) -> float | None:
        """Mean watts over at least the last `window_ns` of samples, by their own times; None with fewer than two samples."""
        if len(self.times_ns) < 2:
            return None
        first = max(0, bisect_right(self.times_ns, self.times_ns[-1] - window_ns) - 1)
        elapsed_ns = self.times_ns[-1] - self.times_ns[first]
        return (self.energies_uj[-1] - self.energies_uj[first]) * 1000 / elapsed_ns

    def forget_before(self, mono_ns: int) -> None:
        """Drop samples that no question about `mono_ns` or later can need."""
        keep_from = bisect_right(self.times_ns, mono_ns) - 1
        if keep_from > 0:
            del self.times_ns[:keep_from]
            del self.energies_uj[:keep_from]
