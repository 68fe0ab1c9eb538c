"""Starts the real energyd, as `make run` does, in directories of its own, and real servers beside it."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

PROGRAMS = ("tic-house", "rapl", "usage", "aggregator", "sim-meter-house", "sim-rapl")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str, headers: dict[str, str] | None = None, timeout_s: float = 5) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=timeout_s) as answer:
        return bytes(answer.read())


def wait_for(condition: Any, timeout_s: float, what: str) -> Any:
    """The first true value of `condition()`; an AssertionError that says `what` did not happen."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, urllib.error.URLError, ValueError, KeyError, IndexError):
            if value := condition():
                return value
        time.sleep(0.05)
    raise AssertionError(f"after {timeout_s} s: {what}")


class Daemon:
    """`energyd run --simulate meter,rapl` in the foreground of its own process group."""

    def __init__(self, *settings: str, simulate: str = "meter,rapl") -> None:
        self.defect_expected = False
        self.home = Path(tempfile.mkdtemp(prefix="energyd-e2e-", dir="/dev/shm"))
        self.run_dir, self.state_dir, self.truth = self.home / "run", self.home / "state", self.home / "truth"
        self.truth.mkdir()
        self.port = free_port()
        self.log = self.home / "log"
        flags = [f"run_dir={self.run_dir}", f"state_dir={self.state_dir}", f"metrics.port={self.port}", *settings]
        self.arguments = [sys.executable, "-m", "energyd", "run", "--simulate", simulate, "--truth", str(self.truth)]
        self.arguments += [part for flag in flags for part in ("--set", flag)]
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> "Daemon":
        self.start()
        return self

    def start(self) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("ENERGYD_", "METRICS_", "LINKY_"))}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment
            )

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __exit__(self, *_exception: object) -> None:
        self.stop()
        for pid in self.leftovers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        told = self.log.read_text(errors="replace")
        shutil.rmtree(self.home, ignore_errors=True)
        assert self.defect_expected or "by a defect of energyd" not in told, told[-4000:]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/metrics"

    def metrics(self) -> dict[str, float]:
        """The exposition as {series: value}, by the text of the series."""
        series = {}
        try:
            body = get(self.url)
        except urllib.error.HTTPError as error:
            error.add_note(self.log.read_text(errors="replace")[-4000:])  # what went wrong in it stands there alone
            raise
        for line in body.decode().splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                series[name] = float(value)
        return series

    def value(self, name: str, **labels: str) -> float:
        """The sum of the series of a family whose labels are these."""
        wanted = [f'{key}="{text}"' for key, text in labels.items()]
        found = [
            value
            for series, value in self.metrics().items()
            if series.partition("{")[0] == name and all(label in series for label in wanted)
        ]
        if not found:
            raise KeyError(f"{name} {labels}")
        return sum(found)

    def wait_ready(self, timeout_s: float = 20) -> None:
        """Until every reader is fresh and both the meter and the zones have spoken."""
        ready = f"http://127.0.0.1:{self.port}/-/ready"
        try:
            wait_for(lambda: get(ready), timeout_s, "not ready")
            wait_for(lambda: self.value("energyd_host_power_watts") > 0, timeout_s, "no host power")
            wait_for(lambda: self.value("energyd_meter_link_up") == 1, timeout_s, "no meter")
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.log.read_text(errors='replace')[-4000:]}") from None

    def pid_of(self, program: str) -> int:
        """The process that runs a program now, by its command line."""
        wanted = {
            "tic-house": b"energyd.workers.tic",
            "rapl": b"energyd.workers.rapl",
            "usage": b"energyd.workers.usage",
            "aggregator": b"energyd.workers.aggregator",
            "sim-meter-house": b"simulate\0meter",
            "sim-rapl": b"simulate\0powercap",
        }[program]
        for pid in self.leftovers():
            with contextlib.suppress(OSError):
                if wanted in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        raise KeyError(program)

    def leftovers(self) -> list[int]:
        """Every process, other than the supervisor, that names our directories or is its child."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) not in (os.getpid(), self.process.pid):
                with contextlib.suppress(OSError):
                    if str(self.home).encode() in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
        return found

    def truths(self, pattern: str) -> list[dict[str, Any]]:
        """The lines of the truth file that matches, oldest first; a torn last line is left out."""
        [path] = self.truth.glob(pattern)
        lines = path.read_text().splitlines()
        records = []
        for line in lines:
            with contextlib.suppress(json.JSONDecodeError):
                records.append(json.loads(line))
        return records


class Prometheus:
    """Debian's Prometheus, scraping one target. `jobs`: more of them, in YAML; `flags`: its own; `headers`: what it asks for."""

    def __init__(
        self,
        target_port: int,
        interval: str = "1s",
        jobs: str = "",
        flags: tuple[str, ...] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="energyd-prometheus-"))
        self.port = free_port()
        (self.home / "prometheus.yml").write_text(
            f"global: {{scrape_interval: {interval}, scrape_timeout: {interval}}}\n"
            f"scrape_configs: [{{job_name: energyd, static_configs: [{{targets: ['127.0.0.1:{target_port}']}}]}}{jobs}]\n"
        )
        self.flags, self.headers = flags, headers

    def __enter__(self) -> "Prometheus":
        with open(self.home / "log", "wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self.home}/prometheus.yml",
                    f"--storage.tsdb.path={self.home}/data",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    *self.flags,
                ],
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: get(f"http://127.0.0.1:{self.port}/-/ready", self.headers), 20, "Prometheus is not ready")
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query; a range selector gives the raw samples."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        answer = json.loads(get(url))
        assert answer["status"] == "success", answer
        return list(answer["data"]["result"])

    def value(self, expression: str) -> float:
        """That of the one series of the result."""
        [series] = self.query(expression)
        return float(series["value"][1])

    def samples(self, selector: str, window: str = "10m") -> list[tuple[float, float]]:
        """(Unix seconds, value) of the one series that `selector` names, as it was scraped."""
        [series] = self.query(f"{selector}[{window}]")
        return [(float(at_s), float(value)) for at_s, value in series["values"]]

    def complaints(self) -> list[str]:
        """The warnings and errors in its log; Prometheus 3 writes the level in capitals."""
        lines = (self.home / "log").read_text().splitlines()
        return [line for line in lines if "level=warn" in line.lower() or "level=error" in line.lower()]
