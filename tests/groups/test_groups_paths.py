"""Who owns a control group, by its path: the naming rules of every runtime, and any other text."""

import json
import timeit
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energyd.groups.cgrouppath import KINDS, RUNTIMES, owner_of

FIXTURE = Path(__file__).parents[2] / "../shared/fixtures/cgroup/paths.json"
HEX, INNER = "0123456789abcdef" * 4, "f" * 64
POD = "5ba385ca-b6e6-4246-bd66-d48d429dbc12"

PATHS = {
    # path: kind, runtime, id
    f"/docker/{HEX}": ("container", "docker", HEX),
    f"/system.slice/docker-{HEX}.scope/init.scope": ("container", "docker", HEX),
    f"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{HEX}.scope": ("container", "docker", HEX),
    f"/docker/{HEX}/docker/{INNER}": ("container", "docker", INNER),
    f"/docker/{HEX}/system.slice/nginx.service": ("container", "docker", HEX),
    f"/machine.slice/libpod-{HEX}.scope/container": ("container", "podman", HEX),
    f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{HEX}.scope/container": ("container", "podman", HEX),
    f"/machine.slice/libpod-payload-{HEX}": ("container", "podman", HEX),
    f"/machine.slice/libpod-conmon-{HEX}.scope": ("helper", "podman", HEX),
    f"/kubepods.slice/kubepods-pod{POD.replace('-', '_')}.slice/crio-{HEX}.scope": ("container", "crio", HEX),
    f"/kubepods.slice/kubepods-pod{POD.replace('-', '_')}.slice/crio-conmon-{HEX}.scope": ("helper", "crio", HEX),
    f"/kubepods.slice/kubepods-pod{POD.replace('-', '_')}.slice/docker-{HEX}.scope": ("container", "docker", HEX),
    f"/system.slice/containerd.service/kubepods-burstable-pod{POD.replace('-', '_')}.slice:cri-containerd:{HEX}": (
        "container",
        "containerd",
        HEX,
    ),
    f"/kubepods/besteffort/pod{POD}/{HEX}": ("container", "k8s", HEX),
    f"/kubepods/besteffort/pod{POD}": ("pod", "k8s", POD),
    f"/kubepods.slice/kubepods-pod{POD.replace('-', '_')}.slice": ("pod", "k8s", POD),
    f"/kubepods/pod{POD}/kata_{HEX}": ("vm", "kata", HEX),
    f"/system.slice/nerdctl-{HEX}.scope": ("container", "nerdctl", HEX),
    f"/k8s.io/{HEX}": ("container", "containerd", HEX),
    f"/some-runtime/{HEX}": ("container", "unknown", HEX),
    "/lxc.payload.web01/system.slice/nginx.service": ("container", "lxc", "web01"),
    "/lxc/101/ns/init.scope": ("container", "lxc", "101"),
    "/lxc.monitor.web01": ("helper", "lxc", "web01"),
    "/machine.slice/machine-lxc\\x2d1234\\x2dctr.scope": ("container", "lxc", "ctr"),
    "/machine.slice/machine-qemu\\x2d3\\x2dmy\\x2dvm.scope/libvirt/emulator": ("vm", "qemu", "my-vm"),
    "/machine/qemu-1-debian12.libvirt-qemu/vcpu0": ("vm", "qemu", "debian12"),
    "/qemu.slice/100.scope": ("vm", "qemu", "100"),
    "/firecracker/vm-1": ("vm", "firecracker", "vm-1"),
    "/machine.slice/systemd-nspawn@deb.service/payload": ("container", "nspawn", "deb"),
    "/machine.slice/machine-deb.scope": ("container", "nspawn", "deb"),
    "/slurm/uid_0/job_7/step_batch/task_0": ("job", "slurm", "7"),
    "/system.slice/node1_slurmstepd.scope/job_9/step_x": ("job", "slurm", "9"),
    "/system.slice/slurmd.service": ("unit", "systemd", "slurmd.service"),
    "/system.slice/system-getty.slice/getty@tty1.service": ("unit", "systemd", "getty@tty1.service"),
    "/system.slice/nginx.service/worker": ("unit", "systemd", "nginx.service"),
    "/system.slice/dev-hugepages.mount": ("unit", "systemd", "dev-hugepages.mount"),
    "/system.slice": ("unit", "systemd", "system.slice"),
    "/user.slice/user-1000.slice": ("user", "systemd", "1000"),
    "/user.slice/user-1000.slice/session-3.scope": ("unit", "systemd", "session-3.scope"),
    "/custom/group": ("cgroup", "", "/custom/group"),
    "/../elsewhere": ("cgroup", "", "/../elsewhere"),
    "/": ("host", "", ""),
    "": ("host", "", ""),
    "/..": ("host", "", ""),
}


@pytest.mark.parametrize("path", PATHS)
def test_the_owner_of_a_path(path: str) -> None:
    owner = owner_of(path)
    assert (owner.kind, owner.runtime, owner.id) == PATHS[path]


@pytest.mark.skipif(not FIXTURE.exists(), reason="the shared fixtures are not here")
def test_the_owner_of_every_path_of_the_fixture() -> None:
    wrong = {}
    for case in json.loads(FIXTURE.read_text())["cases"]:
        owner = owner_of(case["path"])
        if (owner.kind, owner.runtime, owner.id) != (case["kind"], case["runtime"], case["id"]):
            wrong[case["path"]] = owner
    assert wrong == {}


def test_the_pod_around_a_container_the_unit_and_the_user_are_told_too() -> None:
    container = owner_of(f"/kubepods.slice/kubepods-pod{POD.replace('-', '_')}.slice/cri-containerd-{HEX}.scope")
    assert (container.pod, container.unit) == (POD, f"cri-containerd-{HEX}.scope")
    rootless = owner_of(f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{HEX}.scope")
    assert (rootless.user, rootless.unit) == ("1000", f"libpod-{HEX}.scope")
    assert owner_of(f"/kubepods/pod{POD}/kata_{HEX}").pod == POD


@given(st.text(max_size=300))
def test_any_text_is_somebodys(path: str) -> None:
    owner = owner_of(path)
    assert owner.kind in KINDS
    assert owner.runtime in (*RUNTIMES, "")


def test_a_path_costs_microseconds_and_is_remembered() -> None:
    calls = 200
    unhurried_us = timeit.timeit(lambda: [owner_of.__wrapped__(path) for path in PATHS], number=calls) / calls / len(PATHS) * 1e6
    assert unhurried_us < 100, "5 us is usual"
