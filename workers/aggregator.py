"""The aggregator: follows all rings, keeps the totals, serves and pushes them.

python -m energyd.workers.aggregator CONFIG_JSON
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvloop

from energyd import __version__, config, rundir
from energyd.aggregate.engine import Engine
from energyd.aggregate.meters import MeterBook
from energyd.aggregate.snapshot import Snapshot
from energyd.config import Config, Meter
from energyd.errors import EXIT_OK, EnergydError, EnvironmentFault
from energyd.export import efficiencymetrics, ledgermetrics, linkymetrics, myelectricaldata, scaphmetrics
from energyd.export.access import Access
from energyd.export.document import names
from energyd.export.guests import Guests
from energyd.export.http import application
from energyd.export.httpmetrics import HttpMetrics
from energyd.export.push import Pushers
from energyd.export.selection import Selection
from energyd.export.selfmetrics import SelfMetrics
from energyd.export.served import Served
from energyd.export.server import Server, start
from energyd.export.webfiles import WebFiles
from energyd.feed import Feed, from_first_label
from energyd.groups.grouper import Grouper
from energyd.groups.names import HostNames
from energyd.ledger.ledger import Ledger
from energyd.ring.files import read_boot_id
from energyd.ring.writer import BOOT_ID
from energyd.service import log, statefile
from energyd.service.clock import SYSTEM_CLOCK as CLOCK
from energyd.service.clock import ScaledClock
from energyd.service.notify import notify
from energyd.service.stop import Stop

TOTALS: Final = "totals.state"
LAYOUT: Final = 2  # of what is saved: another number when an older version could not read it
WINDOWS: Final = "windows.state"
FOLD_S: Final = 1.0
SAVE_TOTALS_S: Final = 30  # what came after the last save is replayed from the rings, which hold 60 s
PUSH_SAVE_S: Final = 1.0  # a disk that takes longer is not waited for
SAVE_WINDOWS_S: Final = 600  # large, and what a crash loses of them is detail of quantiles


class Aggregator:
    """Engine, rings and saved state of one machine."""

    def __init__(self, settings: Config) -> None:
        self.logger = log.setup("aggregator", settings.log.level, settings.log.format)
        self._faults = log.DistinctFaults(self.logger.warning, CLOCK.mono_ns)
        self._boot_id = read_boot_id(BOOT_ID).hex()
        self._state_dir = Path(settings.state_dir)
        meters = [meter_book(meter, settings) for meter in settings.meters]
        names = HostNames(str(Path(settings.procfs_root).parent), self._faults.report)
        self.engine = Engine(
            top=settings.usage.top,
            proportional_idle=settings.energy.idle == "proportional",
            meters=meters,
            max_groups=settings.usage.max_groups,
            grouper=Grouper(settings.groups, names),
            dram=settings.energy.dram,
        )
        directory, simulated = settings.energy.guests_dir, "rapl" in settings.simulated
        self._guests = Guests(Path(directory), "simulated" if simulated else "lent") if directory else None
        host = host_meter(settings)
        if host is not None:
            self.engine.take_for_host(host.name, "simulated" if host.simulated else "meter")
        saved, windows = self._load(TOTALS), self._load(WINDOWS)
        cursors = saved["cursors"] if saved.get("boot_id") == self._boot_id else {}
        if saved and self.engine.restore(saved["engine"], saved["boot_id"] == self._boot_id):
            cursors = from_first_label(cursors, "usage")
        if windows.get("boot_id") == self._boot_id:
            self.engine.restore_windows(windows["windows"])
        self.ledger = Ledger(settings, CLOCK, self._faults.report)
        if "ledger" in saved:
            self.ledger.restore(saved["ledger"])
        self.ledger.follow(self.engine.meters)
        self.feed = Feed(Path(settings.run_dir), self.engine, cursors)

    def fold(self) -> None:
        """Take over everything that is in the rings now."""
        self.feed.pull()
        self.ledger.flush()
        for fault in self.feed.faults():
            self._faults.report(fault, fault)

    def every_second(self) -> None:
        """Fold, so that no ring overflows; guests are told what they use, because they cannot ask."""
        if self._guests:
            self.refresh()
        else:
            self.fold()

    def refresh(self) -> Snapshot:
        """Everything that is in the rings now, as one Snapshot: for who asks, since making it costs more than folding."""
        self.fold()
        mono_ns = CLOCK.mono_ns()
        snapshot = self.engine.snapshot(mono_ns=mono_ns, real_ns=CLOCK.real_ns(), ready=True, rings=self.feed.rings(mono_ns))
        for fault in self._guests.update(snapshot.groups.visible) if self._guests else ():
            self._faults.report(fault, fault)
        return snapshot._replace(ledger=self.ledger.view(snapshot.host, mono_ns))

    def save_totals(self) -> None:
        self._save(TOTALS, {"engine": self.engine.state(), "cursors": self.feed.cursors(), "ledger": self.ledger.state()})

    def save_windows(self) -> None:
        self._save(WINDOWS, {"windows": self.engine.windows_state()})

    def _save(self, name: str, state: dict[str, object]) -> None:
        try:
            statefile.save(self._state_dir / name, {"boot_id": self._boot_id, "layout": LAYOUT, **state})
        except EnvironmentFault as fault:
            self._faults.report(name, str(fault))

    def _load(self, name: str) -> dict[str, Any]:
        path = self._state_dir / name
        try:
            state = statefile.load(path) or {}
        except statefile.DamagedState as damage:
            self.logger.error("%s", damage)
            return {}
        if state and state.get("layout") != LAYOUT:
            path.replace(path.with_name(f"{name}.other-version"))
            self.logger.error("%s is of another version of energyd and was set aside; totals start anew", path)
            return {}
        return state


def meter_book(meter: Meter, settings: Config) -> MeterBook:
    if not meter.simulated:
        return MeterBook(meter.name, "meter", link_timeout_s=meter.link_timeout_s)
    if settings.clock.rate == 1:
        return MeterBook(meter.name, "simulated", link_timeout_s=meter.link_timeout_s)
    scaled = ScaledClock(*settings.clock)
    return MeterBook(meter.name, "simulated", scaled.at, link_timeout_s=meter.link_timeout_s)


def host_meter(settings: Config) -> Meter | None:
    """The meter whose power is the host's, where the configuration says so; never one whose time runs faster than ours."""
    if "meter" not in settings.energy.sources:
        return None
    candidates = (meter for meter in settings.meters if meter.role == "house")
    return next((meter for meter in candidates if not meter.simulated or settings.clock.rate == 1), None)


