"""The registers of one meter: each grows or waits, and none is taken for another.

A register is a field, and where the field counts whichever tariff period is in force (`ticprofessional.EACH_PERIOD`, the lists of a
CJE) a field and a period. What had to be held back and what fell is counted for as long as the meter's name is configured, through
restarts and replacements.
"""

from typing import Any, Final

from energyd import ticfields, ticprofessional
from energyd.aggregate.counters import MeterRegister
from energyd.aggregate.snapshot import Register
from energyd.ticfields import TicField

PROFESSIONAL_MAX_POWER_W: Final = 40_000_000  # the most that the medium voltage network connects
PROFESSIONAL_SLACK_WH: Final = 3_000  # they count in kilowatt-hours
WORDS_OF_PERIODS: Final = {
    "BASE": "base",
    "HCHC": "hc",
    "HCHP": "hp",
    "EJPHN": "ejp_normal",
    "EJPHPM": "ejp_peak",
    **{
        f"BBR{hours}J{letter}": f"tempo_{colour}_{hours.lower()}"
        for hours in ("HC", "HP")
        for letter, colour in (("B", "blue"), ("W", "white"), ("R", "red"))
    },
    **{f"EASF{number:02}": str(number) for number in range(1, 11)},
    **{f"EASD{number:02}": str(number) for number in range(1, 5)},
    **{f"EAp{period}": period for period in ticprofessional.ICE_PERIODS},
    **{f"EAp{number}{grid}": number for number in ticprofessional.GRID_PERIODS for grid in ("SF", "SD", "ID")},
}
"""What a register's own label says of its period: in words, or its number in a calendar. It never changes, as a label must not."""


class RegisterBook:
    def __init__(self) -> None:
        self._registers: dict[tuple[int, str], MeterRegister] = {}  # by field id and period
        self._held_back = self._resets = 0  # of registers that are no more

    def advance(self, field: TicField, period: str, reading_wh: int, mono_ns: int) -> list[tuple[int, int]]:
        """Take a reading; (Wh, mono_ns) of what is believed now: nothing, the reading, or the one that waited for it and itself."""
        register = self._registers.get((field.id, period))
        if register is None:
            register = self._registers[field.id, period] = _register(field.mode)
        register.advance(reading_wh, mono_ns)
        if register.waiting is not None:
            return []
        return [*([register.confirmed] if register.confirmed else []), (reading_wh, mono_ns)]

    def clear(self) -> None:
        """Another meter speaks: its registers are others."""
        self._held_back, self._resets = self.held_back, self.resets
        self._registers.clear()

    @property
    def held_back(self) -> int:
        return self._held_back + sum(register.held_back for register in self._registers.values())

    @property
    def resets(self) -> int:
        return self._resets + sum(register.resets for register in self._registers.values())

    def snapshot(self, mode: str) -> tuple[Register, ...]:
        """Those of a mode: a meter that was reprogrammed speaks of others, and the old ones stand still."""
        return tuple(
            _view(field, period, register.energy_wh)
            for (number, period), register in self._registers.items()
            if (field := field_of(number)).mode == mode and register.energy_wh is not None
        )

    def state(self) -> list[Any]:
        return [
            [[*key, register.energy_wh, register.waiting] for key, register in self._registers.items()],
            self.held_back,
            self.resets,
        ]

    def restore(self, state: list[Any], since_ns: int) -> None:
        """Registers go on from where they were, whatever happened in between: the meter kept counting."""
        registers, self._held_back, self._resets = state
        for number, period, energy_wh, *waiting in registers:
            register = self._registers[number, period] = _register(field_of(number).mode)
            register.resume(energy_wh, since_ns, tuple(waiting[0]) if since_ns and waiting and waiting[0] else None)


def field_of(number: int) -> TicField:
    """The field that a sample's kind names; KeyError for a kind of a later version."""
    return ticfields.BY_ID.get(number) or ticprofessional.BY_ID[number]


def name_of(field: TicField, period: str) -> str:
    """What a register is called: its label, and behind a stroke the period of one that counts whichever is in force."""
    return f"{field.label}/{period}" if period else field.label


def _register(mode: str) -> MeterRegister:
    if mode == ticprofessional.PROFESSIONAL:
        return MeterRegister(max_power_w=PROFESSIONAL_MAX_POWER_W, slack_wh=PROFESSIONAL_SLACK_WH)
    return MeterRegister()


def _view(field: TicField, period: str, energy_wh: int) -> Register:
    name = name_of(field, period)
    direction, scope = field.direction or ticfields.CONSUMED, field.scope or ticfields.SUPPLIER  # ENERG of a CJE is packed
    return Register(name, direction, scope, energy_wh, period or WORDS_OF_PERIODS.get(field.label, ""))
