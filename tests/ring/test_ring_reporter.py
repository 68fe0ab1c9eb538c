"""What a reader tells of itself: counters and faults, each when it has changed."""

import pytest

from energyd.ring import layout
from energyd.ring import reporter as reporters
from energyd.ring.labels import LabelsReader
from energyd.ring.reader import RingReader
from energyd.ring.reporter import Reporter
from energyd.samples import COUNTER, ERROR, LAST, RAPL
from energyd.units import NS_PER_S


@pytest.fixture
def said():
    return []


class Watch:
    now_ns = 1_000 * NS_PER_S

    def mono_ns(self):
        return self.now_ns

    def after(self, seconds):
        self.now_ns += seconds * NS_PER_S


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def reporter(said, watch):
    return Reporter(lambda kind, text: said.append((kind, text)), watch.mono_ns)


@pytest.fixture
def ring(run_dir):
    return RingReader(run_dir, "rapl", RAPL)


def told(ring):
    """[(kind, which, value)] since the last call."""
    return [record[3:4] + record[5:7] for record in ring.poll().services.tolist()]


def test_only_what_has_changed_is_told(open_writer, ring, reporter):
    writer = open_writer()
    reporter.tell(writer, 1, (7, 0))
    assert told(ring) == [(COUNTER, 0, 7), (COUNTER, 1, 0)]

    reporter.tell(writer, 2, (7, 0))
    assert told(ring) == []

    reporter.tell(writer, 3, (7, 4))
    assert told(ring) == [(COUNTER, 1, 4)]


def test_what_is_told_is_a_batch_of_its_own(open_writer, ring, reporter):
    writer = open_writer()
    writer.write_batch([(1, 1, (1, 2, 3, 4), 0)], 2, 1, 0)
    reporter.tell(writer, 3, (7, 8))
    writer.write_batch([(1, 4, (1, 2, 3, 4), 0)], 5, 4, 0)

    records = ring.poll().records
    assert records["batch"].tolist() == [1, 1, 2, 2, 3, 3]
    assert records["status"].tolist() == [0, LAST] * 3
    assert records["energy_uj"][records["kind"] == 0xFFF1].tolist() == [1, 1], "END counts the samples of its own batch"


def test_a_fault_has_one_number_and_its_first_text(open_writer, ring, reporter, said):
    writer = open_writer()
    reporter.fault("disk", "the disk is full")
    reporter.fault("disk", "the disk is still full")
    reporter.fault("cable", "the cable is loose")
    reporter.tell(writer, 1, ())
    reporter.fault("disk", "the disk is full")
    reporter.tell(writer, 2, ())

    assert told(ring) == [(ERROR, 1, 2), (ERROR, 2, 1), (ERROR, 1, 3)]
    assert ring.labels() == [(1, {"error": "the disk is full"}), (2, {"error": "the cable is loose"})]
    assert [kind for kind, _ in said] == ["disk", "disk", "cable", "disk"]


def test_a_new_ring_is_told_everything_again(open_writer, ring, reporter):
    writer = open_writer()
    reporter.fault("disk", "the disk is full")
    reporter.tell(writer, 1, (5,))
    ring.poll()
    writer.rotate()
    reporter.start_anew()
    reporter.tell(writer, 2, (5,))

    assert told(ring) == [(COUNTER, 0, 5), (ERROR, 1, 1)]
    assert ring.labels() == [(1, {"error": "the disk is full"})]


def test_endless_kinds_of_faults_do_not_fill_the_labels(open_writer, ring, reporter):
    writer = open_writer(capacity=512)
    for number in range(1000):
        reporter.fault(f"fault {number}", "text")
    reporter.tell(writer, 1, ())

    assert len(told(ring)) == reporters.LIMIT + 1
    assert ring.labels()[-1][1] == {"error": "more kinds of faults than are told apart"}


def wrong(run_dir):
    """(text, since when) of what the header says is wrong now."""
    header = layout.read_header(layout.ring_path(run_dir, "rapl"))
    if not header.fault:
        return None
    labels = LabelsReader(layout.labels_path(run_dir, "rapl"), header.identity, 0)
    texts = {number: entry["error"] for number, entry in labels.read(header.labels_length)}
    labels.close()
    return texts[header.fault], header.fault_since_ns // NS_PER_S


def test_a_state_is_wrong_until_its_cure_is_told(run_dir, open_writer, reporter, watch, said):
    writer = open_writer()
    reporter.tell(writer, 1, ())
    assert wrong(run_dir) is None

    reporter.state(["no permission"])
    watch.after(300)
    reporter.state(["no permission"])
    reporter.tell(writer, 2, ())
    assert wrong(run_dir) == ("no permission", 1_000)
    assert said == [("no permission", "no permission")], "once for as long as it lasts"

    reporter.state([])
    reporter.tell(writer, 3, ())
    assert wrong(run_dir) is None


def test_an_event_is_wrong_for_as_long_as_it_comes_again(run_dir, open_writer, reporter, watch):
    writer = open_writer()
    for _ in range(3):
        reporter.fault("disk", "the disk is full")
        watch.after(40)
    reporter.tell(writer, 1, ())
    assert wrong(run_dir) == ("the disk is full", 1_000)

    watch.after(40)
    reporter.tell(writer, 2, ())
    assert wrong(run_dir) is None


def test_of_several_faults_the_one_that_began_last_is_told(run_dir, open_writer, reporter, watch):
    writer = open_writer()
    reporter.state(["cable"])
    watch.after(1)
    reporter.fault("disk", "disk")
    reporter.tell(writer, 1, ())
    assert wrong(run_dir) == ("disk", 1_001)

    watch.after(100)
    reporter.tell(writer, 2, ())
    assert wrong(run_dir) == ("cable", 1_000)


def test_what_was_wrong_with_the_writer_before_is_not_wrong_with_this_one(run_dir, open_writer, reporter):
    writer = open_writer()
    reporter.state(["cable"])
    reporter.tell(writer, 1, ())
    writer.close()
    open_writer()

    assert wrong(run_dir) is None


def test_in_a_new_ring_what_is_wrong_is_still_wrong(run_dir, open_writer, reporter):
    writer = open_writer()
    reporter.state(["cable"])
    reporter.tell(writer, 1, ())
    writer.rotate()
    reporter.start_anew()
    reporter.tell(writer, 2, ())

    assert wrong(run_dir) == ("cable", 1_000)
