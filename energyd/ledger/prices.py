"""What a watt-hour costs on a day, from the dated tables of the configuration.

A price is a whole number of millionths of a euro per kilowatt-hour, which is the same number of nano-euros per watt-hour: so costs
are sums of integers, and a day's cost is the same however it is added up. Tables begin and end with local days. Tempo needs no
hours here: its days run from 06:00 to 06:00 in the meter, which counts each of the six periods in a register of its own.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple

from energyd.config import Config, Tariff

MILLIONTHS: Final = 10**6


class Table(NamedTuple):
    """A Tariff with its dates read. `prices` are in nano-euros per watt-hour, `subscription_neur` per month."""

    name: str
    meter: str | None
    begin: date
    last: date
    prices: dict[str, int]
    subscription_neur: int


class PriceBook:
    """All tables, and the flat price for what no table says."""

    def __init__(self, config: Config) -> None:
        self._tables = _dated([_table(tariff) for tariff in config.tariffs])
        flat = config.energy.price_eur_per_kwh
        self.flat_neur_per_wh = None if flat is None else round(flat * MILLIONTHS)

    def table(self, meter: str, day: date) -> Table | None:
        """The table that is valid on `day`: that of the meter, else that of all meters."""
        valid = [table for table in self._tables if table.begin <= day <= table.last and table.meter in (meter, None)]
        return max(valid, key=lambda table: table.meter is not None, default=None)

    def price(self, meter: str, day: date, register: str, period: str) -> int | None:
        """Nano-euros per watt-hour of a register, by its own label or by its period; None where no table says it."""
        table = self.table(meter, day)
        if table is None:
            return None
        return table.prices.get(register, table.prices.get(period))

    def subscription_neur(self, meter: str, day: date) -> int:
        """What a whole month costs in nano-euros, whatever is used, by the table of `day`."""
        table = self.table(meter, day)
        return 0 if table is None else table.subscription_neur

    def has_tables(self, meter: str) -> bool:
        return any(table.meter in (meter, None) for table in self._tables)


def _table(tariff: Tariff) -> Table:
    return Table(
        tariff.name,
        tariff.meter,
        date.fromisoformat(tariff.valid_from),
        date.max if tariff.valid_to is None else date.fromisoformat(tariff.valid_to),
        {key: round(price * MILLIONTHS) for key, price in tariff.prices},
        round(tariff.subscription_eur_per_month * MILLIONTHS) * 1000,
    )


def _dated(tables: Sequence[Table]) -> list[Table]:
    """A table without an end ends on the day before the next of the same meter begins."""
    dated = []
    for table in tables:
        if table.last == date.max:
            later = [other.begin for other in tables if other.meter == table.meter and other.begin > table.begin]
            if later:
                table = table._replace(last=date.fromordinal(min(later).toordinal() - 1))  # noqa: PLW2901
        dated.append(table)
    return dated
