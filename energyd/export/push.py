"""Pushing to receivers: each has a spool, a protocol and lanes of its own (energyd.export.target); here they are together."""

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from energyd.config import Metrics
from energyd.export import pushmetrics
from energyd.export.metric import Family
from energyd.export.served import Served
from energyd.service.clock import Clock
from energyd.spool import SPOOL_DIR

if TYPE_CHECKING:
    from energyd.export.target import Target


class Pushers:
    """All receivers. `families` belongs into the sources of `Served`; `run` goes on until it is cancelled."""

    def __init__(
        self, settings: Metrics, state_dir: Path, run_dir: Path, version: str, clock: Clock, logger: logging.Logger
    ) -> None:
        """Opens the spools; EnvironmentFault when another energyd has one of them."""
        self.targets: tuple[Target, ...] = ()
        if settings.push_enabled and settings.push:
            from energyd.export import target  # with its protocols and spools 1 MB, for who pushes

            self.targets = tuple(
                target.Target(each, settings.spool, state_dir, run_dir, version, clock, logger.getChild(each.name))
                for each in settings.push
            )
        names = {target.name for target in settings.push}
        for directory in sorted((state_dir / SPOOL_DIR).glob("*/")):
            if directory.name not in names:
                logger.warning("%s belongs to no receiver of the configuration; `energyd spool` shows what is in it", directory)

    async def run(self, served: Served) -> None:
        """Push what `served` renders. Cancelling it saves everything and ends it: stopping does not wait for a network."""
        async with asyncio.TaskGroup() as tasks:
            for target in self.targets:
                tasks.create_task(target.run(served))

    def families(self) -> list[Family]:
        """The counters of all receivers as metrics."""
        return pushmetrics.families(target.state() for target in self.targets)
