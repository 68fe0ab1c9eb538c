"""One rendering is shared by all who ask, and nobody is given bytes older than 50 ms."""

import zlib
from typing import Any

import pytest

from energyd.aggregate.snapshot import Snapshot
from energyd.export import served as served_module
from energyd.export import zonemetrics
from energyd.export.defects import Defects
from energyd.export.encoding import GZIP, IDENTITY
from energyd.export.metric import Family
from energyd.export.negotiate import OPENMETRICS, TEXT
from energyd.export.pushmetrics import BACKLOG
from energyd.export.served import Served


class Aggregator:
    """Folds on demand: the Snapshot with the clock's time, and a count of how often."""

    def __init__(self, snapshot: Snapshot | None, clock: Any) -> None:
        self.snapshot = snapshot
        self.clock = clock
        self.folds = 0

    def fold(self) -> Snapshot | None:
        self.folds += 1
        return self.snapshot and self.snapshot._replace(mono_ns=self.clock.mono_ns(), real_ns=self.clock.real_ns())


def test_asking_again_within_fifty_milliseconds_gives_the_same_bytes(snapshot: Snapshot, clock: Any) -> None:
    aggregator = Aggregator(snapshot, clock)
    served = Served(aggregator.fold, clock, "1")
    first = served.body(TEXT)
    clock.now_ns += 50_000_000
    assert served.body(TEXT) is first
    clock.now_ns += 1
    assert served.body(TEXT) != first
    assert aggregator.folds == 2


def test_each_format_is_rendered_and_compressed_at_most_once(
    snapshot: Snapshot, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def counted_collect(*arguments: Any) -> list[Family]:
        calls.append("collect")
        return collect(*arguments)

    def counted_gzip(body: bytes) -> bytes:
        calls.append("compress")
        return zlib.compress(body)

    collect = served_module.collect
    monkeypatch.setattr(served_module, "collect", counted_collect)
    served = Served(Aggregator(snapshot, clock).fold, clock, "1", encoders={GZIP: counted_gzip})
    for _ in range(20):
        for name in (TEXT, OPENMETRICS):
            for coding in (GZIP, IDENTITY):
                served.body(name, coding)
    assert sorted(calls) == ["collect", "compress", "compress"]


def test_compressed_bytes_unpack_to_the_plain_ones(snapshot: Snapshot, clock: Any) -> None:
    served = Served(Aggregator(snapshot, clock).fold, clock, "1")
    for name in (TEXT, OPENMETRICS):
        packed, plain = served.body(name, GZIP), served.body(name)
        assert packed is not None
        assert zlib.decompress(packed, 31) == plain


def test_publishing_costs_no_rendering_and_spares_the_next_who_asks_a_fold(snapshot: Snapshot, clock: Any) -> None:
    aggregator = Aggregator(None, clock)
    served = Served(aggregator.fold, clock, "1")
    served.publish(snapshot)
    assert served.body(TEXT)
    assert aggregator.folds == 0


def test_nothing_is_served_before_the_first_snapshot_and_before_it_is_ready(snapshot: Snapshot, clock: Any) -> None:
    aggregator = Aggregator(None, clock)
    served = Served(aggregator.fold, clock, "1")
    assert served.body(TEXT, GZIP) is None
    aggregator.snapshot = snapshot._replace(ready=False)
    assert served.body(TEXT, GZIP) is None
    assert served.current() is not None
    aggregator.snapshot = snapshot
    clock.now_ns += 60_000_000
    assert served.body(TEXT, GZIP)


def test_families_of_the_exporter_and_a_tail_are_part_of_the_exposition(snapshot: Snapshot, clock: Any) -> None:
    def source() -> list[Family]:
        return [Family(BACKLOG, [("vm",)], [3])]

    served = Served(
        Aggregator(snapshot, clock).fold, clock, "1", (("site", "x"),), (source,), lambda name: f"tail_{name} 1\n".encode()
    )
    text, openmetrics = served.body(TEXT), served.body(OPENMETRICS)
    assert text is not None
    assert openmetrics is not None
    assert b'energyd_push_backlog_samples{target="vm",site="x"} 3\n' in text
    assert text.endswith(b"\ntail_text 1\n")
    assert openmetrics.endswith(b"\ntail_openmetrics 1\n# EOF\n")


def test_what_a_defect_spoils_is_left_out_counted_and_told(snapshot: Snapshot, clock: Any) -> None:
    told: list[str] = []
    defects = Defects(told.append, clock)

    def spoilt() -> list[Family]:
        raise ZeroDivisionError("never")

    def twice() -> list[Family]:
        return [Family(BACKLOG, [("vm",), ("vm",)], [1, 2])]

    served = Served(Aggregator(snapshot, clock).fold, clock, "1", sources=(spoilt, twice, defects.families), failed=defects.failed)
    all_others = Served(Aggregator(snapshot, clock).fold, clock, "1").body(TEXT) or b"?"
    bodies = []
    for _ in range(2):
        bodies.append(served.body(TEXT) or b"")
        clock.now_ns += 50_000_001

    assert bodies[0].startswith(all_others)
    assert [body.splitlines()[-1] for body in bodies] == [b"energyd_families_failed_total 1", b"energyd_families_failed_total 3"]
    assert [line.partition(" is neither")[0] for line in told] == ["whatever test_served gives", BACKLOG.name], "once a minute"
    assert told[0].endswith("ZeroDivisionError: never\n")
    assert told[1].endswith(f"BUG: duplicate series in {BACKLOG.name}\n")


@pytest.mark.parametrize("module", ["processmetrics", "groupmetrics", "gpumetrics"])
def test_a_part_of_the_snapshot_that_is_spoilt_costs_no_other(
    snapshot: Snapshot, clock: Any, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    def spoilt(*_arguments: object) -> Any:
        raise KeyError("pid")

    told: list[str] = []
    monkeypatch.setattr(f"energyd.export.{module}.families", spoilt)
    served = Served(Aggregator(snapshot, clock).fold, clock, "1", failed=lambda what, _error: told.append(what))
    body = served.body(TEXT) or b""
    assert b"\nenergyd_host_energy_joules_total{" in body
    assert (b"\nenergyd_process_energy_joules_total{" in body) == (module != "processmetrics")
    assert told == ["whatever test_served gives"]


def test_of_a_part_that_is_spoilt_amidst_its_rows_nothing_is_shown(
    snapshot: Snapshot, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(zone: Any) -> Any:
        yield from list(rows(zone))[:1]
        raise KeyError("range")

    rows = zonemetrics.rows
    monkeypatch.setattr(zonemetrics, "rows", spoilt)
    served = Served(Aggregator(snapshot, clock).fold, clock, "1", failed=lambda _what, _error: None)
    body = served.body(TEXT) or b""
    assert b"\nenergyd_processes " in body
    assert b"energyd_zone_" not in body


def test_without_what_is_appended_there_is_still_an_answer(snapshot: Snapshot, clock: Any) -> None:
    def spoilt(_name: str) -> bytes:
        raise ValueError("no registry")

    told: list[str] = []
    served = Served(
        Aggregator(snapshot, clock).fold, clock, "1", tail=spoilt, failed=lambda what, error: told.append(f"{what}: {error}")
    )
    whole = Served(Aggregator(snapshot, clock).fold, clock, "1")
    for name in (TEXT, OPENMETRICS):
        assert served.body(name) == whole.body(name)
    assert told == ["whatever test_served gives: no registry"] * 2
