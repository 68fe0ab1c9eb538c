"""Machines that lack something at the start: space, a disk that can be written, a clock, 64 bits."""

import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from daemon import Daemon, free_port, get, wait_for

from energyd.config import Config, Metrics

pytestmark = pytest.mark.e2e

UNSHARE = ["unshare", "--map-root-user", "--mount"]
CLOCK_IN_1970 = """
import os, time
real_ns, began_ns = time.time_ns, time.time_ns()
def time_ns():
    return real_ns() - (began_ns if os.path.exists({flag!r}) else 0)
time.time_ns = time_ns
time.time = lambda: time_ns() / 1e9
"""
THIRTY_TWO_BITS = "import sys; sys.maxsize = 2**31 - 1"


def can_mount():
    return subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(not can_mount(), reason="this user may not mount a tmpfs in a namespace of its own")


def environment(**more):
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ENERGYD_", "METRICS_", "LINKY_"))}
    return {**clean, **more}


def with_python_that(tmp_path, code):
    """An environment in which every Python runs `code` before anything else."""
    (tmp_path / "sitecustomize.py").write_text(code)
    return environment(PYTHONPATH=str(tmp_path))


def on_tmpfs(directory, options, *command, before=""):
    """The command line that runs `command` where `directory` is a tmpfs of its own with these options."""
    script = f'mount -t tmpfs -o "$1" tmpfs "$2" && {before or "true"} && shift 2 && exec "$@"'
    return [*UNSHARE, "sh", "-c", script, "sh", options, str(directory), *command]


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=environment(), **options)


def config_file(tmp_path, **fields):
    path = tmp_path / "config.json"
    path.write_text(Config(**fields).to_json())
    return str(path)


@pytest.fixture
def run_dir():
    path = Path(tempfile.mkdtemp(prefix="energyd-test-", dir="/dev/shm"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@needs_mounts
def test_a_worker_that_finds_no_space_for_its_ring_says_how_much_it_needs_and_may_be_tried_again(tmp_path):
    place = tmp_path / "run"
    place.mkdir()
    file = config_file(tmp_path, run_dir=str(place), state_dir=str(tmp_path), powercap_root=str(tmp_path))
    done = run(on_tmpfs(place, "size=64k", sys.executable, "-m", "energyd.workers.rapl", file))

    assert done.returncode == 111
    assert re.search(r"the ring needs \d+ bytes, \S+ has \d+ free; enlarge its tmpfs", done.stderr)
    assert "Traceback" not in done.stderr


@needs_mounts
@pytest.mark.parametrize(
    ("options", "before", "reason"),
    [
        ("size=4k,mode=0750", 'head -c 4096 /dev/zero >"$2/full"', r"the rings need \d.*remount,size="),
        ("ro", "", "no place for rings|Read-only file system"),
    ],
)
def test_a_run_directory_that_cannot_be_written_is_one_line_and_nothing_is_started(tmp_path, options, before, reason):
    place = tmp_path / "run"
    place.mkdir()
    flags = ["--set", f"run_dir={place}", "--set", f"state_dir={tmp_path}", "--set", f"metrics.port={free_port()}"]
    command = [sys.executable, "-m", "energyd", "run", *flags]
    done = run(on_tmpfs(place, options, "sh", "-c", 'mount -o bind,ro /dev/shm /dev/shm; exec "$@"', "sh", *command, before=before))

    assert done.returncode == 111, done.stdout + done.stderr
    assert re.search(reason, done.stderr)
    assert done.stderr.count("\n") == 1


@needs_mounts
@pytest.mark.parametrize(
    ("options", "before", "reason"),
    [
        ("size=4k", 'head -c 4096 /dev/zero >"$2/full"', "No space left on device"),
        ("ro", "", "Read-only file system"),
    ],
)
def test_a_state_directory_that_cannot_be_written_keeps_nothing_from_being_measured(tmp_path, run_dir, options, before, reason):
    """The aggregator serves, says at its end what was lost, and ends well."""
    state, port = tmp_path / "state", free_port()
    state.mkdir()
    file = config_file(tmp_path, run_dir=str(run_dir), state_dir=str(state), metrics=Metrics(port=port))
    command = on_tmpfs(state, options, sys.executable, "-m", "energyd.workers.aggregator", file, before=before)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment())
    try:
        wait_for(lambda: b"energyd_build_info" in get(f"http://127.0.0.1:{port}/metrics"), 15, "nothing is served")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=10)
    finally:
        process.kill()

    assert process.returncode == 0
    assert reason in said
    assert "Traceback" not in said


@pytest.mark.parametrize("command", [("run", "--simulate", "meter,rapl"), ("units", "write")])
def test_a_machine_of_32_bits_is_refused_with_the_reason(tmp_path, command):
    place = tmp_path / "place"
    variables = with_python_that(tmp_path, THIRTY_TWO_BITS) | {"ENERGYD_RUN_DIR": str(place), "ENERGYD_STATE_DIR": str(place)}
    command = [sys.executable, "-m", "energyd", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=variables)

    assert done.returncode == 111
    assert "64-bit little-endian CPU and a 64-bit Python" in done.stderr
    assert not place.exists()


class Receiver:
    """Counts what is pushed to it and remembers the time stamps."""

    def __init__(self):
        self.stamps_ms = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                receiver.stamps_ms.append(time.time() * 1000)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/v1/import/prometheus"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exception):
        self.server.shutdown()
        self.server.server_close()


def test_a_start_in_1970_measures_at_once_and_pushes_when_the_clock_is_right(tmp_path, monkeypatch):
    flag = tmp_path / "in-1970"
    flag.touch()
    for name, value in with_python_that(tmp_path, CLOCK_IN_1970.format(flag=str(flag))).items():
        monkeypatch.setenv(name, value)
    with Receiver() as receiver:
        push = json.dumps([{"name": "dummy", "url": receiver.url, "interval": 1}])
        with Daemon(f"metrics.push={push}") as daemon:
            daemon.wait_ready()
            before = daemon.value("energyd_host_energy_joules_total")
            assert daemon.value("energyd_snapshot_timestamp_seconds") < 3600
            time.sleep(3)
            assert daemon.value("energyd_host_energy_joules_total") > before
            assert receiver.stamps_ms == []

            flag.unlink()
            wait_for(lambda: receiver.stamps_ms, 10, "nothing is pushed")
            assert daemon.value("energyd_snapshot_timestamp_seconds") > 1_700_000_000
            assert daemon.value("energyd_host_energy_joules_total") > before
