"""For every alert: series on which it fires, series like them on which it does not, and what is recorded of what.

Values are written as promtool writes them: `a+bxn` is a, a+b, ... n more times; one value each `step`.
"""

from typing import NamedTuple

TARGET = 'job="energyd", instance="attic"'
METER = f'{TARGET}, meter="house"'


class Alert(NamedTuple):
    """It fires at `at` on `firing`, with these labels and its severity; at the same moment it does not on `quiet`."""

    name: str
    severity: str
    firing: dict[str, str]
    quiet: dict[str, str]
    at: str
    labels: dict[str, str]
    step: str = "15s"


def one(name, values, labels=TARGET):
    return {f"{name}{{{labels}}}": values}


def worker(values):
    return one("energyd_worker_up", values, f'{TARGET}, worker="rapl"')


def ring(name, values):
    return one(name, values, f'{TARGET}, ring="rapl"')


def pushed(backlog, acknowledged):
    push = f'{TARGET}, target="vm"'
    return one("energyd_push_backlog_samples", backlog, push) | one("energyd_push_samples_total", acknowledged, push)


def drawn(watthours_each_step, today=0):
    series = {}
    for register in ("EASF01", "EASF02"):
        labels = f'{METER}, direction="consumed", register="{register}"'
        series |= one("energyd_meter_energy_watthours_total", f"0+{watthours_each_step / 2}x400", labels)
        series |= one("energyd_meter_period_energy_watthours", f"{today / 2}x400", f'{labels}, period="today"')
    return series


def house(apparent_va, **subscribed):
    series = one("energyd_meter_apparent_power_voltamperes", apparent_va, f'{METER}, direction="consumed"')
    for name, values in subscribed.items():
        if name == "phases":
            for phase in range(values):
                series |= one("energyd_meter_current_amperes", "10x40", f'{METER}, phase="{phase + 1}"')
        else:
            series |= one(f"energyd_meter_subscribed_{name}", values, METER)
    return series


def colour(of_tomorrow):
    return {
        f'energyd_meter_colour{{{METER}, day="tomorrow", colour="{each}"}}': f"{int(each == of_tomorrow)}x40"
        for each in ("blue", "white", "red")
    }


AT = {"instance": "attic"}
UP = AT | {"job": "energyd"}
RAPL, WORKER, VM, HOUSE = UP | {"ring": "rapl"}, UP | {"worker": "rapl"}, UP | {"target": "vm"}, UP | {"meter": "house"}
CONSUMED = HOUSE | {"direction": "consumed"}
REASON = f'{TARGET}, target="vm", reason="spool_full"'
ZONE = f'{TARGET}, zone="package-0"'

