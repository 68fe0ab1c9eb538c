"""What measures beside the powercap tree: hwmon chips, batteries, the model, and which of all is the host."""

import errno
import os
from pathlib import Path

import pytest

from energyd.powercap.battery import Battery
from energyd.powercap.choice import AUTO, Choice, expand
from energyd.powercap.cpumodel import CpuModel
from energyd.powercap.hwmon import Hwmon
from energyd.powercap.sources import Model, Places, sensor, simulated_sensor
from energyd.powercap.zone import Zone
from energyd.samples import POWER
from energyd.units import NS_PER_S


@pytest.fixture
def sysfs(tmp_path):
    """sysfs({"class/hwmon/hwmon0/name": "amdgpu"}) -> the root."""

    def make(files: dict[str, object]) -> str:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n")
        return str(tmp_path)

    return make


def chip(number, name, **files):
    return {f"class/hwmon/hwmon{number}/{key}": value for key, value in {"name": name, **files}.items()}


def battery(name="BAT0", **files):
    given = {"type": "Battery", "status": "Discharging", **files}
    return {f"class/power_supply/{name}/{key}": value for key, value in given.items()}


def read(source, zone):
    reader = source.open(zone)
    try:
        return int(reader.read())
    finally:
        reader.close()


def shown(zones):
    return {zone.name: (zone.domain, zone.additive, zone.power) for zone in zones}


class TestHwmon:
    def test_sockets_of_amd_energy_are_the_host_and_cores_are_not(self, sysfs):
        labels = {"energy1_label": "Ecore000", "energy2_label": "Esocket0", "energy3_label": "Esocket1"}
        source = Hwmon(sysfs(chip(2, "amd_energy", energy1_input=5, energy2_input=70, energy3_input=80, **labels)))

        zones = source.discover()

        assert shown(zones) == {
            "amd_energy/Ecore000": ("hwmon", False, False),
            "amd_energy/Esocket0": ("package", True, False),
            "amd_energy/Esocket1": ("package", True, False),
        }
        assert [read(source, zone) for zone in zones] == [5, 70, 80]

    def test_a_counter_of_energy_goes_before_a_power_and_an_average_before_a_moment(self, sysfs):
        source = Hwmon(
            sysfs(chip(0, "power_meter", power1_average=7, power1_input=8) | chip(1, "xe", energy1_input=9, power1_average=1))
        )

        assert {zone.name: (zone.device, zone.power) for zone in source.discover()} == {
            "power_meter/power1": ("hwmon0/power1_average", True),
            "xe/energy1": ("hwmon1/energy1_input", False),
        }

    def test_a_single_shunt_is_the_supply_of_the_board(self, sysfs):
        assert shown(Hwmon(sysfs(chip(0, "ina219", power1_input=3_000_000))).discover()) == {"ina219/power1": ("board", True, True)}

    def test_of_several_shunts_only_a_labelled_supply_is_the_host(self, sysfs):
        rails = chip(0, "ina226", power1_input=1) | chip(1, "ina226", power1_input=2)
        assert not any(zone.additive for zone in Hwmon(sysfs(rails)).discover())

        sysfs(chip(2, "ina3221", power1_input=5, power1_label="VDD_IN"))
        zones = Hwmon(sysfs({})).discover()
        assert [zone.name for zone in zones if zone.additive] == ["ina3221/VDD_IN"]
        assert [zone.name for zone in zones] == ["ina226/power1", "ina226/power1@hwmon1", "ina3221/VDD_IN"]

    def test_a_gpu_is_shown_and_never_summed(self, sysfs):
        source = Hwmon(sysfs(chip(0, "amdgpu", power1_average=30_000_000, power1_label="PPT")))

        assert shown(source.discover()) == {"amdgpu/PPT": ("gpu", False, True)}

    def test_what_is_no_energy_and_no_power_is_left_alone(self, sysfs):
        files = {"temp1_input": 1, "power1_cap": 2, "power1_input_highest": 3, "energy_input": 4, "energy1_average": 5}
        assert Hwmon(sysfs(chip(0, "odd", **files))).discover() == []
        assert Hwmon("/nowhere").discover() == []

    def test_a_channel_that_may_not_be_read_says_so(self, sysfs):
        zones = Hwmon(sysfs(chip(0, "amd_energy", energy1_input="", energy1_label="Esocket0"))).discover()

        assert [(zone.used, zone.read_errno, zone.additive) for zone in zones] == [(False, errno.EBADMSG, True)]

    def test_chips_that_come_and_go_change_the_fingerprint(self, sysfs):
        source = Hwmon(sysfs(chip(0, "ina219", power1_input=1)))
        before = source.fingerprint()
        sysfs(chip(1, "ina219", power1_input=1))

        assert set(source.fingerprint()) - set(before) == {"hwmon1/power1_input"}


