"""One machine: its power, where it goes, and whether energyd itself is well."""

from energyd.dashboards.model import Json, Query, Row, Variable, dashboard, lines, number, shares, table

_HOST = 'instance=~"$instance"'
_BUSY = f'sum by (instance) (rate(energyd_host_cpu_seconds_total{{{_HOST}, mode!~"idle|iowait"}}[$__rate_interval]))'
_ALL = f"sum by (instance) (rate(energyd_host_cpu_seconds_total{{{_HOST}}}[$__rate_interval]))"
J_PER_KWH = "3.6e6"


def model() -> Json:
    return dashboard(
        "energyd-host",
        "energyd / Host power",
        "Power of a machine by its zones and by who uses it, beside its CPU and memory.",
        (Variable("instance", "Machine", "energyd_build_info", "instance"),),
        (_now(), _power(), _usage(), _devices(), _itself()),
    )


def _now() -> Row:
    energy = f"increase(energyd_host_energy_joules_total{{{_HOST}}}[$__range])"
    return Row(
        "Now",
        (
            number("Host power", "watt", Query(f"energyd_host_power_watts{{{_HOST}}}", "{{instance}} ({{source}})")),
            number(
                "Mean of an hour",
                "watt",
                Query(f'energyd_host_window_power_mean_watts{{{_HOST}, window="1h"}}', "{{instance}}"),
            ),
            number(
                "Peak of an hour",
                "watt",
                Query(f'energyd_host_window_power_max_watts{{{_HOST}, window="1h"}}', "{{instance}}"),
            ),
            number("Energy over the time shown", "kwatth", Query(f"{energy} / {J_PER_KWH}", "{{instance}}", instant=True)),
            number("CPU", "percent", Query(f"100 * {_BUSY} / {_ALL}", "{{instance}}")),
            number("Processes", "none", Query(f"energyd_processes{{{_HOST}}}", "{{instance}}")),
        ),
    )


def _power() -> Row:
    parts = f"sum by (instance, part) (rate(energyd_attributed_energy_joules_total{{{_HOST}}}[$__rate_interval]))"
    shown = f"sum by (instance, part) (increase(energyd_attributed_energy_joules_total{{{_HOST}}}[$__range]))"
    return Row(
        "Power",
        (
            lines("Host power", "watt", Query(f"energyd_host_power_watts{{{_HOST}}}", "{{instance}} ({{source}})")),
            lines(
                "By socket and memory",
                "watt",
                Query(f"energyd_zone_power_watts{{{_HOST}}}", "{{instance}} {{zone}}"),
                stacked=True,
                text="The zones that together make up the machine.",
            ),
            lines("By who uses it", "watt", Query(parts, "{{instance}} {{part}}"), stacked=True, width=8),
            shares("Energy over the time shown", "joule", Query(shown, "{{part}}", instant=True)),
            lines(
                "Zones inside and around others",
                "watt",
                Query(f"energyd_subzone_power_watts{{{_HOST}}}", "{{instance}} {{zone}}"),
                width=8,
                text="Never to be added to a socket.",
            ),
        ),
    )


def _usage() -> Row:
    memory = f'energyd_host_memory_bytes{{{_HOST}, field="MemAvailable"}}'
    whole = f'energyd_host_memory_bytes{{{_HOST}, field="MemTotal"}}'
    active = (
        f'sum by (instance) (rate(energyd_attributed_energy_joules_total{{{_HOST}, part=~"processes|exited"}}[$__rate_interval]))'
    )
    busy = f"sum by (instance) (rate(energyd_host_busy_cpu_seconds_total{{{_HOST}}}[$__rate_interval]))"
    host_power = f"sum by (instance) (energyd_host_power_watts{{{_HOST}}})"
    return Row(
        "What it is used for",
        (
            lines("CPU", "percent", Query(f"100 * {_BUSY} / {_ALL}", "{{instance}}"), width=6),
            lines("Memory", "percent", Query(f"100 * (1 - {memory} / ignoring (field) {whole})", "{{instance}}"), width=6),
            lines(
                "Watts for a percent of CPU",
                "watt",
                Query(f"{host_power} / (100 * {_BUSY} / {_ALL} > 1)", "{{instance}}"),
                width=6,
                text="Idle power included, so it grows without bound towards idle and is left out below 1 %.",
            ),
            lines(
                "Joules for a second of CPU",
                "joule",
                Query(f"{active} / {busy}", "{{instance}}"),
                width=6,
                text="Idle power left out: what a second of work costs.",
            ),
            table(
                "The ten that use most",
                {"pid": "pid", "comm": "name", "cgroup": "control group", "uid": "user", "Value": "power"},
                Query(f"topk(10, energyd_process_power_watts{{{_HOST}}})", instant=True),
                units={"power": "watt"},
            ),
        ),
    )


