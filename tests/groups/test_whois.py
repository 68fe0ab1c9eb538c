"""`energyd whois`: one answer about one process or control group."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from energyd import whois
from energyd.errors import EnvironmentFault

HEX = "0123456789abcdef" * 4


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host's tree: its procfs, its docker, its passwd."""
    state = tmp_path / f"var/lib/docker/containers/{HEX}/config.v2.json"
    state.parent.mkdir(parents=True)
    state.write_text(
        json.dumps({"Name": "/web", "Config": {"Image": "nginx:1", "Labels": {"com.optivolt.environment": "unikernel"}}})
    )
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("alice:x:1000:1000::/home/alice:/bin/sh\n")
    own = tmp_path / "proc/self"
    own.mkdir(parents=True)
    own.joinpath("mountinfo").write_text(f"30 24 0:26 / {tmp_path}/sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    return tmp_path


def process(host: Path, pid: int, comm: str, *argv: str, ppid: int = 1, cgroup: str = "/") -> None:
    directory = host / "proc" / str(pid)
    directory.mkdir()
    (directory / "stat").write_text(f"{pid} ({comm}) S {ppid} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 0\n")
    (directory / "status").write_text("Uid:\t1000\t1000\t1000\t1000\n")
    (directory / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in argv))
    (directory / "cgroup").write_text(f"0::{cgroup}\n")


def ask(host: Path, capsys: pytest.CaptureFixture[str], *arguments: str, groups: str = "") -> dict[str, object]:
    config = host / "energyd.yml"
    config.write_text(f"procfs_root: {host}/proc\nsysfs_root: {host}/sys\n{groups}")
    assert whois.main(["--config", str(config), "--json", *arguments]) == 0
    answer: dict[str, object] = json.loads(capsys.readouterr().out)
    return answer


def test_a_process_in_a_container_is_told_with_its_name_group_and_environment(
    host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process(host, 7, "nginx", "nginx", "--password=x", cgroup=f"/system.slice/docker-{HEX}.scope")
    assert ask(host, capsys, "7") == {
        "pid": 7,
        "comm": "nginx",
        "cmdline": "nginx --password=***",
        "cgroup": f"/system.slice/docker-{HEX}.scope",
        "kind": "container",
        "runtime": "docker",
        "id": HEX,
        "name": "web",
        "image": "nginx:1",
        "pod": "",
        "unit": f"docker-{HEX}.scope",
        "user": "alice",
        "group": "web",
        "environment": "unikernel",
    }


def test_a_machine_is_known_by_its_command_line(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process(host, 7, "firecracker", "/usr/bin/firecracker", "--id", "vm-7", cgroup="/system.slice/fc.service")
    answer = ask(host, capsys, "7")
    assert [answer[key] for key in ("kind", "runtime", "id", "name", "group", "environment")] == [
        "vm", "firecracker", "vm-7", "vm-7", "vm-7", "microvm",
    ]  # fmt: skip


def test_a_child_is_in_the_group_that_it_inherits(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process(host, 5, "make", "make")
    process(host, 6, "sh", "sh", ppid=5)
    process(host, 7, "cc1", "cc1", ppid=6)
    answer = ask(host, capsys, "7", groups="groups: [{name: 'build of {user}', environment: ci, comm: make}]\n")
    assert (answer["group"], answer["environment"], answer["kind"]) == ("build of alice", "ci", "host")


def test_a_kernel_thread_of_a_machine_belongs_to_it(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process(host, 5, "kvm", "/usr/bin/kvm", "-name", "web")
    process(host, 7, "vhost-5", ppid=2)
    assert ask(host, capsys, "7")["group"] == "web"


@pytest.mark.parametrize("path", ["/system.slice/cron.service", "{host}/sys/fs/cgroup/system.slice/cron.service"])
def test_a_control_group_is_asked_by_its_path_or_directory(host: Path, capsys: pytest.CaptureFixture[str], path: str) -> None:
    answer = ask(host, capsys, "--cgroup", path.format(host=host))
    assert (answer["kind"], answer["runtime"], answer["id"], answer["group"]) == ("unit", "systemd", "cron.service", "cron.service")


def test_for_people_it_is_one_line_a_fact_without_those_that_are_not_known(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process(host, 7, "bash", "-bash", cgroup="/../elsewhere")
    config = host / "energyd.yml"
    config.write_text(f"procfs_root: {host}/proc\n")
    assert whois.main(["--config", str(config), "7"]) == 0
    said = capsys.readouterr()
    assert "comm         bash\n" in said.out
    assert "image" not in said.out
    assert "ask on the host" in said.err


def test_a_process_that_is_not_there_is_said(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EnvironmentFault, match="no process 7 under"):
        ask(host, capsys, "7")


def test_a_terminal_does_not_obey_what_a_process_calls_itself(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process(host, 7, "a\x1b[2J", "-bash", cgroup="/x\x1b]0;owned\x07")
    config = host / "energyd.yml"
    config.write_text(f"procfs_root: {host}/proc\n")
    assert whois.main(["--config", str(config), "7"]) == 0
    said = capsys.readouterr().out
    assert "comm         a?[2J\n" in said
    assert all(line.isprintable() for line in said.splitlines())


@pytest.mark.parametrize("arguments", [[], ["1", "--cgroup", "/"], ["0"], ["--", "-1"]])
def test_one_of_process_and_control_group_is_asked_for(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        whois.main(arguments)
    assert ended.value.code == 2


@pytest.mark.e2e
def test_it_answers_about_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "energyd", "whois", str(os.getpid()), "--json"], capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout)
    assert answer["pid"] == os.getpid()
    assert answer["group"]
