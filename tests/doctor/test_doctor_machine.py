"""Each check of the machine, with that thing whole and with that thing broken."""

import grp
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from energyd.config import Config, Energy, Meter, Metrics
from energyd.doctor import machine, meters

FIXTURE_ZONE = {"name": "package-0\n", "energy_uj": "123456\n", "max_energy_range_uj": "262143328850\n"}


def verdicts(checks):
    return [(check.verdict, check.reason, check.mend) for check in checks]


def tree(tmp_path, **zone):
    directory = tmp_path / "class/powercap/intel-rapl:0"
    directory.mkdir(parents=True)
    for name, text in (FIXTURE_ZONE | zone).items():
        (directory / name).write_text(text)
    return Config(sysfs_root=str(tmp_path), powercap_root=str(tmp_path / "class/powercap"), meters=())


def test_a_64_bit_machine_is_supported_and_a_32_bit_one_is_refused_with_the_reason(monkeypatch):
    assert machine.architecture().verdict == "ok"
    monkeypatch.setattr(struct, "calcsize", lambda _format: 4)
    monkeypatch.setattr(sys, "maxsize", 2**31 - 1)
    broken = machine.architecture()
    assert (broken.verdict, broken.mend) == ("failure", "install energyd on such a system")
    assert "64" in broken.reason


def test_counters_that_can_be_read_are_named(tmp_path):
    [check] = machine.power(tree(tmp_path))
    assert (check.verdict, "package-0" in check.reason) == ("ok", True)


def test_without_any_counter_it_says_why_and_what_to_do(tmp_path):
    [check] = machine.power(Config(sysfs_root=str(tmp_path), powercap_root=str(tmp_path / "class/powercap")))
    assert check.verdict == "failure"
    assert check.mend


def test_a_household_with_a_meter_may_do_without_counters(tmp_path):
    config = Config(powercap_root=str(tmp_path), sysfs_root=str(tmp_path), meters=(Meter("house", "/dev/null"),))
    assert [check.verdict for check in machine.power(config)] == ["warning"]


def test_a_counter_that_may_not_be_read_comes_with_its_command():
    """Root may read everything, and so becomes somebody else to look."""
    code = (
        "import os, sys; from pathlib import Path; from energyd.config import Config; from energyd.doctor import machine\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "[check] = machine.power(Config(sysfs_root=sys.argv[1], powercap_root=sys.argv[1] + '/class/powercap'))\n"
        "print(check.verdict, check.reason, check.mend, sep='\\n')"
    )
    with tempfile.TemporaryDirectory() as root:
        tree(Path(root))
        os.chmod(root, 0o755)
        counter = Path(root, "class/powercap/intel-rapl:0/energy_uj")
        counter.chmod(0)
        told = subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True, check=True).stdout
    verdict, reason, mend = told.splitlines()
    assert (verdict, f"{counter} may not be read (EACCES)" in reason) == ("failure", True)
    assert "`sudo ch" in mend


def test_a_simulation_is_never_called_well(tmp_path):
    [check] = machine.power(tree(tmp_path)._replace(simulated=("rapl",)))
    assert check.verdict == "warning"


def test_another_pid_namespace_is_told(tmp_path):
    assert machine.processes(Config()).verdict == "ok"
    assert machine.processes(Config(procfs_root=str(tmp_path))).verdict == "warning"


class Clock1970:
    def real_ns(self):
        return 3600 * 10**9

    def mono_ns(self):
        return 0

    def sleep_until_ns(self, mono_ns):
        raise AssertionError


def test_a_machine_that_woke_up_in_1970_is_noticed():
    assert machine.clock().verdict == "ok"
    assert machine.clock(Clock1970()).verdict == "failure"


def directories(tmp_path, run_dir=None):
    return Config(state_dir=str(tmp_path / "state"), run_dir=run_dir or str(tmp_path / "run"))


def test_directories_with_room_are_well(tmp_path):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as run_dir:
        assert {check.verdict for check in machine.directories(directories(tmp_path, run_dir))} == {"ok"}


