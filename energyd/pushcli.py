"""`energyd push --check`: tries out each receiver of the configuration with a probe that is read back and deleted."""

import argparse
import asyncio
import os
from collections.abc import Sequence

from energyd import __version__, configfile
from energyd.config import Push
from energyd.errors import EXIT_OK, ConfigError
from energyd.export.pushcheck import Checked, check
from energyd.service.clock import SYSTEM_CLOCK

EXIT_NOT_WELL = 1


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="energyd push", description="Try out the receivers: send a probe to each, read it back, delete it, say what is wrong."
    )
    configfile.add_flags(result)
    result.add_argument("--check", action="store_true", required=True, help="do it")
    result.add_argument("target", nargs="?", metavar="NAME", help="only this receiver")
    return result


def main(argv: Sequence[str]) -> int:
    arguments = parser().parse_args(argv)
    targets = configfile.load(arguments.config, os.environ, arguments.set).metrics.push
    chosen = [target for target in targets if arguments.target in (None, target.name)]
    if not chosen:
        known = ", ".join(target.name for target in targets) or "none: set metrics.push"
        raise ConfigError(f"no receiver {arguments.target or ''} is configured; there are {known}".replace("  ", " "))
    good = True
    for target, checked in zip(chosen, asyncio.run(_all(chosen)), strict=True):
        good = good and checked.good
        print(f"{'ok  ' if checked.good else 'FAIL'} {target.name}: {'; '.join(checked.sentences)}")
    return EXIT_OK if good else EXIT_NOT_WELL


async def _all(targets: Sequence[Push]) -> list[Checked]:
    return await asyncio.gather(*[check(target, __version__, SYSTEM_CLOCK) for target in targets])
