"""What this machine has, and what `energyd run` simulates in its place.

`none` simulates nothing, `missing` what is not there, a list (`meter`, `rapl`) that in any case. Law: a simulated run keeps its
state apart and pushes nothing unless a flag asks for it, so that no invented joule ever reaches a real database.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from energyd import rundir
from energyd.config import Config, Meter
from energyd.errors import ConfigError
from energyd.hostsensor import advice_of, sensor_of
from energyd.service.clock import SYSTEM_CLOCK

METER, RAPL = "meter", "rapl"
CHOICES: Final = (METER, RAPL)
SIMULATED_METER: Final = "house"
PUSH_KEY: Final = "metrics.push"
SIMULATED_ZONES: Final = 5  # package, core, uncore, dram and psys of one socket


class Simulate(NamedTuple):
    """What --simulate asks for: these in any case, and what is not there."""

    forced: frozenset[str] = frozenset()
    missing: bool = False


class Setup(NamedTuple):
    """The configuration that will run, and for the user a line about each thing that was found or is simulated.

    `zones` is how many energy counters will be read.
    """

    config: Config
    lines: tuple[tuple[str, str], ...]  # (subject, sentence)
    zones: int


class EnergyState(NamedTuple):
    """Whether something tells the host's energy, a sentence about it, and how many counters can be read."""

    readable: bool
    sentence: str
    zones: int


def parse_simulate(text: str) -> Simulate:
    """The value of --simulate; ConfigError when it is none."""
    if text in ("none", "missing"):
        return Simulate(missing=text == "missing")
    forced = frozenset(text.split(","))
    if not forced <= set(CHOICES):
        raise ConfigError(f"--simulate {text}: give `none`, `missing`, or a list of {', '.join(CHOICES)}")
    return Simulate(forced)


def energy_state(config: Config) -> EnergyState:
    """What this machine has that tells its energy, by `energy.sources`."""
    found = sensor_of(config, SYSTEM_CLOCK.mono_ns)
    found.rescan()
    zones = found.zones
    found.close()
    used = sum(zone.used for zone in zones)
    if METER in config.energy.sources:
        return EnergyState(True, "the host's power is a meter's, by energy.sources", used)
    host = [zone for zone in zones if zone.additive and zone.used]
    if host:
        sentence = f"{', '.join(zone.name for zone in host)} by {host[0].source}, {host[0].path or host[0].device}"
        return EnergyState(True, sentence, used)
    return EnergyState(False, " ".join(advice_of(config, zones)) or "no source that energy.sources names is here", used)


def set_up(config: Config, simulate: Simulate, set_keys: Sequence[str]) -> Setup:
    """Decide what is simulated. `set_keys`: the keys that flags have set, to know whether a push was asked for."""
    lines: list[tuple[str, str]] = []
    readable, sentence, zones = energy_state(config)
    simulated = []
    if METER in simulate.forced or (simulate.missing and not config.meters):
        simulated.append(METER)
    if RAPL in simulate.forced or (simulate.missing and not readable):
        simulated.append(RAPL)

    place, state_dir = rundir.simulation_dir(config.run_dir), f"{config.state_dir}/simulated"
    if METER in simulated:
        why = "asked for" if METER in simulate.forced else "no meter is configured; list yours under `meters:` in the configuration"
        meters = config.meters or (Meter(SIMULATED_METER, "", "standard"),)
        config = config._replace(meters=tuple(_simulated(meter, place) for meter in meters))
        lines += [(f"meter {meter.name}", f"SIMULATED ({why})") for meter in config.meters]
    elif config.meters:
        lines += [(f"meter {meter.name}", f"{meter.device}, {meter.mode}") for meter in config.meters]
    else:
        lines.append(("meter", "none configured"))

    if RAPL in simulated:
        zones = SIMULATED_ZONES
        # beside the totals, since a counter that began anew within a boot would be taken for one that has wrapped
        config = config._replace(powercap_root=f"{state_dir}/sys/class/powercap")
        lines.append(("rapl", f"SIMULATED ({'asked for' if RAPL in simulate.forced else sentence})"))
    else:
        lines.append(("rapl", sentence if readable else f"no data: {sentence}"))

    if simulated:
        push = config.metrics.push_enabled and any(key.startswith(PUSH_KEY) for key in set_keys)
        if config.metrics.push_enabled and not push:
            lines.append(("push", "off: simulated figures are not to be stored; a flag that sets it sends them all the same"))
        config = config._replace(
            simulated=tuple(simulated),
            state_dir=state_dir,
            metrics=config.metrics._replace(push_enabled=push),
        )
    return Setup(config, tuple(lines), zones)


def _simulated(meter: Meter, place: str) -> Meter:
    mode = "standard" if meter.mode == "auto" else meter.mode
    return meter._replace(device=f"{place}/tty-{meter.name}", mode=mode, simulated=True)
