"""`energyd run` and its processes: killed, hung, misconfigured, reloaded, stopped; with the real supervisord."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from daemon import PROGRAMS, Daemon, free_port, get, wait_for

from energyd.privileges import NUMBERS, OWN_STATUS, permitted

pytestmark = pytest.mark.e2e


class Supervised(Daemon):
    """A daemon with a configuration file, so that it can be reloaded."""

    def __init__(self, *settings):
        super().__init__(*settings)
        self.file = self.home / "energyd.yml"
        self.configure()
        self.arguments += ["--config", str(self.file)]

    def configure(self, text="usage: {rate_hz: 2}\n"):
        self.file.write_text(text)

    def energyd(self, *arguments):
        """Another energyd command for the same run directory."""
        command = [sys.executable, "-m", "energyd", *arguments, "--set", f"run_dir={self.run_dir}"]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    def programs(self):
        return json.loads((self.run_dir / "workers.json").read_text())["programs"]

    def pids(self):
        return {name: program["pid"] for name, program in self.programs().items()}

    def wait_fresh(self):
        wait_for(lambda: self.energyd("status").returncode == 0, 20, self.energyd("status").stdout)

    def said(self):
        return self.log.read_text(errors="replace")


def state(pid):
    """As proc(5) has it: R, S, T, Z and so on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def alive(pid):
    """A zombie is not: it only waits for its parent to look."""
    try:
        return state(pid) != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def running():
    with Supervised() as daemon:
        daemon.wait_ready()
        daemon.wait_fresh()
        yield daemon


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_killed_program_is_back_within_five_seconds_and_nothing_else_is_disturbed(running, program):
    before = running.pids()
    killed_s = time.monotonic()
    os.kill(running.pid_of(program), signal.SIGKILL)
    wait_for(lambda: running.pids()[program] not in (0, before[program]), 5, f"{program} is not back")

    wait_for(lambda: running.energyd("status").returncode == 0, 5 - (time.monotonic() - killed_s), f"{program} does not work again")
    after = running.pids()
    assert {name for name in after if after[name] != before[name]} == {program}
    assert running.programs()[program]["last_exit"] == "killed by a signal"


def test_status_tells_every_process_with_its_ring(running):
    done = running.energyd("status", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)["processes"]}

    assert done.returncode == 0
    assert set(rows) == set(PROGRAMS)
    for name in ("tic-house", "rapl", "usage"):
        assert rows[name]["heartbeat_age_s"] < 5
        assert rows[name]["samples_per_s"] > 1
        assert rows[name]["overruns"] == 0


def test_metrics_tell_the_state_and_the_restarts_of_every_process(running):
    """Each has been killed once by the tests above."""
    series = running.metrics()
    for name, program in running.programs().items():
        assert series[f'energyd_worker_up{{worker="{name}"}}'] == 1
        assert series[f'energyd_worker_state{{worker="{name}",state="running"}}'] == 1
        assert series[f'energyd_worker_restarts_total{{worker="{name}"}}'] == program["restarts"] >= 1


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root has rights to drop")
def test_each_process_has_only_the_capabilities_that_it_needs(running):
    kept = {
        "tic-house": (),
        "rapl": ("perfmon",),
        "usage": ("net_admin", "sys_ptrace"),
        "aggregator": ("dac_override", "net_bind_service"),
        "sim-meter-house": ("dac_override",),
        "sim-rapl": ("dac_override",),
    }
    held = permitted(OWN_STATUS.read_text())
    for name, pid in running.pids().items():
        wanted = sum(1 << NUMBERS[capability] for capability in kept[name]) & held
        for task in Path(f"/proc/{pid}/task").iterdir():
            status = dict(line.split(":\t") for line in (task / "status").read_text().splitlines())
            sets = {int(status[which], 16) for which in ("CapEff", "CapPrm", "CapBnd")}
            assert sets == {wanted}, name
            assert status["NoNewPrivs"] == "1"


