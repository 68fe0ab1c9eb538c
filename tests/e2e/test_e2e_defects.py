"""A defect in what makes some metrics costs these, and neither the others nor a push, a restart or a full disk."""

import shutil
from pathlib import Path

import pytest
from daemon import Daemon, wait_for
from proof import Proof, victoria_metrics

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not shutil.which("victoria-metrics"), reason="needs victoria-metrics")]

SPOILER = """\
import os

if b"aggregator" in open("/proc/self/cmdline", "rb").read():
    from energyd.export import groupmetrics

    def spoilt(snapshot, really=groupmetrics.families):
        if os.path.exists({switch!r}):
            raise KeyError("a defect on purpose")
        return really(snapshot)

    spoilt.__module__ = groupmetrics.__name__
    groupmetrics.families = spoilt
"""


def test_a_defect_is_counted_and_told_while_everything_else_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    switch = tmp_path / "switch"
    (tmp_path / "sitecustomize.py").write_text(SPOILER.format(switch=str(switch)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with victoria_metrics() as vm, Daemon(Proof.setting({"vm": f"http://127.0.0.1:{vm.port}"})) as daemon:
        daemon.defect_expected = True
        daemon.wait_ready()
        pid = daemon.pid_of("aggregator")
        assert daemon.value("energyd_groups") > 0
        assert daemon.value("energyd_families_failed_total") == 0

        switch.touch()
        wait_for(lambda: daemon.value("energyd_families_failed_total") > 10, 20, "no defect is counted")
        sent = daemon.value("energyd_push_samples_total")
        wait_for(lambda: daemon.value("energyd_push_samples_total") > sent, 20, "nothing is pushed any more")
        assert not [series for series in daemon.metrics() if series.startswith("energyd_group")]
        assert daemon.value("energyd_host_power_watts") > 0
        told = daemon.log.read_text()
        assert told.count("KeyError: 'a defect on purpose'") == 1, "once a minute"
        assert "whatever energyd.export.groupmetrics gives is neither served nor pushed" in told

        switch.unlink()
        wait_for(lambda: daemon.value("energyd_groups") > 0, 20, "it does not come back")
        assert daemon.pid_of("aggregator") == pid
