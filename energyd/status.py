"""`energyd status`: each process, how fresh its ring is, how fast it writes, what is wrong with it and since when.

It reads what lies in the run directory: workers.json of the supervisor's plugin where there is one, the headers and labels of the
rings. PID 1 is asked about its units where they run us, and overruns come from the aggregator's /metrics, if it answers us. So it
works with supervisord, with systemd units and after a crash. Law: exit code 0 when everything is fresh, 1 when something is not,
and then the line says why.
"""

import argparse
import json
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from energyd import address, configfile, places, programs, rundir, unitstates
from energyd import config as configuration
from energyd.ring import labels, layout
from energyd.units import NS_PER_S

FRESH_S: Final = 5.0
MEASURE_S: Final = 0.5
ANSWER_S: Final = 1.0
STALE, FRESH = 1, 0
"""Exit codes."""
REFUSALS: Final = (401, 403, 429)
AGGREGATOR: Final = "aggregator"
LOG: Final = "its log says why: `journalctl -u 'energyd*' -n 50`, or what `energyd run` prints"
OVERRUNS: Final = re.compile(rb'^energyd_ring_overruns_total\{(?:[^}]*,)?ring="([^"]+)"[^}]*\} ([0-9.e+]+)$', re.MULTILINE)


class Ring(NamedTuple):
    """What the header and the labels of a ring say. `samples_per_s` is measured between two looks.

    `last_error` is what is wrong now, '' = nothing; a fault that is cured is told by the log alone.
    """

    writer_pid: int
    writer_alive: bool
    heartbeat_age_s: float
    samples_per_s: float
    last_error: str
    error_age_s: float = 0.0


class Row(NamedTuple):
    """One process. None = unknown or not applicable; `advice` '' = it is well."""

    name: str
    state: str
    pid: int | None
    restarts: int | None
    heartbeat_age_s: float | None
    samples_per_s: float | None
    overruns: int | None
    last_error: str
    error_age_s: float | None
    advice: str


def read_rings(
    run_dir: str, names: Sequence[str], mono_ns: Callable[[], int], sleep: Callable[[float], None]
) -> dict[str, Ring | str]:
    """Each ring by name, or the reason why it cannot be read."""
    first = {name: _header(run_dir, name) for name in names}
    begin_ns = mono_ns()
    sleep(MEASURE_S)
    result: dict[str, Ring | str] = {}
    for name in names:
        before, after = first[name], _header(run_dir, name)
        elapsed_s = (mono_ns() - begin_ns) / NS_PER_S
        if isinstance(after, str):
            result[name] = after
            continue
        same = isinstance(before, layout.Header) and before.identity == after.identity
        written = after.head - before.head if same and isinstance(before, layout.Header) else after.head
        age_s, error_age_s = (max(0, mono_ns() - then_ns) / NS_PER_S for then_ns in (after.heartbeat_ns, after.fault_since_ns))
        error = _fault(run_dir, name, after) if after.fault else ""
        result[name] = Ring(after.writer_pid, _alive(after.writer_pid), age_s, written / elapsed_s, error, error_age_s)
    return result


def _header(run_dir: str, name: str) -> layout.Header | str:
    path = layout.ring_path(run_dir, name)
    try:
        return layout.read_header(path)
    except FileNotFoundError:
        return "has no ring yet"
    except OSError as error:
        return f"{path}: {error.strerror}"
    except layout.RefusedRing as error:
        return str(error)


def _fault(run_dir: str, name: str, header: layout.Header) -> str:
    """The text of what is wrong."""
    try:
        stream = labels.LabelsReader(layout.labels_path(run_dir, name), header.identity, 0)
    except (OSError, ValueError):  # being replaced at this moment
        return ""
    try:
        entries = stream.read(header.labels_length)
    except ValueError as error:
        return f"damaged labels: {error}"
    finally:
        stream.close()
    return next((str(entry["error"]) for number, entry in entries if number == header.fault and "error" in entry), "")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's, and there
        return True
    return True


def judge(name: str, report: Mapping[str, Any] | None, ring: Ring | str | None, overruns: int | None, answers: str) -> Row:
    """The row of one process.

    `report`: its entry in workers.json or what PID 1 says of its unit, None when neither tells; `ring`: None for a process that has
    none; `answers`: what is wrong with the aggregator's web server, '' for every other process and when it answers.
    """
    seen = ring if isinstance(ring, Ring) else None
    return Row(
        name=name,
        state=str(report["state"]) if report else "-",
        pid=report["pid"] or None if report else seen.writer_pid if seen else None,
        restarts=report["restarts"] if report else None,
        heartbeat_age_s=round(seen.heartbeat_age_s, 3) if seen else None,
        samples_per_s=round(seen.samples_per_s, 1) if seen else None,
        overruns=overruns,
        last_error=seen.last_error if seen else "",
        error_age_s=round(seen.error_age_s, 1) if seen and seen.last_error else None,
        advice=(_advice_on_state(name, report) if report else "") or _advice_on_ring(ring) or answers,
    )