def test_supervisorctl_works_with_it(running):
    ctl = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(running.run_dir / "supervisord.conf")]
    before = running.pids()
    done = subprocess.run([*ctl, "restart", "usage"], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "usage: stopped\nusage: started\n"
    listed = subprocess.run([*ctl, "status"], capture_output=True, text=True, check=True, timeout=30).stdout
    assert {line.split()[0]: line.split()[1] for line in listed.splitlines()} == dict.fromkeys(PROGRAMS, "RUNNING")
    assert {name for name, pid in running.pids().items() if pid != before[name]} == {"usage"}
    running.wait_fresh()


@pytest.mark.parametrize(("ring", "field"), [("rapl", "energy_uj"), ("usage", "cpu_ns"), ("tic-house", "value")])
def test_dump_shows_what_is_in_a_ring_that_is_being_written(running, ring, field):
    samples = [json.loads(line) for line in running.energyd("dump", ring, "--json", "--last", "200").stdout.splitlines()]

    assert any(field in sample for sample in samples)


def test_what_hangs_is_killed_and_comes_back_a_reader_within_fifteen_seconds_the_aggregator_within_forty(running):
    """Both are stopped together, to wait only once."""
    before = running.pids()
    for program in ("usage", "aggregator"):
        os.kill(before[program], signal.SIGSTOP)
    stopped_s = time.monotonic()
    wait_for(lambda: running.pids()["usage"] not in (0, before["usage"]), 15, "usage still hangs")
    wait_for(
        lambda: "usage: " not in running.energyd("status").stdout, 15 - (time.monotonic() - stopped_s), "usage does not work again"
    )
    assert running.pids()["aggregator"] == before["aggregator"]
    wait_for(lambda: running.pids()["aggregator"] not in (0, before["aggregator"]), 40, "the aggregator still hangs")
    wait_for(lambda: running.energyd("status").returncode == 0, 40 - (time.monotonic() - stopped_s), "it does not work again")

    assert {name: program["hung"] for name, program in running.programs().items() if program["hung"]} == {
        "usage": 1,
        "aggregator": 1,
    }
    assert re.search(r"usage \(pid \d+\) has not given a sign of life for 1\d s", running.said())
    assert re.search(r"aggregator \(pid \d+\) has not given a sign of life for 3\d s", running.said())


def test_a_second_run_in_the_same_directory_is_refused(running):
    done = running.energyd("run", "--set", f"metrics.port={free_port()}")

    assert done.returncode == 111
    assert re.fullmatch(r"energyd: \S+ is in use by another energyd; .*--set run_dir=DIR\n", done.stderr)


def test_reload_restarts_what_changed_and_leaves_the_rest(running):
    before = running.pids()
    running.configure("usage: {rate_hz: 4}\n")
    done = running.energyd("reload")

    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["aggregator restarted", "usage restarted"]
    running.wait_fresh()
    after = running.pids()
    assert {name for name in after if after[name] != before[name]} == {"aggregator", "usage"}


def test_reload_of_a_broken_configuration_changes_nothing(running):
    before = running.pids()
    running.configure("usage: {rate_hz: fast}\n")
    done = running.energyd("reload")

    assert done.returncode == 100
    assert "energyd.yml:1" in done.stderr
    assert running.pids() == before


def test_reload_adds_and_removes_meters(running):
    running.configure("usage: {rate_hz: 4}\nmeters: [{name: house, device: /dev/null}, {name: garage, device: /dev/zero}]\n")
    done = running.energyd("reload")
    assert "tic-garage added" in done.stdout.splitlines(), done.stdout + done.stderr
    wait_for((running.run_dir / "tic-garage.ring").exists, 5, "no ring of the new meter")

    running.configure("usage: {rate_hz: 4}\n")
    assert "tic-garage removed" in running.energyd("reload").stdout
    assert "tic-garage" not in running.programs()
    running.wait_fresh()


def test_exit_code_100_stays_down_says_why_and_starts_again_after_a_reload(running):
    """The worker's own configuration is made wrong under it, which `energyd run` and reload never do."""
    file = running.run_dir / "config.json"
    good = file.read_text()
    broken = json.loads(good)
    broken["meters"][0]["name"] = "elsewhere"
    file.write_text(json.dumps(broken))
    os.kill(running.pid_of("tic-house"), signal.SIGKILL)
    wait_for(lambda: running.programs()["tic-house"]["state"] == "EXITED", 5, "it is not down")
    file.write_text(good)
    time.sleep(3)

    program = running.programs()["tic-house"]
    assert (program["state"], program["pid"], program["last_exit"]) == ("EXITED", 0, "exit code 100")
    done = running.energyd("status")
    assert done.returncode == 1
    assert "tic-house: ended with exit code 100" in done.stdout
    assert "has no meter named 'house'" in done.stdout
    assert "tic-house ended with exit code 100: its configuration is wrong" in running.said()

    assert running.energyd("reload").stdout == "tic-house started again\n"
    running.wait_fresh()


STOP_S = 6  # twice what is promised, because this machine may be busy with others


def gone_within(daemon, seconds, stop):
    """How long it took until the supervisor and everything that it started was gone."""
    pids = [*daemon.pids().values(), daemon.process.pid]
    begin_s = time.monotonic()
    stop()
    with contextlib.suppress(subprocess.TimeoutExpired):
        daemon.process.wait(seconds)
    while any(alive(pid) for pid in pids) and time.monotonic() - begin_s < seconds:
        time.sleep(0.01)
    elapsed_s = time.monotonic() - begin_s
    assert [pid for pid in pids if alive(pid)] == [], f"still there after {elapsed_s:.1f} s"
    return elapsed_s


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_soon_and_leaves_only_the_state(number):
    with Supervised() as daemon:
        daemon.wait_ready()
        gone_within(daemon, STOP_S, lambda: daemon.process.send_signal(number))

        assert daemon.process.returncode == 0
        assert not daemon.run_dir.exists()
        assert (daemon.state_dir / "simulated" / "totals.state").exists()
        assert not re.search("Traceback|WARNING|ERROR", daemon.said().partition("Ctrl-C")[2])


class InTerminal(Supervised):
    """Started in a terminal window of its own; `close_window` closes that."""

    def start(self):
        self.log.touch()
        master, slave = os.openpty()
        self.process = subprocess.Popen(["setsid", "--ctty", *self.arguments], stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.close_window = lambda: os.close(master)


def test_closing_the_terminal_ends_everything():
    """It sends SIGHUP, on which supervisord by itself would start everything again, out of sight."""
    with InTerminal() as daemon:
        daemon.wait_ready()
        gone_within(daemon, STOP_S, daemon.close_window)

        assert not daemon.run_dir.exists()


def test_the_end_does_not_wait_for_a_process_that_hangs():
    with Supervised() as daemon:
        daemon.wait_ready()
        for program in ("aggregator", "usage"):
            os.kill(daemon.pid_of(program), signal.SIGSTOP)
        gone_within(daemon, STOP_S, lambda: daemon.process.send_signal(signal.SIGINT))

        assert not daemon.run_dir.exists()


def test_no_process_outlives_a_killed_supervisor_not_even_a_stopped_one_and_the_next_run_goes_on():
    with Supervised() as daemon:
        daemon.wait_ready()
        for program in ("rapl", "aggregator"):
            pid = daemon.pid_of(program)
            os.kill(pid, signal.SIGSTOP)
            wait_for(lambda stopped=pid: state(stopped) == "T", 5, f"{program} does not stop")
        gone_within(daemon, 2 * STOP_S, daemon.process.kill)
        rings = {name: (daemon.run_dir / name).stat().st_ino for name in ("rapl.ring", "tic-house.ring")}

        daemon.start()
        daemon.wait_ready()  # the ring of usage may be another: as large as the processes are many
        assert {name: (daemon.run_dir / name).stat().st_ino for name in rings} == rings


def test_a_start_after_a_stop_counts_what_was_used_and_no_more():
    """The counters and the registers of what is simulated go on too: a fall within a boot would be taken for a wrap."""
    with Supervised() as daemon:
        daemon.wait_ready()
        gone_within(daemon, STOP_S, lambda: daemon.process.send_signal(signal.SIGINT))

        daemon.start()
        daemon.wait_ready()
        counted_j = daemon.value("energyd_zone_energy_joules_total", zone="package-0")
        used_j = daemon.truths("sim-rapl*")[-1]["energy_uj"]["package-0"] / 1e6
        assert 0.5 * used_j < counted_j < used_j
        assert daemon.value("energyd_zone_resets_total") == 0


def test_a_port_in_use_is_one_line_and_nothing_is_left():
    daemon = Supervised()
    try:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", daemon.port))
            taken.listen()
            done = subprocess.run(daemon.arguments, capture_output=True, text=True, check=False, timeout=30)
        run_dir_is_left = daemon.run_dir.exists()
    finally:
        shutil.rmtree(daemon.home)

    assert done.returncode == 111
    assert done.stdout == ""
    assert done.stderr.startswith(f"energyd: cannot listen on 127.0.0.1:{daemon.port}: Address already in use;")
    assert done.stderr.count("\n") == 1
    assert not run_dir_is_left


@pytest.fixture
def tiny_tmpfs(tmp_path):
    """1 MiB: room for the ring of a meter, not for all of them."""
    place = tmp_path / "tiny"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0750", "tmpfs", str(place)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_tmpfs_at_the_start_is_one_line_with_the_mend(tiny_tmpfs, tmp_path):
    flags = [f"run_dir={tiny_tmpfs}", f"state_dir={tmp_path}/state", f"metrics.port={free_port()}"]
    command = [
        sys.executable,
        "-m",
        "energyd",
        "run",
        "--simulate",
        "meter,rapl",
        *(part for flag in flags for part in ("--set", flag)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    assert done.returncode == 111
    assert re.fullmatch(
        r"energyd: \S+: the rings need \S+ MiB \(.*\), 1.0 are free; `sudo mount -o remount,size=\d+m \S+tiny`, .*\n", done.stderr
    )
    assert list(tiny_tmpfs.iterdir()) == []


@pytest.fixture
def place():
    """A directory in memory, as rings want it."""
    path = Path(tempfile.mkdtemp(prefix="energyd-e2e-", dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


def status(ctl):
    return subprocess.run([*ctl, "status"], capture_output=True, text=True, check=False, timeout=30).stdout


def test_the_program_file_runs_it_under_a_supervisord_of_the_system(place):
    """The file as it is installed, but for places and user that a test may have."""
    port = free_port()
    text = (Path(__file__).parents[2] / "conf/supervisord/program.conf").read_text()
    for installed, here in {
        "/usr/bin/energyd run": f"{sys.executable} -m energyd run --simulate meter,rapl",
        "user = energyd\n": "",
        "/run/energyd": f"{place}/run",
        "/var/lib/energyd": f"{place}/state",
        "/var/log/supervisor": str(place),
        "environment = ": f'environment = PYTHONPATH="{Path(__file__).parents[2]}",ENERGYD_METRICS_PORT="{port}",',
    }.items():
        assert installed in text
        text = text.replace(installed, here)
    head = (
        f"[supervisord]\nnodaemon = true\nlogfile = {place}/system.log\npidfile = {place}/system.pid\n"
        f"[unix_http_server]\nfile = {place}/system.sock\n[supervisorctl]\nserverurl = unix://{place}/system.sock\n"
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
    )
    (place / "system.conf").write_text(head + text)
    arguments = ["-c", str(place / "system.conf")]
    ctl = [sys.executable, "-m", "supervisor.supervisorctl", *arguments]
    system = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: get(f"http://127.0.0.1:{port}/-/ready"), 30, "it does not become ready")
        programs = json.loads((place / "run/workers.json").read_text())["programs"]
        assert set(programs) == set(PROGRAMS)
        began_s = time.monotonic()
        subprocess.run([*ctl, "stop", "energyd"], check=True, capture_output=True, timeout=30)
        assert time.monotonic() - began_s < STOP_S
        assert [name for name, program in programs.items() if alive(program["pid"])] == []
        assert not (place / "run").exists()
        assert "SIGKILL" not in (place / "system.log").read_text()

        text = text.replace(f'METRICS_PORT="{port}"', 'METRICS_PORT="none"')
        (place / "system.conf").write_text(head + text)
        subprocess.run([*ctl, "update"], check=True, capture_output=True, timeout=30)
        wait_for(lambda: "EXITED" in status(ctl), 10, "it is not down")
        time.sleep(2)
        assert "EXITED" in status(ctl), "a wrong configuration is not tried again"
        assert (place / "energyd.log").read_text().count("ENERGYD_METRICS_PORT") == 1
    finally:
        system.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            system.wait(10)
        system.kill()
        system.wait()