def test_a_full_disk_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "LOW_DISK_BYTES", 1 << 62)
    [state, *_] = machine.directories(directories(tmp_path))
    assert (state.verdict, "state_dir" in state.mend) == ("failure", True)


def test_a_directory_that_may_not_be_written_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    [state, *_] = machine.directories(directories(tmp_path))
    assert (state.verdict, "install -d" in state.mend) == ("failure", True)


def test_rings_on_a_disk_are_warned_about(tmp_path):
    if os.stat(tmp_path).st_dev == os.stat("/dev/shm").st_dev:
        pytest.skip("the temporary directory is a tmpfs itself")
    (tmp_path / "run").mkdir()
    assert [check.verdict for check in machine.directories(directories(tmp_path))][-1] == "warning"


def on_port(number, **more):
    return Config(metrics=Metrics(port=number, **more))


def test_a_free_port_is_free_and_a_held_one_names_its_holder():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        number = listener.getsockname()[1]
        assert machine.port(on_port(number), None).verdict == "ok"
        listener.listen()
        held, ours = machine.port(on_port(number), None), machine.port(on_port(number), os.getpid())
    assert (held.verdict, f"`sudo kill {os.getpid()}`" in held.mend) == ("failure", True)
    assert f"process {os.getpid()}" in held.reason
    assert ours.verdict == "ok"


