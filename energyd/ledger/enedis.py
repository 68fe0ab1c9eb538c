"""The files that Enedis' customer site and its partners' flows hand out (CSV), as register values, energies and peaks. Pure.

Outside truth, seen in published samples: a head line `Identifiant PRM;Type de donnees;...` with its values below, then a table.
`Index`: `Horodate;Type de releve;EAS F1;...;EAS D1;...;EAS T`, registers in Wh. `Courbe de charge`: `Horodate;Valeur`, mean watts
over the step that ends there. `Puissance maximale quotidienne`: volt-amperes. Newer downloads: `Date;Valeur (en Wh)`, a day each,
and `Début;Fin;Valeur (en kW)`. Law: an empty value is not known, not zero; a line that cannot be understood is named by its number.
"""

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

from energyd import ticfields
from energyd.ledger.days import Days
from energyd.ledger.store import Interval, Peak
from energyd.units import J_PER_WH

STEPS_S: Final = (600, 900, 1800, 3600)
_REGISTER: Final = re.compile(r"ea(s|i) ?(f|d|t)? ?(\d{0,2})")
_UNIT: Final = re.compile(r"\b(k?wh|kva|va|kw|w)\b")


class NotUnderstood(Exception):
    """The file is none of those above, or a line in it cannot be read; the message names the line."""


class Download(NamedTuple):
    """What a file holds. `readings`: (UTC seconds, registers in Wh by their label in standard mode), ascending."""

    prm: str
    readings: tuple[tuple[int, dict[str, int]], ...]
    intervals: tuple[Interval, ...]
    peaks: tuple[Peak, ...]


class _Table:
    """One table of a file: what its head says, and its rows."""

    def __init__(self, head: dict[str, str], columns: list[str]) -> None:
        self.columns = [_plain(column) for column in columns]
        self.kind = head.get("type de donnees", "")
        business = head.get("grandeur metier", "") + self.kind
        given_back = any(word in business for word in ("production", "injection"))
        self.direction = ticfields.INJECTED if given_back else ticfields.CONSUMED
        self.step_min = head.get("pas en minutes", "")
        unit = _UNIT.search(" ".join(self.columns[1:])) or _UNIT.search(head.get("unite", ""))
        self.unit = unit[1] if unit else ""
        self.rows: list[tuple[int, list[str]]] = []


def parse(text: str, days: Days) -> Download:
    """Raises NotUnderstood. `days` is the time zone of times that name none."""
    prm, tables = _tables(text)
    readings: dict[int, dict[str, int]] = {}
    intervals: list[Interval] = []
    peaks: list[Peak] = []
    for table in tables:
        if any(_REGISTER.fullmatch(column) for column in table.columns):
            readings.update(_readings(table, days))
        elif table.columns[:2] == ["debut", "fin"]:
            intervals += _stretches(table, days)
        elif "puissance maximale" in table.kind:
            peaks += _peaks(table, days)
        elif table.unit in ("wh", "kwh"):
            intervals += _daily(table, days)
        elif table.unit in ("w", "kw") or "courbe" in table.kind:
            intervals += _curve(table, days)
        else:
            raise NotUnderstood(
                f"line {table.rows[0][0]}: a table of {table.kind or 'an unknown kind'} without a unit that is known"
            )
    if not (readings or intervals or peaks):
        raise NotUnderstood("no table of Enedis in it: neither Horodate;..., nor Date;Valeur, nor Début;Fin;Valeur")
    return Download(prm, tuple(sorted(readings.items())), tuple(intervals), tuple(peaks))


def _tables(text: str) -> tuple[str, list[_Table]]:
    prm, head, tables = "", dict[str, str](), list[_Table]()
    names: list[str] | None = None
    table: _Table | None = None
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip().strip('"') for cell in line.split(";")]
        first = _plain(cells[0])
        if not any(cells):
            continue
        if first.startswith("identifiant prm"):
            names, table = [_plain(cell) for cell in cells], None
            if len(cells) > 1 and cells[1].isdigit():  # a head of pairs in one line
                prm, names = cells[1], None
        elif names is not None:
            head, names = {name: _plain(cell) for name, cell in zip(names, cells, strict=False)}, None
            prm = cells[0] or prm
        elif first.startswith(("horodate", "date", "debut")) and not any(character.isdigit() for character in first):
            table = _Table(head, cells)
            tables.append(table)
        elif first.startswith("periode"):
            table = None  # the supplier's calendar
        elif table is not None:
            table.rows.append((number, cells))
    return prm, [table for table in tables if table.rows]


def _readings(table: _Table, days: Days) -> Iterable[tuple[int, dict[str, int]]]:
    labels = [_register(column) for column in table.columns]
    for number, cells in table.rows:
        registers = {
            label: int(_number(cell, number)) for label, cell in zip(labels, cells, strict=False) if label is not None and cell
        }
        if registers:
            yield _instant(cells[0], number, days), registers