class TestBattery:
    def test_what_it_gives_is_a_power(self, sysfs):
        source = Battery(sysfs(battery(power_now=9_310_000)))

        (zone,) = source.discover()

        assert (zone.name, zone.source, zone.additive, zone.power, zone.used) == ("BAT0", "battery", True, True, True)
        assert read(source, zone) == 9_310_000

    @pytest.mark.parametrize("sign", ["", "-"])
    def test_current_times_voltage_stands_for_a_power(self, sysfs, sign):
        source = Battery(sysfs(battery(current_now=f"{sign}1500000", voltage_now=12_000_000)))

        assert read(source, source.discover()[0]) == 18_000_000

    @pytest.mark.parametrize("status", ["Charging", "Full", "Not charging", "Unknown"])
    def test_on_mains_it_says_nothing(self, sysfs, status):
        source = Battery(sysfs(battery(power_now=9_000_000, status=status)))

        (zone,) = source.discover()

        assert (zone.used, zone.additive) == (False, False)
        assert "while it discharges" in zone.dropped

    def test_a_plug_that_is_put_in_ends_the_zone_at_its_next_reading(self, sysfs):
        source = Battery(sysfs(battery(power_now=9_000_000)))
        before, (zone,) = source.fingerprint(), source.discover()
        reader = source.open(zone)
        sysfs(battery(power_now=9_000_000, status="Charging"))

        with pytest.raises(OSError, match="while it discharges") as raised:
            reader.read()
        assert raised.value.errno == errno.ENODEV
        assert source.fingerprint() != before

    def test_a_battery_that_tells_no_power_is_unreadable(self, sysfs):
        (zone,) = Battery(sysfs(battery(charge_now=5))).discover()

        assert (zone.read_errno, zone.used) == (errno.ENODATA, False)

    def test_mice_and_adapters_are_no_batteries_of_the_machine(self, sysfs):
        root = sysfs(battery("hidpp_battery_0", scope="Device", power_now=1) | battery("AC", type="Mains"))

        assert Battery(root).discover() == []
        assert Battery("/nowhere").discover() == []


class TestModel:
    STAT = "cpu  {user} 0 0 1000 50 0 0 9 7 0\ncpu0 1 2 3\n"

    def make(self, tmp_path: Path, now_ns: list[int]) -> CpuModel:
        (tmp_path / "stat").write_text(self.STAT.format(user=100))
        return CpuModel(str(tmp_path), 20.0, 100.0, lambda: now_ns[0])

    def test_it_is_called_a_model(self, tmp_path):
        (zone,) = self.make(tmp_path, [0]).discover()

        assert (zone.source, zone.name, zone.additive, zone.power) == ("model", "model", True, False)

    def test_idle_costs_the_idle_power_and_a_busy_machine_the_highest(self, tmp_path):
        now_ns = [5 * NS_PER_S]
        model = self.make(tmp_path, now_ns)
        reader = model.open(model.discover()[0])
        begin = reader.read()
        now_ns[0] += 10 * NS_PER_S
        idle = reader.read()
        now_ns[0] += 10 * NS_PER_S
        cpus = os.sysconf("SC_NPROCESSORS_ONLN")
        (tmp_path / "stat").write_text(self.STAT.format(user=100 + 1000 * cpus))
        busy = reader.read()
        reader.close()

        assert (idle - begin, busy - idle) == (200_000_000, pytest.approx(1_000_000_000, abs=cpus))

    def test_other_powers_are_another_register(self, tmp_path):
        (tmp_path / "stat").write_text(self.STAT.format(user=1))
        baselines = {CpuModel(str(tmp_path), idle, 100.0, lambda: 0).discover()[0].baseline for idle in (20.0, 21.0)}

        assert len(baselines) == 2


