"""Rules: what they match, how they name, and who inherits."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from energyd.config import GroupRule
from energyd.groups.grouper import Grouper, GroupKey, Member, Nameless, served_pid
from energyd.groups.rules import MAX_NAME, Container, Rule, Template, check

HEX = "0123456789abcdef" * 4


class Names(Nameless):
    """A container runtime that knows one container, and a passwd with two users."""

    def container(self, _runtime: str, identifier: str, /) -> Container:
        return (
            Container("web", "nginx:1", {"com.optivolt.environment": "microvm", "tier": "front"})
            if identifier == HEX
            else Container()
        )

    def user(self, uid: int, /) -> str:
        return {0: "root", 1000: "alice"}.get(uid, "")


def process(comm: str = "work", argv: tuple[str, ...] | None = None, **entry: object) -> dict[str, object]:
    words = list(argv) if argv is not None else [comm]
    return {"pid": 77, "start_ticks": 5, "ppid": 1, "uid": 1000, "cgroup": "/", "comm": comm, "argv": words, **entry}


def member(entry: dict[str, object], *rules: GroupRule, parent: Member | None = None) -> Member:
    grouper = Grouper(rules, Names())
    return grouper.member(grouper.facts(entry), parent)


def key(entry: dict[str, object], *rules: GroupRule) -> tuple[str, str, str, str]:
    return tuple(member(entry, *rules).group)


SHIPPED = {
    # by the shipped rules: (environment, name, kind, runtime)
    "container": (process(cgroup="/docker/" + "a" * 64), ("docker", "a" * 12, "container", "docker")),
    "container that says what it stands for": (process(cgroup=f"/docker/{HEX}"), ("microvm", "web", "container", "docker")),
    "podman": (process(cgroup=f"/machine.slice/libpod-{'b' * 64}.scope"), ("docker", "b" * 12, "container", "podman")),
    "lxc": (process(cgroup="/lxc.payload.web01/x.service"), ("lxc", "web01", "container", "lxc")),
    "pod": (
        process(cgroup="/kubepods/pod5ba385ca-b6e6-4246-bd66-d48d429dbc12"),
        ("docker", "5ba385ca-b6e6-4246-bd66-d48d429dbc12", "pod", "k8s"),
    ),
    "firecracker": (
        process("firecracker", ("/usr/bin/firecracker", "--id", "vm7"), cgroup="/system.slice/fc.service"),
        ("microvm", "vm7", "vm", "firecracker"),
    ),
    "jailed firecracker": (
        process("fc_vcpu 0", ("/firecracker", "--id=v"), cgroup="/firecracker/v"),
        ("microvm", "v", "vm", "firecracker"),
    ),
    "cloud-hypervisor": (
        process("cloud-hyperviso", ("cloud-hypervisor", "--api-socket", "/run/ch/web.sock")),
        ("microvm", "web", "vm", "cloud-hypervisor"),
    ),
    "qemu as a microvm": (
        process("qemu-system-x86", ("/usr/bin/qemu-system-x86_64", "-M", "microvm,x=1", "-name", "fast")),
        ("microvm", "fast", "vm", "qemu"),
    ),
    "qemu with a unikernel": (
        process("qemu-system-x86", ("qemu-system-x86_64", "-kernel", "/srv/app.kernel", "-name", "uni")),
        ("unikernel", "uni", "vm", "qemu"),
    ),
    "qemu": (process("kvm", ("/usr/bin/kvm", "-name", "guest=old,,box,debug-threads=on")), ("vm", "old,box", "vm", "qemu")),
    "qemu of libvirt": (
        process(
            "qemu-system-x86",
            ("qemu-system-x86_64", "-name", "guest=deb"),
            cgroup="/machine.slice/machine-qemu\\x2d1\\x2ddeb.scope",
        ),
        ("vm", "deb", "vm", "qemu"),
    ),
    "nameless qemu": (process("kvm", ("/usr/bin/kvm", "-uuid", "u-1")), ("vm", "u-1", "vm", "qemu")),
    "slurm": (process(cgroup="/slurm/uid_1000/job_211/step_0"), ("slurm", "job_211", "job", "slurm")),
    "helper": (
        process("conmon", cgroup=f"/machine.slice/libpod-conmon-{HEX}.scope"),
        ("host", "podman-helpers", "helper", "podman"),
    ),
    "session": (process(cgroup="/user.slice/user-1000.slice/session-3.scope"), ("user", "alice", "unit", "systemd")),
    "user without a name": (process(cgroup="/user.slice/user-7.slice", uid=7), ("user", "7", "user", "systemd")),
    "root in a session of another": (
        process("sudo", uid=0, cgroup="/user.slice/user-1000.slice/session-3.scope"),
        ("user", "alice", "unit", "systemd"),
    ),
    "unit": (process(cgroup="/system.slice/nginx.service"), ("systemd", "nginx.service", "unit", "systemd")),
    "kernel thread": (process("kworker/0:1-events", (), ppid=2, uid=0), ("host", "kernel", "kernel", "")),
    "control group": (process(cgroup="/custom"), ("host", "/custom", "cgroup", "")),
    "command": (process("bash", ("-bash",)), ("host", "bash", "host", "")),
}


@pytest.mark.parametrize("case", SHIPPED)
def test_without_a_configuration_everything_has_a_group(case: str) -> None:
    entry, expected = SHIPPED[case]
    assert key(entry) == expected


MATCHING = [
    (GroupRule(name="x", comm=("work",)), True),
    (GroupRule(name="x", comm=("wor", "w?rk")), True),
    (GroupRule(name="x", comm=("Work",)), False),
    (GroupRule(name="x", exe=("tool",)), True),
    (GroupRule(name="x", exe=("/opt/*/tool",)), True),
    (GroupRule(name="x", exe=("/usr/*",)), False),
    (GroupRule(name="x", exe=("opt",)), False),
    (GroupRule(name="x", cmdline=("--level=[0-9]", "in put")), True),
    (GroupRule(name="x", cmdline=("--level=[0-9]", "output")), False),
    (GroupRule(name="x", user=("alice",)), True),
    (GroupRule(name="x", user=("1000",)), True),
    (GroupRule(name="x", user=("root",)), False),
    (GroupRule(name="x", kind=("container",), runtime=("docker",)), True),
    (GroupRule(name="x", kind=("unit",)), False),
    (GroupRule(name="x", unit=("docker-*.scope",)), True),
    (GroupRule(name="x", unit=("nginx.service",)), False),
    (GroupRule(name="x", cgroup=r"^/system\.slice/docker-"), True),
    (GroupRule(name="x", cgroup=r"^/user"), False),
    (GroupRule(name="x", label=(("tier", "^front$"),)), True),
    (GroupRule(name="x", label=(("tier", "back"),)), False),
    (GroupRule(name="x", label=(("tier", "front"),), comm=("other",)), False),
]


@pytest.mark.parametrize(("rule", "matches"), MATCHING)
def test_every_selector_that_is_given_must_match(rule: GroupRule, matches: bool) -> None:
    entry = process(argv=("/opt/x/tool", "--level=3", "in put"), cgroup=f"/system.slice/docker-{HEX}.scope")
    assert (key(entry, rule)[1] == "x") == matches


def test_the_first_rule_that_matches_wins_and_a_rule_without_selectors_takes_the_rest() -> None:
    rules = GroupRule(name="first", comm=("work",)), GroupRule(name="second", comm=("work",)), GroupRule(name="rest")
    assert key(process(), *rules)[1] == "first"
    assert key(process("other", cgroup="/system.slice/nginx.service"), *rules)[1] == "rest"


def test_names_are_made_of_fields_labels_and_captures() -> None:
    rule = GroupRule(
        name="{user}:{exe}:{match:job}:{label:tier}:{short_id}",
        environment="{label:com.optivolt.environment}",
        cmdline=(r"--job=(?P<job>\w+)",),
    )
    entry = process(argv=("/bin/tool", "--job=night"), cgroup=f"/docker/{HEX}")
    assert key(entry, rule)[:2] == ("microvm", f"alice:tool:night:front:{HEX[:12]}")


def test_a_configuration_of_process_exporter_names_as_it_does() -> None:
    rule = GroupRule(
        name="{{.Comm}}-{{ .ExeBase }}-{{.ExeFull}}-{{.Username}}-{{.PID}}-{{.Matches.Port}}", cmdline=(r":(?P<Port>\d+)$",)
    )
    assert key(process("redis", ("/bin/redis", "*:6379")), rule)[1] == "redis-redis-/bin/redis-alice-77-6379"
    assert key(process(argv=("/usr/sbin/cron",)), GroupRule(comm=("work",)))[1] == "cron", (
        "without a name it is that of the program"
    )


def test_what_a_template_leaves_empty_is_named_by_what_is_known() -> None:
    assert key(process(), GroupRule(name="{image}"))[1] == "work"
    assert key(process(cgroup="/system.slice/a.service"), GroupRule(name="{pod}", environment="{image}"))[:2] == (
        "host",
        "a.service",
    )
    assert len(key(process("x" * 500), GroupRule(name="{comm}"))[1]) == MAX_NAME


@pytest.mark.parametrize(
    "rule",
    [
        GroupRule(name="{coom}"),
        GroupRule(name="{comm"),
        GroupRule(name="comm}"),
        GroupRule(name="{label}"),
        GroupRule(name="{comm:x}"),
        GroupRule(name="{{.Nope}}"),
        GroupRule(name="{{if .Comm}}x{{end}}"),
        GroupRule(environment="{match:x}"),
        GroupRule(name="{match:x}", cmdline=("(?P<y>.)",)),
        GroupRule(cmdline=("(",)),
        GroupRule(cgroup="*"),
        GroupRule(label=(("a", "["),)),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused(rule: GroupRule) -> None:
    with pytest.raises(ValueError):
        check(rule)


def test_children_inherit_what_their_parent_is_not_where_it_is() -> None:
    make = GroupRule(name="build", environment="ci", comm=("make",))
    parent = member(process("make"), make)
    assert parent.heritable
    child = member(process("cc1", cgroup="/user.slice/user-1000.slice/session-3.scope"), make, parent=parent)
    assert child.group == GroupKey("ci", "build", "host", "")
    assert member(process("ld"), make, parent=child).group == child.group
    unit = member(process(cgroup="/system.slice/cron.service"), make)
    assert not unit.heritable
    assert member(process("job"), make, parent=unit).group.name == "job"


def test_an_earlier_rule_of_its_own_goes_before_the_parents() -> None:
    rules = GroupRule(name="editor", comm=("vim",)), GroupRule(name="build", comm=("make",))
    parent = member(process("make"), *rules)
    assert member(process("vim"), *rules, parent=parent).group.name == "editor"
    parent = member(process("vim"), *rules)
    assert member(process("make"), *rules, parent=parent).group.name == "editor"


def test_kinship_ends_at_the_border_of_a_container_and_goes_on_within() -> None:
    shim = GroupRule(name="shims", exe=("containerd-shim*",)), GroupRule(name="build", comm=("make",))
    parent = member(process(argv=("/bin/containerd-shim-runc-v2",)), *shim)
    inside = process("sh", cgroup=f"/docker/{'a' * 64}")
    assert member(inside, *shim, parent=parent).group.name == "a" * 12
    maker = member(process("make", cgroup=f"/docker/{'a' * 64}"), *shim)
    assert member(inside, *shim, parent=maker).group.name == "build"


def test_kernel_threads_that_serve_a_process_tell_its_pid() -> None:
    assert served_pid(process("vhost-4711", (), ppid=2)) == 4711
    assert served_pid(process("kvm-pit/4711", (), ppid=2)) == 4711
    assert served_pid(process("vhost-4711", ("vhost-4711",))) == 0
    assert served_pid(process("kworker/1", (), ppid=2)) == 0


def test_other_rules_have_another_fingerprint() -> None:
    rule = GroupRule(name="x", comm=("y",))
    assert Grouper((rule,)).fingerprint == Grouper((rule,)).fingerprint != Grouper().fingerprint


texts = st.text(max_size=40)


@given(
    texts,
    st.lists(texts, max_size=4),
    texts,
    st.integers(-1, 10**6),
    st.sampled_from(["{comm}", "{{.Comm}} {user}", "{vm}{unit}{id}", "a{label:x}", "fixed", "{container_name}"]),
)
def test_whatever_a_process_calls_itself_it_has_a_group_with_a_name(comm, argv, cgroup, uid, name):
    entry = process(comm, tuple(argv), cgroup=cgroup, uid=uid)
    for rules in ((), (GroupRule(name=name),)):
        group = member(entry, *rules).group
        assert 0 < len(group.name) <= MAX_NAME
        assert group.environment


@given(st.text(max_size=60))
@example("[[")
@example("a||b[a||b]")
def test_any_text_is_a_template_or_refused(text):
    for build in (lambda: Template(text), lambda: Rule(GroupRule(cmdline=(text,)))):
        with contextlib.suppress(ValueError):
            build()