def self_metrics(aggregator: Aggregator, settings: Config) -> SelfMetrics:
    ticks_per_s, page_bytes = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    report = Path(rundir.workers_file(settings.run_dir))
    rings = partial(aggregator.feed.rings, 0)
    return SelfMetrics(report, rings, os.getpid(), CLOCK, ticks_per_s=ticks_per_s, page_bytes=page_bytes)


async def startup(aggregator: Aggregator, settings: Config) -> tuple[Server | None, asyncio.Task[None]]:
    metrics = settings.metrics
    selection = Selection(metrics.families, metrics.rename)
    selection.check(names(settings.compatibility))
    http = HttpMetrics(CLOCK, selection, metrics.labels)
    pushers = Pushers(metrics, Path(settings.state_dir), Path(settings.run_dir), __version__, CLOCK, aggregator.logger)
    sources = [pushers.families, self_metrics(aggregator, settings).families]
    views = [ledgermetrics.families, efficiencymetrics.families]
    if linkymetrics.NAME in settings.compatibility:
        views.append(linkymetrics.LinkyExporter(metrics.linky_exporter_name).families)
    if myelectricaldata.NAME in settings.compatibility:
        views.append(myelectricaldata.Families(http.answered))
    if scaphmetrics.NAME in settings.compatibility:
        views.append(scaphmetrics.Scaphandre(settings.procfs_root, page_bytes=os.sysconf("SC_PAGE_SIZE")).families)
    served = Served(
        aggregator.refresh, CLOCK, __version__, metrics.labels, sources, http.exposition, views=views, selection=selection
    )
    served.publish(aggregator.refresh())
    pushing = asyncio.create_task(pushers.run(served))
    if not metrics.enabled:
        return None, pushing
    rings = [ring.name for ring in aggregator.feed.rings(CLOCK.mono_ns())]
    files = WebFiles(metrics.web_config_file, metrics.bearer_token_file)
    access = Access(CLOCK, logging.getLogger("energyd.http"))
    pages = application(served, http, path=metrics.path, rings=rings, version=__version__, clock=CLOCK, access=access)
    return await start(pages, metrics.listen, metrics.port, access, files), pushing


async def main_loop(aggregator: Aggregator, pushing: asyncio.Task[None], stop: asyncio.Event) -> None:
    gc.freeze()  # what was made up to here stays: searching it for garbage would cost 10 ms now and then
    notify("READY=1")
    seconds, guard = 0, Stop()
    while not (stop.is_set() or guard):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), FOLD_S)
        if pushing.done() and (fault := pushing.exception()) is not None:
            raise AssertionError(f"BUG: pushing has ended: {fault!r}") from fault
        aggregator.every_second()
        seconds += 1
        if seconds % SAVE_TOTALS_S == 0:
            aggregator.save_totals()
        if seconds % SAVE_WINDOWS_S == 0:
            aggregator.save_windows()
        notify("WATCHDOG=1")


async def shutdown(aggregator: Aggregator, server: Server | None, pushing: asyncio.Task[None]) -> None:
    notify("STOPPING=1")
    pushing.cancel()
    aggregator.feed.pull()
    aggregator.ledger.close()
    aggregator.save_totals()
    aggregator.save_windows()
    if server is not None:
        await server.cleanup()
    await asyncio.wait([pushing], timeout=PUSH_SAVE_S)


async def run(settings: Config) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    aggregator = Aggregator(settings)
    server, pushing = await startup(aggregator, settings)
    try:
        await main_loop(aggregator, pushing, stop)
    finally:
        await shutdown(aggregator, server, pushing)


def main(argv: list[str]) -> int:
    try:
        settings = config.read(argv[0])
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(settings))
    except EnergydError as error:
        print(f"aggregator: {error}", file=sys.stderr)
        return error.exit_code
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
