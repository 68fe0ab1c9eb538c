"""`energyd units`: what PID 1 is asked for follows from the configuration and from what PID 1 says, and from nothing else."""

import fcntl
import json
import signal

import pytest

from energyd import systemd, unitstates
from energyd.config import Config, Meter, Usage
from energyd.errors import ConfigError, EnvironmentFault
from energyd.systemd import Plan, State, parts, plan, states, sync, wake, write
from energyd.unitstates import unit_of

UP = State("loaded", "active", 100_000)
DOWN = State("loaded", "inactive", 0)
READERS = ("energyd-aggregator.service", "energyd-rapl.service", "energyd-usage.service")


class FakeSystemctl:
    """Answers `list-units` and `show` from a table and remembers what it was asked to do."""

    def __init__(self, table):
        self.table = table
        self.done = []

    def __call__(self, arguments):
        verb, *rest = arguments
        names = rest[rest.index("--") + 1 :] if "--" in rest else []
        if verb == "list-units":
            return "".join(f"{unit} loaded active running Reader\n" for unit in self.table if "tic@" in unit)
        if verb == "show":
            blocks = []
            for unit in names:
                state = self.table.get(unit, DOWN)
                started_us = state.started_ns // 1000
                blocks.append(
                    f"Id={unit}\nLoadState={state.load}\nActiveState={state.active}\nExecMainStartTimestampMonotonic={started_us}\n"
                )
            return "\n".join(blocks)
        self.done.append((verb, *names))
        return ""


def environment(run_dir, tmp_path):
    return {"ENERGYD_RUN_DIR": str(run_dir), "ENERGYD_STATE_DIR": str(tmp_path)}


def test_every_program_has_its_unit():
    assert [unit_of(name) for name in ("rapl", "tic-garage-2", "aggregator")] == [
        "energyd-rapl.service",
        "energyd-tic@garage-2.service",
        "energyd-aggregator.service",
    ]


def test_the_time_of_a_part_is_that_of_its_last_change():
    before = parts(Config(meters=(Meter("linky", "/dev/ttyUSB0"),)), {}, 1)
    after = parts(Config(meters=(Meter("linky", "/dev/ttyUSB0"),), usage=Usage(rate_hz=5)), before, 2)

    assert {unit: part["since_mono_ns"] for unit, part in after.items()} == {
        "energyd-tic@linky.service": 1,
        "energyd-rapl.service": 1,
        "energyd-usage.service": 2,
        "energyd-aggregator.service": 2,
    }


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State("loaded", "active", 100), Plan()),
        (State("loaded", "active", 40), Plan(restart=("u",))),
        (State("loaded", "activating", 40), Plan(restart=("u",))),
        (State("loaded", "active", 0), Plan()),
        (State("loaded", "inactive", 40), Plan(start=("u",))),
        (State("loaded", "failed", 40), Plan(start=("u",))),
        (State("masked", "inactive", 0), Plan()),
    ],
)
def test_a_wanted_unit_is_started_when_it_is_down_and_restarted_when_it_is_older_than_its_part(state, expected):
    assert plan({"u": 50}, {"u": state}) == expected


@pytest.mark.parametrize(
    ("active", "expected"), [("active", Plan(stop=("u",))), ("failed", Plan(forget=("u",))), ("inactive", Plan())]
)
def test_a_reader_whose_meter_is_no_longer_configured_is_stopped(active, expected):
    assert plan({}, {"u": State("loaded", active, 1)}) == expected


def test_states_are_read_from_blocks_that_systemctl_separates_by_an_empty_line():
    shown = (
        "Id=a.service\nLoadState=loaded\nActiveState=active\nExecMainStartTimestampMonotonic=12\n\n"
        "Id=b.service\nLoadState=masked\nActiveState=inactive\nExecMainStartTimestampMonotonic=0\n"
    )

    assert states(shown) == {"a.service": State("loaded", "active", 12_000), "b.service": State("masked", "inactive", 0)}
    assert states("") == {}


def test_write_leaves_the_configuration_and_what_follows_from_it(run_dir, tmp_path):
    file = tmp_path / "energyd.yml"
    file.write_text("meters: [{name: linky, device: /dev/ttyUSB0}]\n")
    write(str(file), environment(run_dir, tmp_path), lambda: 7)

    assert json.loads((run_dir / "config.json").read_text())["meters"][0]["name"] == "linky"
    assert set(json.loads((run_dir / "units.json").read_text())) == {"energyd-tic@linky.service", *READERS}


