"""`energyd zones` tells what is read, what is not and why, as a table and as JSON."""

import json

import pytest

from energyd.errors import ConfigError
from energyd.powercap.report import main


@pytest.fixture
def sysfs(tree, proc):
    root = tree(
        {
            "intel-rapl:0": {"name": "package-0", "energy_uj": 1, "constraint_0_max_power_uw": 95_000_000},
            "intel-rapl:0:0": {"name": "core", "energy_uj": 1, "max_energy_range_uj": 0},
            "intel-rapl-mmio:0": {"name": "package-0", "energy_uj": 2},
            "intel-rapl:1": {"name": "psys", "energy_uj": ""},
        }
    )
    return str(root.parents[1]), proc(cpuinfo="vendor_id : GenuineIntel\n")


def test_the_table_says_what_becomes_of_each_zone(sysfs, capsys):
    assert main(["--sysfs-root", sysfs[0], "--procfs-root", sysfs[1]]) == 0

    out, err = capsys.readouterr()
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines == [
        "ZONE PACKAGE DIE SOURCE COUNTER RANGE MAX POWER READABLE USE",
        "package-0 0 0 rapl intel-rapl:0 262143 J 95 W yes summed into the host",
        "package-0/core 0 0 rapl intel-rapl:0:0 unknown - yes shown, not summed",
        "psys - 0 rapl intel-rapl:1 262143 J - EBADMSG unreadable; otherwise shown, not summed",
        "package-0@intel-rapl-mmio:0 0 0 rapl intel-rapl-mmio:0 262143 J - yes dropped: twin of intel-rapl:0",
    ]
    assert "intel-rapl:1/energy_uj cannot be read (EBADMSG" in err
    assert "max_energy_range_uj is 0" in err


def test_json_holds_every_field_and_the_advice(sysfs, capsys):
    assert main(["--sysfs-root", sysfs[0] + "/", "--procfs-root", sysfs[1], "--json"]) == 0

    answer = json.loads(capsys.readouterr().out)
    zones = {zone["name"]: zone for zone in answer["zones"]}
    assert answer["root"] == f"{sysfs[0]}/class/powercap"
    assert len(answer["advice"]) == 2
    assert zones["package-0"] == {
        "name": "package-0",
        "domain": "package",
        "parent": "",
        "package": 0,
        "die": 0,
        "source": "rapl",
        "counter": "intel-rapl",
        "device": "intel-rapl:0",
        "path": f"{sysfs[0]}/class/powercap/intel-rapl:0/energy_uj",
        "power": False,
        "epoch": 0,
        "range_uj": 262143328850,
        "max_power_uw": 95_000_000,
        "additive": True,
        "dropped": "",
        "readable": True,
        "error": "",
        "used": True,
    }
    assert (zones["psys"]["package"], zones["psys"]["error"], zones["psys"]["used"]) == (None, "EBADMSG", False)


def test_a_machine_without_zones_says_why_and_fails(tmp_path, capsys):
    assert main(["--sysfs-root", str(tmp_path)]) == 111

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"no RAPL zone under {tmp_path}/class/powercap: ")


def test_a_machine_without_zones_says_so_in_json_too(tmp_path, capsys):
    assert main(["--sysfs-root", str(tmp_path), "--json"]) == 111

    answer = json.loads(capsys.readouterr().out)
    assert answer["zones"] == []
    assert answer["advice"][0].startswith("no RAPL zone")


def test_every_source_of_the_machine_is_listed(sysfs, tmp_path, capsys):
    files = {
        "class/hwmon/hwmon0/name": "power_meter",
        "class/hwmon/hwmon0/power1_average": "42000000",
        "class/power_supply/BAT0/type": "Battery",
        "class/power_supply/BAT0/status": "Charging",
        "class/power_supply/BAT0/power_now": "1000000",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")

    assert main(["--sysfs-root", sysfs[0], "--procfs-root", sysfs[1], "--sources", "hwmon,auto"]) == 0

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == "package-0 0 0 rapl intel-rapl:0 262143 J 95 W yes shown, not summed"
    assert lines[-2:] == [
        "power_meter/power1 - 0 hwmon hwmon0/power1_average - - yes summed into the host",
        "BAT0 - 0 battery power_supply/BAT0 - - yes dropped: a battery tells what the machine draws only while it discharges",
    ]


def test_a_source_that_does_not_exist_is_an_error_of_the_command(capsys):
    with pytest.raises(ConfigError, match="unknown wind; give auto, or of rapl"):
        main(["--sources", "auto,wind"])