def _devices() -> Row:
    by_core = "sum by (instance, cpu) (rate(energyd_host_core_cpu_seconds_total"
    busy = f'{by_core}{{{_HOST}, mode!~"idle|iowait"}}[$__rate_interval]))'
    return Row(
        "Cores, disks and network",
        (
            lines(
                "CPU by core",
                "percent",
                Query(f"100 * {busy} / {by_core}{{{_HOST}}}[$__rate_interval]))", "{{instance}} {{cpu}}"),
                width=8,
            ),
            lines("Load", "none", Query(f"energyd_host_load_average{{{_HOST}}}", "{{instance}} {{minutes}} min"), width=8),
            lines(
                "Disks busy",
                "percentunit",
                Query(f"rate(energyd_host_disk_busy_seconds_total{{{_HOST}}}[$__rate_interval])", "{{instance}} {{device}}"),
                width=8,
            ),
            lines(
                "Disk traffic",
                "Bps",
                Query(f"rate(energyd_host_disk_read_bytes_total{{{_HOST}}}[$__rate_interval])", "{{instance}} {{device}} read"),
                Query(
                    f"rate(energyd_host_disk_written_bytes_total{{{_HOST}}}[$__rate_interval])", "{{instance}} {{device}} written"
                ),
                text="A disk made of others (dm, md) counts what they count once more.",
            ),
            lines(
                "Network traffic",
                "Bps",
                Query(
                    f"rate(energyd_host_network_receive_bytes_total{{{_HOST}}}[$__rate_interval])",
                    "{{instance}} {{device}} received",
                ),
                Query(
                    f"rate(energyd_host_network_transmit_bytes_total{{{_HOST}}}[$__rate_interval])", "{{instance}} {{device}} sent"
                ),
            ),
        ),
    )


def _itself() -> Row:
    scrape = "histogram_quantile(0.99, sum by (instance, handler, le) (rate(energyd_http_request_duration_seconds_bucket"
    return Row(
        "energyd itself",
        (
            lines("Programs alive", "none", Query(f"energyd_worker_up{{{_HOST}}}", "{{instance}} {{worker}}"), width=6),
            lines(
                "CPU of one core",
                "percentunit",
                Query(f"rate(energyd_worker_cpu_seconds_total{{{_HOST}}}[$__rate_interval])", "{{instance}} {{worker}}"),
                width=6,
                stacked=True,
            ),
            lines(
                "Memory, shared pages counted in each",
                "bytes",
                Query(f"energyd_worker_resident_memory_bytes{{{_HOST}}}", "{{instance}} {{worker}}"),
                width=6,
            ),
            lines(
                "Answers, 99 of 100 within",
                "s",
                Query(f"{scrape}{{{_HOST}}}[$__rate_interval])))", "{{instance}} {{handler}}"),
                width=6,
            ),
            lines(
                "Since a reader showed itself",
                "s",
                Query(f"energyd_ring_heartbeat_age_seconds{{{_HOST}}}", "{{instance}} {{ring}}"),
                width=8,
            ),
            lines(
                "Ticks missed a second",
                "none",
                Query(f"rate(energyd_reader_missed_ticks_total{{{_HOST}}}[$__rate_interval])", "{{instance}} {{ring}}"),
                width=8,
            ),
            lines(
                "Samples lost a second",
                "none",
                Query(f"rate(energyd_ring_overruns_total{{{_HOST}}}[$__rate_interval])", "{{instance}} {{ring}} overwritten"),
                Query(f"rate(energyd_ring_refused_total{{{_HOST}}}[$__rate_interval])", "{{instance}} {{ring}} refused"),
                width=8,
            ),
        ),
    )
