"""`energyd run` before it becomes supervisord: what it decides, writes, says, and refuses."""

import json
import os
import re
import socket
import stat
import sys

import pytest

from energyd import machine, places, run, rundir
from energyd.cli import main
from energyd.config import Config, Energy, Meter, Push, from_json
from energyd.errors import ConfigError, EnvironmentFault
from energyd.service import onewriter

UID = os.getuid()


def a_zone(root, name="package-0", mode=0o400):
    zone = root / "intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text(name + "\n")
    (zone / "energy_uj").write_text("1234\n")
    (zone / "max_energy_range_uj").write_text("262143328850\n")
    (zone / "energy_uj").chmod(mode)


def invocation(run_dir, tmp_path, *settings, simulate="none"):
    (tmp_path / "energyd.yml").write_text("{}\n")
    fixed = (("run_dir", str(run_dir)), ("state_dir", str(tmp_path / "state")), ("sysfs_root", str(tmp_path / "sys")))
    return run.Invocation(str(tmp_path / "energyd.yml"), (*fixed, *settings), simulate, None, {})


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def started(called):
    """What execv was called with."""
    calls = []
    run.start(called, {"PATH": "/bin"}, UID, lambda *arguments: calls.append(arguments))
    return calls[0]


# what is simulated


def test_nothing_is_simulated_unless_asked(config):
    setup = machine.set_up(config, machine.parse_simulate("none"), [])

    assert setup.config == config
    assert dict(setup.lines)["rapl"].startswith("no data: no RAPL zone under")


def test_missing_simulates_a_house_where_no_meter_is_configured_and_rapl_where_there_is_none(config, run_dir):
    setup = machine.set_up(config._replace(meters=()), machine.parse_simulate("missing"), [])

    assert setup.config.simulated == ("meter", "rapl")
    assert setup.config.meters == (Meter("house", f"{run_dir}/sim/tty-house", "standard", simulated=True),)
    assert setup.config.powercap_root == f"{config.state_dir}/simulated/sys/class/powercap"
    assert dict(setup.lines)["meter house"] == "SIMULATED (no meter is configured; list yours under `meters:` in the configuration)"


def test_missing_leaves_what_the_machine_has(config, tmp_path):
    a_zone(tmp_path / "powercap")
    setup = machine.set_up(config, machine.parse_simulate("missing"), [])

    assert setup.config == config
    assert dict(setup.lines) == {
        "meter linky": "/dev/ttyUSB0, auto",
        "rapl": f"package-0 by rapl, {tmp_path}/powercap/intel-rapl:0/energy_uj",
    }


def test_a_list_simulates_in_any_case_and_keeps_the_names_of_meters(config, tmp_path, run_dir):
    a_zone(tmp_path / "powercap")
    setup = machine.set_up(config, machine.parse_simulate("meter,rapl"), [])

    assert setup.config.meters == (Meter("linky", f"{run_dir}/sim/tty-linky", "standard", simulated=True),)
    assert dict(setup.lines)["rapl"] == "SIMULATED (asked for)"


def test_a_simulated_run_keeps_its_state_apart_and_does_not_push_unless_a_flag_asks(config):
    pushing = config._replace(metrics=config.metrics._replace(push_enabled=True, push=(Push("push", "http://vm/"),)))
    setup = machine.set_up(pushing, machine.parse_simulate("rapl"), ["metrics.port"])
    quiet = setup.config
    loud = machine.set_up(pushing, machine.parse_simulate("rapl"), ["metrics.push.url"]).config

    assert quiet.state_dir == f"{config.state_dir}/simulated"
    assert not quiet.metrics.push_enabled
    assert dict(setup.lines)["push"].startswith("off: ")
    assert loud.metrics.push_enabled


def test_simulating_something_unknown_is_refused():
    with pytest.raises(ConfigError, match=r"--simulate metre: give `none`, `missing`, or a list of meter, rapl"):
        machine.parse_simulate("metre")


