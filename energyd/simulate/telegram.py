"""What a single-phase Linky says at an instant: the groups of a frame (54E 6.1 historique, 6.2 standard).

Every value follows from the house, the registers and the calendar; a group is there when the specification says that it is
(ADPS only during an overload, DEMAIN only with Tempo).
"""

from datetime import timedelta
from typing import Final, NamedTuple

from energyd.simulate.frames import HISTORIQUE, STANDARD, Group, Mode
from energyd.simulate.house import House
from energyd.simulate.registers import CAPACITY_WH, Reading
from energyd.simulate.tariff import Calendar
from energyd.units import NS_PER_S

VA_PER_A: Final = 200  # ISOUSC = PREF / 200 V (54E 6.1)
LOAD_CURVE_NS: Final = 1800 * NS_PER_S
MEAN_VOLTAGE_NS: Final = 600 * NS_PER_S

HISTORIQUE_REGISTERS: Final = {
    "BASE": ("BASE",),
    "HCHP": ("HCHC", "HCHP"),
    "TEMPO": ("BBRHCJB", "BBRHPJB", "BBRHCJW", "BBRHPJW", "BBRHCJR", "BBRHPJR"),
}
_OPTIONS: Final = {"BASE": "BASE", "HCHP": "HC..", "TEMPO": "BBR("}
_CALENDARS: Final = {"BASE": "      BASE      ", "HCHP": "H PLEINE/CREUSE ", "TEMPO": "     TEMPO      "}
_COLOURS: Final = ("BLEU", "BLAN", "ROUG")
_COLOUR_NAMES: Final = ("BLEU", "BLANC", "ROUGE")
_NEXT_DAY: Final = {
    "BASE": ("00004001",),
    "HCHP": ("00004001", "06004002", "22004001"),
    "TEMPO": ("00004001", "06004002", "22004001"),
}
# contact open, TIC standard, Euridis with security, PLC registered: what consumers' meters show
_STATUS: Final = 0x003A0001


class Meter(NamedTuple):
    """A meter as it was installed: its number, its point of delivery, its contract and its subscribed power."""

    serial: str  # 12 digits: ADCO, ADSC
    prm: str  # 14 digits
    contract: str
    subscribed_kva: int


def horodate(calendar: Calendar, at_ns: int) -> str:
    """SAAMMJJhhmmss, S = E in summer time and H in winter time (54E 6.2.1.1)."""
    local = calendar.local(at_ns)
    return ("E" if local.dst() else "H") + local.strftime("%y%m%d%H%M%S")


def registers_of(meter: Meter, reading: Reading, mode: Mode) -> dict[str, int]:
    """The registers of a frame, in the order in which `mode` sends them, in watt-hours as the nine digits show them."""
    if mode is HISTORIQUE:
        values = (reading.total_wh,) if meter.contract == "BASE" else reading.suppliers_wh
        return {label: value % CAPACITY_WH for label, value in zip(HISTORIQUE_REGISTERS[meter.contract], values, strict=False)}
    registers = {"EAST": reading.total_wh % CAPACITY_WH}
    registers |= {f"EASF{n:02}": value % CAPACITY_WH for n, value in enumerate(reading.suppliers_wh, 1)}
    registers |= {f"EASD{n:02}": value % CAPACITY_WH for n, value in enumerate(reading.distributors_wh, 1)}
    return registers


def groups(meter: Meter, house: House, reading: Reading, mode: Mode) -> list[Group]:
    """The groups of the frame that `meter` begins to send at `reading.at_ns`."""
    return _historique(meter, house, reading) if mode is HISTORIQUE else _standard(meter, house, reading)


def _historique(meter: Meter, house: House, reading: Reading) -> list[Group]:
    at_ns, period = reading.at_ns, reading.period
    power_va = house.power_w(at_ns)
    subscribed_a = meter.subscribed_kva * 1000 // VA_PER_A
    current_a = round(power_va / house.voltage_v(at_ns))
    said = [Group("ADCO", meter.serial), Group("OPTARIF", _OPTIONS[meter.contract]), Group("ISOUSC", f"{subscribed_a:02}")]
    said += [Group(label, f"{value:09}") for label, value in registers_of(meter, reading, HISTORIQUE).items()]
    hours = "HC" if period.off_peak else "HP"
    if meter.contract == "BASE":
        said.append(Group("PTEC", "TH.."))
    elif meter.contract == "HCHP":
        said.append(Group("PTEC", hours + ".."))
    else:
        tomorrow = house.calendar.colours_at(at_ns)[1]
        said.append(Group("PTEC", hours + "J" + "BWR"[period.colour]))
        said.append(Group("DEMAIN", "----" if tomorrow is None else _COLOURS[tomorrow]))
    said.append(Group("IINST", f"{min(current_a, 999):03}"))
    if current_a > subscribed_a:
        said.append(Group("ADPS", f"{min(current_a, 999):03}"))
    said += [Group("IMAX", "090"), Group("PAPP", f"{min((power_va + 5) // 10 * 10, 99990):05}")]
    return [*said, Group("HHPHC", "A"), Group("MOTDETAT", "000000")]


