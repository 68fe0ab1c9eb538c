"""Samples in words: each kind of each ring, with and without labels."""

import json

import pytest

from energyd.ring.dump import describe
from energyd.ring.reader import RingReader
from energyd.samples import (
    CGROUP,
    CONTROL,
    COUNTER,
    DEGRADED,
    ERROR,
    FAILED,
    FIGURES,
    FRAME,
    GONE,
    HOST_CPU,
    HOST_MEMORY,
    KEYFRAME,
    POWER,
    PROCESS,
    RAPL,
    TIC,
    USAGE,
    USED,
    VOID,
)


@pytest.fixture
def dumped(open_writer, run_dir):
    """What a dump says of records written by `fill(writer)`, without the fields that all have."""

    def dump(schema, fill, **names):
        writer = open_writer("ring", schema)
        fill(writer)
        writer.end_batch(99, 90, 7)
        reader = RingReader(run_dir, "ring", schema)
        records = reader.poll().records
        told = list(describe(records, schema, dict(reader.labels()), **names))
        reader.close()
        assert json.loads(json.dumps(told)) == told, "every value is one of JSON"
        assert [one.pop("index") for one in told] == list(range(1, len(told) + 1))
        assert {one.pop("batch") for one in told} == {1}
        assert [one.pop("mono_ns") for one in told][-1] == 99
        return told

    return dump


def test_zones_are_named_by_their_labels(dumped):
    def fill(writer):
        zone = writer.label({"zone": "package-0/core"})
        writer.append(zone, 5, (2**63, 20, 0, 0))
        writer.append(zone, 6, (13, 20, 0, 0), status=FAILED)
        writer.append(77, 7, (1, 2, 0, 0))
        writer.append(zone, 8, (40_000_000, 20, 0, 0), status=POWER)
        writer.append(zone, 9, (60, 0, 4242, 0), status=USED)

    assert dumped(RAPL, fill) == [
        {"kind": "package-0/core", "status": [], "energy_uj": 2**63, "read_ns": 20},
        {"kind": "package-0/core", "status": ["failed"], "errno": 13, "read_ns": 20},
        {"kind": "zone 77", "status": [], "energy_uj": 1, "read_ns": 2},
        {"kind": "package-0/core", "status": ["power"], "power_uw": 40_000_000, "read_ns": 20},
        {"kind": "package-0/core", "status": ["used"], "pid": 4242, "weight": 60},
        {"kind": "end", "status": ["last"], "samples": 5, "begin_mono_ns": 90, "suspended_ns": 7},
    ]


def test_consumers_are_named_by_their_labels(dumped):
    def fill(writer):
        process = writer.label({"kind": "process", "comm": "bash"})
        group = writer.label({"kind": "cgroup", "path": "/system.slice"})
        writer.append(PROCESS, 1, (process, 42, 1000, 5, 0), status=GONE)
        writer.append(CGROUP, 1, (group, 0, 0, 6, 7))
        writer.append(PROCESS, 1, (99, 43, 1001, 5, 0))
        writer.append(CONTROL, 1, (0, 0, 0, 8, 0))
        writer.append(HOST_CPU, 1, (3, 0, 0, 9, 0))
        writer.append(HOST_MEMORY, 1, (0, 0, 0, 0, 10))
        writer.append(HOST_MEMORY, 1, (99, 0, 0, 0, 10))
        writer.append(77, 1, (0, 0, 0, 0, 0), status=KEYFRAME)

    assert dumped(USAGE, fill)[:-1] == [
        {"kind": "process", "status": ["gone"], "comm": "bash", "pid": 42, "start_ticks": 1000, "cpu_ns": 5},
        {"kind": "cgroup", "status": [], "path": "/system.slice", "cpu_ns": 6, "mem_bytes": 7},
        {"kind": "process", "status": [], "comm": "consumer 99", "pid": 43, "start_ticks": 1001, "cpu_ns": 5},
        {"kind": "control", "status": [], "cpu_ns": 8},
        {"kind": "host_cpu", "status": [], "mode": "idle", "cpu_ns": 9},
        {"kind": "host_memory", "status": [], "field": "MemTotal", "mem_bytes": 10},
        {"kind": "host_memory", "status": [], "field": "number 99", "mem_bytes": 10},
        {"kind": "kind 77", "status": ["keyframe"], "comm": "consumer 0", "pid": 0, "start_ticks": 0, "cpu_ns": 0},
    ]


def test_figures_bear_the_names_that_the_table_has_for_their_thing(dumped):
    def fill(writer):
        disk = writer.label({"kind": "cgroup_io", "name": "/x", "identity": ""})
        writer.append(FIGURES, 1, (disk, 0, 10, 20, 0))
        writer.append(FIGURES, 2, (99, 3, 1, 2, 3))

    assert dumped(USAGE, fill)[:-1] == [
        {"kind": "figures", "status": [], "cgroup_io": "/x", "read_bytes": 10, "written_bytes": 20},
        {"kind": "figures", "status": [], "consumer": 99, "first": 3, "values": [1, 2, 3]},
    ]


def test_fields_of_a_meter_are_named_by_the_table_of_the_caller(dumped):
    def fill(writer):
        writer.append(1, 1, (12345, 1_700_000_000, b"HC.."), status=DEGRADED)
        writer.append(2, 1, (-5, 0, b"\xff"))

    assert dumped(TIC, fill, tic_kinds={1: "EASF01"})[:-1] == [
        {"kind": "EASF01", "status": ["degraded"], "value": 12345, "horodate_s": 1_700_000_000, "text": "HC.."},
        {"kind": "field 2", "status": [], "value": -5, "horodate_s": 0, "text": "\\xff"},
    ]


def test_service_records_say_what_they_count(dumped):
    def fill(writer):
        text = writer.label({"error": "read of energy_uj failed"})
        writer.service(COUNTER, 1, 2, 5)
        writer.service(COUNTER, 1, 99, 5)
        writer.service(ERROR, 1, text, 3)
        writer.service(ERROR, 1, 99, 3)
        writer.service(FRAME, 1, 11, 1, status=0)
        writer.service(VOID + 15, 1, 1, 2, 3, 4)

    assert dumped(RAPL, fill) == [
        {"kind": "counter", "status": [], "counter": "read_errors", "value": 5},
        {"kind": "counter", "status": [], "counter": "counter 99", "value": 5},
        {"kind": "error", "status": [], "error": "read of energy_uj failed", "count": 3},
        {"kind": "error", "status": [], "error": "label 99", "count": 3},
        {"kind": "frame", "status": [], "good_groups": 11, "refused_groups": 1},
        {"kind": "service 0xffff", "status": [], "a": 1, "b": 2, "c": 3, "d": 4},
        {"kind": "end", "status": ["last"], "samples": 0, "begin_mono_ns": 90, "suspended_ns": 7},
    ]


def test_nothing_is_nothing(dumped, open_writer, run_dir):
    open_writer("ring", RAPL)
    reader = RingReader(run_dir, "ring", RAPL)

    assert list(describe(reader.poll().records, RAPL, {})) == []
    reader.close()
