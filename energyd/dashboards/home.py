"""The house: what it draws, what that costs, and whether its meter is heard."""

from energyd.dashboards.model import Json, Query, Row, Variable, dashboard, lines, name, number, shares, table

_METER = 'instance=~"$instance", meter=~"$meter"'
_DRAWN = f'{_METER}, direction="consumed"'
_PERIODS = "today|yesterday_so_far|yesterday|this_week|this_month|last_month|this_year"

SUBSCRIBED_VA = (
    f"energyd_meter_subscribed_apparent_power_voltamperes{{{_METER}}}"
    f" or on (instance, meter) energyd_meter_subscribed_current_amperes{{{_METER}}} * 200"
    f" * on (instance, meter) group_left () count by (instance, meter) (energyd_meter_current_amperes{{{_METER}}})"
)
"""Older meters say the subscribed current of a phase, and a contract counts 200 V."""


_FIRST_OF_MONTH = "day_of_month(vector(time() + 7200)) == 1"


def model() -> Json:
    return dashboard(
        "energyd-home",
        "energyd / Home",
        "What the house draws and gives back, by the meter's own registers.",
        (
            Variable("instance", "Machine", "energyd_build_info", "instance"),
            Variable("meter", "Meter", 'energyd_meter_info{instance=~"$instance"}', "meter"),
        ),
        (_now(), _power(), _energy(), _money(), _line()),
    )


def _now() -> Row:
    share = f"100 * energyd_meter_apparent_power_voltamperes{{{_DRAWN}}} / on (instance, meter) group_left () ({SUBSCRIBED_VA})"
    today = f'sum by (instance, meter) (energyd_meter_period_energy_watthours{{{_DRAWN}, period="today"}})'
    cost = f'sum by (instance, meter) (energyd_meter_period_cost_euros{{{_METER}, period="today"}})'
    return Row(
        "Now",
        (
            number("Apparent power", "voltamp", Query(f"energyd_meter_apparent_power_voltamperes{{{_DRAWN}}}", "{{meter}}")),
            number(
                "Of the subscribed power",
                "percent",
                Query(share, "{{meter}}"),
                steps=(("green", None), ("orange", 80), ("red", 100)),
                text="At 100 % and more the breaker is about to open.",
            ),
            number("Today", "watth", Query(today, "{{meter}}")),
            number("Cost today", "currencyEUR", Query(cost, "{{meter}}"), text="Needs a tariff in the configuration."),
            name("Tariff", Query(f"energyd_meter_tariff_info{{{_METER}}}", "{{tariff}}", instant=True)),
            name(
                "Tomorrow",
                Query(f'energyd_meter_colour{{{_METER}, day="tomorrow"}} == 1', "{{colour}}", instant=True),
                text="Tempo contracts only, from the evening on.",
            ),
        ),
    )


def _power() -> Row:
    return Row(
        "Power",
        (
            lines(
                "Apparent power",
                "voltamp",
                Query(f"energyd_meter_apparent_power_voltamperes{{{_METER}}}", "{{meter}} {{direction}}"),
                Query(SUBSCRIBED_VA, "{{meter}} subscribed"),
                width=16,
            ),
            lines(
                "Not exceeded in a share of the last hour",
                "voltamp",
                Query(
                    f'energyd_meter_window_apparent_power_quantile_voltamperes{{{_METER}, window="1h"}}', "{{meter}} {{fraction}}"
                ),
                width=8,
            ),
            lines("Current", "amp", Query(f"energyd_meter_current_amperes{{{_METER}}}", "{{meter}} phase {{phase}}")),
            lines("Voltage", "volt", Query(f"energyd_meter_voltage_volts{{{_METER}}}", "{{meter}} phase {{phase}}")),
        ),
    )


def _ended(period: str) -> str:
    """Energy of a day or month that has ended, asked for at midnight of whatever time zone between Greenwich and ours."""
    series = f'energyd_meter_period_energy_watthours{{{_DRAWN}, period="{period}"}}'
    return f"sum by (instance, meter, tariff) ({series} offset -2h)"


