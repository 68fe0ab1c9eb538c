"""A meter that says what a test wants, a clock that stands where a test puts it, and the ledger that listens."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from energyd.aggregate.frames import Frame
from energyd.aggregate.snapshot import Host
from energyd.config import Config, Meter
from energyd.ledger.days import Days
from energyd.ledger.ledger import Ledger
from energyd.units import NS_PER_S

PARIS = Days("Europe/Paris")
ADDRESS = "041876097514"
NO_HOST = Host(None, None, "", (), 0, 0, ())


def at(text):
    """UTC seconds of a local time in Paris."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Paris")).timestamp())


def midnight(text):
    return PARIS.begin_s(date.fromisoformat(text))


LINKY = (Meter("linky", "/dev/null"),)


class StoppedClock:
    """Both clocks stand at `now_s`; the monotonic one counts from 1970 as well."""

    def __init__(self, now_s=0):
        self.now_s = now_s
        self.offset_s = 0  # civil minus monotonic time

    def mono_ns(self):
        return self.now_s * NS_PER_S

    def real_ns(self):
        return (self.now_s + self.offset_s) * NS_PER_S

    def sleep_until_ns(self, mono_ns):
        self.now_s = mono_ns // NS_PER_S


class Book:
    """What the ledger wants of a MeterBook."""

    def __init__(self):
        self.on_frame = lambda _frame: None


class World:
    """One or more meters and a ledger in `state_dir`; `restart` is what a kill and a new process are."""

    def __init__(self, state_dir, *, meters=LINKY, **config):
        self.config = Config(state_dir=str(state_dir), meters=meters, **config)
        self.clock = StoppedClock()
        self.faults = []
        self.start()

    def start(self, state=None):
        self.ledger = Ledger(self.config, self.clock, lambda kind, text: self.faults.append((kind, text)))
        if state is not None:
            self.ledger.restore(state)
        self.books = {meter.name: Book() for meter in self.config.meters}
        self.ledger.follow(self.books)

    def restart(self, state=None):
        """As after kill -9: nothing is closed, nothing is flushed."""
        self.start(state)

    def frame(self, at_s, registers, *, meter="linky", address=ADDRESS, texts=None, mode="historique", **more):
        """One frame; `more`: quantities (label -> value or (value, horodate)), good, degraded, earlier."""
        self.clock.now_s = at_s - self.clock.offset_s
        quantities = {
            label: value if isinstance(value, tuple) else (value, 0) for label, value in more.pop("quantities", {}).items()
        }
        texts = {"OPTARIF": "HC..", "PTEC": "HP.."} if texts is None else texts
        begin_ns = self.clock.mono_ns()
        said = Frame(
            begin_ns, begin_ns, address, mode, more.get("good", True), more.get("degraded", False),
            dict(registers), quantities, frozenset(texts), texts, more.get("earlier"),
        )  # fmt: skip
        self.books[meter].on_frame(said)
        self.ledger.flush()

    def hours(self, begin, end, power_w=1000, register="HCHP", start_wh=1_000_000, step_s=3600, **more):
        """Frames from one local time to another, both included, of a register at constant power."""
        for at_s in range(at(begin), at(end) + 1, step_s):
            self.frame(at_s, {register: start_wh + power_w * (at_s - at(begin)) // 3600}, **more)

    def view(self, now_s=None, host=NO_HOST):
        if now_s is not None:
            self.clock.now_s = now_s - self.clock.offset_s
        return self.ledger.view(host, self.clock.mono_ns())

    def stretches(self, now_s=None, meter=0):
        """{name: (watt-hours drawn, complete)} of a meter."""
        shown = self.view(now_s).meters[meter].stretches
        return {
            stretch.name: (sum(e.energy_wh for e in stretch.energies if e.direction == "consumed"), stretch.complete)
            for stretch in shown
        }
