"""A name that is not resolved, and each fault of TLS, before VictoriaMetrics and Prometheus while energyd goes on: all arrives."""

import asyncio
import contextlib
import os
import shutil
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from certificates import EXPIRED, GOOD, OTHER_NAME, UNKNOWN, Certificates
from daemon import Daemon, wait_for
from proof import Proof, Server, prometheus, victoria_metrics

sys.path.insert(0, str(Path(__file__).parents[1] / "export"))

from faultyproxy import FaultyProxy, reset

AS_ROOT = ("unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)))
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (shutil.which("victoria-metrics") and shutil.which("prometheus")), reason="needs both servers"),
]

LASTS_S = 4.0
NOWHERE = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"
HOSTS = "127.0.0.1 localhost\n"
NO_NAME = "no connection: Temporary failure in name resolution; is 'receiver.test' its name, and does the name server answer?"
FAULTS = {  # what the log says of it
    EXPIRED: "its certificate is expired; renew it there, and look whether the clock of this machine is right",
    OTHER_NAME: "its certificate is made out to another name; use a name of the certificate in the url",
    UNKNOWN: "its certificate is signed by nobody known here",
    "hangs up": "no connection: it accepts and hangs up; its log tells why",
    "speaks plain HTTP": "no connection: it does not speak TLS there; write http:// in the url, unless it did so until now",
}


class Gateway:
    """Ends TLS before each of several servers, in a thread of its own, as well or as badly as it is told."""

    def __init__(self, servers: dict[str, Server], certificates: Certificates) -> None:
        self._certificates = certificates
        self._proxies = {name: FaultyProxy(server.port) for name, server in servers.items()}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "Gateway":
        self._thread.start()
        self.behave(GOOD)
        return self

    def __exit__(self, *_exception: object) -> None:
        for proxy in self._proxies.values():
            self._wait(proxy.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def ports(self) -> dict[str, int]:
        return {name: proxy.port for name, proxy in self._proxies.items()}

    def behave(self, how: str) -> None:
        """Break off what is open, and answer from now on so."""
        tls = None if how in ("hangs up", "speaks plain HTTP") else self._certificates.context(how)
        for proxy in self._proxies.values():
            proxy.fault = reset if how == "hangs up" else None
            self._wait(self._again(proxy, tls))

    @staticmethod
    async def _again(proxy: FaultyProxy, tls: ssl.SSLContext | None) -> None:
        if proxy.port:
            await proxy.__aexit__()
        proxy.tls = tls
        await proxy.__aenter__()

    def _wait(self, coroutine: object) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)  # type: ignore[arg-type]


class Trial:
    """energyd pushing to both servers through a gateway, as `name`."""

    def __init__(self, place: Path, name: str) -> None:
        self._stack = contextlib.ExitStack()
        certificates = Certificates(place, name)
        vm, prom = self._stack.enter_context(victoria_metrics()), self._stack.enter_context(prometheus())
        self.gateway = self._stack.enter_context(Gateway({"vm": vm, "prom": prom}, certificates))
        self._places = {target: f"https://{name}:{port}" for target, port in self.gateway.ports.items()}
        self.daemon = Daemon(Proof.setting(self._places, tls_ca_file=str(certificates.authority)))
        self.proof = Proof(self.daemon, vm, prom)

    def __enter__(self) -> "Trial":
        self._stack.enter_context(self.daemon)
        self._stack.enter_context(self.proof)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def wait_told(self, words: str) -> None:
        """Until the log says of each receiver where it is and what is wrong."""
        begins = [f"push {target}: {place}: {words}" for target, place in self._places.items()]
        wait_for(lambda: all(begin in self.daemon.log.read_text() for begin in begins), 30, f"the log does not say: {words}")

    def wait_delivered(self) -> None:
        before = {target: self.proof.told("samples_total", target) for target in self._places}
        wait_for(lambda: all(self.proof.told("samples_total", target) > before[target] for target in before), 60, "it is over")

    def check(self, outages: int) -> None:
        """Everything is there exactly once; a line for each outage, one for its end, and hardly more."""
        time.sleep(2)
        self.proof.finish()
        self.proof.check()
        for target in self._places:
            lines = [line for line in self.daemon.log.read_text().splitlines() if f"push {target}:" in line]
            assert 2 * outages <= len(lines) <= 2 * outages + 6, "\n".join(lines)
            assert "takes samples again" in lines[-1]
        assert self.proof.compared["vm"] > 2000 * 5


def test_no_fault_of_tls_costs_a_sample_and_each_is_told_once(tmp_path: Path) -> None:
    with Trial(tmp_path, "localhost") as trial:
        trial.wait_delivered()
        for fault, words in FAULTS.items():
            time.sleep(1)
            begin_s = time.monotonic()
            trial.gateway.behave(fault)
            trial.proof.cuts.append(time.time())
            trial.wait_told(words)
            time.sleep(max(0.0, begin_s + LASTS_S - time.monotonic()))
            trial.gateway.behave(GOOD)
            trial.wait_delivered()
        trial.check(len(FAULTS))


@pytest.mark.skipif(
    subprocess.run([*AS_ROOT, "true"], capture_output=True, check=False).returncode != 0,
    reason="needs a mount namespace: root, or user namespaces",
)
def test_a_name_that_is_not_resolved_for_a_while_costs_no_sample(tmp_path: Path) -> None:
    """The daemon sees a file of hosts and a name server of its own, and nobody listens where that should be."""
    hosts, servers = tmp_path / "hosts", tmp_path / "resolv.conf"
    hosts.write_text(HOSTS)
    servers.write_text(NOWHERE)
    trial = Trial(tmp_path, "receiver.test")
    mounted = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"'
    trial.daemon.arguments = [*AS_ROOT, "sh", "-c", mounted, "sh", str(hosts), str(servers), *trial.daemon.arguments]
    with trial:
        trial.wait_told(NO_NAME)
        time.sleep(LASTS_S)
        hosts.write_text(f"{HOSTS}127.0.0.1 receiver.test\n")
        trial.wait_delivered()
        trial.check(1)
