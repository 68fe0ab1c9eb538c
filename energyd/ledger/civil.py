"""Which civil time a frame has: the machine's, or the meter's own where the machine's cannot be true.

A machine without a clock that is set starts in 1970, or where it last stopped; the meter's clock is set over the power line
and its frames say the time (DATE, 54E 6.2.1) and whether it can be trusted. Law: without a plausible time nothing is dated.
"""

from typing import Final

from energyd.service.clock import is_plausible

DISAGREEMENT_S: Final = 600  # a machine that keeps time is never this far from a meter that does


def civil_s(machine_s: int, meter_s: int | None, degraded: bool) -> int | None:
    """UTC seconds of a frame; None while nobody knows. `meter_s`: what its DATE says."""
    trusted = meter_s is not None and is_plausible(meter_s) and not degraded
    if trusted and meter_s is not None and (not is_plausible(machine_s) or abs(meter_s - machine_s) > DISAGREEMENT_S):
        return meter_s
    return machine_s if is_plausible(machine_s) else None
