"""Reads the counters: one kept reader a zone, one call a sample, the clock read between any two of them.

A sweep takes the zones one after the other, because their registers are read one after the other: each sample carries its own
time, the middle of the read, and how long that took, which bounds the error of the time. Zones come and go: the last CPU of a
package that goes offline takes the package's zones with it, modules are reloaded, permission is given late
(Documentation/power/powercap/powercap.rst says when zones are registered). A descriptor of a zone that has gone answers ENODEV
for ever. The law: raw values, never a difference; a zone fails alone; a zone that comes back is announced as a new one.
"""

import errno
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from energyd.powercap.choice import Choice
from energyd.powercap.sysfs import U64_MAX
from energyd.powercap.zone import Reader, Source, Zone
from energyd.samples import FAILED, POWER, USED
from energyd.units import NS_PER_S

RESCAN_NS = 2 * NS_PER_S
LOST_RESCAN_NS = NS_PER_S // 10  # a module that is reloaded has its zones back after some ms
USERS_NS = NS_PER_S  # from one report of who used a zone to the next
_GONE = (errno.ENODEV, errno.ENOENT, errno.ENXIO)


Sample = tuple[int, int, tuple[int, int, int, int], int]
"""(kind, mono_ns, payload, status) as the RAPL schema has them: payload is (raw value, duration of the read in ns, 0, 0). status
is 0 for microjoules, POWER for microwatts, or FAILED and then the value is the errno; with USED it is (weight, 0, pid, 0)."""


class Change(NamedTuple):
    """What a rescan has found: `appeared` holds new zones and those that differ from what was announced, dropped ones too."""

    appeared: tuple[Zone, ...] = ()
    vanished: tuple[Zone, ...] = ()


NO_CHANGE = Change()


class _Group:
    """The open zones of one source, read together when they are due."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.period_ns = source.period_ns - source.period_ns // 16  # so that a tick a little early is not taken for another
        self.due_ns = self.users_due_ns = 0
        self.readers: dict[Zone, Reader] = {}
        self.zones: tuple[tuple[str, Callable[[], int | bytes], int, Zone], ...] = ()
        self.users: tuple[tuple[str, Callable[[], list[tuple[int, int]]]], ...] = ()

    def arrange(self) -> None:
        """To be called when `readers` has changed: what a sweep needs, flat."""
        self.zones = tuple((zone.name, reader.read, POWER if zone.power else 0, zone) for zone, reader in self.readers.items())
        self.users = tuple((zone.name, reader.users) for zone, reader in self.readers.items() if reader.users)


def _report(number: int, mono_ns: int, users: Callable[[], list[tuple[int, int]]]) -> list[Sample]:
    """Who used a zone; nothing when that cannot be told, so that what it used waits for the next report."""
    try:
        told = users()
    except OSError:
        return []
    return [(number, mono_ns, (weight, 0, pid, 0), USED) for pid, weight in [(0, 0), *told]]


class Sensor:
    """The zones of some sources and their readers.

    `zones` is what the last rescan has found, `failed` what the last sweep could not read, as (zone, errno); `rescan_due_ns` is
    when `rescan` will look again. `choice` says which zones are summed into the host, `mono_ns` is CLOCK_MONOTONIC.
    """

    def __init__(self, sources: Sequence[Source], choice: Choice, mono_ns: Callable[[], int]) -> None:
        self.zones: tuple[Zone, ...] = ()
        self.failed: list[tuple[Zone, int]] = []
        self._choice = choice
        self._mono_ns = mono_ns
        self._groups = [_Group(source) for source in sources]
        self._seen: dict[str, int] = {}  # fingerprint of the sources at the last rescan, less the zones that have gone since
        self.rescan_due_ns = mono_ns()

    def rescan(self) -> Change:
        """Look for zones that came, went or became readable: every RESCAN_NS, sooner after one has gone, and not in between."""
        now_ns = self._mono_ns()
        if now_ns < self.rescan_due_ns:
            return NO_CHANGE
        self.rescan_due_ns = now_ns + RESCAN_NS
        seen: dict[str, int] = {}
        for group in self._groups:
            seen |= group.source.fingerprint()
        incomplete = any(not zone.dropped and (zone.read_errno or zone.rangeless) for zone in self.zones)
        if seen == self._seen and not incomplete:
            return NO_CHANGE
        same = {device for device, number in seen.items() if self._seen.get(device) == number}
        self._seen = seen
        return self._adopt(same)

    def _adopt(self, same: set[str]) -> Change:
        found = [group.source.discover() for group in self._groups]
        zones = tuple(self._choice.apply([zone for each in found for zone in each]))
        kept = {zone for zone in self.zones if zone.device in same}.intersection(zones)
        change = Change(
            appeared=tuple(zone for zone in zones if zone not in kept),
            vanished=tuple(zone for zone in self.zones if zone not in kept),
        )
        for zone in change.vanished:
            self._close(zone)
        self.zones = zones
        group_of = {zone.device: group for group, each in zip(self._groups, found, strict=True) for zone in each}
        for zone in change.appeared:
            if zone.used:
                group = group_of[zone.device]
                try:
                    group.readers[zone] = group.source.open(zone)
                except OSError:  # it went between the listing and here
                    self._lose(zone)
        for group in self._groups:
            group.arrange()
        return change

    def sweep(self, numbers: Mapping[str, int], every: bool = False) -> list[Sample]:
        """Read every open zone that is due, or just `every` one; `numbers` are the kinds of their samples, by name.

        A zone whose device has gone answers a last time, FAILED, and is left to the next rescan.
        """
        samples: list[Sample] = []
        mono_ns = self._mono_ns
        failed: list[tuple[Zone, int]] = []
        before_ns = mono_ns()
        for group in self._groups:
            if before_ns < group.due_ns and not every:
                continue
            group.due_ns = before_ns + group.period_ns
            for name, read, good, zone in group.zones:
                status = good
                try:
                    value = int(read())
                    if not 0 <= value <= U64_MAX:
                        raise ValueError(value)
                except ValueError:
                    status, value = FAILED, errno.EBADMSG
                    failed.append((zone, value))
                except OSError as error:
                    status, value = FAILED, error.errno or errno.EIO
                    failed.append((zone, value))
                after_ns = mono_ns()
                samples.append((numbers[name], (before_ns + after_ns) >> 1, (value, after_ns - before_ns, 0, 0), status))
                before_ns = after_ns
            if group.users and before_ns >= group.users_due_ns:
                group.users_due_ns = before_ns + USERS_NS
                for name, users in group.users:
                    samples += _report(numbers[name], mono_ns(), users)
        self.failed = failed
        for zone, number in failed:
            if number in _GONE:
                self._lose(zone)
        return samples

    def _lose(self, zone: Zone) -> None:
        self._close(zone)
        self._seen.pop(zone.device, None)
        self.rescan_due_ns = min(self.rescan_due_ns, self._mono_ns() + LOST_RESCAN_NS)

    def _close(self, zone: Zone) -> None:
        for group in self._groups:
            if zone in group.readers:
                group.readers.pop(zone).close()
                group.arrange()

    def close(self) -> None:
        for group in self._groups:
            for zone in tuple(group.readers):
                self._close(zone)
