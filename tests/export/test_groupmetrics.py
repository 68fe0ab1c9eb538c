"""Groups as metrics: every microjoule in exactly one series of three families."""

from energyd.aggregate.snapshot import GpuUse, Groups, Process, Snapshot
from energyd.export import collect
from energyd.export.groupmetrics import METRICS


def families(snapshot: Snapshot) -> dict[str, dict[tuple[str, ...], float]]:
    collected = collect.collect(snapshot, "1")
    return {family.metric.name: dict(zip(family.labels, family.values, strict=True)) for family in collected}


def test_groups_are_told_with_what_they_are(snapshot: Snapshot) -> None:
    told = families(snapshot)
    assert told["energyd_group_energy_joules_total"] == {
        ('quo"te', "container", "docker", "docker", "rapl"): 1_000_007,
        ("ssh.service", "unit", "systemd", "systemd", "rapl"): 0,
        ("other", "", "", "", "rapl"): 7_000_009,
    }
    assert told["energyd_group_power_watts"]["other", "", "", "", "rapl"] == 0.25
    assert told["energyd_group_cpu_seconds_total"]['quo"te', "container", "docker", "docker"] == 3_000_000_001
    assert told["energyd_group_memory_bytes"] == {('quo"te', "container", "docker", "docker"): 5_368_709_120}
    assert told["energyd_group_processes"]["ssh.service", "unit", "systemd", "systemd"] == 1
    assert told["energyd_group_gone_energy_joules_total"] == {("rapl",): 13}
    assert told["energyd_group_gone_cpu_seconds_total"] == {(): 17}
    assert told["energyd_ungrouped_energy_joules_total"] == {("rapl",): 19}
    assert told["energyd_ungrouped_cpu_seconds_total"] == {(): 23}
    assert told["energyd_groups"] == {(): 40}
    assert told["energyd_containers"] == {("docker",): 1}
    assert told["energyd_attribution_info"] == {("package-0", "cpu_time"): 1}


def test_the_fixed_snapshot_has_every_family_but_those_of_processes_that_say_nothing(snapshot: Snapshot) -> None:
    assert {metric.name for metric in METRICS} <= set(families(snapshot))


def test_without_a_power_source_groups_still_have_cpu_time(snapshot: Snapshot) -> None:
    host = snapshot.host._replace(energy_uj=None, power_w=None, source="")
    bare = families(snapshot._replace(host=host, zones=(), gpus=GpuUse()))
    assert "energyd_group_cpu_seconds_total" in bare
    assert not {name for name in bare if "group" in name and ("energy_joules" in name or "watts" in name)}


def test_what_a_group_costs_is_told_as_its_energy_is(snapshot: Snapshot) -> None:
    told = families(snapshot)
    assert told["energyd_group_cost_euros_total"] == {
        ('quo"te', "container", "docker", "docker", "rapl"): 1_234_567_890,
        ("ssh.service", "unit", "systemd", "systemd", "rapl"): 0,
        ("other", "", "", "", "rapl"): 29,
    }
    assert told["energyd_group_gone_cost_euros_total"] == {("rapl",): 31}
    assert told["energyd_group_hidden_cost_euros"] == {("rapl",): 37}


def test_without_a_price_no_cost_is_told(snapshot: Snapshot) -> None:
    assert not {name for name in families(snapshot._replace(groups=Groups())) if "cost" in name and "group" in name}


def test_a_snapshot_without_groups_has_only_sums(snapshot: Snapshot) -> None:
    told = families(snapshot._replace(groups=Groups()))
    assert told["energyd_group_energy_joules_total"] == {("other", "", "", "", "rapl"): 0}
    assert "energyd_group_memory_bytes" not in told


def test_command_lines_are_told_apart_from_the_counters(snapshot: Snapshot) -> None:
    processes = (
        Process(7, "qemu", "/", 0, 5, 1.0, 9, "qemu -M microvm", "fast", "microvm"),
        Process(0, "brief", "/x", 0, 4, 1.0, 8, "", "x", "host"),
    )
    told = families(snapshot._replace(processes=snapshot.processes._replace(visible=processes)))
    assert told["energyd_process_info"] == {("7", "qemu", "fast", "microvm", "qemu -M microvm"): 1}
    assert told["energyd_process_energy_joules_total"]["", "brief", "/x", "0", "rapl"] == 4


def test_the_same_groups_have_the_very_same_labels_so_that_rendering_them_is_cheap(snapshot: Snapshot) -> None:
    name = "energyd_group_energy_joules_total"
    first, second = ({family.metric.name: family for family in collect.collect(snapshot, "1")}[name].labels for _ in range(2))
    assert first is second


def test_the_windows_of_the_leading_groups_are_told_with_the_labels_of_the_group(snapshot: Snapshot) -> None:
    told = families(snapshot)
    names = ('quo"te', "container", "docker", "docker", "5m")
    assert told["energyd_group_window_power_quantile_watts"] == {(*names, "0.5", "rapl"): 2.25, (*names, "0.99", "rapl"): 4.5}
    assert told["energyd_group_window_power_mean_watts"] == {(*names, "rapl"): 2.5}
    assert told["energyd_group_window_power_max_watts"] == {(*names, "rapl"): 4.75}
    assert told["energyd_group_window_measured_seconds"] == {names: 299}
