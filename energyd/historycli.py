"""`energyd history`: days, months or years of each meter in kilowatt-hours and euros, as a table, CSV or JSON.

The present day is told until the last half minute, from what the aggregator saves beside the ledger. Law: a value that is not known
is empty, and what is not whole says so.
"""

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

from energyd import ledgercli
from energyd.errors import EXIT_OK, EnvironmentFault
from energyd.ledger.days import Days
from energyd.ledger.history import DAY, MONTH, YEAR, Entry, History
from energyd.service import statefile

DAYS_SHOWN: Final = 31  # where no --from says otherwise
NEUR: Final = 10**9
TOTALS: Final = "totals.state"  # of the aggregator


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="energyd history", description="Energy and cost of each meter by day, month or year.")
    ledgercli.add_place(result)
    unit = result.add_mutually_exclusive_group()
    unit.add_argument("--day", dest="unit", action="store_const", const=DAY, help="a row a day, the last 31 (default)")
    unit.add_argument("--month", dest="unit", action="store_const", const=MONTH, help="a row a month, all that are known")
    unit.add_argument("--year", dest="unit", action="store_const", const=YEAR, help="a row a year, all that are known")
    result.add_argument("--meter", metavar="NAME", help="only this meter")
    result.add_argument("--from", dest="first", type=_day, metavar="DATE", help="the first day, YYYY-MM-DD")
    result.add_argument("--to", dest="last", type=_day, metavar="DATE", help="the last day, YYYY-MM-DD")
    form = result.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="comma-separated values: watt-hours and euros")
    form.add_argument("--json", action="store_true", help="a list of objects: watt-hours and euros")
    result.set_defaults(unit=DAY)
    return result


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a day that the calendar has, YYYY-MM-DD, not {text!r}") from None


def main(argv: Sequence[str]) -> int:
    arguments = parser().parse_args(argv)
    config = ledgercli.find(arguments)
    store = ledgercli.open_ledger(config, readonly=True)
    try:
        saved = statefile.peek(Path(config.state_dir, TOTALS)) or {}
        history, days = History(store, config, int(time.time()), saved.get("ledger")), Days(config.timezone)
        if arguments.meter is not None and arguments.meter not in history.meters:
            raise EnvironmentFault(f"the ledger knows no meter {arguments.meter!r}; it knows {', '.join(history.meters) or 'none'}")
        entries = _entries(history, arguments)
    finally:
        store.close()
    if arguments.json:
        print(json.dumps([_plain(entry, days) for entry in entries], indent=1))
    elif arguments.csv:
        _csv([_plain(entry, days) for entry in entries])
    else:
        _table(entries, days)
    return EXIT_OK


def _entries(history: History, arguments: argparse.Namespace) -> list[Entry]:
    span = history.span()
    if span is None:
        return []
    last: date = arguments.last or span[1]
    first: date = arguments.first or span[0]
    if arguments.first is None and arguments.unit == DAY:
        first = max(first, date.fromordinal(last.toordinal() - DAYS_SHOWN + 1))
    return history.entries(arguments.unit, first, last, arguments.meter)


def _plain(entry: Entry, days: Days) -> dict[str, Any]:
    """An entry as JSON shows it."""
    return {
        "meter": entry.meter,
        "period": entry.period,
        "consumed_wh": entry.consumed_wh,
        "tariffs_wh": entry.tariffs,
        "registers_wh": entry.registers,
        "injected_wh": entry.injected_wh,
        "produced_wh": entry.produced_wh,
        "self_consumed_wh": entry.self_consumed_wh,
        "peak_va": None if entry.peak is None else entry.peak.power_va,
        "peak_at": None if entry.peak is None else days.local(entry.peak.at_s).isoformat(),
        "peak_said_by_meter": None if entry.peak is None else entry.peak.said,
        "cost_eur": _euros(entry.cost_neur),
        "subscription_eur": _euros(entry.subscription_neur),
        "revenue_eur": _euros(entry.revenue_neur),
        "unpriced_wh": entry.unpriced_wh,
        "complete": entry.complete,
        "missing_days": entry.missing_days,
        "estimated_wh": entry.estimated_wh,
        "since": days.local(entry.since_s).isoformat(),
        "until": days.local(entry.until_s).isoformat(),
        "origin": list(entry.origins),
    }