def _advice_on_state(name: str, report: Mapping[str, Any]) -> str:
    state = report["state"]
    reason, _, mend = report["why"].partition("; ")
    why = f" ({reason})" if reason else ""
    if state == "EXITED":
        return f"ended with {report['last_exit']}{why}; {mend or 'correct the configuration'}, then `energyd reload`"
    if state == "BACKOFF":
        return f"{report['last_exit']}{why}; {mend or 'it is started again'}"
    if state == "MASKED":
        return f"its unit is masked; `sudo systemctl unmask {unitstates.unit_of(name)}`, then `energyd reload`"
    return "" if state in ("RUNNING", "STARTING") else f"is {state.lower()}{why}; `energyd reload` starts it"


def _advice_on_ring(ring: Ring | str | None) -> str:
    if isinstance(ring, str):
        return f"{ring}; {LOG}"
    if ring is not None and not ring.writer_alive:
        return f"its process {ring.writer_pid} is gone; `sudo systemctl restart energyd`, or `energyd run`"
    if ring is not None and ring.heartbeat_age_s > FRESH_S:
        return f"gives no sign of life; `sudo kill -KILL {ring.writer_pid}` if its supervisor does not, which starts it anew"
    return ""


def ask_aggregator(request: urllib.request.Request) -> tuple[dict[str, int], str]:
    """(overruns by ring, '') or ({}, why there is no answer). One that wants to know who asks does answer."""
    url = request.full_url
    try:
        with address.opener().open(request, timeout=ANSWER_S) as answer:
            text: bytes = answer.read()
    except urllib.error.HTTPError as error:
        error.close()
        return {}, "" if error.code in REFUSALS else f"{url} answers {error.code} {error.reason}"
    except address.NO_ANSWER as error:
        reason = getattr(error, "reason", error)
        return {}, "" if isinstance(reason, ssl.SSLError) else f"{url} does not answer: {reason}"
    return {name.decode(): int(float(value)) for name, value in OVERRUNS.findall(text)}, ""


def collect(
    config: configuration.Config, mono_ns: Callable[[], int] = time.monotonic_ns, sleep: Callable[[float], None] = time.sleep
) -> list[Row]:
    """A row for every process of this configuration, in the order in which they are started."""
    wanted = programs.programs(config)
    with_ring = [program.name for program in wanted if program.priority == programs.READER]
    rings = read_rings(config.run_dir, with_ring, mono_ns, sleep)
    told = rundir.read_json(rundir.workers_file(config.run_dir)) or unitstates.report(config.run_dir) or {}
    reports = told.get("programs", {})
    overruns, silence = ask_aggregator(address.request(config)) if config.metrics.enabled else ({}, "")
    return [
        judge(
            program.name,
            reports.get(program.name),
            rings.get(program.name),
            overruns.get(program.name),
            silence if program.name == AGGREGATOR else "",
        )
        for program in wanted
    ]


def table(rows: Sequence[Row]) -> str:
    """The rows in columns, and below them what is to be done."""
    head = ("process", "state", "pid", "restarts", "heartbeat", "samples/s", "overruns", "fault")
    lines: list[tuple[str, ...]] = [head]
    for row in rows:
        age = "-" if row.heartbeat_age_s is None else f"{row.heartbeat_age_s:.1f} s"
        rate = "-" if row.samples_per_s is None else f"{row.samples_per_s:.1f}"
        numbers = ["-" if value is None else str(value) for value in (row.pid, row.restarts)]
        overruns = "-" if row.overruns is None else str(row.overruns)
        wrong = "-" if row.error_age_s is None else f"for {row.error_age_s:.0f} s: {row.last_error}"
        lines.append((row.name, row.state.lower(), *numbers, age, rate, overruns, wrong))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head) - 1)]
    text = ["  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]) for line in lines]
    text += [f"{row.name}: {row.advice}" for row in rows if row.advice]
    return "\n".join(text)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="energyd status", description="What each process does, and how fresh it is.")
    configfile.add_flags(result)
    result.add_argument("--json", action="store_true", help="print a JSON object")
    return result


def main(argv: Sequence[str]) -> int:
    """Exit code 0: all fresh; 1: something is not, or nothing runs."""
    arguments = parser().parse_args(argv)
    run_dir = places.running(arguments.config, arguments.set, os.environ, os.getuid())
    rows = collect(configuration.read(rundir.config_file(run_dir)))
    if arguments.json:
        print(json.dumps({"run_dir": run_dir, "processes": [row._asdict() for row in rows]}, indent=1))
    else:
        print(table(rows))
    return STALE if any(row.advice for row in rows) else FRESH
