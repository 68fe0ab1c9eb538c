"""The file: versions, damage, backups, and processes that die while they write."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from itertools import pairwise
from pathlib import Path

import pytest
from ledgerworld import PARIS, midnight

from energyd.errors import EnvironmentFault
from energyd.ledger.schema import VERSIONS
from energyd.ledger.scribe import DAY, HOUR, RESTART, Mark
from energyd.ledger.store import Interval, Peak, Store, open_or_set_aside

BEGIN_S = midnight("2026-06-09")


def mark(hours, energy_wh, why=HOUR):
    at_s = BEGIN_S + hours * 3600
    return Mark(at_s, at_s + 2, why, "historique", "HCHP", {"HCHP": energy_wh})


def fill(store, hours=5):
    with store.transaction():
        meter = store.meter("041876097514", "linky", "meter")
        for hour in range(hours):
            store.append(meter, mark(hour, hour * 1000, RESTART if hour == 0 else HOUR), lambda _day, _register: 1, PARIS)
    return meter


def test_a_new_file_has_the_newest_schema_and_is_not_for_everybody(tmp_path):
    Store(tmp_path / "ledger.db").close()
    db = sqlite3.connect(tmp_path / "ledger.db")
    assert db.execute("PRAGMA user_version").fetchone() == (len(VERSIONS),)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert (tmp_path / "ledger.db").stat().st_mode & 0o777 == 0o640
    db.close()


def test_an_older_file_is_brought_to_the_newest_schema_and_keeps_what_it_holds(tmp_path):
    store = Store(tmp_path / "ledger.db")
    fill(store)
    store.close()
    newer = (*VERSIONS, "ALTER TABLE meter ADD COLUMN colour TEXT NOT NULL DEFAULT 'green'; CREATE TABLE extra (x INTEGER)")
    store = Store(tmp_path / "ledger.db", versions=newer)
    assert store._db.execute("SELECT colour FROM meter").fetchall() == [("green",)]
    assert store.standing(1).values["HCHP"].counted_wh == 4000
    store.close()
    with pytest.raises(EnvironmentFault, match="schema version 3, this energyd knows 2; use the newer energyd"):
        Store(tmp_path / "ledger.db")


def test_an_upgrade_that_fails_leaves_the_old_schema(tmp_path):
    store = Store(tmp_path / "ledger.db")
    fill(store)
    store.close()
    broken = (*VERSIONS, "CREATE TABLE extra (x INTEGER); this is no SQL")
    with pytest.raises(sqlite3.Error):
        Store(tmp_path / "ledger.db", versions=broken)
    store = Store(tmp_path / "ledger.db")
    assert store.standing(1).values["HCHP"].counted_wh == 4000
    store.close()


def test_the_database_of_another_program_is_refused(tmp_path):
    db = sqlite3.connect(tmp_path / "ledger.db")
    db.execute("PRAGMA application_id = 5")
    db.commit()
    db.close()
    with pytest.raises(EnvironmentFault, match="another program"):
        Store(tmp_path / "ledger.db")


def test_damage_is_set_aside_each_time_under_another_name(tmp_path):
    path = tmp_path / "ledger.db"
    for number in (1, 2):
        path.write_bytes(b"no database at all, but long enough to look like one" * 100)
        store, text = open_or_set_aside(path)
        store.close()
        assert f"set aside as ledger.db.damaged-{number}" in text
        path.unlink()
    store, text = open_or_set_aside(path)
    store.close()
    assert text == ""


def test_a_directory_that_may_not_be_written_is_said_with_its_mend(tmp_path):
    with pytest.raises(EnvironmentFault, match="free space, or give"):
        open_or_set_aside(tmp_path / "nowhere" / "ledger.db")


def test_a_register_has_a_row_only_where_it_moved(tmp_path):
    store = Store(tmp_path / "ledger.db")
    with store.transaction():
        meter = store.meter("041876097514", "linky", "meter")
        for hour in range(10):
            registers = {"HCHC": 5, "HCHP": hour}
            store.append(meter, mark(hour, 0)._replace(registers=registers), lambda _day, _register: 1, PARIS)
    rows = store._db.execute("SELECT register, count(*) FROM value GROUP BY register").fetchall()
    assert dict(rows) == {"HCHC": 1, "HCHP": 10}
    assert {name: value.energy_wh for name, value in store.values(meter, BEGIN_S + 3 * 3600).items()} == {"HCHC": 5, "HCHP": 3}
    assert [each.registers for each in store.marks(meter)] == [{"HCHC": 5, "HCHP": hour} for hour in range(10)]
    store.close()


def test_a_mark_that_is_not_newer_than_the_last_changes_nothing(tmp_path):
    store = Store(tmp_path / "ledger.db")
    meter = fill(store)
    with store.transaction():
        store.append(meter, mark(4, 9999), lambda _day, _register: 1, PARIS)
        store.append(meter, mark(2, 9999), lambda _day, _register: 1, PARIS)
    assert store.standing(meter).values["HCHP"].counted_wh == 4000
    assert store.charged(meter) == {"HCHP": 4000}
    store.close()


def test_a_transaction_that_fails_leaves_nothing(tmp_path):
    store = Store(tmp_path / "ledger.db")
    meter = fill(store)

    def fail():
        with store.transaction():
            store.append(meter, mark(7, 9999), lambda _day, _register: 1, PARIS)
            store.put_peak(meter, Peak("2026-06-09", "consumed", 1, 2, True))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    assert store.standing(meter).at_s == BEGIN_S + 4 * 3600
    assert store.peaks(meter, "", "9999") == []
    store.close()


def test_another_process_that_writes_is_noticed(tmp_path):
    store, other = Store(tmp_path / "ledger.db"), Store(tmp_path / "ledger.db")
    before = store.foreign_writes()
    fill(store)
    assert store.foreign_writes() == before
    fill(other, 7)
    assert store.foreign_writes() != before
    store.close()
    other.close()


def test_a_backup_is_whole_and_can_be_read(tmp_path):
    store = Store(tmp_path / "ledger.db")
    fill(store)
    store.put_intervals(1, [Interval("consumed", 0, 3600, 5)])
    store.backup(tmp_path / "copy.db")
    store.close()
    copy = Store(tmp_path / "copy.db", readonly=True)
    assert copy.standing(1).values["HCHP"].counted_wh == 4000
    assert copy.all_intervals(1) == [Interval("consumed", 0, 3600, 5)]
    copy.close()


def test_one_that_only_reads_cannot_write(tmp_path):
    Store(tmp_path / "ledger.db").close()
    store = Store(tmp_path / "ledger.db", readonly=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        fill(store)
    store.close()


WRITER = """
    from pathlib import Path
    from energyd.ledger.days import Days
    from energyd.ledger.scribe import Mark
    from energyd.ledger.store import Store

    store, days = Store(Path({path!r})), Days("Europe/Paris")
    last = store.last_mark(store.meter("041876097514", "linky", "meter"))
    hour = 0 if last is None else (last.at_s - {begin_s}) // 3600 + 1
    print("writing", flush=True)
    while True:
        with store.transaction():
            for _ in range(3):
                at_s = {begin_s} + hour * 3600
                mark = Mark(at_s, at_s, 1, "historique", "HCHP", {{"HCHP": hour * 1000}})
                store.append(1, mark, lambda day, register: 1, days)
                hour += 1
