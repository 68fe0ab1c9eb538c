"""A host lends a virtual machine its share, and an energyd in the guest counts the same joules.

The machine is a process with the command line of one, which burns CPU; the guest is a second energyd that sees the lent tree.
"""

import os
import subprocess
import sys
import time

import pytest
from daemon import Daemon, wait_for

pytestmark = pytest.mark.e2e

BURN = "while True: pass"
MACHINE = ["qemu-system-x86_64", "-c", BURN, "-name", "guest=web1,debug-threads=on"]


def test_the_guest_counts_what_its_host_has_given_it():
    host, guest = Daemon(simulate="rapl"), Daemon("energy.rate_hz=20", simulate="none")
    lent = host.home / "guests"
    host.arguments += ["--set", f"energy.guests_dir={lent}"]
    guest.arguments += ["--set", f"powercap_root={lent}/web1"]
    burner = subprocess.Popen(MACHINE, executable=sys.executable)
    try:
        with host, guest:
            wait_for(lambda: host.value("energyd_group_energy_joules_total", group="web1") > 1, 20, "the machine is no group")
            wait_for(lambda: guest.value("energyd_host_energy_joules_total", source="simulated") > 1, 20, "nothing is lent")
            begin_j = {who: joules(who) for who in (host, guest)}
            time.sleep(10)
            host_j, guest_j = (joules(who) - begin_j[who] for who in (host, guest))

            assert host_j > 4  # of a machine that may be busy with others
            assert guest_j == pytest.approx(host_j, abs=2 * host_j / 10)  # each end is up to a second old
            os.kill(burner.pid, 9)
            burner.wait()
            time.sleep(3)
            assert guest.value("energyd_zone_resets_total", zone="package-0") == 0
            raw_uj = int((lent / "web1/intel-rapl:0/energy_uj").read_text())
            assert raw_uj / 1e6 == pytest.approx(joules(host), abs=1e-6)
            assert joules(guest) <= joules(host)
    finally:
        burner.kill()
        burner.wait()


def joules(daemon: Daemon) -> float:
    if "none" in daemon.arguments:
        return daemon.value("energyd_host_energy_joules_total")
    return daemon.value("energyd_group_energy_joules_total", group="web1")
