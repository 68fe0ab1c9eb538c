"""The push, through the whole path, into Debian's VictoriaMetrics and back."""

import json
import shutil
import subprocess
import tempfile
import time
import urllib.parse
from contextlib import contextmanager

import pytest
from daemon import Daemon, free_port, get, wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("victoria-metrics") is None, reason="needs Debian's victoria-metrics package"),
]


@contextmanager
def victoria_metrics(port):
    home = tempfile.mkdtemp(prefix="energyd-vm-")
    flags = ["-retentionPeriod=1200", "-search.latencyOffset=0s", f"-storageDataPath={home}", f"-httpListenAddr=127.0.0.1:{port}"]
    server = subprocess.Popen(["victoria-metrics", *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: get(f"http://127.0.0.1:{port}/health"), 10, "VictoriaMetrics is not up")
        yield
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(home, ignore_errors=True)


def exported(port, selector):
    """{series labels as text: [(ms, value)]} of everything that was stored."""
    url = f"http://127.0.0.1:{port}/api/v1/export?" + urllib.parse.urlencode({"match[]": selector})
    series = {}
    for line in get(url).splitlines():
        entry = json.loads(line)
        series[json.dumps(entry["metric"], sort_keys=True)] = list(zip(entry["timestamps"], entry["values"], strict=True))
    return series


def test_what_is_pushed_is_what_is_scraped():
    """Simulated runs push only because it is asked for; values arrive with the milliseconds of their own snapshot."""
    vm_port = free_port()
    push = json.dumps([{"name": "vm", "url": f"http://127.0.0.1:{vm_port}/api/v1/import/prometheus", "interval": 1}])
    with victoria_metrics(vm_port), Daemon(f"metrics.push={push}", 'metrics.labels={"site": "attic"}') as daemon:
        daemon.wait_ready()
        begin_ms = time.time() * 1000
        wait_for(lambda: daemon.value("energyd_push_samples_total", target="vm") > 500, 15, "nothing was pushed")
        stored = wait_for(lambda: exported(vm_port, '{__name__="energyd_host_energy_joules_total"}'), 15, "nothing was stored")
        [(labels, samples)] = stored.items()
        time.sleep(3)
        [samples] = exported(vm_port, '{__name__="energyd_host_energy_joules_total"}').values()
        last_ms, last_j = samples[-1]

        assert json.loads(labels) == {"__name__": "energyd_host_energy_joules_total", "site": "attic", "source": "simulated"}
        assert len(samples) >= 4
        assert [value for _, value in samples] == sorted(value for _, value in samples)
        assert abs(last_ms - time.time() * 1000) < 5000
        assert last_ms > begin_ms
        assert last_j <= daemon.value("energyd_host_energy_joules_total")
        names = json.loads(get(f"http://127.0.0.1:{vm_port}/api/v1/label/__name__/values"))["data"]
        assert {"energyd_meter_energy_watthours_total", "energyd_process_energy_joules_total"} <= set(names)
        refused = [
            line for line in get(f"http://127.0.0.1:{vm_port}/metrics").decode().splitlines() if "vm_rows_invalid_total" in line
        ]
        assert all(line.endswith(" 0") for line in refused), refused


def test_a_simulated_run_does_not_push_what_only_the_file_asks_for(tmp_path):
    """Simulated figures among real ones would be a lie: the configuration's targets are left alone unless a flag asks."""
    vm_port = free_port()
    file = tmp_path / "energyd.yml"
    file.write_text(f"metrics: {{push: {{url: 'http://127.0.0.1:{vm_port}/api/v1/import/prometheus', interval: 1}}}}\n")
    with victoria_metrics(vm_port):
        daemon = Daemon()
        daemon.arguments += ["--config", str(file)]
        with daemon:
            daemon.wait_ready()
            time.sleep(3)
            assert exported(vm_port, '{__name__=~"energyd_.*"}') == {}