@pytest.mark.skipif(UID == 0, reason="root may read everything")
def test_counters_that_may_not_be_read_are_no_counters(tmp_path):
    a_zone(tmp_path, mode=0)

    readable, sentence, zones = machine.energy_state(Config(sysfs_root=str(tmp_path), powercap_root=str(tmp_path)))
    assert (readable, zones) == (False, 0)
    assert "sudo ch" in sentence


def test_a_meter_or_a_model_that_is_asked_for_is_not_simulated(config, tmp_path):
    bare = config._replace(sysfs_root=str(tmp_path), powercap_root=str(tmp_path))
    missing = machine.parse_simulate("missing")

    for energy in (Energy(sources=("meter",)), Energy(sources=("auto", "model"), model_idle_w=1.0, model_max_w=2.0)):
        assert "rapl" not in machine.set_up(bare._replace(energy=energy), missing, ()).config.simulated
    assert "rapl" in machine.set_up(bare, missing, ()).config.simulated


# directories


def test_a_run_directory_that_is_not_in_memory_is_replaced_and_that_is_said(config, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "resolve_run_dir", lambda wanted: (tmp_path / "shm", f"{wanted} is not on a tmpfs"))
    resolved, note = places.resolve(config, {}, 0)

    assert resolved.run_dir == f"{tmp_path}/shm"
    assert "not on a tmpfs" in note


def test_a_user_gets_the_directories_of_xdg(run_dir, monkeypatch):
    monkeypatch.setattr(places, "_writable", lambda path: False)
    environ = {"XDG_RUNTIME_DIR": str(run_dir), "XDG_STATE_HOME": "/home/u/state", "HOME": "/home/u"}
    resolved, note = places.resolve(Config(), environ, 1000)

    assert (resolved.run_dir, resolved.state_dir, note) == (f"{run_dir}/energyd", "/home/u/state/energyd", "")
    assert places.resolve(Config(), environ | {"XDG_STATE_HOME": ""}, 1000)[0].state_dir == "/home/u/.local/state/energyd"


def test_configured_directories_are_taken_at_their_word(config):
    assert places.resolve(config, {"XDG_RUNTIME_DIR": "/nowhere"}, 1000) == (config, "")


def test_a_run_directory_that_others_may_write_is_refused(config, run_dir):
    run_dir.chmod(0o777)

    with pytest.raises(EnvironmentFault, match="others may write it"):
        run.make_directories(config)