def zone(name, source, domain="package", **more):
    return Zone(name, domain, source, source, name, f"/{name}", **{"additive": True, **more})


class TestChoice:
    RAPL = (
        zone("package-0", "rapl"),
        zone("package-0/dram", "rapl", "dram"),
        zone("package-0/core", "rapl", "core", additive=False),
        zone("psys", "rapl", "psys", additive=False),
    )

    def hosts(self, names, zones):
        return [each.name for each in Choice(names).apply(zones) if each.additive]

    @pytest.mark.parametrize(
        ("names", "hosts"),
        [
            (["auto"], ["package-0", "package-0/dram"]),
            (["psys", "auto"], ["psys"]),
            (["hwmon", "auto"], ["board"]),
            (["battery"], ["BAT0"]),
            (["auto", "model"], ["package-0", "package-0/dram"]),
            (["model", "auto"], ["model"]),
            (["meter", "auto"], []),
            (["nvidia"], []),
        ],
    )
    def test_the_first_source_that_is_there_is_the_host(self, names, hosts):
        others = [zone("board", "hwmon"), zone("BAT0", "battery"), zone("model", "model"), zone("gpu-0", "nvidia", additive=False)]

        assert self.hosts(names, [*self.RAPL, *others]) == hosts

    def test_a_source_that_cannot_be_read_leaves_the_host_to_the_next(self):
        denied = [each._replace(read_errno=errno.EACCES) for each in self.RAPL]

        assert self.hosts(["auto"], [*denied, zone("board", "hwmon")]) == ["board"]
        assert self.hosts(["auto"], denied) == ["package-0", "package-0/dram"], "that is what to give permission for"

    def test_psys_that_the_machine_lacks_leaves_the_host_to_the_packages(self):
        assert self.hosts(["psys", "rapl"], self.RAPL[:3]) == ["package-0", "package-0/dram"]

    def test_what_has_been_chosen_is_never_replaced_by_something_lesser(self):
        choice = Choice(["auto"])
        board = zone("board", "hwmon")
        assert [each.name for each in choice.apply([board]) if each.additive] == ["board"]
        choice.apply([*self.RAPL, board])

        assert not any(each.additive for each in choice.apply([board]))

    def test_auto_is_written_out_where_it_stands_and_no_name_comes_twice(self):
        assert expand(["psys", "auto", "rapl", "model"]) == ("psys", *AUTO, "model")


class TestSensors:
    def test_all_sources_of_a_machine_are_one_sensor(self, sysfs, tree, proc):
        root = sysfs(chip(0, "power_meter", power1_average=50_000_000) | battery(power_now=60_000_000))
        tree({"intel-rapl:0": {"name": "package-0", "energy_uj": 5}})
        places = Places(root, proc(cpuinfo="", stat=TestModel.STAT.format(user=1)), f"{root}/class/powercap")
        found = sensor(["auto", "model"], places, Model(10, 90), iter(range(0, 10**15, 10**9)).__next__)
        found.rescan()
        samples = found.sweep({each.name: number for number, each in enumerate(found.zones)})
        found.close()

        assert {each.name: (each.source, each.additive) for each in found.zones} == {
            "package-0": ("rapl", True),
            "power_meter/power1": ("hwmon", False),
            "BAT0": ("battery", False),
            "model": ("model", False),
        }
        assert [(payload[0], status) for _, _, payload, status in samples[:3]] == [(5, 0), (50_000_000, POWER), (60_000_000, POWER)]

    def test_a_model_without_its_powers_has_no_zone(self, tmp_path):
        found = sensor(["model"], Places(str(tmp_path), str(tmp_path), str(tmp_path)), None, lambda: 0)
        found.rescan()

        assert found.zones == ()

    def test_beside_a_simulated_tree_nothing_of_the_real_machine_is_read(self, tree):
        found = simulated_sensor(str(tree({"intel-rapl:0": {"name": "package-0", "energy_uj": 5}})), lambda: 0)
        found.rescan()

        assert [each.name for each in found.zones] == ["package-0"]
        found.close()
