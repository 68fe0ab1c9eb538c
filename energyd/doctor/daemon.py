"""The energyd that runs: its processes and rings, and whether what it serves is what a scraper can read."""

import shutil
import subprocess
import time
import urllib.error
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from energyd import address, rundir, status, unitstates
from energyd.config import Config
from energyd.doctor.check import FAILURE, Check, failure, ok, warning
from energyd.doctor.pushes import pushes

TIMEOUT_S: Final = 5.0
COMPATIBILITY: Final = ("linky_", "myelectricaldata_", "scaph_", "node_", "container_")
"""Families with inherited names, which promtool cannot like."""


def aggregator_pid(config: Config) -> int | None:
    """The process that ought to hold our port; None when neither a supervisor nor PID 1 tells."""
    told = rundir.read_json(rundir.workers_file(config.run_dir)) or unitstates.report(config.run_dir) or {}
    return told.get("programs", {}).get(status.AGGREGATOR, {}).get("pid") or None


def readers(config: Config) -> Iterator[Check]:
    """A line for each process: alive, its ring fresh, nothing lost."""
    for row in status.collect(config):
        subject = f"process {row.name}"
        reason, _, mend = row.advice.partition("; ")
        if row.advice:
            yield failure(subject, reason, mend or status.LOG)
        elif row.overruns:
            yield warning(subject, f"{row.overruns} samples were overwritten before they were read", "give the aggregator more CPU")
        elif row.last_error:
            reason, _, mend = row.last_error.partition("; ")
            yield warning(subject, f"runs; wrong for {row.error_age_s:.0f} s: {reason}", mend or status.LOG)
        else:
            yield ok(subject, "runs" + ("" if row.heartbeat_age_s is None else f", heartbeat {row.heartbeat_age_s:.1f} s ago"))


def endpoint(config: Config) -> Iterator[Check]:
    """Scrape ourselves: does it answer, does it parse, does promtool find fault with it."""
    if not config.metrics.enabled:
        yield ok("endpoint", "metrics.enabled is false: nothing is served")
        return
    request = address.request(config)
    url = request.full_url
    try:
        with address.opener().open(request, timeout=TIMEOUT_S) as answer:
            body = answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == HTTPStatus.UNAUTHORIZED:
            yield ok("endpoint", f"{url} asks for a password, as configured; what it serves was not looked at")
        else:
            yield failure("endpoint", f"{url} answers {error.code} {error.reason}", "`energyd status` says which process is down")
        return
    except address.NO_ANSWER as error:
        yield failure(
            "endpoint", f"{url} does not answer: {getattr(error, 'reason', error)}", "`energyd status` says which process is down"
        )
        return
    checks = list(exposition(url, body))
    yield from checks
    if all(check.verdict != FAILURE for check in checks):
        yield from pushes(config, body, time.time())


def exposition(url: str, body: str) -> Iterator[Check]:
    """Whether a body can be read, holds no series twice, and satisfies promtool where that is installed."""
    try:
        samples = [sample for family in text_string_to_metric_families(body) for sample in family.samples]
    except ValueError as error:
        yield failure("endpoint", f"{url} cannot be parsed: {error}", "this is a fault of energyd: please report it with that line")
        return
    # As they are written: the parser takes the counters `x` and `x_total`, both of which linky_exporter has, for the same.
    lines = body.split("\n")  # and nowhere else: a name may hold what else ends lines
    written = Counter(line.rpartition(" ")[0] for line in lines if line and not line.startswith("#"))
    twice = [series for series, count in written.items() if count > 1]
    if twice:
        yield failure("endpoint", f"{url} has {twice[0]} twice", "this is a fault of energyd: please report it with that name")
        return
    yield ok("endpoint", f"{url}: {len(samples)} series")
    promtool = shutil.which("promtool")
    if promtool is None:
        return
    native = "\n".join(line for line in lines if not line.removeprefix("# HELP ").removeprefix("# TYPE ").startswith(COMPATIBILITY))
    lint = subprocess.run([promtool, "check", "metrics"], input=native + "\n", capture_output=True, text=True, check=False)
    complaints = (lint.stdout + lint.stderr).strip().splitlines()
    report = "this is a fault of energyd, which does no harm: please report it"
    yield warning("promtool", complaints[0], report) if complaints else ok("promtool", "nothing to complain about")
