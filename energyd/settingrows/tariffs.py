"""Settings of what energy costs."""

from typing import Final

from energyd import settingchecks as check
from energyd.settingrows.row import NAME, Setting
from energyd.settingtypes import Price, Prices, Text

SECTIONS: Final = {
    "tariffs": (
        "What energy costs, in dated tables: a day is priced by the table that is valid on it. Without a table no cost is told. "
        "Prices are yours; conf/examples/tariffs.yml shows tables of each kind."
    ),
}

ROWS: Final = (
    Setting(
        "tariffs[].name",
        NAME,
        "Name of the table, different for each: 1 to 32 of a-z, 0-9, _ and -.",
        example="hchp-2026",
        required=True,
    ),
    Setting(
        "tariffs[].meter",
        NAME,
        "Name of the meter that it is for; without one, it is for all that have no table of their own that day.",
        example="linky",
    ),
    Setting(
        "tariffs[].valid_from",
        Text("a date, YYYY-MM-DD", check.date, check.DATE_PATTERN),
        "First day, YYYY-MM-DD.",
        example="2026-02-01",
        required=True,
    ),
    Setting(
        "tariffs[].valid_to",
        Text("a date, YYYY-MM-DD", check.date, check.DATE_PATTERN),
        "Last day, YYYY-MM-DD; without one, until the next table begins.",
        example="2027-01-31",
    ),
    Setting(
        "tariffs[].subscription_eur_per_month",
        Price(10_000),
        "What is paid for each month, whatever is used.",
        example="15.65",
    ),
    Setting(
        "tariffs[].prices",
        Prices(),
        "Euros per kilowatt-hour by register of the meter (HCHC, EASF01, EAIT for what is injected) or by period: base, hc, hp, "
        "tempo_blue_hc, tempo_blue_hp, tempo_white_hc, tempo_white_hp, tempo_red_hc, tempo_red_hp, ejp_normal, ejp_peak, "
        "weekend, weekend_hc, weekend_hp, injected. A register goes before its period.",
        example="{hc: 0.1579, hp: 0.2065}",
    ),
)
