"""What is written when: a meter's readings in, marks out. Pure: no clock, no file.

A mark is all registers of a meter at one instant: at the begin of each local hour and day, at each change of tariff, when a
register is heard for the first time, and on both sides of a gap that hid the begin of an hour and of a register's fall. The mark of
an hour holds the first reading from then on. Law: a mark says when its registers were read, and a reading that is older than the
last one changes nothing.
"""

from typing import Any, Final, NamedTuple

from energyd.ledger.days import Days

TOLERANCE_S: Final = 120  # a reading this late still stands for the begin of an hour: an overload hides the registers for 60 s
LATE_S: Final = 120  # readings older than the last by more than this come from a clock that was set back
REPLAY_S: Final = (
    86400  # but after a restart the rings tell again what is in the ledger, a day of it if a simulated clock runs fast
)

PART_S: Final = 10  # so long the begin of an hour waits for a reading with all registers

HOUR: Final = 1
DAY: Final = 2
TARIFF: Final = 4
REGISTER: Final = 8  # a register was heard for the first time, or has fallen
GAP_BEGIN: Final = 16
GAP_END: Final = 32
RESTART: Final = 64  # nothing is known of the energy before this mark: the first one, another mode or another contract


class Reading(NamedTuple):
    """The registers of one frame. `tariff` is the register that counts, '' while unknown."""

    read_s: int  # UTC
    mode: str
    tariff: str
    registers: dict[str, int]


class Mark(NamedTuple):
    """The registers of a meter at `at_s`, as read at `read_s`; `why` are bits."""

    at_s: int
    read_s: int
    why: int
    mode: str
    tariff: str
    registers: dict[str, int]


def _labels(reading: Reading) -> set[str]:
    """What stands behind a stroke is a period: the same register of the meter counts another one after it."""
    return {register.partition("/")[0] for register in reading.registers}


class Scribe:
    """The marks of one meter address."""

    def __init__(self, days: Days) -> None:
        self._days = days
        self._latest: Reading | None = None
        self._marked_s = 0
        self._boundary_s = 0
        self._part_s = 0  # when a reading without all registers was first left out
        self._resumed = False  # the last reading was taken from the ledger
        self.behind = 0  # readings that were left out because a clock was set back

    @property
    def latest(self) -> Reading | None:
        """The newest reading, with every register as it was last heard."""
        return self._latest

    def heard(self, reading: Reading) -> list[Mark]:
        """The marks that this reading is the reason for, oldest first."""
        before = self._latest
        if not reading.registers:
            return []
        if before is not None and reading.read_s < before.read_s:
            self.behind += before.read_s - reading.read_s > (REPLAY_S if self._resumed else LATE_S)
            return []
        if before is None or before.mode != reading.mode or _labels(before).isdisjoint(_labels(reading)):
            return self._begin(reading)
        passed = reading.read_s >= self._boundary_s
        if passed and self._is_in_part(before, reading):
            return []
        self._resumed, self._part_s = False, 0
        last_s = self._days.boundary_until(reading.read_s) if passed else 0
        met = passed and reading.read_s - last_s <= TOLERANCE_S
        hidden = passed and (not met or self._boundary_s < last_s)
        fell = any(energy_wh < before.registers.get(register, 0) for register, energy_wh in reading.registers.items())
        marks = self.close() if hidden or fell else []
        now = reading._replace(tariff=reading.tariff or before.tariff, registers={**before.registers, **reading.registers})
        self._latest = now
        why = TARIFF * (now.tariff != before.tariff) | REGISTER * (fell or len(now.registers) > len(before.registers))
        if passed:
            self._boundary_s = self._days.boundary_after(now.read_s)
        if met:
            marks += self._mark(last_s, self._kind(last_s) | why * (last_s == now.read_s))
        elif passed:
            why |= GAP_END
        return marks + self._mark(now.read_s, why) if why else marks

    def _is_in_part(self, before: Reading, reading: Reading) -> bool:
        """Whether a register was lost on the line: what is marked should hold them all. A later frame has it, if any has."""
        if _labels(before) <= _labels(reading):
            return False
        self._part_s = self._part_s or reading.read_s
        return reading.read_s - self._part_s < PART_S

    def _begin(self, reading: Reading) -> list[Mark]:
        marks = self.close()
        self._latest = reading
        self._boundary_s = self._days.boundary_after(reading.read_s)
        return marks + self._mark(reading.read_s, RESTART)

    def close(self) -> list[Mark]:
        """The last reading, if no mark has it yet: the begin of a gap, or the end of listening."""
        return [] if self._latest is None else self._mark(self._latest.read_s, GAP_BEGIN)

    def _kind(self, at_s: int) -> int:
        local = self._days.local(at_s)
        day = self._days.begin_s(local.date()) == at_s
        return DAY * day | HOUR * (local.minute == 0)

    def _mark(self, at_s: int, why: int) -> list[Mark]:
        latest = self._latest
        assert latest is not None, "BUG: a mark without a reading"
        if at_s <= self._marked_s:
            return []
        self._marked_s = at_s
        return [Mark(at_s, latest.read_s, why, latest.mode, latest.tariff, latest.registers)]

    def state(self) -> dict[str, Any]:
        """What a restart must not forget; it is saved together with the cursors of the rings."""
        return {"latest": None if self._latest is None else list(self._latest), "marked_s": self._marked_s}

    def restore(self, state: dict[str, Any]) -> None:
        if state["latest"] is not None:
            self._latest = Reading(*state["latest"])
            self._marked_s = state["marked_s"]
            self._boundary_s = self._days.boundary_after(self._latest.read_s)

    def resume(self, mark: Mark) -> None:
        """Take up from the last mark in the ledger where that is newer than what was saved."""
        self._marked_s = max(self._marked_s, mark.at_s)
        if self._latest is None or mark.read_s > self._latest.read_s:
            self._resumed = True
            self._latest = Reading(mark.read_s, mark.mode, mark.tariff, dict(mark.registers))
            self._boundary_s = self._days.boundary_after(max(mark.read_s, mark.at_s))
