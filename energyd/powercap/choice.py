"""Which zones are the host: one source of them, never two.

A machine may count its energy several times over: its packages, the platform around them (psys), a meter on its board, its
battery. Added up they would count a joule twice, and each holds other parts of the machine, so exactly one is summed and the
others are shown beside it. Packages and DRAM come before psys, because psys was seen to read above the battery's discharge
(12.2 W against 9.3 W on an i7-7600U) and says nothing about sockets. GPUs are never summed: no CPU clock tells who used them.

The law: the first source, in the order asked for, that has something to read is the host. One that comes later and is preferred
takes over; a less preferred one never stands in for one that has failed, since it measures something else.
"""

from collections.abc import Sequence
from typing import Final

from energyd.powercap.zone import LENT, SIMULATED, Zone

AUTO: Final = ("rapl", "hwmon", "battery", "nvidia")
"""What `auto` stands for. psys, meter and model are there for those who ask for them."""
NAMES: Final = ("rapl", "psys", "hwmon", "battery", "nvidia", "meter", "model")
METER: Final = "meter"
PSYS: Final = "psys"


def expand(names: Sequence[str]) -> tuple[str, ...]:
    """`energy.sources` with `auto` written out, each name once, in order."""
    return tuple(dict.fromkeys(each for name in names for each in (AUTO if name == "auto" else (name,))))


class Choice:
    """The order of preference, and what has been chosen so far."""

    def __init__(self, names: Sequence[str]) -> None:
        self._order = expand(names)
        self._rank = len(self._order)  # of the host's source

    def apply(self, zones: Sequence[Zone]) -> list[Zone]:
        """The same zones, additive those that are the host."""
        members = [self._members(name, zones) for name in self._order]
        usable = [rank for rank, among in enumerate(members) if self._order[rank] == METER or any(zone.used for zone in among)]
        self._rank = min([self._rank, *usable])
        host = self._rank
        if host == len(members):  # nothing can be read: what could be, if it is allowed, is announced as the host
            host = next((rank for rank, among in enumerate(members) if among), host)
        chosen = members[host] if host < len(members) else set[Zone]()
        return [zone._replace(additive=zone in chosen) for zone in zones]

    @staticmethod
    def _members(name: str, zones: Sequence[Zone]) -> set[Zone]:
        """The zones that are the host if `name` is its source."""
        if name == PSYS:
            return {zone for zone in zones if zone.domain == PSYS and not zone.dropped}
        own = ("rapl", LENT, SIMULATED) if name == "rapl" else (name,)
        return {zone for zone in zones if zone.source in own and zone.additive}
