"""The ledger as the aggregator holds it: follows the meters, writes their marks, and tells the Snapshot what they amount to.

Marks wait in memory until the file takes them: a full disk, a file of a newer version or a busy one costs nothing but time, is
counted and said, and serving goes on. What is not in the file yet is saved with the cursors of the rings (`state`), so a crash
loses nothing that the rings still hold. Law: `flush` comes before the state is saved, and the state is saved with the cursors.
"""

import sqlite3
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple

from energyd.aggregate.meters import MeterBook
from energyd.aggregate.snapshot import Host, MeterLedger
from energyd.aggregate.snapshot import Ledger as LedgerView
from energyd.config import Config, Meter
from energyd.errors import EnvironmentFault
from energyd.ledger.days import Days
from energyd.ledger.hostcost import HostCost
from energyd.ledger.keeper import Keeper
from energyd.ledger.prices import PriceBook
from energyd.ledger.reckon import DayAccount, self_consumed
from energyd.ledger.scribe import Mark
from energyd.ledger.store import CONTRACT, Store, open_or_set_aside
from energyd.ledger.views import MeterView
from energyd.service.clock import Clock, ScaledClock
from energyd.units import NS_PER_S

FILE: Final = "ledger.db"
RETRY_NS: Final = 10 * NS_PER_S

Report = Callable[[str, str], None]
"""Says a fault: (kind, text)."""


class _Times(NamedTuple):
    """How the machine's monotonic time becomes that of a meter's samples, and that civil time."""

    to_meter_ns: Callable[[int], int]
    civil_ns: Callable[[int], int]


def path_of(config: Config) -> Path:
    return Path(config.state_dir, FILE)


