"""Exact delivery at 2000 samples a second, with two kills each of VictoriaMetrics, Prometheus and the aggregator in a minute."""

import shutil
import time

import pytest
from daemon import Daemon
from proof import Proof, prometheus, victoria_metrics

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (shutil.which("victoria-metrics") and shutil.which("prometheus")), reason="needs both servers"),
]


def test_every_sample_that_was_written_is_there_exactly_once():
    with victoria_metrics() as vm, prometheus() as prom, Daemon(Proof.flag(vm, prom)) as daemon, Proof(daemon, vm, prom) as proof:
        begin_s = time.time()
        for kill in (
            lambda: vm.kill(3),
            proof.kill_aggregator,
            lambda: prom.kill(3),
            lambda: vm.kill(1),
            proof.kill_aggregator,
            lambda: prom.kill(1),
        ):
            time.sleep(7)
            kill()
        time.sleep(60 - (time.time() - begin_s))
        proof.finish()
        proof.check()

        assert proof.compared["vm"] > 2000 * 45
        for target in ("vm", "prom"):
            assert proof.told("missed_ticks_total", target) >= len(proof.killed), "a new aggregator takes longer than two ticks"
