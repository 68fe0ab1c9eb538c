"""Names that processes can really have: any bytes but NUL, up to 15 of them (prctl(2), PR_SET_NAME)."""

import subprocess
import sys
from contextlib import contextmanager

import pytest
from daemon import Daemon, get, wait_for
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

pytestmark = pytest.mark.e2e

BURNER = """
import sys
open("/proc/self/comm", "wb").write(bytes.fromhex(sys.argv[1]))
while True:
    sum(range(1000))
"""
NAMES = {
    b'say "hi"': 'say "hi"',
    b"back\\slash": "back\\slash",
    b"two\nlines": "two\nlines",
    b"latin \xe9\xff": "latin \\xe9\\xff",
    "é{}=,#".encode(): "é{}=,#",
}


@contextmanager
def burners():
    processes = [subprocess.Popen([sys.executable, "-c", BURNER, name.hex()]) for name in NAMES]
    try:
        yield {str(process.pid): shown for process, shown in zip(processes, NAMES.values(), strict=True)}
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_no_name_of_a_process_breaks_the_exposition():
    with Daemon() as daemon, burners() as names:
        daemon.wait_ready(30)
        wait_for(lambda: all(f'pid="{pid}"' in get(daemon.url).decode() for pid in names), 15, "burners were not seen")
        text = get(daemon.url).decode()
        openmetrics = get(daemon.url, {"Accept": "application/openmetrics-text; version=1.0.0"}).decode()

        for families in (parse_text(text), parse_openmetrics(openmetrics)):
            shown = {
                sample.labels["pid"]: sample.labels["comm"]
                for family in families
                for sample in family.samples
                if sample.name == "energyd_process_cpu_seconds_total" and sample.labels["pid"] in names
            }
            assert shown == names
