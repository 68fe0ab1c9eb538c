"""What a simulated meter remembers while its simulator is not running.

Power is a function of time, so a meter needs no more than when it stood at which registers: the state file is written once and
a kill can take nothing from it. With other settings (contract, power, seed) the registers go on from where the old ones led;
with another serial number it is another meter and starts anew.
"""

import json
import random
from typing import Any, NamedTuple

from energyd.errors import EnvironmentFault
from energyd.service.files import write_atomically
from energyd.simulate.house import House, Profile, constant, curve
from energyd.simulate.registers import Cells, Registers
from energyd.simulate.tariff import Calendar

TIMEZONE = "Europe/Paris"


class Settings(NamedTuple):
    """What decides how registers advance. `power`: `curve`, or `constant:W` with whole watts."""

    serial: str
    contract: str
    power: str
    seed: int


def profile(settings: Settings) -> Profile:
    """Raises ValueError when `power` is neither `curve` nor `constant:W`."""
    kind, _, watts = settings.power.partition(":")
    if kind == "constant" and watts.isdigit():
        return constant(int(watts))
    if settings.power == "curve":
        return curve(settings.seed)
    raise ValueError(f"power is `curve` or `constant:W` in whole watts, not {settings.power!r}")


def house(settings: Settings) -> House:
    return House(profile(settings), Calendar(settings.contract, settings.seed, TIMEZONE), settings.seed)


def first_cells(settings: Settings) -> Cells:
    """Registers of a meter that has been in service for some years."""
    rng = random.Random(f"{settings.seed}:registers:{settings.serial}")
    colours = 3 if settings.contract == "TEMPO" else 1
    cells: Cells = {}
    for distributor in (1, 2, 3, 4):
        for colour in range(colours):
            supplier = 1 if settings.contract == "BASE" else 2 * colour + 2 - distributor % 2
            cells[(supplier, distributor)] = rng.randrange(1_000_000, 9_000_000)
    return cells


def recall(path: str | None, settings: Settings, now_ns: int) -> tuple[House, Registers]:
    """The house, and its meter's registers as `path` remembers them; a new meter, remembered in `path`, if there is nothing there.

    Raises EnvironmentFault when the file cannot be read, written or understood.
    """
    origin_ns, cells, fraction_nj = now_ns, first_cells(settings), 0
    old = _load(path) if path is not None else None
    if old is not None and old[0].serial == settings.serial:
        origin_ns, cells, fraction_nj = old[1:]
        if old[0] != settings:
            cells, fraction_nj = Registers(house(old[0]), *old[1:]).cells(now_ns)
            origin_ns = max(now_ns, origin_ns)
    if path is not None:
        _save(path, settings, origin_ns, cells, fraction_nj)
    living = house(settings)
    return living, Registers(living, origin_ns, cells, fraction_nj)


def _load(path: str) -> tuple[Settings, int, Cells, int] | None:
    try:
        with open(path) as file:
            state: dict[str, Any] = json.load(file)
        cells = {(int(supplier), int(distributor)): int(energy_wh) for supplier, distributor, energy_wh in state["cells"]}
        return Settings(**state["settings"]), int(state["origin_ns"]), cells, int(state["fraction_nj"])
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise EnvironmentFault(f"{path}: not a simulated meter's state ({error}); remove it to install a new meter") from error


def _save(path: str, settings: Settings, origin_ns: int, cells: Cells, fraction_nj: int) -> None:
    state = {
        "settings": settings._asdict(),
        "origin_ns": origin_ns,
        "fraction_nj": fraction_nj,
        "cells": [[*key, energy_wh] for key, energy_wh in cells.items()],
    }
    try:
        write_atomically(path, json.dumps(state))
    except OSError as error:
        raise EnvironmentFault(f"cannot write the meter's state {path}: {error.strerror}") from error
