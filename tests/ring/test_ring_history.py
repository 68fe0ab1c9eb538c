"""Whole histories on real files: writers that restart, die in mid-write, change capacity and rotate; readers that restart."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from ringworld import TurnedClock

from energyd.ring.reader import RingReader
from energyd.ring.writer import RingWriter
from energyd.samples import RAPL

steps = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 4)),
    st.tuples(st.just("leave open"), st.integers(1, 3)),
    st.tuples(st.just("die"), st.integers(0, 8)),
    st.tuples(st.just("restart"), st.sampled_from([8, 64])),
    st.tuples(st.just("rotate"), st.none()),
    st.tuples(st.just("poll"), st.none()),
    st.tuples(st.just("restart reader"), st.none()),
)


class Death(Exception):
    """The writer is killed here."""


class Mortal:
    """Words or slots that let so many more stores happen."""

    def __init__(self, real, life):
        self.real = real
        self.life = life

    def __getitem__(self, where):
        return self.real[where]

    def __setitem__(self, where, value):
        if not self.life:
            raise Death
        self.life.pop()
        self.real[where] = value


class World:
    def __init__(self, directory):
        self.directory = directory
        self.clock = TurnedClock()
        self.boot_id_path = directory / "boot_id"
        self.boot_id_path.write_text("3f0c0d3e-4a53-4c9c-9a1b-7a1d52c3a001\n")
        self.capacity = 64
        self.token = 0
        self.closed = []  # tokens of samples in closed batches, in order
        self.left_open = []
        self.seen = []
        self.labels = {}
        self.rotations = 0
        self.followed = 0
        self.lost = 0
        self.attached = True
        self.missed_a_file = False
        self.reader = RingReader(directory, "rapl", RAPL)
        self.open()
        self.poll()

    def open(self):
        self.writer = RingWriter.open(self.directory, "rapl", RAPL, self.capacity, self.clock, boot_id_path=self.boot_id_path)
        self.zone = None

    def samples(self, count):
        if self.zone is None:
            self.zone_name = f"zone {self.token}"
            self.zone = self.writer.label({"zone": self.zone_name})
        tokens = []
        for _ in range(count):
            self.token += 1
            self.writer.append(self.zone, 1, (self.token, hash(self.zone_name) & 2**64 - 1, 0, 0))
            tokens.append(self.token)
        return tokens

    def step(self, name, argument):
        if name == "write":
            tokens = self.samples(argument)
            self.writer.end_batch(1, 1, 0)
            self.closed += self.left_open + tokens
            self.left_open = []
        elif name == "leave open":
            self.left_open += self.samples(argument)
        elif name == "die":
            life = [None] * argument
            self.writer._words, self.writer._slots = Mortal(self.writer._words, life), Mortal(self.writer._slots, life)
            try:
                while True:
                    tokens = self.samples(1)
                    self.left_open += tokens
            except Death:
                self.writer.close()
                self.open()
            self.left_open = []
        elif name == "restart":
            self.writer.close()
            self.rotations += argument != self.capacity
            self.capacity = argument
            self.open()
            self.left_open = []
        elif name == "rotate":
            self.writer.next_batch()
            self.writer.rotate()
            self.rotations += 1
            self.zone, self.left_open = None, []
        elif name == "poll":
            self.poll()
        else:
            self.attached = False
            cursor = self.reader.cursor
            self.reader.close()
            self.reader = RingReader(self.directory, "rapl", RAPL, cursor and cursor._replace(labels_offset=0))
        # There are the file that a reader has open, the predecessor of the one that has the name, and that one.
        self.missed_a_file |= self.rotations - self.followed > (2 if self.attached else 1)

    def poll(self):
        drained = self.reader.poll()
        self.attached = True
        if drained.rotated:
            self.labels.clear()
            self.followed += 1
        self.labels.update(self.reader.labels())
        assert self.reader.fault is None
        for kind, name_hash in drained.samples[["kind", "read_ns"]].tolist():
            assert hash(self.labels[kind]["zone"]) & 2**64 - 1 == name_hash, "an id means what it meant to its writer"
        self.seen += drained.samples["energy_uj"].tolist()
        self.lost += drained.overruns


@settings(max_examples=120, deadline=None)
@given(st.lists(steps, max_size=30))
def test_whatever_happens_closed_batches_arrive_once_in_order_with_their_labels(history):
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory))
        try:
            for name, argument in history:
                world.step(name, argument)
            for _ in range(3):
                world.poll()
            assert world.seen == sorted(set(world.seen)), "in order, none twice"
            assert set(world.seen) <= set(world.closed), "closed batches alone"
            if not (world.lost or world.missed_a_file or world.rotations > world.followed):
                assert world.seen == world.closed, "all of them, when none was overwritten and no file was missed"
        finally:
            world.writer.close()
            world.reader.close()