"""


def test_a_writer_that_is_killed_at_any_moment_leaves_whole_transactions(tmp_path):
    """Ten times: the next one finds a sequence of marks without a hole, in groups of three, and each costs what it counts."""
    path, rng, found = tmp_path / "ledger.db", random.Random(7), 0
    code = textwrap.dedent(WRITER.format(begin_s=BEGIN_S, path=str(path)))
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for _ in range(10):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environ) as child:
            assert child.stdout.readline() == b"writing\n"
            time.sleep(rng.uniform(0, 0.03))
            child.send_signal(signal.SIGKILL)
        store, damage = open_or_set_aside(path)
        marks = list(store.marks(1))
        assert damage == ""
        assert len(marks) >= found
        assert len(marks) % 3 == 0
        assert all(after.at_s - before.at_s == 3600 for before, after in pairwise(marks))
        assert all(each.registers == {"HCHP": hour * 1000} for hour, each in enumerate(marks))
        if marks:
            assert store.charged(1) == {"HCHP": (len(marks) - 1) * 1000}
        found = len(marks)
        store.close()
    assert found


def test_days_that_are_measured_are_counted(tmp_path):
    store = Store(tmp_path / "ledger.db")
    with store.transaction():
        meter = store.meter("041876097514", "linky", "meter")
        for day in range(4):
            store.append(meter, mark(24 * day, day, DAY | HOUR), lambda _day, _register: 1, PARIS)
    assert (store.measured_days(meter), store.measured_days(meter, midnight("1980-01-01"))) == (4, 0)


@pytest.mark.parametrize("backed_up", [True, False])
def test_a_ledger_is_read_where_nothing_can_be_written(tmp_path, backed_up):
    """On a read-only disk SQLite cannot make the index of the log."""
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    store = Store(tmp_path / "ledger.db")
    fill(store)
    (tmp_path / "disk").mkdir()
    path = tmp_path / "disk/ledger.db"
    if backed_up:
        store.backup(path)
    store.close()
    if not backed_up:
        path.write_bytes((tmp_path / "ledger.db").read_bytes())
    reading = (
        "import sys; from pathlib import Path; from energyd.ledger.store import Store; "
        "store = Store(Path(sys.argv[1]), readonly=True); print(len(list(store.marks(1)))); store.close()"
    )
    readonly = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$1" -c "$2" "$0/ledger.db"'
    command = ["unshare", "--mount", "sh", "-c", readonly, str(tmp_path / "disk"), sys.executable, reading]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == "5"


def test_a_log_that_holds_something_is_not_passed_over(tmp_path):
    (tmp_path / "ledger.db").mkdir()
    (tmp_path / "ledger.db-wal").write_bytes(b"something")
    with pytest.raises(sqlite3.OperationalError):
        Store(tmp_path / "ledger.db", readonly=True)


def test_a_downloaded_day_of_23_hours_is_a_day(tmp_path):
    store = Store(tmp_path / "ledger.db")
    begin_s, end_s = midnight("2026-03-28"), midnight("2026-03-31")
    meter = store.meter("prm:1", "linky", "download")
    store.put_intervals(meter, [Interval("consumed", at_s, at_s + 3600, 0) for at_s in range(begin_s, end_s, 3600)])
    assert store.measured_days(meter) == 3
    store.close()
    store.close()
