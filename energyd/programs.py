"""The programs that `energyd run` supervises, and the supervisord.conf that says so.

A program's name is its ring's name where it has one. Each carries a digest of the part of the configuration that it uses, in its
environment: supervisord compares the environments when it re-reads the file, and so `energyd reload` restarts exactly the
programs whose part has changed. Pure: text in, text out.
"""

import hashlib
import json
import re
import shlex
import zlib
from typing import Any, Final, NamedTuple

from energyd import rundir
from energyd.config import Config, Meter
from energyd.errors import EXIT_CONFIGURATION, ConfigError
from energyd.privileges import NO_RIGHTS, Rights

AGGREGATOR, SIMULATOR, READER = 5, 10, 20
"""supervisord priorities: spawned in this order, stopped in the opposite one, but for what energyd.supervision stops at once."""
STOP_WAIT_S: Final = {SIMULATOR: 1, READER: 1, AGGREGATOR: 2}
"""Seconds from SIGTERM to SIGKILL. The aggregator has its totals to save; all must be gone within three seconds."""

RAPL_KEEPS: Final = ("perfmon",)
"""For perf events, where there is no powercap tree."""
USAGE_KEEPS: Final = ("net_admin", "sys_ptrace")
"""For the ends of processes (taskstats), and for a /proc that is mounted with hidepid=."""
AGGREGATOR_KEEPS: Final = ("dac_override", "net_bind_service")
"""For its state, keys and tokens, which may be another user's, and for ports below 1024."""
SIMULATOR_KEEPS: Final = ("dac_override",)
"""For its registers, which lie beside that state."""
_COMMENT: Final = re.compile(r"\s[;#]|[\r\n]")

HEAD = """\
[supervisord]
nodaemon = true
silent = true
logfile = /dev/null
logfile_maxbytes = 0
pidfile = {run_dir}/supervisord.pid
childlogdir = {run_dir}
nocleanup = true
identifier = energyd
environment = OPENBLAS_NUM_THREADS="1"

[unix_http_server]
file = {socket}
chmod = 0700

[supervisorctl]
serverurl = unix://{socket}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[rpcinterface:energyd]
supervisor.rpcinterface_factory = energyd.supervision:make
run_dir = {run_dir}
"""

PROGRAM = """
[program:{name}]
command = {command}
priority = {priority}
environment = CONFIGURATION_DIGEST="{digest}"{notify}
startsecs = 0
startretries = 1000000
autorestart = unexpected
exitcodes = {exitcodes}
stopwaitsecs = {stopwaitsecs}
stopasgroup = true
killasgroup = true
redirect_stderr = true
stdout_logfile = NONE
stdout_events_enabled = true
"""


class Program(NamedTuple):
    """One supervised process.

    `part`: what of the configuration it depends on, as JSON-able values; `capabilities`: what it keeps of root's rights.
    """

    name: str
    arguments: tuple[str, ...]  # of the python interpreter
    priority: int
    part: Any
    capabilities: tuple[str, ...] = ()


def programs(config: Config, truth_dir: str | None = None) -> list[Program]:
    """Every process of this configuration, simulators first. `truth_dir`: where simulators write what they emit, None = nowhere."""
    config_file = rundir.config_file(config.run_dir)
    plain = json.loads(config.to_json())
    common = {key: plain[key] for key in ("run_dir", "sysfs_root", "procfs_root", "log")}
    result = [_meter_simulator(config, meter, truth_dir) for meter in config.meters if meter.simulated]
    if "rapl" in config.simulated:
        result.append(_powercap_simulator(config, truth_dir))
    for meter in config.meters:
        part = {**common, "meter": meter._asdict(), "clock": plain["clock"]}
        result.append(Program(f"tic-{meter.name}", ("-m", "energyd.workers.tic", config_file, meter.name), READER, part))
    part = {**common, "energy": plain["energy"], "powercap_root": config.powercap_root, "simulated": plain["simulated"]}
    result.append(Program("rapl", ("-m", "energyd.workers.rapl", config_file), READER, part, RAPL_KEEPS))
    part = {**common, "usage": plain["usage"]}
    result.append(Program("usage", ("-m", "energyd.workers.usage", config_file), READER, part, USAGE_KEEPS))
    result.append(Program("aggregator", ("-m", "energyd.workers.aggregator", config_file), AGGREGATOR, plain, AGGREGATOR_KEEPS))
    return result


def _meter_simulator(config: Config, meter: Meter, truth_dir: str | None) -> Program:
    """Its registers go on where they stood, and each simulated meter is another one (its serial number is made from its name)."""
    serial = f"0418{zlib.crc32(meter.name.encode()) % 10**8:08d}"
    state = f"{config.state_dir}/simulated-meter-{meter.name}.json"
    arguments = ["--link", meter.device, "--mode", meter.mode, "--contract", "HCHP", "--serial", serial, "--state", state]
    if meter.pdl is not None:
        arguments += ["--prm", meter.pdl]
    if config.clock.rate != 1:
        arguments += ["--clock", ",".join(str(value) for value in config.clock)]
    name = f"sim-meter-{meter.name}"
    return _simulator(name, "meter", arguments, truth_dir)


def _powercap_simulator(config: Config, truth_dir: str | None) -> Program:
    root = config.powercap_root.removesuffix("/class/powercap")
    return _simulator("sim-rapl", "powercap", ["--root", root, "--procfs-root", config.procfs_root, "--power", "load"], truth_dir)


def _simulator(name: str, kind: str, arguments: list[str], truth_dir: str | None) -> Program:
    if truth_dir is not None:
        arguments = [*arguments, "--truth", f"{truth_dir}/{name}.truth.jsonl"]
    return Program(name, ("-m", "energyd.simulate", kind, *arguments), SIMULATOR, arguments, SIMULATOR_KEEPS)


def supervisord_conf(config: Config, python: str, truth_dir: str | None = None, rights: Rights = NO_RIGHTS) -> str:
    """The text of supervisord.conf; `python` is the interpreter that runs every program, `rights` those of supervisord.

    Raises ConfigError when a path holds what supervisord takes for the begin of a comment.
    """
    for path in (config.run_dir, config.state_dir, python, truth_dir or ""):
        if _COMMENT.search(path):
            raise ConfigError(f"{path!r}: supervisord takes ' ;' and ' #' for a comment; choose a directory without")
    parts = [HEAD.format(run_dir=_escaped(config.run_dir), socket=_escaped(rundir.supervisor_socket(config.run_dir)))]
    for program in programs(config, truth_dir):
        notify = f',NOTIFY_SOCKET="{_escaped(rundir.notify_socket(config.run_dir))}"' if program.priority == AGGREGATOR else ""
        digest = hashlib.sha256(json.dumps(program.part, sort_keys=True).encode()).hexdigest()[:16]
        parts.append(
            PROGRAM.format(
                name=program.name,
                command=_escaped(shlex.join((*rights.command(program.capabilities), python, *program.arguments))),
                priority=program.priority,
                digest=digest,
                notify=notify,
                exitcodes=EXIT_CONFIGURATION,
                stopwaitsecs=STOP_WAIT_S[program.priority],
            )
        )
    return "".join(parts)


def _escaped(text: str) -> str:
    """supervisord expands `%(name)s` in every value."""
    return text.replace("%", "%%")
