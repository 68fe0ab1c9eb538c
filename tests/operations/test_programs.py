"""Which programs a configuration needs, and the supervisord.conf that runs them."""

import configparser
import re
from pathlib import Path

import pytest

from energyd import programs
from energyd.config import Config, Meter, SimulationClock, Usage
from energyd.errors import ConfigError

ROOT = Path(__file__).parents[2]
SIMULATED = Config(
    run_dir="/run/energyd",
    state_dir="/var/lib/energyd/simulated",
    meters=(Meter("house", "/run/energyd/sim/tty-house", "standard", simulated=True),),
    powercap_root="/run/energyd/sim/sys/class/powercap",
    simulated=("meter", "rapl"),
)


def digests(config):
    parser = configparser.RawConfigParser()
    parser.read_string(programs.supervisord_conf(config, "/usr/bin/python3"))
    return {section: parser[section]["environment"] for section in parser.sections() if section.startswith("program:")}


def changed(before, after):
    old, new = digests(before), digests(after)
    return sorted(name.removeprefix("program:") for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def test_every_reader_the_aggregator_and_each_simulator_is_a_program():
    assert [(program.name, program.priority) for program in programs.programs(SIMULATED)] == [
        ("sim-meter-house", programs.SIMULATOR),
        ("sim-rapl", programs.SIMULATOR),
        ("tic-house", programs.READER),
        ("rapl", programs.READER),
        ("usage", programs.READER),
        ("aggregator", programs.AGGREGATOR),
    ]


def test_a_real_machine_runs_no_simulator():
    config = Config(meters=(Meter("linky", "/dev/ttyUSB0"),))

    assert [program.name for program in programs.programs(config)] == ["tic-linky", "rapl", "usage", "aggregator"]


def test_the_configuration_for_supervisord_is_the_one_that_is_installed_as_an_example():
    """The policy of restarts rests on startsecs, exitcodes and autorestart; the console must never be inet."""
    example = (ROOT / "conf" / "supervisord" / "energyd.conf").read_text()
    comment, _, text = example.partition("\n\n")

    assert all(line.startswith(";") for line in comment.splitlines())
    written = programs.supervisord_conf(Config(meters=(Meter("linky", "/dev/ttyUSB0"),)), "/usr/bin/python3")
    assert text == re.sub('DIGEST="[0-9a-f]{16}"', 'DIGEST=""', written)
    assert "inet" not in text


def test_a_percent_sign_is_no_expansion():
    assert "command = /opt/100%%/bin/python3 -m energyd.workers.rapl" in programs.supervisord_conf(
        Config(), "/opt/100%/bin/python3"
    )


def test_supervisord_itself_understands_it(run_dir):
    from supervisor.options import ServerOptions

    config = SIMULATED._replace(run_dir=str(run_dir))
    path = run_dir / "supervisord.conf"
    path.write_text(programs.supervisord_conf(config, "/usr/bin/python3", "/tmp/with space"))
    options = ServerOptions()
    options.realize(["-n", "-c", str(path)])

    groups = {group.name: group.process_configs[0] for group in options.process_group_configs}
    assert list(groups["tic-house"].exitcodes) == [100]
    assert groups["tic-house"].command == f"/usr/bin/python3 -m energyd.workers.tic {run_dir}/config.json house"
    assert groups["tic-house"].stdout_logfile is None
    assert groups["sim-rapl"].command.endswith("--truth '/tmp/with space/sim-rapl.truth.jsonl'")


@pytest.mark.parametrize(
    ("after", "programs_changed"),
    [
        (SIMULATED._replace(usage=Usage(rate_hz=5.0)), ["aggregator", "usage"]),
        (SIMULATED._replace(timezone="Europe/Brest"), ["aggregator"]),
        (SIMULATED._replace(powercap_root="/sys/class/powercap", simulated=("meter",)), ["aggregator", "rapl", "sim-rapl"]),
        (SIMULATED._replace(meters=(*SIMULATED.meters, Meter("garage", "/dev/ttyS0"))), ["aggregator", "tic-garage"]),
        (SIMULATED, []),
    ],
)
def test_only_programs_that_use_what_changed_differ(after, programs_changed):
    assert changed(SIMULATED, after) == programs_changed


def test_simulated_meters_are_different_meters_with_the_configured_identity():
    meters = (Meter("a", "/x", "historique", pdl="12345678901234", simulated=True), Meter("b", "/y", "standard", simulated=True))
    config = SIMULATED._replace(meters=meters, clock=SimulationClock(60.0, 1, 2))
    first, second = (programs.programs(config)[index].arguments for index in (0, 1))

    assert first[first.index("--serial") + 1] != second[second.index("--serial") + 1]
    assert first[first.index("--prm") + 1] == "12345678901234"
    assert "--prm" not in second
    assert first[first.index("--clock") + 1] == "60.0,1,2"


def test_a_path_that_supervisord_would_cut_is_refused():
    with pytest.raises(ConfigError, match="comment"):
        programs.supervisord_conf(Config(run_dir="/dev/shm/a ;b"), "/usr/bin/python3")
