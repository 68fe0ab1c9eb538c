"""The aggregator: follows all rings, keeps the totals, serves and pushes them.

python -m energyd.workers.aggregator CONFIG_JSON
"""

import asyncio
import contextlib
import gc
import signal
import sys
from typing import Final

import uvloop

from energyd import config
from energyd.config import Config
from energyd.errors import EXIT_OK, EnergydError
from energyd.keeper import Keeper
from energyd.service import onewriter
from energyd.service.clock import SYSTEM_CLOCK as CLOCK
from energyd.service.notify import notify
from energyd.service.stop import Stop
from energyd.serving import Outlets, open_outlets
from energyd.units import NS_PER_S

FOLD_S: Final = 1.0
SAVE_TOTALS_NS: Final = 30 * NS_PER_S  # what came after the last save is replayed from the rings, which hold 60 s
SAVE_WINDOWS_NS: Final = 600 * NS_PER_S  # large, and what a crash loses of them is detail of quantiles
PUSH_SAVE_S: Final = 1.0  # a disk that takes longer is not waited for
COLLECT_AFTER: Final = 10_000  # new objects: a Snapshot of many processes is thousands, and none of them is garbage


async def startup(settings: Config) -> tuple[Keeper, Outlets]:
    keeper = Keeper(settings)
    outlets = await open_outlets(keeper, settings)
    gc.collect()
    gc.freeze()  # what was made up to here stays: searching it for garbage would cost 10 ms now and then
    gc.set_threshold(COLLECT_AFTER)
    notify("READY=1")
    return keeper, outlets


async def main_loop(keeper: Keeper, outlets: Outlets, stop: asyncio.Event) -> None:
    guard = Stop()
    totals_due_ns = 0  # at once: whoever is killed again and again before the next save would lose what the rings overwrite
    windows_due_ns = CLOCK.mono_ns() + SAVE_WINDOWS_NS
    while not (stop.is_set() or guard):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), FOLD_S)
        pushing = outlets.pushing
        if pushing.done() and (fault := pushing.exception()) is not None:
            raise AssertionError(f"BUG: pushing has ended: {fault!r}") from fault
        keeper.every_second()
        now_ns = CLOCK.mono_ns()
        if now_ns >= totals_due_ns or keeper.feed.any_replaced():  # only one predecessor is kept
            keeper.save_totals()
            totals_due_ns = now_ns + SAVE_TOTALS_NS
        if now_ns >= windows_due_ns:
            keeper.save_windows()
            windows_due_ns = now_ns + SAVE_WINDOWS_NS
        notify("WATCHDOG=1")


async def shutdown(keeper: Keeper, outlets: Outlets) -> None:
    notify("STOPPING=1")
    outlets.pushing.cancel()
    keeper.close()
    if outlets.server is not None:
        await outlets.server.cleanup()
    await asyncio.wait([outlets.pushing], timeout=PUSH_SAVE_S)


async def run(settings: Config) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    keeper, outlets = await startup(settings)
    try:
        await main_loop(keeper, outlets, stop)
    finally:
        await shutdown(keeper, outlets)


def main(argv: list[str]) -> int:
    try:
        settings = config.read(argv[0])
        with contextlib.suppress(OSError):  # what is wrong with the disk is told when something is saved
            onewriter.hold(settings.state_dir)  # until we end, however that comes
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(settings))
    except EnergydError as error:
        print(f"energyd.aggregator: {error}", file=sys.stderr)
        return error.exit_code
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
