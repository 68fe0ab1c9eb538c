"""The ledger's file: SQLite with a write-ahead log (sqlite.org/wal.html), so that reading never waits and a kill loses nothing.

One process writes while energyd runs, about thirty times a day; `energyd history` reads beside it and `energyd ledger import` may
write between two of its writes. A register has a row only where its count has changed. Law: a transaction is all of a mark or
nothing; the counts in a row are computed inside the transaction from the row before, never from what a process remembers.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from energyd import ticfields
from energyd.errors import EnvironmentFault
from energyd.ledger.accounts import Price, Standing, Value, costs, values_at
from energyd.ledger.connection import connect, open_to_read
from energyd.ledger.days import Days
from energyd.ledger.schema import APPLICATION_ID, VERSIONS
from energyd.ledger.scribe import DAY, RESTART, Mark

DOWNLOAD: Final = "download"
CONTRACT: Final = ""
FORMER_VERSION: Final = 2
FOREVER_S: Final = 1 << 62


class MeterRow(NamedTuple):
    """A meter address in the ledger. `source`: meter, simulated, or download (its marks were not heard)."""

    id: int
    address: str
    name: str
    source: str
    pdl: str
    contract: str

    @property
    def imported(self) -> bool:
        return self.source == DOWNLOAD


class MarkRow(NamedTuple):
    at_s: int
    read_s: int
    why: int
    mode: str
    tariff: str


class Former(NamedTuple):
    """The period that a register counted until `until_s`, or, for the register CONTRACT, the contract."""

    register: str
    until_s: int
    period: str


class Peak(NamedTuple):
    """The highest power of a local day. `said`: by the meter itself, otherwise the highest that was heard."""

    day: str
    direction: str
    power_va: int
    at_s: int
    said: bool


class Interval(NamedTuple):
    """Energy of a stretch of time, from a download that holds no registers."""

    direction: str
    begin_s: int
    end_s: int
    energy_j: int


class Counts(NamedTuple):
    intervals: int
    peaks: int


class Store:
    """An open ledger file. Any of its calls may raise sqlite3.Error: a full disk, a file that another process holds."""

    def __init__(self, path: Path, *, readonly: bool = False, versions: Sequence[str] = VERSIONS) -> None:
        self.path = path
        self._versions = versions
        if readonly:
            self._db = open_to_read(path)
        else:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
            self._db = connect(path, "mode=rw")
        try:
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._check()
            if not readonly:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._upgrade()
        except BaseException:
            self._db.close()
            raise

    def _check(self) -> None:
        """EnvironmentFault for a file of a newer energyd or of another program, sqlite3.DatabaseError for a damaged one."""
        version, application = self._number("user_version"), self._number("application_id")
        if application not in (0, APPLICATION_ID):
            raise EnvironmentFault(f"{self.path} is a database of another program; move it away")
        if version > len(self._versions):
            raise EnvironmentFault(
                f"{self.path} has schema version {version}, this energyd knows {len(self._versions)}; use the newer energyd"
            )
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if found != ("ok",):
            raise sqlite3.DatabaseError(found[0])

    def _number(self, pragma: str) -> int:
        number = self._db.execute(f"PRAGMA {pragma}").fetchone()[0]
        assert isinstance(number, int), "BUG: a pragma that is no number"
        return number

    def _upgrade(self) -> None:
        for version in range(self._number("user_version"), len(self._versions)):
            with self.transaction():
                for statement in self._versions[version].split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._db.execute(f"PRAGMA user_version = {version + 1}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written in it, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._db.close()

    def foreign_writes(self) -> int:
        """A number that changes when another process has written (PRAGMA data_version)."""
        return self._number("data_version")

    def backup(self, path: Path) -> None:
        """A consistent copy at `path`, which must not exist, while the ledger is in use."""
        with closing(sqlite3.connect(path)) as copy:
            self._db.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, that can be read where nothing can be written

    # meters

    def meters(self) -> list[MeterRow]:
        return [
            MeterRow(*row) for row in self._db.execute("SELECT id, address, name, source, pdl, contract FROM meter ORDER BY id")
        ]

    def meter(self, address: str, name: str, source: str) -> int:
        """The id of an address, which is now called `name`."""
        self._db.execute(
            "INSERT INTO meter (address, name, source, pdl, contract) VALUES (?, ?, ?, '', '') "
            "ON CONFLICT (address) DO UPDATE SET name = excluded.name WHERE name <> excluded.name",
            (address, name, source),
        )
        number = self._db.execute("SELECT id FROM meter WHERE address = ?", (address,)).fetchone()[0]
        assert isinstance(number, int), "BUG: a meter without a number"
        return number

    def describe(self, meter: int, pdl: str, contract: str, at_s: int) -> None:
        """What a meter says of itself since `at_s`; a contract that ends there is remembered."""
        (before,) = self._db.execute("SELECT contract FROM meter WHERE id = ?", (meter,)).fetchone()
        if before and contract and before != contract:
            self.put_former(meter, CONTRACT, at_s, before)
        self._db.execute("UPDATE meter SET pdl = ?, contract = ? WHERE id = ?", (pdl, contract, meter))

    def periods(self, meter: int) -> dict[str, str]:
        """What each register counts, of those whose period the meter has named."""
        return dict(self._db.execute("SELECT register, period FROM register WHERE meter = ? AND period <> ''", (meter,)))

    def learn(self, meter: int, register: str, period: str, at_s: int) -> None:
        """What a register counts since `at_s`; what it counted until then is remembered."""
        before = self.periods(meter).get(register)
        if before is not None and before != period:
            self.put_former(meter, register, at_s, before)
        self._db.execute("INSERT OR REPLACE INTO register VALUES (?, ?, ?)", (meter, register, period))

    def put_former(self, meter: int, register: str, until_s: int, period: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO former VALUES (?, ?, ?, ?)", (meter, register, until_s, period))

    def former(self, meter: int) -> list[Former]:
        """What registers counted before they were given to another period, the oldest first."""
        if self._number("user_version") < FORMER_VERSION:  # read from a disk on which it cannot be upgraded
            return []
        rows = self._db.execute("SELECT register, until_s, period FROM former WHERE meter = ? ORDER BY until_s", (meter,))
        return [Former(*row) for row in rows]

    # marks

    def standing(self, meter: int) -> Standing | None:
        """The registers at the last mark; None before the first."""
        row = self._db.execute("SELECT at_s, why, mode FROM mark WHERE meter = ? ORDER BY at_s DESC LIMIT 1", (meter,)).fetchone()
        return None if row is None else Standing(row[0], row[1], row[2], self.values(meter, row[0]))

    def append(self, meter: int, mark: Mark, price: Price, days: Days) -> None:
        """The next mark with what it counts and costs; one that is not newer than the last changes nothing. In a transaction."""
        before = self.standing(meter)
        if before is not None and mark.at_s <= before.at_s:
            return
        self._insert(meter, before, mark)
        if before is None:
            return
        old = {register: value.counted_wh for register, value in before.values.items()}
        new = {register: value.counted_wh for register, value in self.values(meter, mark.at_s).items()}
        for register, cost_neur in costs(before.at_s, mark.at_s, old, new, price, days).items():
            self._db.execute(
                "INSERT INTO cost VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET cost_neur = cost_neur + excluded.cost_neur",
                (meter, register, cost_neur),
            )

    def _insert(self, meter: int, before: Standing | None, mark: Mark) -> None:
        row = (meter, mark.at_s, mark.read_s, mark.why, mark.mode, mark.tariff)
        self._db.execute("INSERT INTO mark VALUES (?, ?, ?, ?, ?, ?)", row)
        for register, value in values_at(before, mark).items():
            known = None if before is None else before.values.get(register)
            if known is None:
                self._db.execute("INSERT OR IGNORE INTO register VALUES (?, ?, '')", (meter, register))
            if known != value:
                self._db.execute("INSERT INTO value VALUES (?, ?, ?, ?, ?)", (meter, register, mark.at_s, *value))

    def rewrite(self, meter: int, marks: Iterable[Mark]) -> None:
        """Replace all marks of a meter by `marks`, counted anew; costs stay as they were charged. In a transaction."""
        self._db.execute("DELETE FROM mark WHERE meter = ?", (meter,))
        self._db.execute("DELETE FROM value WHERE meter = ?", (meter,))
        before: Standing | None = None
        for mark in marks:
            self._insert(meter, before, mark)
            values = {**(before.values if before else {}), **values_at(before, mark)}
            before = Standing(mark.at_s, mark.why, mark.mode, values)

    def marks(self, meter: int) -> Iterator[Mark]:
        """Every mark of a meter with its registers, oldest first."""
        changes = self._db.execute("SELECT at_s, register, energy_wh FROM value WHERE meter = ? ORDER BY at_s", (meter,)).fetchall()
        modes: dict[str, dict[str, int]] = {}
        index = 0
        for at_s, read_s, why, mode, tariff in self._db.execute(
            "SELECT at_s, read_s, why, mode, tariff FROM mark WHERE meter = ? ORDER BY at_s", (meter,)
        ).fetchall():
            registers = modes.setdefault(mode, {})
            while index < len(changes) and changes[index][0] <= at_s:
                registers[changes[index][1]] = changes[index][2]
                index += 1
            yield Mark(at_s, read_s, why, mode, tariff, dict(registers))

    def around(self, meter: int, at_s: int) -> tuple[MarkRow | None, MarkRow | None]:
        """The last mark until `at_s` and the first one after it."""
        columns = "SELECT at_s, read_s, why, mode, tariff FROM mark WHERE meter = ? AND at_s"
        before = self._db.execute(f"{columns} <= ? ORDER BY at_s DESC LIMIT 1", (meter, at_s)).fetchone()
        after = self._db.execute(f"{columns} > ? ORDER BY at_s LIMIT 1", (meter, at_s)).fetchone()
        return (None if before is None else MarkRow(*before)), (None if after is None else MarkRow(*after))

    def values(self, meter: int, at_s: int) -> dict[str, Value]:
        """Every register that had been heard at `at_s`, as it stood at the last mark."""
        rows = self._db.execute(  # CROSS JOIN keeps this order (sqlite.org/optoverview.html): three look-ups a register, no scan
            "SELECT value.register, energy_wh, counted_wh FROM register CROSS JOIN value USING (meter, register) "
            "WHERE register.meter = ? AND at_s = (SELECT max(at_s) FROM value AS earlier WHERE earlier.meter = register.meter "
            "AND earlier.register = register.register AND earlier.at_s <= ?)",
            (meter, at_s),
        )
        return {register: Value(energy_wh, counted_wh) for register, energy_wh, counted_wh in rows}

    def restarts(self, meter: int, after_s: int, until_s: int) -> int:
        """How many marks after an instant until another, that included, know nothing of what was before them."""
        count = self._db.execute(
            "SELECT count(*) FROM mark WHERE meter = ? AND at_s > ? AND at_s <= ? AND why & ?", (meter, after_s, until_s, RESTART)
        ).fetchone()[0]
        assert isinstance(count, int), "BUG: a count that is no number"
        return count

    def first_s(self, meter: int) -> int | None:
        first: int | None = self._db.execute("SELECT min(at_s) FROM mark WHERE meter = ?", (meter,)).fetchone()[0]
        return first

    def measured_days(self, meter: int, until_s: int = FOREVER_S) -> int:
        """How many days of a meter the ledger holds before an instant: those whose begin was marked, or downloaded ones."""
        marked = self._db.execute(
            "SELECT count(*) FROM mark WHERE meter = ? AND at_s < ? AND why & ?", (meter, until_s, DAY)
        ).fetchone()[0]
        loaded = self._db.execute(
            "SELECT (coalesce(sum(end_s - begin_s), 0) + 3600) / 86400 FROM interval "
            "WHERE meter = ? AND end_s <= ? AND direction = ?",
            (meter, until_s, ticfields.CONSUMED),
        ).fetchone()[0]
        return max(int(marked), int(loaded))

    def last_mark(self, meter: int) -> Mark | None:
        """The newest mark with its registers; None before the first."""
        row = self._db.execute(
            "SELECT at_s, read_s, why, mode, tariff FROM mark WHERE meter = ? ORDER BY at_s DESC LIMIT 1", (meter,)
        ).fetchone()
        if row is None:
            return None
        registers = {register: value.energy_wh for register, value in self.values(meter, row[0]).items()}
        return Mark(row[0], row[1], row[2], row[3], row[4], registers)

    # what else is kept

    def charged(self, meter: int) -> dict[str, int]:
        """Nano-euros by register, of everything until the last mark."""
        return dict(self._db.execute("SELECT register, cost_neur FROM cost WHERE meter = ?", (meter,)))

    def put_charged(self, meter: int, costs: dict[str, int]) -> None:
        """What was charged until now for a meter that has no costs yet."""
        self._db.executemany("INSERT INTO cost VALUES (?, ?, ?)", [(meter, *cost) for cost in costs.items()])

    def put_peak(self, meter: int, peak: Peak) -> None:
        self._db.execute("INSERT OR REPLACE INTO peak VALUES (?, ?, ?, ?, ?, ?)", (meter, *peak))

    def peaks(self, meter: int, first: str, last: str) -> list[Peak]:
        rows = self._db.execute(
            "SELECT day, direction, power_va, at_s, said FROM peak WHERE meter = ? AND day BETWEEN ? AND ? ORDER BY day",
            (meter, first, last),
        )
        return [Peak(row[0], row[1], row[2], row[3], bool(row[4])) for row in rows]

    def put_intervals(self, meter: int, intervals: Iterable[Interval]) -> None:
        rows = [(meter, *interval) for interval in intervals]
        self._db.executemany("INSERT OR REPLACE INTO interval VALUES (?, ?, ?, ?, ?)", rows)

    def intervals(self, meter: int, begin_s: int, end_s: int) -> list[Interval]:
        """Those that lie within two instants, in order."""
        rows = self._db.execute(
            "SELECT direction, begin_s, end_s, energy_j FROM interval WHERE meter = ? AND begin_s >= ? AND end_s <= ? "
            "ORDER BY direction, begin_s",
            (meter, begin_s, end_s),
        )
        return [Interval(*row) for row in rows]

    def all_intervals(self, meter: int) -> list[Interval]:
        return self.intervals(meter, 0, 1 << 62)

    def counts(self, meter: int) -> Counts:
        """How many intervals and peaks there are, to tell what an import has added."""
        intervals = self._db.execute("SELECT count(*) FROM interval WHERE meter = ?", (meter,)).fetchone()[0]
        peaks = self._db.execute("SELECT count(*) FROM peak WHERE meter = ?", (meter,)).fetchone()[0]
        return Counts(intervals, peaks)

    def first_interval_s(self, meter: int) -> int | None:
        first: int | None = self._db.execute("SELECT min(begin_s) FROM interval WHERE meter = ?", (meter,)).fetchone()[0]
        return first


def open_or_set_aside(path: Path) -> tuple[Store, str]:
    """The ledger at `path`, and what happened to a damaged one ('' = nothing). EnvironmentFault when there can be none."""
    try:
        return Store(path), ""
    except sqlite3.OperationalError as error:
        raise EnvironmentFault(f"{path}: {error}; free space, or give {path.parent} to the user of energyd") from error
    except OSError as error:
        raise EnvironmentFault(f"{path}: {error.strerror}; free space, or give {path.parent} to the user of energyd") from error
    except sqlite3.DatabaseError as error:
        aside = _free_name(path)
        os.replace(path, aside)
        for companion in ("-wal", "-shm"):
            Path(f"{path}{companion}").unlink(missing_ok=True)
        text = (
            f"{path} is damaged ({error}) and was set aside as {aside.name}; history begins anew, `energyd ledger import` mends it"
        )
        return Store(path), text


def _free_name(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return aside
