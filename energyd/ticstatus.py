"""What the packed fields of a standard meter hold, bit by bit (Enedis-NOI-CPT_54E 6.2.3).

STGE is the register of states (6.2.3.14), RELAIS the eight contacts (6.2.3.16), PJOURF+1 and PPOINTE the switching times of the
next day and of the next peak day (6.2.3.20), PPOT of the historique mode the phases that are missing. Here rather than with the
decoder, because only those who show the values unpack them. Law: every value has a meaning; nothing is raised.
"""

from typing import Final, NamedTuple

BREAKER: Final = ("closed", "overpower", "overvoltage", "load shedding", "order", "overheat over Imax", "overheat under Imax", "?")
COLOURS: Final = ("none", "blue", "white", "red")
EURIDIS: Final = ("off", "on", "?", "secured")
PLC: Final = ("new, unlocked", "new, locked", "registered", "?")
CONTACT: Final = ("unchanged", "tempo", "open", "closed")
UNUSED: Final = b"NONUTILE"


class Status(NamedTuple):
    """STGE. Indexes count from 1; a peak of 0 is none."""

    contact_open: bool
    breaker: str
    cover_open: bool
    overvoltage: bool
    over_reference_power: bool
    producer: bool
    energy_negative: bool
    supplier_index: int
    distributor_index: int
    clock_degraded: bool
    standard_mode: bool
    euridis: str
    plc: str
    plc_synchronised: bool
    colour_today: str
    colour_tomorrow: str
    peak_notice: int
    peak_running: int


class Action(NamedTuple):
    """What the meter does from `minute` of the day on. A `tariff_index` of 0 leaves it as it is, `relays` are virtual, 1 to 7."""

    minute: int
    contact: str
    relays: tuple[int, ...]
    tariff_index: int


def unpack_status(stge: int) -> Status:
    """The 32 bits of STGE, bit 0 the least significant."""

    def bits(first: int, count: int = 1) -> int:
        return stge >> first & (1 << count) - 1

    return Status(
        contact_open=bool(bits(0)),
        breaker=BREAKER[bits(1, 3)],
        cover_open=bool(bits(4)),
        overvoltage=bool(bits(6)),
        over_reference_power=bool(bits(7)),
        producer=bool(bits(8)),
        energy_negative=bool(bits(9)),
        supplier_index=bits(10, 4) + 1,
        distributor_index=bits(14, 2) + 1,
        clock_degraded=bool(bits(16)),
        standard_mode=bool(bits(17)),
        euridis=EURIDIS[bits(19, 2)],
        plc=PLC[bits(21, 2)],
        plc_synchronised=bool(bits(23)),
        colour_today=COLOURS[bits(24, 2)],
        colour_tomorrow=COLOURS[bits(26, 2)],
        peak_notice=bits(28, 2),
        peak_running=bits(30, 2),
    )


def closed_relays(relais: int) -> tuple[int, ...]:
    """Which of the contacts 1 (real) to 8 are closed."""
    return tuple(relay for relay in range(1, 9) if relais >> relay - 1 & 1)


def missing_phases(ppot: int) -> tuple[int, ...]:
    """Which of the phases 1 to 3 have no voltage."""
    return tuple(phase for phase in (1, 2, 3) if ppot >> phase & 1)


def unpack_profile(text: bytes) -> tuple[Action, ...]:
    """The actions of a PJOURF+1 or PPOINTE that the decoder accepted: HHMM, then 16 bits, in the order of the meter."""
    return tuple(_action(block) for block in text.split(b" ") if block != UNUSED)


def _action(block: bytes) -> Action:
    bits = int(block[4:], 16)
    index = bits & 0xF
    return Action(
        minute=int(block[:2]) * 60 + int(block[2:4]),
        contact=CONTACT[bits >> 14],
        relays=tuple(relay for relay in range(1, 8) if bits >> 3 + relay & 1),
        tariff_index=index if index <= 10 else 0,
    )
