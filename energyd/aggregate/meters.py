"""The meter's side: TIC samples in, registers that only grow and the quantities of the moment out.

Registers belong to a meter id (ADCO, ADSC): another id is another meter, and its registers start anew. Frames without indexes
(the short frames of a three-phase overload, 02E 2.5.2) leave the registers as they were.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from energyd import samples, ticfields, ticjaune, ticprofessional
from energyd.aggregate.frames import Frame, FrameBook
from energyd.aggregate.registers import RegisterBook, field_of, name_of
from energyd.aggregate.snapshot import Meter, Stamp
from energyd.aggregate.windows import PowerWindows
from energyd.ticfields import TicField
from energyd.units import NS_PER_S

LINK_TIMEOUT_S = 10.0  # 54E 9.4: the link is bad after 10 s without a correct frame
OVERLOAD_LIFETIME_NS = 10 * NS_PER_S
HOUSE_POWER = ("PAPP", "SINSTS", ticjaune.HEAD)  # apparent power drawn, in VA
OVERLOADS = ("ADPS", "ADIR1", "ADIR2", "ADIR3")  # said as long as they last, several times in 10 s
NOTICES = frozenset(
    {
        *(f"{edge}PM{peak}" for edge in "DF" for peak in "123"),
        *("PPOINTE", "MSG2", "PREAVIS", "PREAVIS/INJECTION", "MODE", "MODE/INJECTION", "MESSAGE", "TDYND", "TDYNF"),
        *(f"{name}{calendar}" for name in ("PREAVIS", "ETATDYN") for calendar in "12DF"),
        *(f"TDYN{calendar}{which}" for calendar in "12" for which in ("CD", "CF", "FD", "FF")),
    }
)
"""Texts that a meter says only while they hold; all others stay true until they change."""
HOLD_S = 10  # a power is taken to last until the next one, if that comes within this time
QUANTITY_LIFETIME_NS = 60 * NS_PER_S  # longer than the 20 short frames between two long ones of an overload


class MeterBook:
    """One meter. `to_meter_ns` turns our monotonic time into that of its samples: a simulated meter may run faster."""

    def __init__(
        self,
        name: str,
        source: str,
        to_meter_ns: Callable[[int], int] = lambda mono_ns: mono_ns,
        *,
        link_timeout_s: float = LINK_TIMEOUT_S,
    ) -> None:
        self.name = name
        self._link_timeout_ns = round(link_timeout_s * NS_PER_S)
        self.on_frame: Callable[[Frame], None] = lambda _frame: None
        self.on_power: Callable[[int, int], None] = lambda _power_va, _mono_ns: None
        self._frames = FrameBook()
        self._source = source
        self._to_meter_ns = to_meter_ns
        self._address = ""
        self._next_address = ""
        self._mode = ""
        self._registers = RegisterBook()
        self._quantities: dict[str, tuple[int, int]] = {}  # label -> (value, mono_ns)
        self._stamps: dict[str, tuple[int, int, bool]] = {}  # label -> (utc_s, mono_ns, degraded clock)
        self._texts: dict[str, str] = {}
        self._texts_ns: dict[str, int] = {}  # when each was heard since our start
        self._of_frame: set[str] = set()  # texts of the frame that is being heard
        self._partial = b""
        self.windows = PowerWindows()
        self._held_va: tuple[int, int] | None = None  # (second, power that has lasted since its begin)
        self._last_group_ns = 0
        self._last_frame_ns: int | None = None

    def fold(self, records: npt.NDArray[Any]) -> None:
        """Closed batches of the meter's ring, in order."""
        words = records.view(np.uint64).reshape(-1, 8)
        columns = [records[name].tolist() for name in ("kind", "status", "mono_ns", "value", "horodate_s", "text")]
        for index, (kind, status, mono_ns, value, horodate_s, text) in enumerate(zip(*columns, strict=True)):
            if kind < samples.VOID:
                self._group(kind, status, mono_ns, value, horodate_s, text)
            elif kind == samples.FRAME:
                good, refused = words[index, 3:5].tolist()
                if good > 1 and not refused:  # one group is that of a meter whose output sleeps
                    self._last_frame_ns = mono_ns
                self._of_frame.clear()
                frame = self._frames.end(mono_ns, bool(good and not refused), self._address, self._mode, self._texts)
                if frame is not None and not self._next_address:  # not while it is uncertain which meter speaks
                    self.on_frame(frame)

    def _group(self, kind: int, status: int, mono_ns: int, value: int, horodate_s: int, text: bytes) -> None:
        try:
            field = field_of(kind)
        except KeyError:
            return
        self._last_group_ns = mono_ns
        if "TRAME" in self._of_frame:  # a PME-PMI that tests its output says what is not so (02E 2.9.3 W)
            return
        self._mode = field.mode
        self._frames.group(mono_ns, bool(status & samples.DEGRADED))
        if horodate_s:
            self._stamps[field.label] = (horodate_s, mono_ns, bool(status & samples.DEGRADED))
        if field.role == ticfields.REGISTER:
            self._register(field, value, mono_ns)
        elif field.role in (ticfields.QUANTITY, ticfields.COUNTER, ticprofessional.INDEX):
            self._quantity(field.label, value, mono_ns, horodate_s)
        else:
            self._partial += text
            if status & samples.CONTINUED:
                return
            whole, self._partial = self._partial.decode("ascii", "backslashreplace").rstrip(), b""
            if field.role == ticfields.IDENTITY and field.label in ("ADCO", "ADSC", "ADS"):
                self._identify(whole)
            elif field.role == ticprofessional.PACKED:
                self._unpack(field, whole, mono_ns)
            else:
                self._text(field.label, whole, mono_ns)

    def _register(self, field: TicField, reading_wh: int, mono_ns: int) -> None:
        said_by = ticprofessional.EACH_PERIOD.get(field.label)
        if said_by is None or said_by in self._of_frame:  # else nobody knows which register this is
            period = "" if said_by is None else self._texts[said_by]
            self._advance(field, period, reading_wh, mono_ns)

    def _advance(self, field: TicField, period: str, reading_wh: int, mono_ns: int) -> None:
        believed = self._registers.advance(field, period, reading_wh, mono_ns)
        for energy_wh, at_ns in believed:
            self._frames.register(name_of(field, period), energy_wh, at_ns)
        if not believed:
            self._frames.wait()

    def _quantity(self, label: str, value: int, mono_ns: int, horodate_s: int = 0) -> None:
        self._quantities[label] = (value, mono_ns)
        self._frames.quantity(label, value, horodate_s)
        if label in HOUSE_POWER:
            self._hold(mono_ns // NS_PER_S, value)
            self.on_power(value, mono_ns)

    def _text(self, label: str, text: str, mono_ns: int) -> None:
        self._texts[label] = text
        self._texts_ns[label] = mono_ns
        self._of_frame.add(label)
        self._frames.text(label)

    def _unpack(self, field: TicField, text: str, mono_ns: int) -> None:
        """The groups of a CJE, several values each."""
        head = ticjaune.unpack_head(text) if field.label == ticjaune.HEAD else None
        if head is not None:
            self._quantity(field.label, head.power_va, mono_ns)
            self._text("PTCOUR", head.period, mono_ns)
            if head.notice:
                self._text("PREAVIS", "DEP", mono_ns)
        for place, element in enumerate(ticjaune.unpack_list(field.label, text), 1):
            if field.label == ticjaune.ENERGIES:
                self._advance(field, str(place), element.value, mono_ns)
            else:
                self._quantity(element.name, element.value, mono_ns)

    def _hold(self, second: int, power_va: int) -> None:
        """Each second gets the power that was the last one said at its begin."""
        if self._held_va is not None:
            since, held_va = self._held_va
            for each in range(since, min(second, since + HOLD_S)):
                self.windows.add(each, held_va)
        self._held_va = second, power_va

    def _identify(self, address: str) -> None:
        """Another address is believed when it is heard twice running: one corrupt group must not reset a meter's registers."""
        if address != self._address and self._address and address != self._next_address:
            self._next_address = address
            return
        if address != self._address:
            if self._address:
                self._registers.clear()
                self._texts.clear()
                self._stamps.clear()
            self._address = address
        self._next_address = ""

    def snapshot(self, mono_ns: int) -> Meter:
        now_ns = self._to_meter_ns(mono_ns)
        fresh_ns, overload_ns = now_ns - QUANTITY_LIFETIME_NS, now_ns - OVERLOAD_LIFETIME_NS
        return Meter(
            name=self.name,
            source=self._source,
            mode=self._mode,
            address=self._address,
            link_up=self._last_frame_ns is not None and now_ns - self._last_frame_ns <= self._link_timeout_ns,
            last_group_mono_ns=self._last_group_ns,
            registers=self._registers.snapshot(self._mode),
            quantities=tuple(
                (label, value)
                for label, (value, at_ns) in self._quantities.items()
                if at_ns >= (overload_ns if label in OVERLOADS else fresh_ns)
            ),
            texts=tuple(
                (label, text)
                for label, text in self._texts.items()
                if label not in NOTICES or self._texts_ns.get(label, 0) >= fresh_ns
            ),
            windows_va=self.windows.windows(),
            frames=self._frames.view(),
            last_frame_mono_ns=self._last_frame_ns,
            stamps=tuple(
                Stamp(label, utc_s, now_ns - at_ns, degraded)
                for label, (utc_s, at_ns, degraded) in self._stamps.items()
                if at_ns >= fresh_ns
            ),
            resets=self._registers.resets,
            held_back=self._registers.held_back,
        )

    def state(self) -> dict[str, Any]:
        return {
            "address": self._address,
            "mode": self._mode,
            "registers": self._registers.state(),
            "heard_ns": self._last_group_ns,
            "texts": self._texts,
            "frames": [self._frames.ok, self._frames.bad],
        }

    def restore(self, state: dict[str, Any], same_boot: bool) -> None:
        """Take up what was saved."""
        self._address, self._mode, self._texts = state["address"], state["mode"], state["texts"]
        since_ns = state["heard_ns"] if same_boot else 0
        self._frames = FrameBook(*state.get("frames", ()))
        self._registers.restore(state["registers"], since_ns)
