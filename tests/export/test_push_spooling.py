"""What stands between the rendering and the spool: a clock that is set back, and what a receiver has refused."""

from pathlib import Path
from typing import Any

import pytest
from pushworld import rows_of

from energyd.aggregate.snapshot import Snapshot
from energyd.export import quarantine
from energyd.export.answers import REFUSED, Outcome
from energyd.export.collect import collect
from energyd.export.quarantine import Quarantine
from energyd.export.render import Renderer
from energyd.export.sender import Delivered
from energyd.export.sieve import Bad
from energyd.export.spooling import Spooling
from energyd.spool.spool import Limits, Spool


@pytest.mark.parametrize("ordered", [True, False])
def test_a_clock_that_is_set_back_stops_what_must_be_in_order_and_is_counted(
    ordered: bool, tmp_path: Path, clock: Any, snapshot: Snapshot
) -> None:
    said: list[str] = []
    spool = Spool(tmp_path / "spool", tmp_path / "mark", Limits(1 << 24, 86400), clock, lambda _kind, text: said.append(text))
    waste = Quarantine(tmp_path, clock, lambda _kind, text: said.append(text))
    spooling = Spooling(spool, waste, ordered=ordered, max_age_s=3600, clock=clock, complain=lambda _kind, text: said.append(text))
    series = Renderer().render(collect(snapshot, "1")).series
    spooling.append(clock.real_ns(), series)
    samples = spool.cursor.end
    spooling.append(clock.real_ns() - 10 * 10**9, series)
    assert (spool.cursor.end, spool.dropped["clock"]) == ((samples, samples) if ordered else (2 * samples, 0))
    assert any("set back by 10 s" in text for text in said) is ordered
    spool.close()


def test_what_is_older_than_anybody_wants_is_counted_and_not_sent(tmp_path: Path, clock: Any, snapshot: Snapshot) -> None:
    spool = Spool(tmp_path / "spool", tmp_path / "mark", Limits(1 << 24, 86400), clock, lambda _kind, text: pytest.fail(text))
    waste = Quarantine(tmp_path, clock, lambda _kind, text: pytest.fail(text))
    spooling = Spooling(spool, waste, ordered=True, max_age_s=3600, clock=clock, complain=lambda _kind, text: pytest.fail(text))
    series = Renderer().render(collect(snapshot, "1")).series
    spooling.append(clock.real_ns(), series)
    samples = spool.cursor.end
    clock.now_ns += 3601 * 10**9
    spooling.append(clock.real_ns(), series)
    rows = spooling.next_rows(0, spool.cursor.end, 10**6)
    assert [row.first for row in rows] == [samples]
    assert spool.dropped["too_old"] == samples
    spool.close()


def test_the_quarantine_keeps_two_files_of_bounded_size(tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "BYTES_MAX", 200)
    waste = Quarantine(tmp_path, clock, lambda _kind, text: pytest.fail(text))
    [row] = rows_of(1)
    for _ in range(20):
        waste.add([Bad(row, 0, Outcome(REFUSED, "answered 400"))])
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["quarantine.txt", "quarantine.txt.1"]
    assert all((tmp_path / name).stat().st_size <= 200 for name in files)


def test_what_is_lost_somewhere_in_a_batch_is_counted_once_over_its_rows(tmp_path: Path, clock: Any) -> None:
    spool = Spool(tmp_path / "spool", tmp_path / "mark", Limits(1 << 24, 86400), clock, lambda _kind, text: pytest.fail(text))
    said: list[str] = []
    waste = Quarantine(tmp_path, clock, lambda _kind, text: pytest.fail(text))
    spooling = Spooling(spool, waste, ordered=True, max_age_s=3600, clock=clock, complain=lambda _kind, text: said.append(text))
    for row in rows_of(4, series=3, at_ms=clock.real_ns() // 10**6):
        spool.append(row.at_ms, row.prefixes, row.values)
    rows = spooling.next_rows(0, 12, 100)
    lost = Bad(rows[2], None, Outcome(REFUSED, "answered 400: 'no'"), 5)
    spooling.settle(Delivered([(rows[0], ()), (rows[1], ()), (rows[2], [lost]), (rows[3], ())], None))
    assert (spool.delivered, spool.dropped["refused"], spool.backlog) == (12 - 5, 5, 0)
    assert said == ["5 samples are given up: answered 400: 'no'"]
    [_words, line] = (tmp_path / "quarantine.txt").read_text().splitlines()
    assert line == f"# 5 samples up to {rows[2].at_ms}; the receiver does not tell which"
    spool.close()


def test_what_is_refused_of_a_row_that_was_there_before_costs_no_other_row_a_sample(tmp_path: Path, clock: Any) -> None:
    """It was counted as delivered when it was; the row before it waited meanwhile and is delivered now."""
    spool = Spool(tmp_path / "spool", tmp_path / "mark", Limits(1 << 24, 86400), clock, lambda _kind, text: pytest.fail(text))
    waste = Quarantine(tmp_path, clock, lambda _kind, text: None)
    spooling = Spooling(spool, waste, ordered=True, max_age_s=3600, clock=clock, complain=lambda _kind, _text: None)
    rows = rows_of(2, series=3, at_ms=clock.real_ns() // 10**6)
    for row in rows:
        spool.append(row.at_ms, row.prefixes, row.values)
    spooling.settle(Delivered([(rows[1], ())], None))
    assert spool.replay(clock.real_ns() // 10**6, 1000) == 3
    bad = Bad(rows[1], 0, Outcome(REFUSED, "answered 400: 'no'"))
    spooling.settle(Delivered([(rows[0], ()), (rows[1], [bad])], None))
    assert (spool.delivered, spool.replayed, spool.dropped["refused"], spool.backlog) == (6, 3, 0, 0)
    spool.close()
