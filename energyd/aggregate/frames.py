"""What one frame of a meter said, put together from its groups, and how well frames arrive.

A frame is the meter's own unit: its registers belong to one instant, its tariff says which of them counts. Frames without
registers (the short ones of a three-phase overload, 02E 2.5.2) are frames as well. Law: a group belongs to exactly one frame, and
only registers that were believed (see `counters.MeterRegister`) are in it. While one register of a frame waits for the next frame
all of them do, because they belong together: they stand in that frame's `earlier`.
"""

from collections import deque
from typing import NamedTuple

from energyd.aggregate.snapshot import Frames
from energyd.units import NS_PER_S

LONGEST_NS = 10 * NS_PER_S  # a frame takes 3 s at most; what took longer was interrupted
REMEMBERED = 1000  # durations, about half an hour
QUANTILES = (0.5, 0.9)


class Frame(NamedTuple):
    """One frame. `quantities` are (value, the meter's own UTC seconds for it, 0 = none); `texts` all that are known by now."""

    begin_ns: int
    end_ns: int
    address: str
    mode: str
    good: bool  # no group of it was refused
    degraded: bool  # the meter says that its clock is not synchronised
    registers: dict[str, int]
    quantities: dict[str, tuple[int, int]]
    heard: frozenset[str]  # labels of the texts in this frame
    texts: dict[str, str]
    earlier: tuple[int, dict[str, int]] | None = None  # (mono_ns, registers) that this frame has confirmed


class FrameBook:
    """Groups in, frames out, and counts of them."""

    def __init__(self, ok: int = 0, bad: int = 0) -> None:
        self.ok = ok
        self.bad = bad
        self._deferred: dict[str, tuple[int, int]] = {}  # (mono_ns, Wh) of the frame before, in which a register had to wait
        self._durations_ns: deque[int] = deque(maxlen=REMEMBERED)
        self._quantiles_ns: tuple[tuple[float, int], ...] = ()
        self._begin_ns: int | None = None
        self._clear()

    def _clear(self) -> None:
        self._registers: dict[str, int] = {}
        self._earlier: dict[str, tuple[int, int]] = {}  # (mono_ns, Wh)
        self._waits = False
        self._quantities: dict[str, tuple[int, int]] = {}
        self._heard: set[str] = set()
        self._degraded = False

    def group(self, mono_ns: int, degraded: bool) -> None:
        """A group has come; what it said follows."""
        if self._begin_ns is None or mono_ns - self._begin_ns > LONGEST_NS:
            self._begin_ns = mono_ns
        self._degraded |= degraded

    def register(self, name: str, energy_wh: int, mono_ns: int) -> None:
        """A register as believed at `mono_ns`: in this frame, or before it."""
        if self._begin_ns is not None and mono_ns >= self._begin_ns:
            self._registers[name] = energy_wh
        else:
            self._earlier[name] = mono_ns, energy_wh

    def wait(self) -> None:
        """A register of this frame is not believed before the next one."""
        self._waits = True

    def quantity(self, label: str, value: int, horodate_s: int) -> None:
        self._quantities[label] = (value, horodate_s)

    def text(self, label: str) -> None:
        self._heard.add(label)

    def end(self, mono_ns: int, good: bool, address: str, mode: str, texts: dict[str, str]) -> Frame | None:
        """The frame that has ended, None if none of its groups was understood."""
        begin_ns, self._begin_ns = self._begin_ns, None
        self.ok += good
        self.bad += not good
        if begin_ns is None:
            return None
        if good:
            self._durations_ns.append(mono_ns - begin_ns)
            durations_ns = sorted(self._durations_ns)
            self._quantiles_ns = tuple((part, durations_ns[int(part * (len(durations_ns) - 1))]) for part in QUANTILES)
        heard = frozenset(self._heard)
        before, self._deferred, registers = {**self._deferred, **self._earlier}, {}, self._registers
        if self._waits:  # once more: what is newer takes the place of what was deferred
            self._deferred, before, registers = {name: (begin_ns, energy_wh) for name, energy_wh in registers.items()}, {}, {}
        earlier = None
        if before:
            at_ns = min(at_ns for at_ns, _ in before.values())
            earlier = at_ns, {name: energy_wh for name, (_, energy_wh) in before.items()}
        frame = Frame(begin_ns, mono_ns, address, mode, good, self._degraded, registers, self._quantities, heard, texts, earlier)
        self._clear()
        return frame

    def view(self) -> Frames:
        return Frames(self.ok, self.bad, self._quantiles_ns)
