import json
import re

import pytest

from energyd.aggregate.snapshot import Group, Groups, Host, Process, Processes, Snapshot, Zone
from energyd.tools import oneshot, top


def zone(name, domain, parent, power_w):
    return Zone(name, domain, parent, "rapl", True, True, 0, power_w, 0, 0, 0, 0, 0, 0)


def process(pid, comm, power_w, **more):
    return Process(
        pid=pid, comm=comm, cgroup=more.pop("cgroup", "/"), uid=0, energy_uj=5_000_000, power_w=power_w, cpu_ns=0
    )._replace(**more)


def shot(*visible, mono_ns=10**9):
    host = Host(10**6, 50.0, "rapl", (), 0, 0, ())
    zones = (zone("package-0", "package", "", 40.0), zone("package-0/dram", "dram", "package-0", 10.0))
    return Snapshot(mono_ns, 1_700_000_000 * 10**9, True, host, zones, Processes(visible, 0, 1.5, 0, 0, 0, 7), (), ())


def rows(now, by="process", matching=""):
    return top.rows_of(now, by, re.compile(matching), {0: "root"}.get)


def test_json_speaks_as_scaphandre_does():
    said = oneshot.describe(shot(process(1, "a", 1.0), process(2, "b", 3.0)), [])
    assert said["host"] == {
        "consumption": 50_000_000,
        "power_w": 50.0,
        "timestamp": 1_700_000_000,
        "source": "rapl",
        "no_power": [],
    }
    assert [consumer["pid"] for consumer in said["consumers"]] == [2, 1]
    assert said["sockets"][0]["domains"][0]["consumption"] == 10_000_000


def test_without_a_power_source_cpu_time_ranks_and_no_watt_is_made_up():
    now = shot(process(1, "idle", 0.0), process(2, "busy", 0.0, cpu_ns=10**9, busy_cpus=1.5), process(3, "some", 0.0, cpu_ns=10**6))
    now = now._replace(host=now.host._replace(energy_uj=None, power_w=None, source=""), zones=())
    said = oneshot.describe(now, ["no module"])
    assert [(consumer["pid"], consumer["power_w"], consumer["cpu_s"]) for consumer in said["consumers"]] == [
        (2, None, 1.0),
        (3, None, 0.001),
        (1, None, 0.0),
    ]
    for order in top.ORDERS:
        first = top.table(now, rows(now), order, (80, 24), ["no module"])[4]
        assert first.split()[:4] == ["-", "-", "150.0", "2"]


def test_json_of_this_machine(tree, run):
    said = json.loads(run("json", "--set", f"sysfs_root={tree}", "--seconds", "0.6", "--top", "5").stdout)
    assert said["host"]["power_w"] == pytest.approx(50, rel=0.1)
    assert len(said["consumers"]) <= 5


def test_json_shares_the_energy_of_a_source_that_is_read_more_slowly_too(run):
    model = ("energy.sources=[model]", "energy.model_idle_w=10", "energy.model_max_w=40")
    answer = json.loads(run("json", *(part for key in model for part in ("--set", key))).stdout)
    assert answer["host"]["source"] == "model"
    shared = sum(consumer["consumption"] for consumer in answer["consumers"]) + answer["other"]["consumption"]
    assert 0.5 * answer["host"]["consumption"] < shared <= 1.1 * answer["host"]["consumption"]


def test_json_without_power_says_why(run, tmp_path):
    said = json.loads(run("json", "--set", f"sysfs_root={tmp_path}", "--seconds", "0.3").stdout)
    assert said["host"]["consumption"] is None
    assert said["host"]["no_power"]


def test_rows_are_sorted_cut_to_the_screen_and_harmless_to_a_terminal():
    now = shot(process(1, "small", 1.0), process(2, "evil\x1b[2J", 9.0), process(3, "middle", 5.0))
    lines = top.table(now, rows(now), "w", (60, 7), [])
    assert [line.split()[3] for line in lines[4:]] == ["2", "3"]
    assert all(len(line) <= 60 for line in lines)
    assert "\x1b" not in "".join(lines)


def test_a_line_may_be_a_group_a_control_group_or_a_user():
    now = shot(process(1, "a", 1.0, cgroup="/x"), process(2, "b", 2.0, cgroup="/x"), process(3, "c", 4.0, cgroup="/y", uid=7))
    web = Group("docker", "web", "container", "docker", 9_000_000, 7.0, 0, 3, None, busy_cpus=1.5)
    now = now._replace(groups=Groups((web,)))
    assert {row.name: row.power_w for row in rows(now, "cgroup")} == {"/x": 3.0, "/y": 4.0}
    assert {row.name: row.power_w for row in rows(now, "user")} == {"root": 3.0, "uid 7": 4.0}
    assert rows(now, "group") == [top.Row("web", "", "", "docker", 7.0, 9.0, 150.0)]
    assert rows(now, "group", "nothing") == []


def test_cpu_is_that_of_the_last_second_and_the_group_is_told():
    now = shot(process(1, "a", 1.0, busy_cpus=0.5, group="web"), process(0, "brief", 1.0, group="web"))
    assert [(row.pid, row.cpu_percent, row.group) for row in rows(now)] == [("1", 50.0, "web"), ("", 0.0, "web")]
    assert top.table(now, rows(now), "c", (80, 20), [])[4].split() == ["1.00", "5.00", "50.0", "1", "0", "a", "web"]


def test_only_names_that_match_are_shown():
    assert [row.name for row in rows(shot(process(1, "python", 1.0), process(2, "bash", 2.0)), matching="pyth")] == ["python"]


def test_the_first_table_has_everybody_with_watts_and_cpu_whatever_the_source(run):
    model = ("energy.sources=[model]", "energy.model_idle_w=10", "energy.model_max_w=40")
    rules = 'groups=[{"name": "everything", "environment": "test"}]'
    flags = [part for key in (*model, rules) for part in ("--set", key)]
    head, *_, columns, first = run("top", *flags, "--count", "1", "--interval", "0.5").stdout.splitlines()[:5]
    assert "(model)" in head
    assert columns.split() == ["W", "J", "CPU", "%", "PID", "UID", "NAME", "GROUP"]
    assert float(first.split()[0]) > 0
    assert first.split()[-1] == "everything", "by the rules of the configuration"
    [line] = run("top", *flags, "--count", "1", "--interval", "0.5", "--by", "group").stdout.splitlines()[4:]
    assert line.split()[-2:] == ["everything", "test"]


def test_top_can_be_piped(tree, run):
    done = run("top", "--set", f"sysfs_root={tree}", "--count", "1", "--interval", "0.4")
    assert done.returncode == 0
    assert done.stdout.startswith("energyd top: host ")


@pytest.mark.parametrize(
    "command",
    [
        ("top", "--interval", "nan"),
        ("top", "--interval=-1"),
        ("top", "--count", "0"),
        ("json", "--seconds", "inf"),
        ("json", "--top=-1"),
        ("measure", "--idle", "nan", "--", "true"),
        ("measure", "--repeat", "0", "--", "true"),
    ],
)
def test_a_number_that_no_clock_and_no_loop_can_take_is_refused(run, command):
    done = run(*command)
    assert done.returncode == 2
    assert "must be" in done.stderr


def test_a_filter_that_is_no_expression_is_refused(run):
    done = run("top", "--filter", "(")
    assert done.returncode == 2
    assert "--filter" in done.stderr