def _register(column: str) -> str | None:
    """EAS F1 -> EASF01, EAS D1 -> EASD01, EAS T -> EAST, EAI T -> EAIT."""
    match = _REGISTER.fullmatch(column)
    if match is None:
        return None
    direction, grid, number = match.groups()
    if direction == "i":
        return "EAIT" if grid in (None, "t") else None
    return f"EAS{grid.upper()}{int(number):02}" if number and grid else "EAST"


def _curve(table: _Table, days: Days) -> list[Interval]:
    """Mean powers, each over the step that ends at its time."""
    factor = 1000 if table.unit == "kw" else 1
    points = [(_instant(cells[0], number, days), cells[1] if len(cells) > 1 else "", number) for number, cells in table.rows]
    points.sort()
    step_s = int(table.step_min) * 60 if table.step_min.isdigit() else 0
    result = []
    for index, (end_s, cell, number) in enumerate(points):
        if not cell:
            continue
        length_s = step_s or _step(points, index)
        energy_j = int(_number(cell, number) * factor * length_s)
        result.append(Interval(table.direction, end_s - length_s, end_s, energy_j))
    return result


def _step(points: list[tuple[int, str, int]], index: int) -> int:
    """The step of a point by its neighbours: Enedis changes it in mid-file when the meter's is changed."""
    before = points[index][0] - points[index - 1][0] if index else 0
    after = points[index + 1][0] - points[index][0] if index + 1 < len(points) else 0
    for length_s in (before, after):
        if length_s in STEPS_S:
            return length_s
    raise NotUnderstood(f"line {points[index][2]}: no neighbour tells how long this step is")


def _daily(table: _Table, days: Days) -> list[Interval]:
    factor = 1000 if table.unit == "kwh" else 1
    result = []
    for number, cells in table.rows:
        if len(cells) > 1 and cells[1]:
            day = days.day_of(_instant(cells[0], number, days))
            energy_j = int(_number(cells[1], number) * factor * J_PER_WH)
            result.append(Interval(table.direction, days.begin_s(day), days.end_s(day), energy_j))
    return result


def _stretches(table: _Table, days: Days) -> list[Interval]:
    """Mean powers from a begin to an end in local time; in the hour that comes twice the second follows the first."""
    factor = 1000 if table.unit in ("kw", "kwh") else 1
    result: list[Interval] = []
    for number, cells in table.rows:
        if len(cells) < 3 or not cells[2]:
            continue
        begin_s, end_s = _instant(cells[0], number, days), _instant(cells[1], number, days)
        if result and begin_s < result[-1].end_s:
            begin_s, end_s = _instant(cells[0], number, days, fold=1), _instant(cells[1], number, days, fold=1)
        if not 0 < end_s - begin_s <= 86400 + 3600:
            raise NotUnderstood(f"line {number}: ends before it begins, or after more than a day")
        energy = _number(cells[2], number) * factor * (J_PER_WH if table.unit in ("wh", "kwh") else end_s - begin_s)
        result.append(Interval(table.direction, begin_s, end_s, int(energy)))
    return result


def _peaks(table: _Table, days: Days) -> list[Peak]:
    factor = 1000 if table.unit == "kva" else 1
    result = []
    for number, cells in table.rows:
        if len(cells) > 1 and cells[1]:
            at_s = _instant(cells[0], number, days)
            power_va = int(_number(cells[1], number) * factor)
            result.append(Peak(days.day_of(at_s).isoformat(), table.direction, power_va, at_s, True))
    return result


def _instant(text: str, number: int, days: Days, fold: int = 0) -> int:
    """UTC seconds of an ISO time, or of DD/MM/YYYY [HH:MM[:SS]]; local where it names no offset."""
    try:
        if "/" in text:
            day, _, time = text.partition(" ")
            parsed = datetime.combine(datetime.strptime(day, "%d/%m/%Y").date(), datetime.min.time())  # noqa: DTZ007
            hours, minutes, seconds = [*map(int, time.split(":")), 0, 0, 0][:3] if time else (0, 0, 0)
            parsed = parsed.replace(hour=hours, minute=minutes, second=seconds)
        else:
            parsed = datetime.fromisoformat(text)
    except ValueError:
        raise NotUnderstood(f"line {number}: {text[:40]!r} is no date or time") from None
    if parsed.tzinfo is not None:
        return int(parsed.astimezone(UTC).timestamp())
    return days.at(parsed.replace(fold=fold))


def _number(text: str, line: int) -> Decimal:
    try:
        number = Decimal(text.replace(",", ".").replace(" ", "").replace("\u202f", ""))
    except InvalidOperation:
        number = Decimal(-1)
    if not number.is_finite() or number < 0:
        raise NotUnderstood(f"line {line}: {text[:40]!r} is no energy and no power")
    return number


def _plain(text: str) -> str:
    """Lower case without accents, so that every spelling of a head is one."""
    decomposed = unicodedata.normalize("NFD", text.lstrip("\ufeff").strip().lower())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
