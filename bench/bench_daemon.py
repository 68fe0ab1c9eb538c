"""What the whole daemon costs: CPU time and PSS of every process: `python bench/bench_daemon.py [SECONDS] [PROCESSES ...]`.

The real `energyd run` at default rates, with so many sleeping processes more on the machine, scraped every 15 s; once without and
once with a meter (standard mode, 9600 baud). Where the machine has no RAPL it is simulated; what the simulators cost is told, and
not counted. Beside it node_exporter and process-exporter (grouping by name), each as Debian has it, scraped as often. CPU time is
told by the kernel's clocks, PSS by smaps_rollup at the end.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

SCRAPE_S = 15
SETTLE_S = 10
_SIMULATOR = b"simulate"


def cpu_ns(pid: int) -> int:
    """CPU time of all threads (the kernel's clock of another process)."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def pss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    return 0


def descendants(root: int) -> list[int]:
    """`root` and all below it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def role(pid: int) -> str:
    """What a process of ours is, by its command line."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    if _SIMULATOR in words or b"energyd.simulate" in words:
        return "simulator"
    worker = next((word for word in words if word.startswith(b"energyd.workers.")), b"supervisord")
    return worker.decode().removeprefix("energyd.workers.")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def scrape(port: int) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return len(answer.read())


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=2).close()
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"{url} does not become ready")
        time.sleep(0.2)


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """`command` in a process group of its own, gone at the end."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def measure(root: int, port: int, seconds: int) -> tuple[dict[str, tuple[float, float]], int]:
    """({role: (percent of one core, PSS in MB)}, bytes of the last scrape)."""
    pids = descendants(root)
    before = {pid: cpu_ns(pid) for pid in pids}
    begin, size = time.monotonic(), 0
    for n in range(1, seconds // SCRAPE_S + 1):
        time.sleep(max(0.0, begin + n * SCRAPE_S - time.monotonic()))
        size = scrape(port)
    elapsed_s = time.monotonic() - begin
    costs: dict[str, tuple[float, float]] = {}
    for pid in pids:
        percent, pss_mb = costs.get(role(pid), (0.0, 0.0))
        costs[role(pid)] = (percent + (cpu_ns(pid) - before[pid]) / elapsed_s / 1e7, pss_mb + pss_bytes(pid) / 1e6)
    return costs, size


def energyd(simulate: str, seconds: int) -> None:
    home = Path(tempfile.mkdtemp(prefix="energyd-bench-", dir="/dev/shm"))
    port = free_port()
    settings = [f"run_dir={home}/run", f"state_dir={home}/state", f"metrics.port={port}"]
    command = [sys.executable, "-m", "energyd", "run", "--simulate", simulate]
    try:
        with started([*command, *(part for setting in settings for part in ("--set", setting))]) as process:
            wait_until_ready(f"http://127.0.0.1:{port}/-/ready")
            time.sleep(SETTLE_S)
            costs, size = measure(process.pid, port, seconds)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    ours = {name: cost for name, cost in costs.items() if name != "simulator"}
    for name, (percent, pss_mb) in sorted(ours.items()):
        print(f"  {name:<24} {percent:7.3f} % {pss_mb:8.1f} MB")
    percent, pss_mb = (sum(cost[i] for cost in ours.values()) for i in (0, 1))
    print(f"  {'energyd in all':<24} {percent:7.3f} % {pss_mb:8.1f} MB    {size} bytes a scrape (gzip)")
    if "simulator" in costs:
        print(f"  {'(simulators)':<24} {costs['simulator'][0]:7.3f} % {costs['simulator'][1]:8.1f} MB")


def peer(name: str, seconds: int, *options: str) -> None:
    """Debian's prometheus-NAME; nothing where it is not installed."""
    program = shutil.which(f"prometheus-{name}")
    if program is None:
        return
    port = free_port()
    with started([program, f"--web.listen-address=127.0.0.1:{port}", *options]) as process:
        wait_until_ready(f"http://127.0.0.1:{port}/metrics")
        before = cpu_ns(process.pid)
        costs, size = measure(process.pid, port, seconds)
        scrapes = seconds // SCRAPE_S
        percent, pss_mb = sum(cost[0] for cost in costs.values()), sum(cost[1] for cost in costs.values())
        per_scrape_ms = (cpu_ns(process.pid) - before) / scrapes / 1e6
    print(f"  {name:<24} {percent:7.3f} % {pss_mb:8.1f} MB    {size} bytes a scrape (gzip), {per_scrape_ms:.1f} ms CPU")


def main(seconds: int, processes: int) -> None:
    children = [subprocess.Popen(["sleep", "3600"]) for _ in range(processes)]
    try:
        alive = sum(entry.name.isdigit() for entry in Path("/proc").iterdir())
        print(f"{seconds} s, {alive} processes, load average {os.getloadavg()[0]:.2f}, CPU in percent of one core, PSS")
        has_rapl = Path("/sys/class/powercap/intel-rapl:0").exists()
        for meter in (False, True):
            simulated = [*(["meter"] if meter else []), *([] if has_rapl else ["rapl"])]
            print("with a meter" if meter else "without a meter")
            energyd(",".join(simulated) or "none", seconds)
        print("beside it")
        peer("node-exporter", seconds)
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as groups:
            print("process_names: [{name: '{{.Comm}}', cmdline: ['.+']}]", file=groups, flush=True)
            peer("process-exporter", seconds, f"--config.path={groups.name}")
    finally:
        for child in children:
            child.kill()
            child.wait()


if __name__ == "__main__":
    for count in map(int, sys.argv[2:] or ("200",)):
        main(int(sys.argv[1]) if sys.argv[1:] else 60, count)