ALERTS = (
    Alert("EnergydDown", "critical", one("up", "1x4 0x20"), one("up", "1x13 0x2"), "4m", UP),
    Alert("EnergydAbsent", "critical", one("up", "1x4 _x60", 'job="node"'), one("up", "0x60"), "12m", {"job": "energyd"}),
    Alert("EnergydReaderDown", "critical", worker("1x4 0x20"), worker("1x8 0x2 1x10"), "4m", WORKER),
    Alert(
        "EnergydReaderSilent",
        "critical",
        ring("energyd_ring_heartbeat_age_seconds", "0x4 15+15x20"),
        ring("energyd_ring_heartbeat_age_seconds", "0x10 20x10"),
        "4m",
        RAPL,
    ),
    Alert(
        "EnergydRestarting",
        "warning",
        one("energyd_worker_restarts_total", "0+1x40", f'{TARGET}, worker="rapl"'),
        one("energyd_worker_restarts_total", "0x30 1x60", f'{TARGET}, worker="rapl"'),
        "10m",
        WORKER,
    ),
    Alert(
        "EnergydSamplesLost",
        "warning",
        ring("energyd_ring_overruns_total", "0x20 500x60"),
        ring("energyd_ring_overruns_total", "500x80"),
        "10m",
        RAPL,
    ),
    Alert(
        "EnergydDefect",
        "warning",
        one("energyd_families_failed_total", "0x20 1x60"),
        one("energyd_families_failed_total", "1x80"),
        "10m",
        UP,
    ),
    Alert(
        "EnergydSlow",
        "warning",
        ring("energyd_reader_missed_ticks_total", "0+30x120") | ring("energyd_reader_sweeps_total", "0+150x120"),
        ring("energyd_reader_missed_ticks_total", "0+10x120") | ring("energyd_reader_sweeps_total", "0+150x120"),
        "25m",
        AT | {"ring": "rapl"},
    ),
    Alert(
        "EnergydZoneUnreadable",
        "warning",
        one("energyd_zone_readable", "1x4 0x40", ZONE),
        one("energyd_zone_readable", "1x30 0x10", ZONE),
        "8m",
        UP | {"zone": "package-0"},
    ),
    Alert(
        "EnergydAccountsDoNotAddUp",
        "critical",
        one("energyd_attribution_error_joules", "0x4 0.000001x10", ZONE),
        one("energyd_attribution_error_joules", "0x20", ZONE),
        "2m",
        UP | {"zone": "package-0"},
    ),
    Alert("EnergydPushBacklog", "warning", pushed("0x4 100+100x120", "0+100x4 400x120"), pushed("100x130", "0+100x130"), "25m", VM),
    Alert(
        "EnergydPushDrops",
        "critical",
        one("energyd_push_dropped_samples_total", "0x20 300x40", REASON),
        one("energyd_push_dropped_samples_total", "300x60", REASON),
        "10m",
        VM | {"reason": "spool_full"},
    ),
    Alert(
        "EnergydSpoolNotWritable",
        "warning",
        one("energyd_push_spool_writable", "1x4 0x60", f'{TARGET}, target="vm"'),
        one("energyd_push_spool_writable", "1x34 0x60", f'{TARGET}, target="vm"'),
        "10m",
        VM,
    ),
    Alert(
        "MeterSilent",
        "critical",
        one("energyd_meter_link_up", "1x4 0x30", METER),
        one("energyd_meter_link_up", "1x20 0x4", METER),
        "6m",
        HOUSE,
    ),
    Alert(
        "MeterOverload",
        "warning",
        house("8200x40", apparent_power_voltamperes="9000x40"),
        house("8000x40", apparent_power_voltamperes="9000x40"),
        "2m",
        CONSUMED,
    ),
    Alert(
        "MeterOverload",  # an older meter, three phases of 30 A
        "warning",
        house("17000x40", current_amperes="30x40", phases=3),
        house("16000x40", current_amperes="30x40", phases=3),
        "2m",
        CONSUMED,
    ),
    Alert(
        "MeterWarnsOfOverload",
        "critical",
        one("energyd_meter_overload", "0x2 1x10", METER),
        one("energyd_meter_overload", "0x12", METER),
        "2m",
        HOUSE,
    ),
    Alert("HighDailyConsumption", "warning", drawn(110), drawn(100), "25h", AT | {"meter": "house"}, "5m"),
    Alert("ConsumptionOnCourseToBeHigh", "info", drawn(120, 15000), drawn(120, 5000), "12h", AT | {"meter": "house"}, "5m"),
    Alert("RedDayTomorrow", "info", colour("red"), colour("white"), "2m", HOUSE | {"day": "tomorrow", "colour": "red"}),
    Alert(
        "HighPowerConsumption",
        "warning",
        one("energyd_host_power_watts", "120x80", f'{TARGET}, source="rapl"'),
        one("energyd_host_power_watts", "90x40 120x8 90x40", f'{TARGET}, source="rapl"'),
        "12m",
        UP | {"source": "rapl"},
    ),
    Alert(
        "PowerSpike",
        "warning",
        one("energyd_host_power_watts", "60x60 160x20", f'{TARGET}, source="rapl"'),
        one("energyd_host_power_watts", "300 298 302 300 299 301 300 300 302 298 299 301 " * 8, f'{TARGET}, source="rapl"'),
        "17m30s",
        UP | {"source": "rapl"},
    ),
)


class Recorded(NamedTuple):
    """One sample of a recorded series, an hour and a half after the begin."""

    name: str
    series: dict[str, str]
    labels: str
    value: float


RECORDED = (
    Recorded(
        "instance_meter_register:energyd_meter_energy_watthours:increase1h",
        one(
            "energyd_meter_energy_watthours_total", "1000+20x100", f'{METER}, direction="consumed", register="BASE", source="meter"'
        ),
        '{direction="consumed", instance="attic", meter="house", register="BASE"}',
        1200,
    ),
    Recorded(
        "instance:energyd_host_energy_joules:increase1h",
        one("energyd_host_energy_joules_total", "0+2400x100", f'{TARGET}, source="rapl"'),
        '{instance="attic"}',
        144000,
    ),
    Recorded(
        "instance_environment:energyd_group_energy_joules:increase1h",
        one("energyd_group_energy_joules_total", "0+60x100", f'{TARGET}, environment="docker", group="a"')
        | one("energyd_group_energy_joules_total", "0+120x100", f'{TARGET}, environment="docker", group="b"'),
        '{environment="docker", instance="attic"}',
        10800,
    ),
    Recorded(
        "instance:energyd_host_power_watts:avg1h",
        one("energyd_host_power_watts", "40x100", f'{TARGET}, source="rapl"'),
        '{instance="attic"}',
        40,
    ),
    Recorded(
        "instance_meter:energyd_meter_apparent_power_voltamperes:max1h",
        one("energyd_meter_apparent_power_voltamperes", "500x60 2600 500x50", f'{METER}, direction="consumed", source="meter"'),
        '{direction="consumed", instance="attic", meter="house"}',
        2600,
    ),
)
