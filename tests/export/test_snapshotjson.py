"""The Snapshot as JSON: every field by its name, every integer exact, always JSON."""

import json
from typing import Any

from energyd.aggregate.snapshot import Snapshot
from energyd.export.snapshotjson import document


def read(snapshot: Snapshot) -> Any:
    def no_such_number(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    return json.loads(document(snapshot), parse_constant=no_such_number)


def test_every_field_is_there_under_its_name_with_its_unit(snapshot: Snapshot) -> None:
    read_back = read(snapshot)
    assert list(read_back) == list(Snapshot._fields)
    assert read_back["host"]["energy_uj"] == 9_007_199_254_740_993
    assert read_back["host"]["cpu_ns"] == {"user": 123_456_789_000_000, "idle": 5}
    assert read_back["host"]["windows"][0]["quantiles_w"] == {"0.5": 30.5, "0.99": 64.25}
    assert [zone["name"] for zone in read_back["zones"]] == ["package-0", "package-0/dram", "package-0/core", "psys"]
    assert read_back["zones"][1]["power_w"] is None
    assert read_back["processes"]["visible"][0]["energy_uj"] == 1_000_001
    assert read_back["rings"][1]["counters"]["missed_ticks"] == 4


def test_what_a_meter_says_bears_its_unit(snapshot: Snapshot) -> None:
    house, shed = read(snapshot)["meters"]
    assert house["quantities"] == {
        "SINSTS_VA": 1234, "SINSTS1_VA": 600, "IRMS1_A": 5, "URMS1_V": 231, "PREF_kVA": 9, "SMAXSN_VA": 4321, "STGE": 0x003A0401
    }  # fmt: skip
    assert house["texts"]["PRM"] == "01234567890123"
    assert house["registers"][0]["energy_wh"] == 12_345_678
    assert (shed["quantities"], shed["texts"], shed["registers"]) == ({}, {}, [])


def test_names_from_the_machine_and_numbers_that_are_none_stay_json(snapshot: Snapshot) -> None:
    host = snapshot.host._replace(power_w=float("nan"))
    read_back = read(snapshot._replace(host=host))
    assert read_back["host"]["power_w"] is None
    names = [process["comm"] for process in read_back["processes"]["visible"]]
    assert names == [process.comm.replace("\ud800", "?") for process in snapshot.processes.visible]