def test_a_holder_that_has_just_ended_or_has_no_command_line_is_told_by_its_number(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text("head\n 0: 0100007F:2670 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711\n")
    (tmp_path / "12/fd").mkdir(parents=True)
    (tmp_path / "12/fd/3").symlink_to("socket:[4711]")
    assert machine.holder_of(0x2670, str(tmp_path)) == (12, "")
    (tmp_path / "12/cmdline").write_bytes(b"")
    assert machine.holder_of(0x2670, str(tmp_path)) == (12, "")
    assert machine.holder_of(0x2671, str(tmp_path)) is None


@pytest.mark.parametrize(
    ("listen", "verdict"), [("127.0.0.1", "ok"), ("::1", "ok"), ("0.0.0.0", "warning"), ("no.such.host.invalid", "failure")]
)
def test_who_can_reach_us_is_said(listen, verdict):
    assert machine.address(on_port(1, listen=listen)).verdict == verdict


def meter(device, **more):
    return Config(meters=(Meter("house", device, **more),))


def test_no_meter_at_all_and_a_simulated_one_are_warned_about():
    assert [check.verdict for check in meters.meters(Config())] == ["warning"]
    assert [check.verdict for check in meters.meters(meter("/dev/null", simulated=True))] == ["warning"]


def test_a_device_that_is_not_there_names_those_that_are():
    [check] = meters.meters(meter("/dev/no-such-adapter"))
    assert (check.verdict, "serial adapters here" in check.mend) == ("failure", True)


def test_a_plain_file_is_no_serial_device(tmp_path):
    (tmp_path / "capture").write_bytes(b"")
    [check] = meters.meters(meter(str(tmp_path / "capture")))
    assert (check.verdict, "file:" in check.mend) == ("failure", True)


def as_nobody(code, *arguments):
    """What `code` prints of what it is asked by a user without rights; root becomes one when all is imported."""
    begin = (
        "import os, sys; from energyd.config import Config, Meter; from energyd.doctor import machine, meters\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    )
    return subprocess.run([sys.executable, "-c", begin + code, *arguments], capture_output=True, text=True, check=True).stdout


def test_what_lies_below_a_directory_that_is_closed_or_is_none_is_a_failure(tmp_path):
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)
        closed = Path(root, "closed")
        (closed / "in").mkdir(parents=True)
        closed.chmod(0)
        state = as_nobody("print(*machine.directories(Config(state_dir=sys.argv[1], run_dir='/')), sep='\\n')", f"{closed}/in/a")
        device = as_nobody("print(*meters.meters(Config(meters=(Meter('house', sys.argv[1]),))))", f"{closed}/in/tty")
        closed.chmod(0o700)
    [none] = meters.meters(meter("/dev/null/tty"))

    assert f"failure', reason='{closed} may not be written by uid" in state.splitlines()[0]
    assert ("failure" in device, f"{closed}/in/tty: Permission denied" in device, "namei -l" in device) == (True, True, True)
    assert (none.verdict, none.reason) == ("failure", "/dev/null/tty: Not a directory")


def test_a_device_of_another_group_names_the_group(monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(meters, "_user_name", lambda _uid: "alice")
    group = grp.getgrgid(os.stat("/dev/ptmx").st_gid).gr_name
    monkeypatch.setattr(os, "getgroups", list)
    [check] = meters.meters(meter("/dev/ptmx"))
    assert (check.verdict, f"sudo adduser alice {group}" in check.mend) == ("failure", group != "root")


def test_a_device_that_its_group_may_not_open_is_given_to_dialout(monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "getgroups", lambda: [os.stat("/dev/ptmx").st_gid])
    [check] = meters.meters(meter("/dev/ptmx"))
    assert "sudo chgrp dialout /dev/ptmx && sudo chmod g+rw /dev/ptmx" in check.mend


@pytest.fixture
def pty():
    master, slave = os.openpty()
    try:
        yield master, os.ttyname(slave), slave
    finally:
        os.close(master)


def test_a_silent_line_and_a_noisy_one_are_told_apart(pty):
    master, device, slave = pty
    os.close(slave)
    [silent] = meters.meters(meter(device), listen_s=0.2)
    over = threading.Event()

    def babble():
        while not over.wait(0.05):
            os.write(master, b"this is no meter\r\n")

    babbler = threading.Thread(target=babble)
    babbler.start()
    try:
        [noisy] = meters.meters(meter(device), listen_s=1.0)
    finally:
        over.set()
        babbler.join()
    assert (silent.verdict, "not a byte" in silent.reason) == ("failure", True)
    assert (noisy.verdict, "no meter among them" in noisy.reason) == ("failure", True)


def test_a_device_in_use_names_who_uses_it(pty):
    _, device, slave = pty
    holder = subprocess.Popen(["sleep", "30"], stdin=slave)
    os.close(slave)
    try:
        time.sleep(0.1)
        [check] = meters.meters(meter(device), listen_s=0.2)
    finally:
        holder.kill()
        holder.wait()
    assert (check.verdict, f"process {holder.pid}" in check.reason) == ("failure", True)


def test_a_meter_that_speaks_is_understood(tmp_path):
    link = tmp_path / "tty"
    program = [sys.executable, "-m", "energyd", "simulate", "meter", "--link", str(link), "--baud", "9600"]
    simulator = subprocess.Popen(program, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not link.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        [check] = meters.meters(meter(str(link)), listen_s=10)
    finally:
        simulator.terminate()
        simulator.wait(5)
    assert check.verdict == "ok"
    assert "good groups" in check.reason


def test_energy_sources_are_those_of_the_configuration(tmp_path):
    config = tree(tmp_path)._replace(energy=Energy(sources=("battery",)))
    assert [check.verdict for check in machine.power(config)] == ["failure"]


def test_a_read_only_disk_is_named_with_the_place_to_mount_anew(tmp_path, monkeypatch):
    class ReadOnly:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "statvfs", lambda _: ReadOnly)
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) == str(tmp_path.parent))
    [state, *_] = machine.directories(directories(tmp_path))
    assert (state.verdict, "read-only" in state.reason) == ("failure", True)
    assert f"`sudo mount -o remount,rw {tmp_path.parent}`" in state.mend


def test_nobody_is_told_to_take_another_users_directory_away(tmp_path, monkeypatch):
    """The daemon may be using it: to give it to who asks would stop the daemon."""
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)
    [state, *_] = machine.directories(directories(tmp_path))
    assert (state.verdict, "install" in state.mend, "chown" in state.mend) == ("failure", False, False)
    assert f"sudo -u '#{os.getuid()}' energyd doctor" in state.mend
