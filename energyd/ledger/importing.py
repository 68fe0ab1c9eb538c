"""The past into the ledger: an earlier ledger, or what Enedis lets its customers download.

What the meter was heard to say goes before what was downloaded, always. An earlier ledger of the same meter is joined to this one:
the energy between the two is known. Importing the same file again changes nothing. Law: what was simulated never gets in.
"""

import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from energyd.aggregate.counters import register_increment
from energyd.config import Config, Meter
from energyd.errors import EnvironmentFault
from energyd.ledger.connection import open_to_read
from energyd.ledger.days import Days
from energyd.ledger.enedis import Download, NotUnderstood, parse
from energyd.ledger.scribe import DAY, GAP_END, RESTART, Mark
from energyd.ledger.store import DOWNLOAD, MeterRow, Store
from energyd.ticfields import STANDARD

MAX_BYTES: Final = 64 << 20
SQLITE_HEAD: Final = b"SQLite format 3\x00"


class Imported(NamedTuple):
    """What an import has added: marks of registers, stretches of a load curve or of days, peaks of days."""

    meter: str
    marks: int
    intervals: int
    peaks: int


def import_file(store: Store, path: Path, config: Config, name: str | None, simulated: bool) -> list[Imported]:
    """Take `path` into the ledger. Raises EnvironmentFault with what to do when it cannot be read or does not fit."""
    try:
        with path.open("rb") as file:
            head = file.read(len(SQLITE_HEAD))
            content = b"" if head == SQLITE_HEAD else head + file.read(MAX_BYTES)
    except OSError as error:
        raise EnvironmentFault(f"{path}: {error.strerror}") from error
    try:
        if head == SQLITE_HEAD:
            return _ledger(store, path, simulated)
        return [_download(store, path, content, config, name)]
    except NotUnderstood as error:
        raise EnvironmentFault(f"{path}: {error}") from None
    except sqlite3.Error as error:
        raise EnvironmentFault(f"{path}: not taken ({error}); try again, and free space if there is none") from error


def _download(store: Store, path: Path, content: bytes, config: Config, name: str | None) -> Imported:
    download = parse(_text(content), Days(config.timezone))
    meter = _meter_of(store, download, config.meters, name, path)
    with store.transaction():
        row = store.meter(f"prm:{download.prm or meter}", meter, DOWNLOAD)
        store.describe(row, download.prm, "", 0)
        known = {mark.at_s: mark for mark in store.marks(row)}
        marks = [known.get(at_s) or _mark(at_s, registers, config) for at_s, registers in download.readings]
        added = [mark for mark in marks if mark.at_s not in known]
        if added:
            store.rewrite(row, _connected([*known.values(), *added], keep_falls=False))
        before = store.counts(row)
        store.put_intervals(row, download.intervals)
        for peak in download.peaks:
            store.put_peak(row, peak)
        after = store.counts(row)
    return Imported(meter, len(added), after.intervals - before.intervals, after.peaks - before.peaks)


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _meter_of(store: Store, download: Download, meters: tuple[Meter, ...], name: str | None, path: Path) -> str:
    """The meter of the configuration that a download speaks of."""
    names = [meter.name for meter in meters]
    if name is not None:
        if name not in names:
            raise EnvironmentFault(f"no meter named {name!r} is configured; there are: {', '.join(names) or 'none'}")
        return name
    by_pdl = {row.pdl: row.name for row in store.meters() if row.pdl and not row.imported}
    by_pdl |= {meter.pdl: meter.name for meter in meters if meter.pdl is not None}
    if download.prm in by_pdl:
        return by_pdl[download.prm]
    if len(names) == 1 and not (download.prm and by_pdl):
        return names[0]
    raise EnvironmentFault(f"{path} is of PRM {download.prm or '(none said)'}; say which meter that is with --meter NAME")


def _mark(at_s: int, registers: dict[str, int], config: Config) -> Mark:
    days = Days(config.timezone)
    midnight = days.begin_s(days.day_of(at_s)) == at_s
    return Mark(at_s, at_s, DAY * midnight, STANDARD, "", registers)


def _connected(marks: Iterable[Mark], *, keep_falls: bool) -> list[Mark]:
    """In order, each joined to the one before if that is of the same mode and, unless falls are kept, no register fell."""
    joined: list[Mark] = []
    for mark in sorted(marks, key=lambda mark: mark.at_s):
        before = joined[-1] if joined else None
        fits = before is not None and before.mode == mark.mode and (keep_falls or not _fell(before.registers, mark.registers))
        why = mark.why & ~RESTART | (GAP_END if mark.why & RESTART else 0) if fits else mark.why | RESTART
        joined.append(mark._replace(why=why))
    return joined


def _fell(before: dict[str, int], after: dict[str, int]) -> bool:
    """Whether a register went back without having started again at zero: another meter."""
    return any(
        register in after and after[register] < energy_wh and not register_increment(energy_wh, after[register])
        for register, energy_wh in before.items()
    )


def _ledger(store: Store, path: Path, simulated: bool) -> list[Imported]:
    """An earlier ledger, brought to our schema in a copy, because it may be read-only and of an older version."""
    with tempfile.TemporaryDirectory(prefix="energyd-") as place:
        copy = Path(place, "ledger.db")
        with closing(open_to_read(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        earlier = Store(copy)
        try:
            rows = earlier.meters()
            if any((row.source == "simulated") != simulated for row in rows if not row.imported):
                raise EnvironmentFault(
                    f"{path} holds what was simulated, this ledger does not, or the other way round; nothing was taken"
                )
            with store.transaction():
                return [_row(store, earlier, row) for row in rows]
        finally:
            earlier.close()


def _row(store: Store, earlier: Store, row: MeterRow) -> Imported:
    names = {known.address: known.name for known in store.meters()}
    meter = store.meter(row.address, names.get(row.address, row.name), row.source)
    before = store.counts(meter)
    if row.address not in names:
        store.describe(meter, row.pdl, row.contract, 0)
    known = {mark.at_s: mark for mark in store.marks(meter)}
    added = [mark for mark in earlier.marks(row.id) if mark.at_s not in known]
    if added:
        store.rewrite(meter, _connected([*known.values(), *added], keep_falls=True))
    if not known:  # a backup that is put back: what was charged goes on, too
        store.put_charged(meter, earlier.charged(row.id))
    for former in earlier.former(row.id):
        store.put_former(meter, *former)
    known_periods = store.periods(meter)
    for register, period in earlier.periods(row.id).items():
        if register not in known_periods:
            store.learn(meter, register, period, 0)
    store.put_intervals(meter, earlier.all_intervals(row.id))
    for peak in earlier.peaks(row.id, "", "9999"):
        ours = [mine for mine in store.peaks(meter, peak.day, peak.day) if mine.direction == peak.direction]
        if not ours or (peak.said, peak.power_va) > (ours[0].said, ours[0].power_va):
            store.put_peak(meter, peak)
    after = store.counts(meter)
    return Imported(names.get(row.address, row.name), len(added), after.intervals - before.intervals, after.peaks - before.peaks)
