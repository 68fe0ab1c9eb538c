"""A composition of containers whose engine, compose or ports are not as they must be. No engine can be had here: its client's words
and exit statuses are those of docker 28.2 and of its plugin compose 2.26."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from energyd.doctor import command
from energyd.doctor.compose import compose, published

COMPOSE = Path(__file__).parents[2] / "conf/compose/compose.yml"
NO_ENGINE = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
NOT_ALLOWED = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Makes a `docker` that answers to `version` and `compose version`; None: that it refuses them."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def make(version, generation, words=""):
        program = tmp_path / "docker"
        answers = {"version": version, "compose": generation}
        cases = "\n".join(
            f"  {name}) " + (f"echo '{words}' >&2; exit 1;;" if text is None else f"echo {text};;")
            for name, text in answers.items()
        )
        program.write_text(f"#!/bin/sh\ncase $1 in\n{cases}\nesac\n")
        program.chmod(0o755)

    return make


@pytest.fixture
def file(tmp_path):
    """A composition of one port, and that port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    path = tmp_path / "compose.yml"
    path.write_text(f"services: {{grafana: {{ports: ['127.0.0.1:{number}:3000']}}}}")
    return path, number


def looked_at(path):
    return list(compose(str(path), "/proc"))


def test_an_engine_that_answers_and_ports_that_are_free_are_well(docker, file):
    docker("28.2.2", "2.26.1")
    path, _ = file

    assert [(check.verdict, check.reason) for check in looked_at(path)] == [
        ("ok", "version 28.2.2"),
        ("ok", "version 2.26.1"),
        ("ok", "free for grafana"),
    ]


def test_without_docker_it_is_to_be_installed(docker, file):
    [missing, _port] = looked_at(file[0])
    assert (missing.verdict, "`sudo apt install docker.io`" in missing.mend) == ("failure", True)


@pytest.mark.parametrize(
    ("words", "mend"),
    [(NO_ENGINE, "`sudo systemctl start docker`"), (NOT_ALLOWED, "`sudo adduser $USER docker`, then log in anew")],
)
def test_an_engine_that_does_not_answer_is_started_or_its_user_let_in(docker, file, words, mend):
    docker(None, "2.26.1", words)
    assert looked_at(file[0])[0] == ("docker", "failure", f"its engine does not answer: {words}", mend)


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs docker's client")
def test_the_real_client_without_an_engine_says_so(file, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nobody/there.sock")
    engine = looked_at(file[0])[0]
    assert (engine.verdict, "unix:///nobody/there.sock" in engine.reason) == ("failure", True)


def test_the_first_generation_of_compose_is_not_enough(docker, file):
    docker("28.2.2", None, "docker: unknown command: docker compose")
    generation = looked_at(file[0])[1]
    assert (generation.verdict, "`sudo apt install docker-compose`" in generation.mend) == ("failure", True)


@pytest.mark.parametrize(("name", "verdict"), [("/usr/bin/docker-proxy", "ok"), ("/usr/sbin/nginx", "failure")])
def test_a_port_is_held_by_the_engine_or_by_somebody_else(docker, file, name, verdict):
    docker("28.2.2", "2.26.1")
    path, number = file
    code = f"import socket, time; s = socket.create_server(('127.0.0.1', {number})); print('up', flush=True); time.sleep(60)"
    python = {"executable": os.path.realpath(sys.executable), "env": {"PYTHONHOME": sys.base_prefix}}
    holder = subprocess.Popen([name, "-c", code], **python, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "up\n"
        port = looked_at(path)[2]
    finally:
        holder.kill()
        holder.communicate()
    assert (port.subject, port.verdict, f"process {holder.pid}" in port.reason) == (f"port {number}", verdict, True)
    assert (f"`sudo kill {holder.pid}`, or publish another port in {path}" == port.mend) == (verdict == "failure")


def test_a_port_whose_holder_only_root_may_know_is_asked_for_by_root(docker, file, monkeypatch):
    docker("28.2.2", "2.26.1")
    monkeypatch.setattr("energyd.doctor.compose.holder_of", lambda _number, _procfs_root: (0, ""))
    port = looked_at(file[0])[2]
    assert (port.verdict, port.mend) == ("warning", f"`sudo energyd doctor --compose {file[0]}`")


def test_a_port_whose_holder_has_no_command_line_is_held_all_the_same(docker, file, monkeypatch):
    docker("28.2.2", "2.26.1")
    monkeypatch.setattr("energyd.doctor.compose.holder_of", lambda _number, _procfs_root: (12, ""))
    port = looked_at(file[0])[2]
    assert (port.verdict, "held by process 12" in port.reason) == ("failure", True)


@pytest.mark.parametrize("text", [None, "[", "- a", "services: 5"])
def test_a_file_that_is_no_composition_is_a_failure(docker, tmp_path, text):
    docker("28.2.2", "2.26.1")
    path = tmp_path / "other.yml"
    if text is not None:
        path.write_text(text)
    wrong = looked_at(path)[2]
    assert (wrong.subject, wrong.verdict) == ("compose file", "failure")


def test_every_form_of_a_published_port_is_read():
    ports = ["3000:3000", "127.0.0.1:9090:9090/tcp", "[::1]:8428:8428", "53:53/udp", "8080", {"target": 80, "published": "8081"}]
    assert [number for _, number in published({"services": {"a": {"ports": ports}}})] == [3000, 9090, 8428, 8081]


def test_of_a_composition_no_daemon_of_the_machine_is_expected(docker, capsys):
    docker("28.2.2", "2.26.1")
    command.main(["--json", "--compose", str(COMPOSE)])
    subjects = [json.loads(line)["subject"] for line in capsys.readouterr().out.splitlines()]
    assert {"power", "docker", "docker compose", "port 9836", "port 8428", "port 9093", "port 3000"} <= set(subjects)
    assert not {"energyd", "meters", "rings"} & set(subjects)
