"""Who uses the energy: containers, machines, units, users and processes, side by side."""

from energyd.dashboards.model import Json, Query, Row, Variable, dashboard, lines, number, shares, table

_CHOSEN = 'instance=~"$instance", environment=~"$environment"'
_LABELS = "instance, group, kind, runtime, environment"


def model() -> Json:
    return dashboard(
        "energyd-groups",
        "energyd / Processes and groups",
        "Energy by environment, group and process; the shares of the idle machine are not in them.",
        (
            Variable("instance", "Machine", "energyd_build_info", "instance"),
            Variable("environment", "Environment", 'energyd_group_power_watts{instance=~"$instance"}', "environment"),
        ),
        (_environments(), _groups(), _processes()),
    )


def _environments() -> Row:
    shown = f"sum by (instance, environment) (increase(energyd_group_energy_joules_total{{{_CHOSEN}}}[$__range]))"
    power = f"sum by (instance, environment) (energyd_group_power_watts{{{_CHOSEN}}})"
    work = f"sum by (instance, environment) (rate(energyd_group_cpu_seconds_total{{{_CHOSEN}}}[$__rate_interval]))"
    energy = f"sum by (instance, environment) (rate(energyd_group_energy_joules_total{{{_CHOSEN}}}[$__rate_interval]))"
    return Row(
        "Environments",
        (
            lines("Power", "watt", Query(power, "{{instance}} {{environment}}"), stacked=True, width=10),
            shares("Energy over the time shown", "joule", Query(shown, "{{environment}}", instant=True), width=7),
            lines(
                "Joules for a second of CPU",
                "joule",
                Query(f"{energy} / ({work} > 0)", "{{instance}} {{environment}}"),
                width=7,
            ),
            number("Containers", "none", Query('energyd_containers{instance=~"$instance"}', "{{runtime}}"), width=24),
        ),
    )


def _groups() -> Row:
    energy = f"sum by ({_LABELS}) (increase(energyd_group_energy_joules_total{{{_CHOSEN}}}[$__range]))"
    cpu = f"sum by ({_LABELS}) (increase(energyd_group_cpu_seconds_total{{{_CHOSEN}}}[$__range]))"
    headlines = {
        "group": "group",
        "kind": "kind",
        "runtime": "runtime",
        "environment": "environment",
        "Value #A": "energy",
        "Value #B": "power",
        "Value #C": "CPU time",
        "Value #D": "memory",
        "Value #E": "processes",
    }
    return Row(
        "Groups",
        (
            lines("Power", "watt", Query(f"energyd_group_power_watts{{{_CHOSEN}}} > 0.01", "{{group}}"), width=24, stacked=True),
            table(
                "Over the time shown",
                headlines,
                Query(energy, instant=True),
                Query(f"sum by ({_LABELS}) (energyd_group_power_watts{{{_CHOSEN}}})", instant=True),
                Query(cpu, instant=True),
                Query(f"sum by ({_LABELS}) (energyd_group_memory_bytes{{{_CHOSEN}}})", instant=True),
                Query(f"sum by ({_LABELS}) (energyd_group_processes{{{_CHOSEN}}})", instant=True),
                units={"energy": "joule", "power": "watt", "CPU time": "s", "memory": "bytes", "processes": "none"},
            ),
        ),
    )


def _processes() -> Row:
    host = 'instance=~"$instance"'
    info = f"energyd_process_info{{{_CHOSEN}}}"
    power = f"energyd_process_power_watts{{{host}}} * on (instance, pid, comm) group_left (group, environment, cmdline) {info}"
    energy = (
        f"energyd_process_energy_joules_total{{{host}}} * on (instance, pid, comm) group_left (group, environment, cmdline) {info}"
    )
    headlines = {
        "pid": "pid",
        "comm": "name",
        "group": "group",
        "cmdline": "command line",
        "Value #A": "power",
        "Value #B": "energy since it is shown",
    }
    return Row(
        "Processes",
        (
            lines("Power", "watt", Query(f"{power} > 0.01", "{{comm}} {{pid}}"), width=24, stacked=True),
            table(
                "Those that are shown by themselves",
                headlines,
                Query(power, instant=True),
                Query(energy, instant=True),
                units={"power": "watt", "energy since it is shown": "joule"},
            ),
        ),
    )