def test_a_wrong_configuration_leaves_the_one_in_force(run_dir, tmp_path):
    file = tmp_path / "energyd.yml"
    file.write_text("usage: {top: 5}\n")
    write(str(file), environment(run_dir, tmp_path), lambda: 1)
    before = {name: (run_dir / name).read_text() for name in ("config.json", "units.json")}
    file.write_text("usage: {top: many}\n")

    with pytest.raises(ConfigError, match=r"energyd\.yml:1: usage\.top"):
        write(str(file), environment(run_dir, tmp_path), lambda: 2)
    assert {name: (run_dir / name).read_text() for name in before} == before


def test_a_directory_that_is_not_the_units_own_is_refused(run_dir, tmp_path):
    given = {**environment(run_dir, tmp_path), "RUNTIME_DIRECTORY": "/run/energyd"}

    with pytest.raises(ConfigError, match=r"^run_dir: .* is not /run/energyd"):
        write(None, given, lambda: 1)


def test_fifty_reloads_of_the_same_configuration_ask_for_nothing(run_dir, tmp_path):
    write(None, environment(run_dir, tmp_path), lambda: 10)
    table = FakeSystemctl(dict.fromkeys(READERS, UP))
    for now in range(200_000, 200_050):
        write(None, environment(run_dir, tmp_path), lambda now=now: now)
        assert sync(str(run_dir), table) == []
    assert table.done == []


def test_a_reload_restarts_what_changed_starts_what_is_new_and_stops_what_is_gone(run_dir, tmp_path):
    file = tmp_path / "energyd.yml"
    file.write_text("meters: [{name: old, device: /dev/ttyUSB0}]\n")
    write(str(file), environment(run_dir, tmp_path), lambda: 10)
    table = FakeSystemctl({**dict.fromkeys(READERS, UP), "energyd-tic@old.service": UP})
    file.write_text("meters: [{name: new, device: /dev/ttyUSB0}]\n")
    write(str(file), environment(run_dir, tmp_path), lambda: 2_000_000)

    assert sync(str(run_dir), table) == [
        "energyd-tic@old.service removed",
        "energyd-aggregator.service restarted",
        "energyd-tic@new.service started",
    ]
    assert table.done == [
        ("stop", "energyd-tic@old.service"),
        ("restart", "energyd-aggregator.service"),
        ("start", "energyd-tic@new.service"),
    ]


def test_a_file_that_names_other_units_is_not_obeyed(run_dir):
    """It belongs to the daemon's user; what obeys it runs as uid 0."""
    (run_dir / "units.json").write_text(json.dumps({"ssh.service": {"digest": "", "since_mono_ns": 0}}))
    table = FakeSystemctl({})

    with pytest.raises(EnvironmentFault, match="no unit of energyd's"):
        sync(str(run_dir), table)
    assert table.done == []


def test_without_a_configuration_in_force_the_advice_is_to_restart(run_dir):
    with pytest.raises(EnvironmentFault, match="systemctl restart energyd"):
        sync(str(run_dir), FakeSystemctl({}))


def test_a_plugged_adapter_wakes_living_readers_only(run_dir):
    (run_dir / "tic-dead.lock").write_text("1\n")
    (run_dir / "tic-linky.lock").write_text("4242\n")
    sent = []
    with open(run_dir / "tic-linky.lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert wake(str(run_dir), lambda pid, number: sent.append((pid, number))) == ["tic-linky"]
    assert sent == [(4242, signal.SIGCONT)]


def test_where_no_systemd_runs_the_command_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EnvironmentFault, match="is systemd running here"):
        unitstates.systemctl(["reload", "energyd.service"])


def test_faults_carry_the_journals_priority_mark(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    assert systemd.main(["sync", "--run-dir", str(tmp_path)]) == 111
    assert capsys.readouterr().err.startswith("<3>energyd: ")


def test_a_web_configuration_that_is_not_there_leaves_everything_as_it_was(run_dir, tmp_path):
    file = tmp_path / "energyd.yml"
    file.write_text(f"metrics: {{web_config_file: {tmp_path}/web.yml}}\n")
    with pytest.raises(ConfigError, match=r"web\.yml: No such file"):
        write(str(file), environment(run_dir, tmp_path), lambda: 1)
    assert list(run_dir.iterdir()) == []
