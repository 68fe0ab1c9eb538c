"""The rules that hold where the configuration gives none that match: every process and every control group has a group by these."""

from typing import Final

from energyd.config import GroupRule
from energyd.groups.cgrouppath import CGROUP, CONTAINER, HELPER, JOB, KERNEL, POD, UNIT, VM

ENVIRONMENT_LABEL: Final = "com.optivolt.environment"
_QEMU: Final = ("qemu-system-*", "qemu-kvm", "kvm")

SHIPPED: Final = (
    # a container that says what it stands for is taken at its word
    GroupRule(name="{container_name}", environment=f"{{label:{ENVIRONMENT_LABEL}}}", label=((ENVIRONMENT_LABEL, ".+"),)),
    GroupRule(
        name="{container_name}",
        environment="docker",
        kind=(CONTAINER,),
        runtime=("docker", "containerd", "podman", "crio", "nerdctl", "k8s", "unknown"),
    ),
    GroupRule(name="{pod}", environment="docker", kind=(POD,)),
    GroupRule(name="{container_name}", environment="{runtime}", kind=(CONTAINER,)),
    GroupRule(name="{vm}", environment="microvm", exe=("firecracker", "cloud-hypervisor", "crosvm")),
    GroupRule(name="{vm}", environment="microvm", runtime=("firecracker", "kata")),
    GroupRule(name="{vm}", environment="microvm", exe=_QEMU, cmdline=(r"(^|\s)-(M|machine)[ =]?microvm",)),
    GroupRule(name="{vm}", environment="unikernel", exe=_QEMU, cmdline=(r"unikernel|unikraft|kraftkit|\.kernel",)),
    GroupRule(name="{vm}", environment="vm", kind=(VM,)),
    GroupRule(name="job_{id}", environment="slurm", kind=(JOB,)),
    GroupRule(name="{runtime}-helpers", environment="host", kind=(HELPER,)),
    GroupRule(name="{user}", environment="user", cgroup=r"^/user\.slice/user-[0-9]+\.slice(/|$)"),
    GroupRule(name="{unit}", environment="systemd", kind=(UNIT,)),
    GroupRule(name="kernel", environment="host", kind=(KERNEL,)),
    GroupRule(name="{cgroup}", environment="host", kind=(CGROUP,)),
    GroupRule(name="{comm}", environment="host"),
)
