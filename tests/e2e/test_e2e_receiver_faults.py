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
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import EXPIRED, GOOD, NAME, OTHER_NAME, UNKNOWN, Certificates
from daemon import Daemon, wait_for
from proof import Proof, Server, prometheus, victoria_metrics

sys.path.insert(0, str(Path(__file__).parents[1] / "export"))

from faultyproxy import FaultyProxy, reset

AS_ROOT = ("unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)))
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (shutil.which("victoria-metrics") and shutil.which("prometheus")), reason="needs both servers"),
    pytest.mark.skipif(
        subprocess.run([*AS_ROOT, "true"], capture_output=True, check=False).returncode != 0,
        reason="needs a mount namespace: root, or user namespaces",
    ),
]

LASTS_S = 4.0
NOWHERE = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"
HOSTS = "127.0.0.1 localhost\n"
NO_NAME = f"no connection: Temporary failure in name resolution; is '{NAME}' its name, and does the name server answer?"
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


@contextlib.contextmanager
def resolving(daemon: Daemon, place: Path) -> Iterator[Path]:
    """Let `daemon` see /etc/hosts and a name server of its own; the file of the hosts is given, to be written to."""
    hosts, servers = place / "hosts", place / "resolv.conf"
    hosts.write_text(HOSTS)
    servers.write_text(NOWHERE)
    mounted = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"'
    daemon.arguments = [*AS_ROOT, "sh", "-c", mounted, "sh", str(hosts), str(servers), *daemon.arguments]
    yield hosts


def test_no_fault_of_names_or_certificates_costs_a_sample_and_each_is_told_once(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    with victoria_metrics() as vm, prometheus() as prom, Gateway({"vm": vm, "prom": prom}, certificates) as gateway:
        places = {name: f"https://{NAME}:{port}" for name, port in gateway.ports.items()}
        daemon = Daemon(Proof.setting(places, tls_ca_file=str(certificates.authority)))
        with resolving(daemon, tmp_path) as hosts, daemon, Proof(daemon, vm, prom) as proof:

            def told(words: str) -> bool:
                lines = daemon.log.read_text().splitlines()
                return all(any(f"push {name}: {place}: {words}" in line for line in lines) for name, place in places.items())

            def goes_on() -> None:
                before = {name: proof.told("samples_total", name) for name in places}
                wait_for(lambda: all(proof.told("samples_total", name) > before[name] for name in places), 60, "it is over")

            wait_for(
                lambda: told(f"no connection: Temporary failure in name resolution; is '{NAME}' its name"), 30, "no word of DNS"
            )
            hosts.write_text(f"{HOSTS}127.0.0.1 {NAME}\n")
            goes_on()
            for fault, words in FAULTS.items():
                time.sleep(1)
                begin_s = time.monotonic()
                gateway.behave(fault)
                proof.cuts.append(time.time())
                wait_for(lambda words=words: told(words), 30, f"no word of {fault}")
                time.sleep(max(0.0, begin_s + LASTS_S - time.monotonic()))
                gateway.behave(GOOD)
                goes_on()
            time.sleep(2)
            proof.finish()
            proof.check()

            lines = [line for line in daemon.log.read_text().splitlines() if "push " in line]
            for name in places:
                ours = [line for line in lines if f"push {name}:" in line]
                assert len(ours) <= 2 * (len(FAULTS) + 1) + 2, "\n".join(ours)
                assert "takes samples again" in ours[-1]
            assert proof.compared["vm"] > 2000 * 20
