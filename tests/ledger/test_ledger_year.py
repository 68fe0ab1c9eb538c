"""A simulated year, a frame a minute, from the bytes on the line to the file, while the process that writes is killed ten times.

A meter speaks into a real ring: both changes of clock, a change of prices, a replacement of the meter, a change of contract. A
process of its own runs the aggregator's reading, ledger and saving, and is killed at moments of its own choice. The truth is summed
here, minute by minute, from what the simulated meter displayed.
"""

import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from energyd import samples
from energyd.config import Config, Meter, SimulationClock, Tariff
from energyd.ledger.days import Days, days_between
from energyd.ledger.history import DAY, MONTH, YEAR, History
from energyd.ledger.ledger import path_of
from energyd.ledger.store import Store
from energyd.ring.writer import RingWriter
from energyd.simulate import faults, memory
from energyd.simulate.frames import MODES
from energyd.simulate.meter import Speaker, Speech
from energyd.simulate.registers import Registers
from energyd.simulate.telegram import Meter as SimulatedMeter
from energyd.tic.decoder import Decoder
from energyd.workers.tic import Recorder

S = 10**9
PARIS = Days("Europe/Paris")
TEMPO = (
    ("tempo_blue_hc", 0.1), ("tempo_blue_hp", 0.13), ("tempo_white_hc", 0.12), ("tempo_white_hp", 0.17),
    ("tempo_red_hc", 0.14), ("tempo_red_hp", 0.7),
)  # fmt: skip
PRICES = (
    Tariff("winter", "2026-01-01", "2026-07-31", None, 12.0, (("hc", 0.15), ("hp", 0.2), *TEMPO)),
    Tariff("autumn", "2026-08-01", None, None, 15.0, (("hc", 0.16), ("hp", 0.21), *TEMPO)),
)
FIRST, SECOND = "041876097514", "052000000001"
AGGREGATOR = """
import sys
from energyd import config
from energyd.keeper import Keeper

aggregator = Keeper(config.read(sys.argv[1]))
print(0, flush=True)
for line in sys.stdin:
    aggregator.feed.pull()
    aggregator.ledger.flush()
    if int(line) % 3 == 0:
        aggregator.save_totals()
        print(line.strip(), flush=True)
aggregator.ledger.close()
"""


class Stage(NamedTuple):
    """A stretch of the year with one meter and one contract."""

    begin_s: int
    address: str
    contract: str
    replaced: bool  # another meter, whose registers begin at zero


class Display:
    """Stands where the simulator writes its truth file, and keeps the last frame of it."""

    def write(self, _event, **fields):
        self.shown = fields


class Source:
    """The meter: frames into the ring, what it displays into the truth."""

    def __init__(self, run_dir, begin_s, capacity):
        self.begin_s = begin_s
        self.mono_ns_now = 0
        self.ring = RingWriter.open(run_dir, "tic-linky", samples.TIC, capacity, self)
        self.recorder = Recorder(self.ring, self, "linky", pytest.fail)
        self.decoder = Decoder()
        self.registers, self.display = None, Display()
        self.energies = defaultdict(lambda: defaultdict(int))  # day -> register -> Wh
        self.peaks = {}
        self.shown = {}
        self.shown_s = begin_s

    def mono_ns(self):
        return self.mono_ns_now

    def real_ns(self):
        return self.begin_s * S + self.mono_ns_now

    def install(self, stage):
        settings = memory.Settings(stage.address, stage.contract, "curve", 3)
        at_ns = stage.begin_s * S
        if self.registers is None or stage.replaced:
            cells, fraction_nj = {(1, 1): 123, (2, 2): 456}, 0
        else:
            cells, fraction_nj = self.registers.cells(at_ns)
        house = memory.house(settings)
        self.registers = Registers(house, at_ns, cells, fraction_nj)
        meter = SimulatedMeter(stage.address, "09876543210123", stage.contract, 9)
        mode = MODES["historique"]
        speech = Speech(mode, mode.baud, True, faults.Noise(0, 1), None, True)
        self.speaker = Speaker(meter, house, self.registers, speech, self.display, self.begin_s * S)
        self.unbelieved = 1 if stage.replaced else 0  # another address is believed when it is heard twice
        self.shown = {}

    def minute(self, at_s):
        self.mono_ns_now = (at_s - self.begin_s) * S
        frame, _ = self.speaker.frame(self.mono_ns_now, 0)
        self.recorder.record(self.decoder.feed(frame))
        if self.unbelieved:
            self.unbelieved -= 1
            return
        shown, power_w = self.display.shown["registers"], self.display.shown["power_w"]
        day = PARIS.day_of(self.shown_s)
        for register, energy_wh in self.shown.items():
            self.energies[day][register] += shown[register] - energy_wh
        self.shown, self.shown_s = shown, at_s
        power_va = (power_w + 5) // 10 * 10
        today = PARIS.day_of(at_s)
        if power_va > self.peaks.get(today, (-1, 0))[0]:
            self.peaks[today] = power_va, at_s


class Child:
    """The process that follows the ring, writes the ledger and saves; it tells after which day it has saved."""

    def __init__(self, config_path):
        self._command = [sys.executable, "-c", AGGREGATOR, str(config_path)]
        self.start()

    def start(self):
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        self.process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)
        assert self.process.stdout.readline() == "0\n"

    def follow(self, day, wait):
        self.process.stdin.write(f"{day}\n")
        self.process.stdin.flush()
        if wait and day % 3 == 0:
            while int(self.process.stdout.readline()) < day:
                pass

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def finish(self):
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0


