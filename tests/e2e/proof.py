"""Exact delivery, proved: everything that energyd wrote into a spool is compared with what the receiver has in the end.

The files of the spools are linked into an archive as they appear, so that the truth does not depend on what energyd believes to
have delivered. Receivers and the aggregator are killed (SIGKILL) at the times that a test names.
"""

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from daemon import Daemon, free_port, get, wait_for

from energyd.export.remotewrite import labels_of
from energyd.spool.segments import Content

Series = tuple[tuple[str, str], ...]
Truth = dict[Series, dict[int, float]]

TOLERANCE = 1e-9  # VictoriaMetrics keeps decimals, of which the samples of a block share the exponent
KEEP_S = 30.0  # metrics.spool.keep


class Server:
    """A receiver that can be killed and started again on the same port and data."""

    def __init__(self, *command: str, ready: str) -> None:
        self.port = free_port()
        self.home = Path(tempfile.mkdtemp(prefix="energyd-receiver-"))
        self._command = [part.format(port=self.port, home=self.home) for part in command]
        self._ready = f"http://127.0.0.1:{self.port}{ready}"
        self.killed: list[tuple[float, float]] = []  # (killed, up again), Unix seconds
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> "Server":
        self.start()
        return self

    def start(self) -> None:
        with open(self.home / "log", "ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        wait_for(lambda: get(self._ready), 30, f"{self._command[0]} is not up")

    def kill(self, away_s: float) -> None:
        """SIGKILL, and up again after `away_s`."""
        at_s = time.time()
        self.process.kill()
        self.process.wait()
        time.sleep(away_s)
        self.start()
        self.killed.append((at_s, time.time()))

    def __exit__(self, *_exception: object) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


def victoria_metrics() -> Server:
    """Deduplicates what has the same millisecond; /api/v1/export?reduce_mem_usage=1 shows it raw."""
    return Server(
        "victoria-metrics",
        "-retentionPeriod=1200",
        "-search.latencyOffset=0s",
        "-dedup.minScrapeInterval=1ms",
        "-storageDataPath={home}/data",
        "-httpListenAddr=127.0.0.1:{port}",
        ready="/health",
    )


def prometheus() -> Server:
    server = Server(
        "prometheus",
        "--config.file={home}/prometheus.yml",
        "--storage.tsdb.path={home}/data",
        "--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
        "--query.max-samples=500000000",
        ready="/-/ready",
    )
    (server.home / "prometheus.yml").write_text("")
    return server


class Watcher:
    """Calls `look` every `period_s` in a thread, as long as the block lasts."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._period_s):
            self.look()

    def look(self) -> None:
        raise NotImplementedError


class Archive(Watcher):
    """Keeps every file of a spool that ever was, by linking it."""

    def __init__(self, spool: Path, place: Path) -> None:
        super().__init__(0.1)
        self._spool, self._place = spool, place
        place.mkdir(parents=True)

    def look(self) -> None:
        for path in self._spool.glob("*.spool"):
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                os.link(path, self._place / f"{path.stem}-{path.stat().st_ino}")

    def truth(self, until_ms: int) -> Truth:
        """{series: {milliseconds: value}} of every row that was written, up to a time."""
        truth: Truth = {}
        labels: dict[bytes, Series] = {}
        for path in self._place.iterdir():
            for row in Content(path).rows(0):
                if row.at_ms <= until_ms:
                    for prefix, value in zip(row.prefixes, row.values.tolist(), strict=True):
                        if prefix not in labels:
                            labels[prefix] = tuple(sorted((name, text) for name, text in labels_of(prefix) if text))
                        truth.setdefault(labels[prefix], {})[row.at_ms] = value
        return truth


class Difference(NamedTuple):
    """Samples that were written and are not there, that are there and differ, and that are there and were never written."""

    missing: list[tuple[Series, int]]
    wrong: list[tuple[Series, int]]
    strange: list[int]
    compared: int


def compare(truth: Truth, stored: Truth, until_ms: int) -> Difference:
    missing, wrong, strange, compared = [], [], [], 0
    for series, samples in truth.items():
        there = stored.get(series, {})
        for at_ms, value in samples.items():
            compared += 1
            if at_ms not in there:
                missing.append((series, at_ms))
            elif abs(there[at_ms] - value) > TOLERANCE * abs(value):
                wrong.append((series, at_ms))
    for series, samples in stored.items():
        strange += [at_ms for at_ms in samples if at_ms <= until_ms and at_ms not in truth.get(series, {})]
    return Difference(missing, wrong, strange, compared)


def exported(port: int, raw: bool = False) -> Iterator[tuple[Series, list[int], list[float]]]:
    """Everything that VictoriaMetrics has, deduplicated or as it lies there."""
    query = {
        "match[]": '{__name__=~"energyd_.+|linky_.+|myelectricaldata_.+|scaph_.+"}',
        **({"reduce_mem_usage": "1"} if raw else {}),
    }
    url = f"http://127.0.0.1:{port}/api/v1/export?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=120) as answer:
        for line in answer:
            entry = json.loads(line)
            yield tuple(sorted(entry["metric"].items())), entry["timestamps"], entry["values"]


def of_victoria_metrics(port: int) -> Truth:
    stored: Truth = {}
    for series, times, values in exported(port):
        assert len(set(times)) == len(times), "deduplicated"
        stored.setdefault(series, {}).update(zip(times, values, strict=True))
    return stored


def duplicates(port: int) -> set[int]:
    """The milliseconds of which any series has more than one sample there."""
    found: set[int] = set()
    times_of: dict[Series, list[int]] = {}
    for series, times, _values in exported(port, raw=True):
        times_of.setdefault(series, []).extend(times)
    for times in times_of.values():
        found.update(before for before, at_ms in itertools.pairwise(sorted(times)) if before == at_ms)
    return found


def of_prometheus(port: int, window: str) -> Truth:
    query = urllib.parse.urlencode({"query": f'{{__name__=~"energyd_.+|linky_.+|myelectricaldata_.+|scaph_.+"}}[{window}]'})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=120) as answer:
        result = json.load(answer)["data"]["result"]
    return {
        tuple(sorted(series["metric"].items())): {round(at_s * 1000): float(value) for at_s, value in series["values"]}
        for series in result
    }


class Proof:
    """energyd with a spool to each receiver, who was killed when, and what the receivers have in the end."""

    RESOLUTION_S, INTERVAL_S, COMMIT_S = 0.2, 1.0, 5.0
    LAST_S = 3 * INTERVAL_S  # so much may be sent and not yet be counted as acknowledged

    def __init__(self, daemon: Daemon, vm: Server, prom: Server) -> None:
        self._daemon, self._vm, self._prom = daemon, vm, prom
        spools = daemon.state_dir / "simulated" / "spool"
        self._archives = {name: Archive(spools / name, daemon.state_dir / f"archive-{name}") for name in ("vm", "prom")}
        self.killed: list[float] = []
        self.cuts: list[float] = []  # when answers may have been lost
        self.disk_full: list[tuple[float, float]] = []
        self.compared: dict[str, int] = {}
        self._until_ms = 0
        self._told: dict[str, dict[str, float]] = {}

    @classmethod
    def flag(cls, vm: Server, prom: Server) -> str:
        """The setting that pushes to both."""
        return cls.setting({name: f"http://127.0.0.1:{server.port}" for name, server in (("vm", vm), ("prom", prom))})

    @classmethod
    def setting(cls, places: dict[str, str], **more: object) -> str:
        """The setting that pushes every 200 ms in batches of a second, some 3000 samples a second, to the places of vm and prom."""
        paths = {"vm": "/api/v1/import/prometheus", "prom": "/api/v1/write"}
        pace = {"interval": cls.INTERVAL_S, "resolution": cls.RESOLUTION_S}
        targets = [{"name": name, "url": place + paths[name], **pace, **more} for name, place in places.items()]
        return f"metrics.push={json.dumps(targets)}"

    def __enter__(self) -> "Proof":
        for archive in self._archives.values():
            archive.__enter__()
        self._daemon.wait_ready()
        return self

    def __exit__(self, *_exception: object) -> None:
        for archive in self._archives.values():
            archive.__exit__()

    def kill_aggregator(self) -> None:
        self.killed.append(time.time())
        os.kill(self._daemon.pid_of("aggregator"), signal.SIGKILL)

    def told(self, name: str, target: str, **labels: str) -> float:
        """What energyd itself says."""
        return self._daemon.value(f"energyd_push_{name}", target=target, **labels)

    def finish(self) -> None:
        """Wait until every receiver has what it should, and note what energyd says of it."""
        for name in self._archives:
            wait_for(lambda name=name: self._caught_up(name), 60, f"{name} does not catch up")
        self._until_ms = round((time.time() - 5) * 1000)
        for name in self._archives:
            totals = ("rendered", "sent", "replayed", "dropped")
            told = {total: self.told(f"{total}_samples_total", name) for total in totals}
            told["unwritten"] = self.told("dropped_samples_total", name, reason="unwritten")
            told["restarts"] = self.told("receiver_restarts_total", name)
            self._told[name] = told

    def _caught_up(self, target: str) -> bool:
        return self.told("backlog_samples", target) < 3 * len(self._daemon.metrics()) / self.RESOLUTION_S

    def check(self) -> None:
        """Everything that was written is there once, and nothing else; no more was lost than a commit interval a kill."""
        stored = {"vm": lambda: of_victoria_metrics(self._vm.port), "prom": lambda: of_prometheus(self._prom.port, "1h")}
        for name, archive in self._archives.items():
            truth, told = archive.truth(self._until_ms), self._told[name]
            wait_for(
                lambda name=name, truth=truth: not compare(truth, stored[name](), self._until_ms).missing,
                120,  # Prometheus may take a replay row by row
                f"{name} lacks samples",
            )
            found = compare(truth, stored[name](), self._until_ms)
            self.compared[name] = found.compared
            unwritten = [at_ms for at_ms in found.strange if not self._within(at_ms, self.disk_full, 0)]
            print(f"{name}: {found.compared} samples compared, {len(found.strange)} never written; {told}")
            assert not found.wrong[:5]
            assert not unwritten[:5], "stored and never written"
            assert told["dropped"] == told["unwritten"], "nothing but what was never written"
            most = len(self.killed) * self.COMMIT_S * len(truth) / self.RESOLUTION_S
            assert told["unwritten"] <= most, "more than a commit interval a kill"
            if name == "vm":
                on_their_way = (len(self.killed) + len(self._vm.killed)) * self.LAST_S * len(truth) / self.RESOLUTION_S
                assert told["sent"] <= 1.02 * told["rendered"] + told["replayed"] + on_their_way
        self._check_duplicates()

    def _check_duplicates(self) -> None:
        """Outside of what was replayed, and of the batch on its way when energyd was killed, nothing lies there twice."""
        tails = [(at_s - KEEP_S - self.INTERVAL_S, up_s) for at_s, up_s in self._vm.killed]
        tails += [(at_s - self.LAST_S, at_s) for at_s in (*self.killed, *self.cuts)]

        def outside() -> list[int]:
            return [at_ms for at_ms in duplicates(self._vm.port) if not self._within(at_ms, tails, self.INTERVAL_S)]

        # an export that meets a merge in the background shows blocks twice that are there once: the next one does not
        try:
            wait_for(lambda: not outside(), 60, "samples lie there twice")
        except AssertionError:
            times_s = sorted(at_ms / 1000 for at_ms in outside())
            raise AssertionError(f"samples lie there twice: {times_s}, expected is that within {tails}") from None

    @staticmethod
    def _within(at_ms: int, spans: list[tuple[float, float]], slack_s: float) -> bool:
        return any(begin_s - slack_s <= at_ms / 1000 <= end_s + slack_s for begin_s, end_s in spans)