def _standard(meter: Meter, house: House, reading: Reading) -> list[Group]:
    at_ns, calendar, plan = reading.at_ns, house.calendar, house.plan_at(reading.at_ns)
    power_va, voltage_v = plan.power_w(at_ns), house.voltage_v(at_ns)
    peak_va, peak_ns = plan.peak(at_ns)
    before = house.plan(calendar.day(plan.day.date - timedelta(days=1)))
    before_va, before_ns = before.peak(before.day.end_ns - 1)
    curve_ns = at_ns - at_ns % LOAD_CURVE_NS
    mean_ns = at_ns - at_ns % MEAN_VOLTAGE_NS

    def mean_w(end_ns: int) -> int:
        return house.energy_nj(end_ns - LOAD_CURVE_NS, end_ns) // LOAD_CURVE_NS

    blocks = _NEXT_DAY[meter.contract]
    return [
        Group("ADSC", meter.serial),
        Group("VTIC", "02"),
        Group("DATE", "", horodate(calendar, at_ns)),
        Group("NGTF", _CALENDARS[meter.contract]),
        Group("LTARF", _tariff_name(meter, reading)),
        *(Group(label, f"{value:09}") for label, value in registers_of(meter, reading, STANDARD).items()),
        Group("IRMS1", f"{min(round(power_va / voltage_v), 999):03}"),
        Group("URMS1", f"{voltage_v:03}"),
        Group("PREF", f"{meter.subscribed_kva:02}"),
        Group("PCOUP", f"{meter.subscribed_kva:02}"),
        Group("SINSTS", f"{min(power_va, 99999):05}"),
        Group("SMAXSN", f"{min(peak_va, 99999):05}", horodate(calendar, peak_ns)),
        Group("SMAXSN-1", f"{min(before_va, 99999):05}", horodate(calendar, before_ns)),
        Group("CCASN", f"{min(mean_w(curve_ns), 99999):05}", horodate(calendar, curve_ns)),
        Group("CCASN-1", f"{min(mean_w(curve_ns - LOAD_CURVE_NS), 99999):05}", horodate(calendar, curve_ns - LOAD_CURVE_NS)),
        Group("UMOY1", f"{house.voltage_v(mean_ns - 1):03}", horodate(calendar, mean_ns)),
        Group("STGE", f"{status(meter, house, reading):08X}"),
        Group("MSG1", "PAS DE          MESSAGE         "),
        Group("PRM", meter.prm),
        Group("RELAIS", "000"),
        Group("NTARF", f"{reading.period.supplier:02}"),
        Group("NJOURF", "00"),
        Group("NJOURF+1", "00"),
        Group("PJOURF+1", " ".join(blocks + ("NONUTILE",) * (11 - len(blocks)))),
    ]


def status(meter: Meter, house: House, reading: Reading) -> int:
    """The status word STGE (54E 6.2.3.14): overload, tariff indexes, Tempo colours."""
    word = _STATUS | (reading.period.supplier - 1) << 10 | (reading.period.distributor - 1) << 14
    word |= (house.power_w(reading.at_ns) > meter.subscribed_kva * 1000) << 7
    if meter.contract == "TEMPO":
        today, tomorrow = house.calendar.colours_at(reading.at_ns)
        word |= (today + 1) << 24 | (0 if tomorrow is None else tomorrow + 1) << 26
    return word


def _tariff_name(meter: Meter, reading: Reading) -> str:
    if meter.contract == "BASE":
        return "      BASE      "
    if meter.contract == "HCHP":
        return " HEURE  CREUSE  " if reading.period.off_peak else " HEURE  PLEINE  "
    return f"    {'HC' if reading.period.off_peak else 'HP'}  {_COLOUR_NAMES[reading.period.colour]:<8}"