def _energy() -> Row:
    hourly = f"sum by (instance, meter, register) (increase(energyd_meter_energy_watthours_total{{{_DRAWN}}}[1h])) > 0"
    shown = f"sum by (instance, meter, register) (increase(energyd_meter_energy_watthours_total{{{_DRAWN}}}[$__range])) > 0"
    injected = f"sum by (instance, meter, direction) (increase(energyd_meter_energy_watthours_total{{{_METER}}}[$__range]))"
    periods = f'sum by (instance, meter, tariff, period) (energyd_meter_period_energy_watthours{{{_DRAWN}, period=~"{_PERIODS}"}})'
    return Row(
        "Energy",
        (
            lines(
                "Each hour, by register",
                "watth",
                Query(hourly, "{{meter}} {{register}}", interval="1h"),
                stacked=True,
                bars=True,
            ),
            lines(
                "Each day, by tariff",
                "watth",
                Query(f"{_ended('yesterday')} > 0", "{{meter}} {{tariff}}", interval="1d"),
                stacked=True,
                bars=True,
                text="A bar is the day that ends there, in the meter's time zone.",
                shown="31d",
            ),
            lines(
                "Each month, by tariff",
                "watth",
                Query(f"{_ended('last_month')} and on () {_FIRST_OF_MONTH}", "{{meter}} {{tariff}}", interval="1d"),
                stacked=True,
                bars=True,
                text="A bar is the month that ends there, in the meter's time zone.",
                shown="400d",
            ),
            shares("By register, over the time shown", "watth", Query(shown, "{{register}}", instant=True)),
            table(
                "Calendar periods",
                {"meter": "meter", "period": "period", "tariff": "tariff", "Value": "energy"},
                Query(periods, instant=True),
                units={"energy": "watth"},
                width=16,
                text="In the meter's time zone; a period that was not measured from its begin on counts what was.",
            ),
            number("Over the time shown", "watth", Query(injected, "{{meter}} {{direction}}", instant=True), width=24),
        ),
    )


def _money() -> Row:
    spent = f"sum by (instance, meter, tariff) (increase(energyd_cost_euros_total{{{_METER}}}[$__range]))"
    costs = f'sum by (instance, meter, period) (energyd_meter_period_cost_euros{{{_METER}, period=~"{_PERIODS}"}})'
    return Row(
        "Money",
        (
            number("Price now, per kWh", "currencyEUR", Query(f"energyd_price_euros_per_kwh{{{_METER}}}", "{{meter}}")),
            lines(
                "Price per kWh", "currencyEUR", Query(f"energyd_price_euros_per_kwh{{{_METER}}}", "{{meter}}"), width=8, height=6
            ),
            shares(
                "Spent over the time shown, by tariff", "currencyEUR", Query(spent, "{{tariff}}", instant=True), width=6, height=6
            ),
            table(
                "Calendar periods",
                {"meter": "meter", "period": "period", "Value": "cost"},
                Query(costs, instant=True),
                units={"cost": "currencyEUR"},
                width=6,
                height=6,
                text="Energy and the share of the subscription.",
            ),
        ),
    )


def _line() -> Row:
    refused = f'sum by (instance, meter, result) (rate(energyd_meter_groups_total{{{_METER}, result!="ok"}}[$__rate_interval]))'
    return Row(
        "The meter's line",
        (
            number("Heard", "none", Query(f"energyd_meter_link_up{{{_METER}}}", "{{meter}}"), steps=(("red", None), ("green", 1))),
            number("Since the last good group", "s", Query(f"energyd_meter_last_group_age_seconds{{{_METER}}}", "{{meter}}")),
            lines("Refused groups a second", "none", Query(refused, "{{meter}} {{result}}"), width=8, height=6),
            lines(
                "The meter's clock minus ours",
                "s",
                Query(f"energyd_meter_clock_offset_seconds{{{_METER}}}", "{{meter}}"),
                width=8,
                height=6,
            ),
        ),
    )