def test_a_state_directory_that_cannot_be_made_is_one_line_with_the_mend(config, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(EnvironmentFault, match=r"--set state_dir=DIR"):
        run.make_directories(config._replace(state_dir=str(tmp_path / "file" / "state")))


def test_a_configuration_that_has_become_wrong_does_not_hide_what_runs(run_dir, tmp_path):
    (tmp_path / "energyd.yml").write_text("nonsense: 1\n")
    settings = [("run_dir", str(run_dir))]
    with pytest.raises(ConfigError, match="nonsense"):
        places.running(str(tmp_path / "energyd.yml"), settings, {}, 4711)

    (run_dir / "config.json").write_text("{}")
    assert places.running(str(tmp_path / "energyd.yml"), settings, {}, 4711) == str(run_dir)


def test_a_wrong_configuration_does_not_lead_to_what_runs_with_another(run_dir, tmp_path, monkeypatch):
    """It does not tell where its own energyd is; a reload would restart a stranger's programs."""
    (tmp_path / "energyd.yml").write_text("nonsense: 1\n")
    environ = {"XDG_RUNTIME_DIR": str(run_dir)}
    (run_dir / "energyd").mkdir()
    (run_dir / "energyd/config.json").write_text("{}")
    (run_dir / "energyd/invocation.json").write_text(json.dumps({"config": "/etc/another.yml"}))
    monkeypatch.setattr(places, "DEFAULTS", Config(run_dir=str(tmp_path / "none")))
    with pytest.raises(ConfigError, match="nonsense"):
        places.running(str(tmp_path / "energyd.yml"), [], environ, 4711)

    (run_dir / "energyd/invocation.json").write_text(json.dumps({"config": str(tmp_path / "energyd.yml")}))
    assert places.running(str(tmp_path / "energyd.yml"), [], environ, 4711) == f"{run_dir}/energyd"


# starting


def test_a_web_configuration_that_is_not_there_starts_nothing_and_leaves_nothing(run_dir, tmp_path):
    with pytest.raises(ConfigError, match=r"web\.yml: No such file"):
        started(invocation(run_dir, tmp_path, ("metrics.web_config_file", f"{tmp_path}/web.yml")))
    assert sorted(path.name for path in run_dir.iterdir()) == []


def test_it_becomes_supervisord_with_the_files_written(run_dir, tmp_path, capsys):
    called = invocation(run_dir, tmp_path, ("metrics.port", free_port()), simulate="meter,rapl")
    path, arguments = started(called)

    assert path == sys.executable
    assert arguments == [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", f"{run_dir}/supervisord.conf"]
    written = from_json((run_dir / "config.json").read_text())
    assert written.simulated == ("meter", "rapl")
    assert stat.S_IMODE((run_dir / "config.json").stat().st_mode) & 0o077 == 0
    assert json.loads((run_dir / "invocation.json").read_text())["simulate"] == "meter,rapl"
    said = capsys.readouterr().out
    assert f"http://127.0.0.1:{written.metrics.port}/metrics" in said
    assert "meter house  SIMULATED" in said


def test_a_second_run_in_the_same_directory_is_refused(run_dir, tmp_path):
    started(invocation(run_dir, tmp_path, ("metrics.port", free_port())))

    with pytest.raises(EnvironmentFault, match=rf"{run_dir} is in use by another energyd; stop that one"):
        started(invocation(run_dir, tmp_path, ("metrics.port", free_port())))


def test_a_run_on_the_state_of_another_one_is_refused_and_leaves_nothing(run_dir, tmp_path):
    """Two that save their totals in one file, or simulate in one tree, would set each other back."""
    called = invocation(run_dir, tmp_path, ("metrics.port", free_port()))
    state = tmp_path / "state"
    state.mkdir(parents=True)
    other = onewriter.hold(str(state))
    try:
        with pytest.raises(EnvironmentFault, match=rf"{state} belongs to another energyd that runs; stop it, or give this one"):
            started(called)
    finally:
        os.close(other)
    assert not run_dir.exists()
    assert started(called)


def test_who_is_refused_a_directory_that_was_not_asked_for_is_told_why_it_was_taken(run_dir, tmp_path, monkeypatch):
    called = invocation(run_dir, tmp_path, ("metrics.port", free_port()))
    started(called)
    monkeypatch.setattr(
        places, "resolve_run_dir", lambda _: (run_dir, f"run_dir /srv is not on a tmpfs (ext4): rings are in {run_dir}")
    )

    with pytest.raises(EnvironmentFault, match=rf"^run_dir /srv is not on a tmpfs \(ext4\): .*; {run_dir} is in use by another"):
        started(called)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("families", {"energyd_nosuch.*": False}, "energyd_nosuch.*: is the whole name of no family"),
        ("rename", {"energyd_(host|zone)_power_watts": "power"}, "would both be power"),
    ],
)
def test_a_pattern_that_would_end_the_aggregator_starts_nothing(run_dir, tmp_path, key, value, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        started(invocation(run_dir, tmp_path, (f"metrics.{key}", json.dumps(value))))
    assert list(run_dir.iterdir()) == []


def test_a_port_in_use_is_one_line_with_the_mend(run_dir, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        with pytest.raises(
            EnvironmentFault, match=rf"cannot listen on 127.0.0.1:{port}: Address already in use; .*--set metrics.port=N"
        ):
            started(invocation(run_dir, tmp_path, ("metrics.port", port)))


def test_what_is_refused_leaves_nothing_but_rings_of_an_earlier_run(run_dir, tmp_path, monkeypatch):
    def full(*_):
        raise EnvironmentFault("full")

    (run_dir / "usage.ring").write_text("")
    monkeypatch.setattr(run.programs, "supervisord_conf", full)
    with pytest.raises(EnvironmentFault, match="full"):
        started(invocation(run_dir, tmp_path, ("metrics.port", free_port()), simulate="meter"))

    assert [path.name for path in run_dir.iterdir()] == ["usage.ring"]


def test_without_metrics_no_port_is_tried(run_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "require_port", lambda *_: pytest.fail("tried"))

    started(invocation(run_dir, tmp_path, ("metrics.enabled", "false")))


def test_an_address_that_is_not_ours_is_one_line(run_dir):
    with pytest.raises(EnvironmentFault, match=r"cannot listen on 192\.0\.2\.1:9836"):
        run.require_port("192.0.2.1", 9836)


def test_without_supervisor_the_command_that_installs_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervisor.options", None)

    with pytest.raises(EnvironmentFault, match=r"pip install 'supervisor>=4\.3'"):
        run.require_supervisor()


def test_a_full_file_system_is_one_line_with_the_mend(config, run_dir, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "write_atomically", full)
    with pytest.raises(EnvironmentFault, match="No space left on device; free some space"):
        run.write(config, invocation(run_dir, tmp_path))


def test_the_banner_names_the_push_and_brackets_an_ipv6_address(config):
    metrics = config.metrics._replace(listen="::1", port=9836, push_enabled=True, push=(Push("vm", "http://user:secret@vm/"),))
    said = run.banner(machine.Setup(config._replace(metrics=metrics), (), 0), "because")

    assert "http://[::1]:9836/metrics" in said
    assert "to vm every 15 s" in said
    assert "secret" not in said
    assert "rings      because\n" in said


# the run directory


def test_the_end_removes_what_is_ours_and_nothing_else(run_dir):
    ours = [
        "usage.ring",
        "usage.lock",
        "usage.labels",
        "config.json",
        "supervisord.sock",
        "supervisord.conf",
        "energyd.lock",
        "push-vm.mark",
    ]
    for name in (*ours, "thesis.txt"):
        (run_dir / name).write_text("")
    (run_dir / "sim" / "powercap").mkdir(parents=True)

    rundir.clean(str(run_dir))
    assert [path.name for path in run_dir.iterdir()] == ["thesis.txt"]

    (run_dir / "thesis.txt").unlink()
    rundir.clean(str(run_dir))
    assert not run_dir.exists()


def test_what_only_has_a_name_like_ours_does_not_keep_the_end_from_removing_the_rest(run_dir):
    (run_dir / "rapl.ring.old").mkdir()
    for name in ("rapl.ring", "usage.ring", "config.json"):
        (run_dir / name).write_text("")

    rundir.clean(str(run_dir))

    assert [path.name for path in run_dir.iterdir()] == ["rapl.ring.old"]


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(run_dir, monkeypatch):
    import fcntl

    real, calls = fcntl.flock, []

    def flock(fd, operation):
        real(fd, operation)
        calls.append(fd)
        if len(calls) == 1:
            (run_dir / "energyd.lock").unlink()

    monkeypatch.setattr(fcntl, "flock", flock)
    fd = rundir.lock(str(run_dir))

    assert len(calls) == 2
    assert os.get_inheritable(fd)
    assert os.path.samestat(os.fstat(fd), os.stat(run_dir / "energyd.lock"))
    os.close(fd)


def test_a_run_directory_that_is_missing_says_what_to_do(tmp_path):
    with pytest.raises(EnvironmentFault, match="--set run_dir=DIR"):
        rundir.lock(str(tmp_path / "nowhere"))


def test_a_broken_configuration_is_one_line_and_exit_code_100(tmp_path, capsys):
    (tmp_path / "energyd.yml").write_text("metrics:\n  prot: 9836\n")

    assert main(["run", "--config", str(tmp_path / "energyd.yml")]) == 100
    said = capsys.readouterr()
    assert said.err.startswith(f"energyd: {tmp_path}/energyd.yml:2: metrics.prot: ")
    assert said.err.count("\n") == 1
    assert said.out == ""
