"""One meter of the configuration on its way into the ledger: frames in, marks that wait to be written, and what is live. No file.

A meter's registers belong to its address (ADCO, ADSC). When another address answers, the last reading of the old one is marked and
the new one begins its own account; both keep the name that the configuration gives. Law: a frame is dated once, when it is heard.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from energyd import ticprofessional
from energyd.aggregate.frames import Frame
from energyd.config import Meter
from energyd.ledger.civil import civil_s
from energyd.ledger.days import Days
from energyd.ledger.peaks import Peaks
from energyd.ledger.periods import active_register, contract_of, is_injected, period_of, period_of_words
from energyd.ledger.scribe import Mark, Reading, Scribe
from energyd.ledger.store import CONTRACT
from energyd.units import NS_PER_S

WAITING_MARKS: Final = 20_000  # two years of hours: a disk that stays full for longer costs the oldest
PHASE_V: Final = 200  # ISOUSC is the subscribed power over 200 V (54E 6.1)


class Keeper:
    """`machine_ns` turns the monotonic time of a frame into civil time as the machine (or a simulated clock) has it."""

    def __init__(self, meter: Meter, days: Days, machine_ns: Callable[[int], int]) -> None:
        self.meter = meter
        self.pdl = meter.pdl or ""
        self.produces = meter.role == "production"
        self.address = ""
        self.contract = ""
        self.learned: dict[str, str] = {}  # register -> period, as the meter has named it
        self.told: dict[str, int] = {}  # since when, of what the ledger does not hold yet; CONTRACT stands for the contract
        self.active = ""  # the register that counts now
        self.subscribed_va: int | None = None
        self.last_frame_ns: int | None = None  # civil time of the last whole frame
        self.peaks = Peaks(days)
        self.waiting: deque[tuple[str, Mark]] = deque(maxlen=WAITING_MARKS)
        self.behind = 0
        self.last: Callable[[str], Mark | None] = lambda _address: None
        self._days = days
        self._machine_ns = machine_ns
        self._correction_s = 0  # of the machine's clock, by the meter's
        self._scribe = Scribe(days)

    def now_s(self, mono_ns: int) -> int:
        """Civil time at a monotonic instant, as frames are dated at the moment."""
        return self._machine_ns(mono_ns) // NS_PER_S + self._correction_s

    @property
    def latest(self) -> Reading | None:
        return self._scribe.latest

    def period(self, register: str) -> str:
        return period_of(register, self.contract, self.learned)

    def direction(self, register: str, registers: Iterable[str]) -> str:
        """What a register counts, beside which others: a production meter in historique mode has only one."""
        if self.produces and (is_injected(register) or not any(map(is_injected, registers))):
            return "produced"
        return "injected" if is_injected(register) else "consumed"

    def on_frame(self, frame: Frame) -> None:
        """Take a frame; what it is the reason for stands in `waiting`."""
        address = frame.address or self._unnamed(frame)
        if not address:
            return
        machine_s = self._machine_ns(frame.begin_ns) // NS_PER_S
        said = frame.quantities.get("DATE")
        at_s = civil_s(machine_s, None if said is None else said[0], frame.degraded)
        if at_s is None:
            return
        self._correction_s = at_s - machine_s
        if frame.good:
            self.last_frame_ns = self._machine_ns(frame.end_ns) + self._correction_s * NS_PER_S
        if address != self.address:
            self._change(address)
        self._describe(frame, at_s)
        behind = self._scribe.behind
        marks = self._earlier(frame) + self._scribe.heard(Reading(at_s, frame.mode, self.active, frame.registers))
        self.behind += self._scribe.behind - behind
        self.waiting.extend((self.address, mark) for mark in marks)
        latest = self._scribe.latest
        if latest is not None and latest.read_s <= at_s:
            self.peaks.heard(at_s, frame.quantities)

    def _unnamed(self, frame: Frame) -> str:
        """A CJE, an ICE and the older PME-PMI have no address: what stands in its place is the name in the configuration.

        A register is believed with its second frame, and an address would have been heard by then.
        """
        named = frame.mode == ticprofessional.PROFESSIONAL and frame.good and frame.registers
        return f"{self.meter.name} (unnamed)" if named else ""

    def _earlier(self, frame: Frame) -> list[Mark]:
        """The marks of registers that were heard before this frame and are believed with it."""
        if frame.earlier is None:
            return []
        at_s = self.now_s(frame.earlier[0])
        if self.latest is not None and at_s < self.latest.read_s:
            return []
        return self._scribe.heard(Reading(at_s, frame.mode, self.active, frame.earlier[1]))

    def _change(self, address: str) -> None:
        self.finish()
        self.address = address
        self._scribe = Scribe(self._days)
        self.resume()

    def finish(self) -> None:
        """The last reading becomes a mark, if none has it yet."""
        self.waiting.extend((self.address, mark) for mark in self._scribe.close())

    def resume(self) -> None:
        """Go on from the newest mark of the ledger, where that is newer than what was restored."""
        if self.address and (mark := self.last(self.address)) is not None:
            self._scribe.resume(mark)

    def _describe(self, frame: Frame, at_s: int) -> None:
        numbers = {label: value for label, (value, _) in frame.quantities.items()}
        contract = contract_of(frame.texts) or self.contract
        if contract != self.contract:
            self.contract, self.told[CONTRACT] = contract, at_s
        self.pdl = self.meter.pdl or frame.texts.get("PRM", "").strip() or self.pdl
        self.active = active_register(frame.texts, numbers) or self.active
        if "PREF" in numbers:
            self.subscribed_va = numbers["PREF"] * 1000
        elif "ISOUSC" in numbers:
            phases = 3 if "IINST1" in numbers else 1
            self.subscribed_va = numbers["ISOUSC"] * PHASE_V * phases
        if "LTARF" in frame.heard and "NTARF" in numbers:
            period = period_of_words(frame.texts["LTARF"])
            if period and self.learned.get(self.active) != period:
                self.learned[self.active] = period
                self.told[self.active] = at_s

    def state(self) -> dict[str, Any]:
        return {
            "address": self.address,
            "contract": self.contract,
            "pdl": self.pdl,
            "active": self.active,
            "subscribed_va": self.subscribed_va,
            "correction_s": self._correction_s,
            "last_frame_ns": self.last_frame_ns,
            "scribe": self._scribe.state(),
            "peaks": self.peaks.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.address, self.contract, self.active = state["address"], state["contract"], state["active"]
        self.pdl = self.meter.pdl or state["pdl"]
        self.subscribed_va, self._correction_s = state["subscribed_va"], state["correction_s"]
        self.last_frame_ns = state["last_frame_ns"]
        self._scribe.restore(state["scribe"])
        self.peaks.restore(state["peaks"])
