"""Engine, rings, ledger and saved state of one machine: everything that must survive the aggregator's process.

What is saved at most every half minute is enough, because the rings hold the last minute and folding them again arrives at the same
totals (energyd.aggregate.engine).
"""

from pathlib import Path
from typing import Any, Final

from energyd.aggregate.engine import Engine
from energyd.aggregate.meters import MeterBook
from energyd.aggregate.snapshot import Snapshot
from energyd.config import Config, Meter
from energyd.errors import EnvironmentFault
from energyd.export.guests import Guests
from energyd.feed import Feed, from_first_label
from energyd.groups.grouper import Grouper
from energyd.groups.names import HostNames
from energyd.ledger.ledger import Ledger
from energyd.ring.files import read_boot_id
from energyd.ring.writer import BOOT_ID
from energyd.service import log, statefile, stdlog
from energyd.service.clock import SYSTEM_CLOCK as CLOCK
from energyd.service.clock import ScaledClock

TOTALS: Final = "totals.state"
WINDOWS: Final = "windows.state"
GROUP_WINDOWS: Final = "groupwindows.state"
STRANGE: Final = (AttributeError, IndexError, KeyError, TypeError, ValueError)  # what restoring from other data raises
LAYOUT: Final = 2  # of what is saved: another number when an older version could not read it


class Keeper:
    """Engine, rings and saved state of one machine."""

    def __init__(self, settings: Config) -> None:
        self.logger = stdlog.setup("energyd.aggregator", settings.log.level, settings.log.format)
        self._faults = log.DistinctFaults(self.logger.warning, CLOCK.mono_ns)
        self._boot_id = read_boot_id(BOOT_ID).hex()
        self._state_dir = Path(settings.state_dir)
        self.engine = self._new_engine(settings)
        directory, simulated = settings.energy.guests_dir, "rapl" in settings.simulated
        self._guests = Guests(Path(directory), "simulated" if simulated else "lent") if directory else None
        self.ledger = Ledger(settings, CLOCK, self._faults.report)
        try:
            cursors = self._restore()
        except STRANGE as fault:  # the file is whole, and yet not what this version writes
            self._set_aside(TOTALS, f"cannot be taken up ({type(fault).__name__}: {fault})")
            self._set_aside(WINDOWS, "belongs to it")
            self._set_aside(GROUP_WINDOWS, "belongs to it")
            self.engine, cursors = self._new_engine(settings), {}
        self.ledger.follow(self.engine.meters)
        self._charge()
        self.feed = Feed(Path(settings.run_dir), self.engine, cursors)

    def _new_engine(self, settings: Config) -> Engine:
        names = HostNames(str(Path(settings.procfs_root).parent), self._faults.report)
        engine = Engine(
            top=settings.usage.top,
            proportional_idle=settings.energy.idle == "proportional",
            meters=[meter_book(meter, settings) for meter in settings.meters],
            max_groups=settings.usage.max_groups,
            grouper=Grouper(settings.groups, names),
            dram=settings.energy.dram,
        )
        host = host_meter(settings)
        if host is not None:
            engine.take_for_host(host.name, "simulated" if host.simulated else "meter")
        return engine

    def _restore(self) -> dict[str, Any]:
        """Take up what was saved; where to go on reading the rings."""
        saved, windows = self._load(TOTALS), self._load(WINDOWS)
        cursors: dict[str, Any] = saved["cursors"] if saved.get("boot_id") == self._boot_id else {}
        if saved and self.engine.restore(saved["engine"], saved["boot_id"] == self._boot_id):
            cursors = from_first_label(cursors, "usage")
        if windows.get("boot_id") == self._boot_id:
            self.engine.restore_windows(windows["windows"])
        groups = self._load(GROUP_WINDOWS)
        if groups.get("boot_id") == self._boot_id:
            self.engine.restore_group_windows(groups["windows"])
        if "ledger" in saved:
            self.ledger.restore(saved["ledger"])
        return cursors

    def fold(self) -> None:
        """Take over everything that is in the rings now."""
        self.feed.pull()
        self.ledger.flush()
        self._charge()
        for fault in self.feed.faults():
            self._faults.report(fault, fault)

    def _charge(self) -> None:
        """What has been used since the last time costs what is in force now: once a second, so that a change of tariff is met."""
        self.engine.groups.costs.price_neur_per_wh = self.ledger.charge(self.engine.zones.host_uj, CLOCK.mono_ns())

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

    def close(self) -> None:
        """Take over what has come to the last moment, and save everything."""
        self.feed.pull()
        self.ledger.close()
        self.save_totals()
        self.save_windows()
        self._save(GROUP_WINDOWS, {"windows": self.engine.group_windows_state()})  # too large for more often, on an SD card

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
            self._set_aside(name, "is of another version of energyd")
            return {}
        return state

    def _set_aside(self, name: str, why: str) -> None:
        path = self._state_dir / name
        if path.exists():
            path.replace(path.with_name(f"{name}.other-version"))
            self.logger.error("%s %s and was set aside; totals start anew from what the rings still hold", path, why)


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