class Ledger:
    """All meters of the configuration in one file. Never raises for what a disk does."""

    def __init__(self, config: Config, clock: Clock, report: Report) -> None:
        self._clock = clock
        self._report = report
        self._path = path_of(config)
        self._days = Days(config.timezone)
        self._prices = PriceBook(config)
        self._times = {meter.name: _times(meter, config, clock) for meter in config.meters}
        self._keepers = {meter.name: Keeper(meter, self._days, self._times[meter.name].civil_ns) for meter in config.meters}
        self._books: Mapping[str, MeterBook] = {}
        self._views: dict[str, MeterView] = {}
        self._host = HostCost()
        self._store: Store | None = None
        self._foreign_writes = 0
        self._retry_ns = clock.mono_ns()
        self._failures = 0

    def follow(self, books: Mapping[str, MeterBook]) -> None:
        """Open the file and hear the frames of these meters from then on."""
        self._books = books
        for keeper in self._keepers.values():
            keeper.last = self._last_mark
        self._open()

    def _open(self) -> None:
        try:
            store, damage = open_or_set_aside(self._path)
            if damage:
                self._report("damaged ledger", damage)
            self._take_up(store)
        except (EnvironmentFault, sqlite3.Error) as error:
            self._fail(error)

    def _take_up(self, store: Store) -> None:
        self._foreign_writes = store.foreign_writes()
        self._store = store
        for name, keeper in self._keepers.items():
            for row in store.meters():
                if row.name == name and not row.imported:
                    keeper.learned.update(store.periods(row.id))
                    keeper.contract = keeper.contract or row.contract
                    keeper.pdl = keeper.pdl or row.pdl
            keeper.resume()
            self._views[name] = MeterView(keeper, store, self._days, self._prices, _source(keeper.meter))
            self._books[name].on_frame = keeper.on_frame

    def _last_mark(self, address: str) -> Mark | None:
        """The newest mark of an address: of those that wait, else of the file."""
        waiting = [mark for keeper in self._keepers.values() for where, mark in keeper.waiting if where == address]
        if waiting or self._store is None:
            return waiting[-1] if waiting else None
        row = next((row for row in self._store.meters() if row.address == address), None)
        return None if row is None else self._store.last_mark(row.id)

    def flush(self) -> None:
        """Write the marks that wait, if there are any; after a failure not before some seconds have passed."""
        if self._failures and self._clock.mono_ns() < self._retry_ns:
            return
        if self._store is None:
            self._open()
        if self._store is None:
            return
        try:
            for keeper in self._keepers.values():
                if keeper.waiting:
                    self._write(self._store, keeper)
        except sqlite3.Error as error:
            self._fail(error)

    def _write(self, store: Store, keeper: Keeper) -> None:
        """All that waits of one meter, in one transaction."""
        name, source = keeper.meter.name, _source(keeper.meter)

        def price(day: date, register: str) -> int | None:
            return self._prices.price(name, day, register, keeper.period(register))

        with store.transaction():
            for address, mark in keeper.waiting:
                store.append(store.meter(address, name, source), mark, price, self._days)
            meter = store.meter(keeper.address, name, source)
            store.describe(meter, keeper.pdl, keeper.contract, keeper.told.get(CONTRACT, keeper.waiting[-1][1].read_s))
            for register in keeper.told.keys() - {CONTRACT}:
                store.learn(meter, register, keeper.learned[register], keeper.told[register])
            for peak in keeper.peaks.changed():
                store.put_peak(meter, peak)
        today = self._days.day_of(keeper.waiting[-1][1].read_s).isoformat()
        keeper.waiting.clear()
        keeper.told.clear()
        keeper.peaks.written(today)
        self._views[name].appended()

    def _fail(self, error: Exception) -> None:
        self._failures += 1
        self._retry_ns = self._clock.mono_ns() + RETRY_NS
        self._report(
            "ledger", f"{error if isinstance(error, EnvironmentFault) else f'{self._path}: {error}'}; {self._waiting()} marks wait"
        )

    def _waiting(self) -> int:
        return sum(len(keeper.waiting) for keeper in self._keepers.values())

    def view(self, host: Host, mono_ns: int) -> LedgerView:
        """What the Snapshot shows at an instant of the machine's monotonic clock; charges the host's energy on the way."""
        meters = self._meters(mono_ns)
        price = self.charge(host.energy_uj, mono_ns)
        return LedgerView(
            meters=meters,
            price_neur_per_wh=price,
            host_cost_neur=self._host.cost_neur,
            self_consumed=self._self_consumed(meters),
            write_failures=self._failures,
            waiting=self._waiting(),
            behind=sum(keeper.behind for keeper in self._keepers.values()),
        )

    def charge(self, host_uj: int | None, mono_ns: int) -> int | None:
        """The host's counter stands at `host_uj`: charge what has been added. Returns the price in force, None if none is known."""
        price = self._price(mono_ns)
        self._host.charge(host_uj, price)
        return price

    def _price(self, mono_ns: int) -> int | None:
        """Nano-euros per watt-hour now: of the first house meter that says which of its registers counts, else the flat price."""
        for name, keeper in self._keepers.items():
            if keeper.active and not keeper.produces:
                day = self._days.day_of(keeper.now_s(self._times[name].to_meter_ns(mono_ns)))
                price = self._prices.price(name, day, keeper.active, keeper.period(keeper.active))
                if price is not None:
                    return price
        return self._prices.flat_neur_per_wh

    def _self_consumed(self, meters: tuple[MeterLedger, ...]) -> tuple[tuple[str, int], ...]:
        """By stretch; nothing where no production meter is configured."""
        if not any(keeper.produces for keeper in self._keepers.values()):
            return ()

        def accounts(stretch: str, produces: bool) -> list[DayAccount]:
            views = [self._views[meter.meter] for meter in meters if self._keepers[meter.meter].produces == produces]
            return [account for view in views for account in view.accounts.get(stretch, ())]

        names = dict.fromkeys(stretch.name for meter in meters for stretch in meter.stretches)
        sums = {name: self_consumed(accounts(name, True), accounts(name, False)) for name in names}
        return tuple((name, energy_wh) for name, energy_wh in sums.items() if energy_wh is not None)

    def _meters(self, mono_ns: int) -> tuple[MeterLedger, ...]:
        if self._store is None:
            return ()
        try:
            writes = self._store.foreign_writes()
            if writes != self._foreign_writes:
                self._foreign_writes = writes
                for view in self._views.values():
                    view.forget()
            return tuple(view.view(self._times[name].to_meter_ns(mono_ns)) for name, view in self._views.items())
        except sqlite3.Error as error:
            self._fail(error)
            return ()

    def close(self) -> None:
        """Write what is known by now; the file is not used any more."""
        for keeper in self._keepers.values():
            keeper.finish()
        self._retry_ns = self._clock.mono_ns()
        self.flush()
        if self._store is not None:
            self._store.close()
            self._store = None

    def state(self) -> dict[str, Any]:
        """What the file does not hold yet, to be saved together with the cursors of the rings."""
        return {
            "meters": {
                name: {**keeper.state(), "waiting": [[address, *mark] for address, mark in keeper.waiting]}
                for name, keeper in self._keepers.items()
            },
            "host": self._host.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a saved state; before `follow`."""
        self._host.restore(state["host"])
        for name, saved in state["meters"].items():
            if name in self._keepers:
                self._keepers[name].restore(saved)
                self._keepers[name].waiting.extend((address, Mark(*mark)) for address, *mark in saved["waiting"])


def _source(meter: Meter) -> str:
    return "simulated" if meter.simulated else "meter"


def _times(meter: Meter, config: Config, clock: Clock) -> _Times:
    if meter.simulated and config.clock.rate != 1:
        scaled = ScaledClock(*config.clock)
        return _Times(scaled.at, lambda mono_ns: scaled.real0_ns + mono_ns - scaled.mono0_ns)
    return _Times(lambda mono_ns: mono_ns, lambda mono_ns: mono_ns + clock.real_ns() - clock.mono_ns())
