"""The image without an engine: the Dockerfile's own instructions in a bootstrapped Debian, then its command as its user."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "packaging"))
from dockerfile import DOCKERFILE, stages

pytestmark = pytest.mark.system

STAGES = stages(DOCKERFILE.read_text())
SUITE = "trixie"  # debian:13-slim
NSPAWN = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--as-pid2", "--console=pipe", "--machine=energyd-image"]


def settings(word):
    """The instructions of the last stage."""
    return [instruction.text for instruction in STAGES[-1] if instruction.word == word]


def copy_tree(target):
    """COPY . TARGET, of the files that git tracks."""
    target.mkdir(parents=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=machine.ROOT, capture_output=True, check=True).stdout
    archive = ["tar", "--create", "--null", "--verbatim-files-from", "--files-from=-", "--ignore-failed-read"]
    packed = subprocess.run(archive, cwd=machine.ROOT, input=listed, capture_output=True, check=True).stdout
    subprocess.run(["tar", "--extract", "--directory", target], input=packed, check=True)


def build_stage(stage, root, others):
    """Do what the instructions say that change files."""
    for instruction in stage:
        if instruction.word == "RUN":
            command = [*NSPAWN, "--directory", root, "--resolv-conf=replace-host", "sh", "-c", instruction.text]
            done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=900)
            assert done.returncode == 0, f"{instruction.text}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        elif instruction.word == "COPY":
            *options, source, target = instruction.text.split()
            if options:
                shutil.copytree(others[options[0].removeprefix("--from=")] / source.strip("/"), root / target.strip("/"))
            else:
                copy_tree(root / target.strip("/"))


@pytest.fixture(scope="module")
def image():
    """The root directory of the last stage."""
    home = Path(tempfile.mkdtemp(prefix="energyd-image-"))
    try:
        built = {}
        machine.bootstrap(SUITE, home / "base", ["ca-certificates"])
        for stage in STAGES:
            name = (re.search(r"AS (\w+)", stage[0].text) or [None, "final"])[1]
            subprocess.run(["cp", "--archive", "--reflink=auto", home / "base", home / name], check=True)
            build_stage(stage, home / name, built)
            built[name] = home / name
        yield built["final"]
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def container(image):
    """The command of the image with simulated devices: read-only root, no network, no capability. The pid of its first process."""
    state = Path(tempfile.mkdtemp(prefix="energyd-state-"))
    os.chown(state, 9836, 9836)
    (entrypoint,), (user,) = settings("ENTRYPOINT"), settings("USER")
    variables = [f"--setenv={pair}" for text in settings("ENV") for pair in text.split()]
    command = [*NSPAWN, "--directory", image, "--read-only", "--tmpfs=/run/energyd:mode=1777", f"--bind={state}:/var/lib/energyd"]
    command += ["--private-network", "--no-new-privileges=yes", "--drop-capability=all", f"--user={user}", *variables]
    with open(state.with_suffix(".log"), "wb") as log:
        process = subprocess.Popen(
            [*command, *json.loads(entrypoint), "run", "--simulate", "meter,rapl"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    leader = 0
    try:
        deadline = time.monotonic() + 20
        while not leader and time.monotonic() < deadline and process.poll() is None:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            leader = int(children[0]) if children else 0
            time.sleep(0.1)
        assert leader, state.with_suffix(".log").read_text()
        yield leader
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if leader:
            with contextlib.suppress(ProcessLookupError):
                os.kill(leader, signal.SIGKILL)
        process.kill()
        process.wait()
        shutil.rmtree(state, ignore_errors=True)
        state.with_suffix(".log").unlink(missing_ok=True)


def inside(leader, *command):
    """What `docker exec` does."""
    (user,) = settings("USER")
    enter = ["nsenter", "-t", str(leader), "-S", user, "-G", user, "-m", "-u", "-i", "-n", "-p", "-r", "-w"]
    enter += ["env", "-i", f"PATH={machine.PATH}"]
    variables = [pair for text in settings("ENV") for pair in text.split()]
    return subprocess.run([*enter, *variables, *command], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_the_health_check_of_the_image_succeeds_within_its_start_period(container):
    (check,) = settings("HEALTHCHECK")
    period_s = int(re.search(r"--start-period=(\d+)s", check).group(1))
    deadline = time.monotonic() + period_s
    while (done := inside(container, *json.loads(check.partition("CMD ")[2]))).returncode:
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.2)


def test_everything_is_fresh_and_no_process_is_root(container):
    deadline = time.monotonic() + 10
    while (done := inside(container, "energyd", "status")).returncode:
        assert time.monotonic() < deadline, done.stdout + done.stderr
        time.sleep(0.5)
    users = inside(container, "sh", "-c", "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; stat -c ' %u' $p; done").stdout
    workers = [line for line in users.splitlines() if "energyd.workers" in line]
    assert len(workers) == 4
    assert {line.split()[-1] for line in workers} == {"9836"}


def test_the_root_file_system_cannot_be_written(container):
    assert inside(container, "touch", "/usr/x").returncode != 0
    assert inside(container, "sh", "-c", "ls /run/energyd/rings/rapl.ring").returncode == 0
