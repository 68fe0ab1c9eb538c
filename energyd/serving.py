"""What is served and pushed of one machine, put together as the configuration says."""

import asyncio
import logging
import os
from functools import partial
from pathlib import Path
from typing import NamedTuple

from energyd import __version__
from energyd.config import Config
from energyd.export import (
    cadvisormetrics,
    efficiencymetrics,
    ledgermetrics,
    linkymetrics,
    myelectricaldata,
    nodemetrics,
    scaphmetrics,
)
from energyd.export.access import Access
from energyd.export.defects import Defects
from energyd.export.document import all_metrics
from energyd.export.http import application
from energyd.export.httpmetrics import HttpMetrics
from energyd.export.push import Pushers
from energyd.export.scaphfiles import Files
from energyd.export.selection import Selection
from energyd.export.selfmetrics import SelfMetrics
from energyd.export.served import Served
from energyd.export.server import Server, start
from energyd.export.webfiles import WebFiles
from energyd.keeper import Keeper
from energyd.service.clock import SYSTEM_CLOCK as CLOCK
from energyd.supervisorreport import SupervisorReport


class Outlets(NamedTuple):
    """The web server, None where metrics.enabled is false, and the task that pushes, which ends only by a fault of ours."""

    server: Server | None
    pushing: asyncio.Task[None]


async def open_outlets(keeper: Keeper, settings: Config) -> Outlets:
    """Serve and push what `keeper` has; EnvironmentFault when the address cannot be had, ConfigError for an unknown family."""
    metrics = settings.metrics
    selection = Selection(metrics.families, metrics.rename)
    selection.check(all_metrics(settings.compatibility))
    http = HttpMetrics(CLOCK, selection, metrics.labels)
    pushers = Pushers(metrics, Path(settings.state_dir), Path(settings.run_dir), __version__, CLOCK, keeper.logger)
    served = _served(keeper, settings, selection, http, pushers)
    served.publish(keeper.refresh())
    pushing = asyncio.create_task(pushers.run(served))
    if not metrics.enabled:
        return Outlets(None, pushing)
    rings = [ring.name for ring in keeper.feed.rings(CLOCK.mono_ns())]
    files = WebFiles(metrics.web_config_file, metrics.bearer_token_file)
    access = Access(CLOCK, logging.getLogger("energyd.http"))
    pages = application(served, http, path=metrics.path, rings=rings, version=__version__, clock=CLOCK, access=access)
    return Outlets(await start(pages, metrics.listen, metrics.port, access, files), pushing)


def _served(keeper: Keeper, settings: Config, selection: Selection, http: HttpMetrics, pushers: Pushers) -> Served:
    views = [ledgermetrics.families, efficiencymetrics.families]
    if linkymetrics.NAME in settings.compatibility:
        views.append(linkymetrics.LinkyExporter(settings.metrics.linky_exporter_name).families)
    if myelectricaldata.NAME in settings.compatibility:
        views.append(myelectricaldata.Families(http.answered))
    ourselves = _self_metrics(keeper, settings)
    if scaphmetrics.NAME in settings.compatibility:
        page_bytes = os.sysconf("SC_PAGE_SIZE")
        machine, own = Files(settings.procfs_root, page_bytes), Files("/proc", page_bytes)
        views.append(scaphmetrics.Scaphandre(machine, own, ourselves.pids, __version__).families)
    views += [module.families for module in (nodemetrics, cadvisormetrics) if module.NAME in settings.compatibility]
    defects = Defects(keeper.logger.error, CLOCK)
    sources = [pushers.families, ourselves.families, defects.families]
    labels = settings.metrics.labels
    return Served(
        keeper.refresh,
        CLOCK,
        __version__,
        labels,
        sources,
        http.exposition,
        views=views,
        selection=selection,
        failed=defects.failed,
    )


def _self_metrics(keeper: Keeper, settings: Config) -> SelfMetrics:
    ticks_per_s, page_bytes = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    report = SupervisorReport(settings.run_dir, CLOCK)
    return SelfMetrics(report, partial(keeper.feed.rings, 0), os.getpid(), CLOCK, ticks_per_s=ticks_per_s, page_bytes=page_bytes)
