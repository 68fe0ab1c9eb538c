"""Which clock is believed."""

import pytest

from energyd.ledger.civil import civil_s

NOW_S = 1_804_067_200  # March 2027
LATE_S = 5_000_000_000  # June 2128


@pytest.mark.parametrize(
    ("machine_s", "meter_s", "degraded", "believed_s"),
    [
        (NOW_S, None, False, NOW_S),  # historique mode says no time
        (NOW_S, NOW_S + 30, False, NOW_S),  # a machine that keeps time keeps it better
        (NOW_S, NOW_S + 86400, False, NOW_S + 86400),  # switched on after a day with the clock of yesterday
        (NOW_S, NOW_S + 86400, True, NOW_S),  # the meter says itself that its clock is not set
        (5, NOW_S, False, NOW_S),  # a machine without a clock
        (5, NOW_S, True, None),
        (5, None, False, None),
        (LATE_S, NOW_S, False, NOW_S),
        (LATE_S, None, False, None),
        (NOW_S, LATE_S, False, NOW_S),
        (NOW_S, 5, False, NOW_S),  # a capture of long ago, or a meter without a clock
    ],
)
def test_the_time_of_a_frame(machine_s, meter_s, degraded, believed_s):
    assert civil_s(machine_s, meter_s, degraded) == believed_s
