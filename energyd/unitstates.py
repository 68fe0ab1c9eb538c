"""What PID 1 says of the units that run us, in the words in which supervisord's plugin tells of its programs (workers.json).

Outside truth: org.freedesktop.systemd1(5). NRestarts counts the restarts that systemd decided itself; ExecMain* tell of the last
process. Every user may ask, where there is a system bus. Law: whoever asks gets None where no units run us, or nobody answers.
"""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from energyd import rundir
from energyd.errors import EXIT_CONFIGURATION, EnvironmentFault

UNITS_FILE: Final = "units.json"
ANSWER_S: Final = 20
REPORT_S: Final = 1.0
"""Who only reports does not wait for a PID 1 that is busy."""
_PROPERTIES: Final = ("Id", "LoadState", "ActiveState", "SubState", "MainPID", "NRestarts", "ExecMainCode", "ExecMainStatus")
_KILLED: Final = ("2", "3")  # CLD_KILLED, CLD_DUMPED (waitid(2))

Systemctl = Callable[[Sequence[str]], str]


def unit_of(program: str) -> str:
    """The unit that runs a program of `energyd.programs`."""
    meter = program.removeprefix("tic-")
    return f"energyd-tic@{meter}.service" if meter != program else f"energyd-{program}.service"


def program_of(unit: str) -> str:
    return unit.removeprefix("energyd-").removesuffix(".service").replace("tic@", "tic-", 1)


def systemctl(arguments: Sequence[str], answer_s: float = ANSWER_S) -> str:
    """Its output; EnvironmentFault when it fails."""
    command = ("systemctl", *arguments)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=answer_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFault(f"{' '.join(command)}: {error}; is systemd running here?") from error
    if done.returncode:
        raise EnvironmentFault(f"{' '.join(command)}: {done.stderr.strip()}; `systemctl status energyd` tells more")
    return done.stdout


def brief_systemctl(arguments: Sequence[str]) -> str:
    return systemctl(arguments, REPORT_S)


def shown(text: str) -> list[dict[str, str]]:
    """The answer of `systemctl show` about several units: their properties, by name."""
    blocks = (dict(line.partition("=")[::2] for line in block.splitlines()) for block in text.strip().split("\n\n"))
    return [block for block in blocks if block]


def report(run_dir: str, ask: Systemctl = brief_systemctl) -> dict[str, Any] | None:
    """{"programs": {name: state, pid, restarts, last_exit, why}} as in workers.json."""
    units = rundir.read_json(f"{run_dir}/{UNITS_FILE}")
    if not units:
        return None
    try:
        answer = ask(["show", "--property", ",".join(_PROPERTIES), "--", *sorted(units)])
    except EnvironmentFault:
        return None
    return {"programs": {program_of(block["Id"]): _told(block) for block in shown(answer)}}


def _told(block: Mapping[str, str]) -> dict[str, Any]:
    state = _state(block)
    status = block["ExecMainStatus"]
    ended = "killed by a signal" if block["ExecMainCode"] in _KILLED else f"exit code {status}"
    return {
        "state": state,
        "pid": int(block["MainPID"] or 0),
        "restarts": int(block["NRestarts"] or 0),
        "last_exit": ended if state in ("BACKOFF", "EXITED", "FATAL") else "",
        "why": f"`journalctl -u {block['Id']}` says why" if state in ("BACKOFF", "EXITED", "FATAL") else "",
    }


def _state(block: Mapping[str, str]) -> str:
    """In supervisord's words (supervisor.states): EXITED stays down until the configuration is another, BACKOFF comes back."""
    active = block["ActiveState"]
    if block["LoadState"] == "masked":
        return "MASKED"
    if active == "activating":
        return "BACKOFF" if block["SubState"] == "auto-restart" else "STARTING"
    if active == "failed":
        return "EXITED" if block["ExecMainStatus"] == str(EXIT_CONFIGURATION) else "FATAL"
    return {"active": "RUNNING", "reloading": "RUNNING", "deactivating": "STOPPING"}.get(active, "STOPPED")
