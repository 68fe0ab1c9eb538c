"""The meter's side: TIC samples in, registers that only grow and the quantities of the moment out.

Registers belong to a meter id (ADCO, ADSC): another id is another meter, and its registers start anew. Frames without indexes
(the short frames of a three-phase overload, 02E 2.5.2) leave the registers as they were.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from energyd import samples, ticfields
from energyd.aggregate.counters import MeterRegister
from energyd.aggregate.frames import Frame, FrameBook
from energyd.aggregate.snapshot import Meter, Register
from energyd.aggregate.windows import PowerWindows
from energyd.units import NS_PER_S

LINK_TIMEOUT_NS = 10 * NS_PER_S  # 54E 9.4: the link is bad after 10 s without a correct frame
HOUSE_POWER = ("PAPP", "SINSTS")  # apparent power drawn, in VA
HOLD_S = 10  # a power is taken to last until the next one, if that comes within this time
QUANTITY_LIFETIME_NS = 60 * NS_PER_S  # longer than the 20 short frames between two long ones of an overload


class MeterBook:
    """One meter. `to_meter_ns` turns our monotonic time into that of its samples: a simulated meter may run faster."""

    def __init__(self, name: str, source: str, to_meter_ns: Callable[[int], int] = lambda mono_ns: mono_ns) -> None:
        self.name = name
        self.on_frame: Callable[[Frame], None] = lambda _frame: None
        self._frames = FrameBook()
        self._source = source
        self._to_meter_ns = to_meter_ns
        self._address = ""
        self._next_address = ""
        self._mode = ""
        self._registers: dict[int, MeterRegister] = {}  # by field id
        self._quantities: dict[str, tuple[int, int]] = {}  # label -> (value, mono_ns)
        self._texts: dict[str, str] = {}
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
                if good and not refused:
                    self._last_frame_ns = mono_ns
                frame = self._frames.end(mono_ns, bool(good and not refused), self._address, self._mode, self._texts)
                if frame is not None and not self._next_address:  # not while it is uncertain which meter speaks
                    self.on_frame(frame)

    def _group(self, kind: int, status: int, mono_ns: int, value: int, horodate_s: int, text: bytes) -> None:
        field = ticfields.BY_ID.get(kind)
        if field is None:
            return
        self._last_group_ns = mono_ns
        self._mode = field.mode
        self._frames.group(mono_ns, bool(status & samples.DEGRADED))
        if field.role == ticfields.REGISTER:
            register = self._registers.setdefault(field.id, MeterRegister())
            register.advance(value, mono_ns)
            if register.energy_wh == value:
                self._frames.register(field.label, value)
        elif field.role in (ticfields.QUANTITY, ticfields.COUNTER):
            self._quantities[field.label] = (value, mono_ns)
            self._frames.quantity(field.label, value, horodate_s)
            if field.label in HOUSE_POWER:
                self._hold(mono_ns // NS_PER_S, value)
        else:
            self._partial += text
            if status & samples.CONTINUED:
                return
            whole, self._partial = self._partial.decode("ascii", "backslashreplace").rstrip(), b""
            if field.role == ticfields.IDENTITY and field.label in ("ADCO", "ADSC"):
                self._identify(whole)
            else:
                self._texts[field.label] = whole
                self._frames.text(field.label)

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
            self._address = address
        self._next_address = ""

    def snapshot(self, mono_ns: int) -> Meter:
        now_ns = self._to_meter_ns(mono_ns)
        fresh_from_ns = now_ns - QUANTITY_LIFETIME_NS
        registers = []
        for identifier, register in self._registers.items():
            field = ticfields.BY_ID[identifier]
            if field.mode == self._mode and register.energy_wh is not None:  # a reprogrammed meter speaks of other registers
                registers.append(Register(field.label, field.direction, field.scope, register.energy_wh))
        return Meter(
            name=self.name,
            source=self._source,
            mode=self._mode,
            address=self._address,
            link_up=self._last_frame_ns is not None and now_ns - self._last_frame_ns <= LINK_TIMEOUT_NS,
            last_group_mono_ns=self._last_group_ns,
            registers=tuple(registers),
            quantities=tuple((label, value) for label, (value, at_ns) in self._quantities.items() if at_ns >= fresh_from_ns),
            texts=tuple(self._texts.items()),
            windows_va=self.windows.windows(),
            frames=self._frames.view(),
            last_frame_mono_ns=self._last_frame_ns,
        )

    def state(self) -> dict[str, Any]:
        return {
            "address": self._address,
            "mode": self._mode,
            "registers_wh": {identifier: register.energy_wh for identifier, register in self._registers.items()},
            "heard_ns": self._last_group_ns,
            "texts": self._texts,
            "frames": [self._frames.ok, self._frames.bad],
        }

    def restore(self, state: dict[str, Any], same_boot: bool) -> None:
        """Registers go on from where they were, whatever happened in between: the meter kept counting."""
        self._address, self._mode, self._texts = state["address"], state["mode"], state["texts"]
        since_ns = state["heard_ns"] if same_boot else 0
        self._frames = FrameBook(*state.get("frames", ()))
        self._registers = {field: MeterRegister(energy_wh, since_ns) for field, energy_wh in state["registers_wh"].items()}