def live(tmp_path, first, last, stages, kills):
    """The days from `first` to before `last`; returns the configuration and the source with its truth."""
    begin_s = PARIS.begin_s(first)
    config = Config(
        run_dir=str(tmp_path / "run"), state_dir=str(tmp_path / "state"), meters=(Meter("linky", "/dev/null", simulated=True),),
        tariffs=PRICES, clock=SimulationClock(2.0, 0, begin_s * S),
    )  # fmt: skip
    for place in (config.run_dir, config.state_dir):
        Path(place).mkdir()
    config_path = tmp_path / "config.json"
    config_path.write_text(config.to_json())
    source = Source(config.run_dir, begin_s, 1 << 18)
    child, rng = Child(config_path), random.Random(11)
    stages = {stage.begin_s: stage for stage in stages}
    for number, day in enumerate(days_between(first, last), 1):
        kill_at = rng.randrange(1440) if day in kills else None
        for minute, at_s in enumerate(range(PARIS.begin_s(day), PARIS.end_s(day), 60)):
            if at_s in stages:
                source.install(stages[at_s])
            source.minute(at_s)
            if minute == kill_at:
                child.follow(number, wait=False)  # it dies while it reads, writes or saves, or before
                child.kill()
                child.start()
        child.follow(number, wait=True)
    source.minute(PARIS.begin_s(last))
    child.follow(3 * 10**6, wait=True)
    child.finish()
    source.ring.close()
    return config, source


def check(config, source, first, last, broken):
    """The ledger is the truth, to the watt-hour and to the nano-euro; `broken` are the days that cannot be known wholly."""
    store = Store(path_of(config), readonly=True)
    history = History(store, config, PARIS.begin_s(last))
    entries = {entry.period: entry for entry in history.entries(DAY, first, last - timedelta(days=1))}
    prices = {tariff.name: dict(tariff.prices) for tariff in PRICES}
    for day in days_between(first, last):
        entry, truth = entries[day.isoformat()], source.energies[day]
        assert {register: wh for register, wh in entry.registers.items() if wh} == {r: wh for r, wh in truth.items() if wh}, day
        assert entry.complete == (day not in broken), day
        assert entry.estimated_wh == 0
        assert (
            entry.tariffs.get("hc", 0)
            + entry.tariffs.get("hp", 0)
            + sum(wh for tariff, wh in entry.tariffs.items() if tariff.startswith("tempo"))
            == entry.consumed_wh
        )
        assert (entry.peak.power_va, entry.peak.at_s) == source.peaks[day], day
        table = prices["winter" if day < date(2026, 8, 1) else "autumn"]
        assert entry.cost_neur == sum(round(table[tariff] * 10**6) * wh for tariff, wh in entry.tariffs.items())
    for unit, length in ((MONTH, 7), (YEAR, 4)):
        for entry in history.entries(unit, first, last - timedelta(days=1)):
            days = [each for each in entries.values() if each.period[:length] == entry.period]
            assert entry.consumed_wh == sum(each.consumed_wh for each in days)
            assert entry.cost_neur == sum(each.cost_neur for each in days)
            assert entry.subscription_neur == sum(each.subscription_neur for each in days)
    charged = sum(cost for row in store.meters() for cost in store.charged(row.id).values())
    assert charged == sum(entry.cost_neur for entry in entries.values())
    store.close()


def stage(text, address, contract, **change):
    day, _, time = text.partition("T")
    hours, _, minutes = (time or "00:00").partition(":")
    begin_s = PARIS.begin_s(date.fromisoformat(day)) + int(hours) * 3600 + int(minutes) * 60
    return Stage(begin_s, address, contract, change.get("replaced", False))


def test_a_few_days_with_everything_that_happens_to_a_meter_and_two_kills(tmp_path):
    first, last = date(2026, 3, 28), date(2026, 4, 1)
    stages = [
        stage("2026-03-28", FIRST, "HCHP"),
        stage("2026-03-28T10:30", SECOND, "HCHP", replaced=True),
        stage("2026-03-31", SECOND, "TEMPO"),
    ]
    config, source = live(tmp_path, first, last, stages, kills={date(2026, 3, 29), date(2026, 3, 30)})
    check(config, source, first, last, broken={date(2026, 3, 28), date(2026, 3, 30)})


@pytest.mark.skipif("SOAK_SECONDS" not in os.environ, reason="takes minutes: make soak")
def test_a_year_with_everything_that_happens_to_a_meter_and_ten_kills(tmp_path):
    first, last = date(2026, 1, 1), date(2027, 1, 1)
    stages = [
        stage("2026-01-01", FIRST, "HCHP"),
        stage("2026-05-15T10:30", SECOND, "HCHP", replaced=True),
        stage("2026-09-01", SECOND, "TEMPO"),
    ]
    kills = {first + timedelta(days=day) for day in random.Random(5).sample(range(1, 364), 10)}
    config, source = live(tmp_path, first, last, stages, kills)
    check(config, source, first, last, broken={date(2026, 5, 15), date(2026, 8, 31)})