def _euros(amount_neur: int | None) -> float | None:
    return None if amount_neur is None else amount_neur / NEUR


def _csv(rows: Sequence[dict[str, Any]]) -> None:
    """One column a field; those by tariff and register are spread out, in the order of their first appearance."""
    spread = [_spread(row) for row in rows]
    columns = dict.fromkeys(name for row in spread for name in row)
    writer = csv.DictWriter(sys.stdout, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(spread)


def _spread(row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{name.removesuffix('s_wh')}_{key or 'unknown'}_wh": energy for key, energy in value.items()}
        else:
            flat[name] = " ".join(value) if isinstance(value, list) else value
    return flat


def _table(entries: Sequence[Entry], days: Days) -> None:
    """For people: kilowatt-hours and euros, and in words what is not whole."""
    tariffs = sorted({tariff for entry in entries for tariff, energy_wh in entry.tariffs.items() if energy_wh})
    if len(tariffs) == 1:
        tariffs = []
    columns: list[tuple[str, list[str]]] = [
        ("meter", [entry.meter for entry in entries]),
        ("", [entry.period for entry in entries]),
        ("kWh", [_kwh(entry.consumed_wh) for entry in entries]),
        *((tariff or "other", [_kwh(entry.tariffs.get(tariff)) for entry in entries]) for tariff in tariffs),
        ("injected", [_kwh(entry.injected_wh) for entry in entries]),
        ("produced", [_kwh(entry.produced_wh) for entry in entries]),
        ("self-used", [_kwh(entry.self_consumed_wh) for entry in entries]),
        ("max VA", ["" if entry.peak is None else str(entry.peak.power_va) for entry in entries]),
        ("at", ["" if entry.peak is None else f"{days.local(entry.peak.at_s):%m-%d %H:%M}" for entry in entries]),
        ("EUR", [_eur(entry.cost_neur) for entry in entries]),
        ("subscr.", [_eur(entry.subscription_neur) for entry in entries]),
        ("paid", [_eur(entry.revenue_neur) for entry in entries]),
        ("", [_note(entry, days) for entry in entries]),
    ]
    shown = [(head, cells) for head, cells in columns if any(cells)]
    widths = [max(len(head), *map(len, cells)) for head, cells in shown] if entries else []
    _print_row([head for head, _ in shown], widths)
    for row in zip(*(cells for _, cells in shown), strict=True):
        _print_row(row, widths)
    if not entries:
        print("nothing is known of that time", file=sys.stderr)


def _print_row(cells: Iterable[str], widths: Sequence[int]) -> None:
    aligned = [
        cell.rjust(width) if index > 1 and cell[:1].isdigit() else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    print("  ".join(aligned).rstrip())


def _kwh(energy_wh: int | None) -> str:
    return "" if energy_wh is None else f"{energy_wh / 1000:.3f}"


def _eur(amount_neur: int | None) -> str:
    return "" if amount_neur is None else f"{amount_neur / NEUR:.2f}"


def _note(entry: Entry, days: Days) -> str:
    notes = []
    if not entry.complete:
        notes.append(f"known from {days.local(entry.since_s):%Y-%m-%d %H:%M} to {days.local(entry.until_s):%Y-%m-%d %H:%M}")
    if entry.missing_days:
        notes.append(f"nothing of {entry.missing_days} days between")
    if entry.estimated_wh:
        notes.append(f"{entry.estimated_wh / 1000:.3f} kWh of a gap spread evenly")
    if entry.unpriced_wh and entry.cost_neur is not None:
        notes.append(f"{entry.unpriced_wh / 1000:.3f} kWh without a price")
    if downloads := [origin for origin in entry.origins if origin != "measured"]:
        notes.append(f"from downloaded {' and '.join(downloads)}")
    return "; ".join(notes)
