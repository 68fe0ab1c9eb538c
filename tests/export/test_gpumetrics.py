"""GPUs as metrics: each microjoule of them in one series of each family, and nothing where no driver tells."""

from energyd.aggregate.snapshot import GpuUse, Snapshot
from energyd.export import collect
from energyd.export.gpumetrics import METRICS, families


def told(snapshot: Snapshot) -> dict[str, dict[tuple[str, ...], float]]:
    return {
        name: dict(zip(family.labels, family.values, strict=True))
        for family in collect.collect(snapshot, "1")
        if (name := family.metric.name) in {metric.name for metric in METRICS}
    }


def test_a_gpu_is_told_by_its_parts_its_processes_and_its_groups(snapshot: Snapshot) -> None:
    found = told(snapshot)
    assert found["energyd_gpu_attributed_energy_joules_total"] == {
        ("gpu-0", "processes", "nvidia"): 1_000_101,
        ("gpu-0", "unknown", "nvidia"): 7,
        ("gpu-0", "idle", "nvidia"): 11,
    }
    assert found["energyd_gpu_attribution_pending_joules"] == {("gpu-0",): 13}
    assert found["energyd_process_gpu_energy_joules_total"] == {
        ("1000", "train", "/system.slice/x", "0", "nvidia"): 600_000,
        ("", "other", "", "", "nvidia"): 400_000,
    }
    assert found["energyd_group_gpu_energy_joules_total"] == {
        ('quo"te', "container", "docker", "docker", "nvidia"): 1_000_001,
        ("other", "", "", "", "nvidia"): 0,
    }
    processes = sum(found["energyd_process_gpu_energy_joules_total"].values())
    assert processes + found["energyd_process_gpu_gone_energy_joules_total"]["nvidia",] == 1_000_101
    groups = sum(found["energyd_group_gpu_energy_joules_total"].values())
    assert groups + found["energyd_group_gpu_gone_energy_joules_total"]["nvidia",] == 1_000_101


def test_without_a_driver_that_tells_there_is_no_series(snapshot: Snapshot) -> None:
    assert families(snapshot._replace(gpus=GpuUse())) == {}
