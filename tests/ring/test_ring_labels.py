"""Cold strings: written, then published, then used; torn tails are never seen and ids never used twice."""

import os

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energyd.errors import EnvironmentFault
from energyd.ring import labels as labels_module
from energyd.ring import layout
from energyd.ring.labels import LabelsReader, LabelsWriter, decode
from energyd.samples import VOID

ME = "ring-a"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rapl.labels"


def test_entries_come_out_as_they_went_in_with_ids_from_one(path):
    writer = LabelsWriter.create(path, ME)
    ids = [writer.append({"zone": "package-0", "range_uj": 2**40}), writer.append({"argv": ["a", "b"]})]

    reader = LabelsReader(path, ME, 0)

    assert ids == [1, 2]
    assert reader.read(writer.length) == [(1, {"zone": "package-0", "range_uj": 2**40}), (2, {"argv": ["a", "b"]})]
    assert reader.read(writer.length) == []


def test_a_reader_stops_at_the_published_length(path):
    writer = LabelsWriter.create(path, ME)
    writer.append({"a": 1})
    published = writer.length
    writer.append({"b": 2})
    reader = LabelsReader(path, ME, 0)

    assert reader.read(published) == [(1, {"a": 1})]
    assert reader.read(writer.length) == [(2, {"b": 2})]


def test_a_reader_goes_on_at_its_offset(path):
    writer = LabelsWriter.create(path, ME)
    writer.append({"a": 1})
    first = LabelsReader(path, ME, 0)
    first.read(writer.length)
    writer.append({"b": 2})

    assert LabelsReader(path, ME, first.offset).read(writer.length) == [(2, {"b": 2})]


def test_labels_of_another_ring_are_not_read(path):
    LabelsWriter.create(path, "ring-b")
    before = len(os.listdir("/proc/self/fd"))

    with pytest.raises(ValueError, match="another ring"):
        LabelsReader(path, ME, 0)

    assert len(os.listdir("/proc/self/fd")) == before


@given(torn=st.integers(0, 40))
def test_a_torn_tail_is_cut_off_and_its_id_is_given_to_the_next_entry(tmp_path_factory, torn):
    path = tmp_path_factory.mktemp("labels") / "rapl.labels"
    writer = LabelsWriter.create(path, ME)
    writer.append({"a": 1})
    published = writer.length
    writer.append({"never": "published, long enough to be torn anywhere"})
    os.truncate(path, published + torn)

    heir = LabelsWriter.adopt(path, ME, published)

    assert heir is not None
    assert path.stat().st_size == published
    assert heir.append({"c": 3}) == 2
    reader = LabelsReader(path, ME, 0)
    assert reader.read(heir.length) == [(1, {"a": 1}), (2, {"c": 3})]
    for part in (writer, heir, reader):
        part.close()


@pytest.mark.parametrize("damage", ["another ring", "shorter than published", "not msgpack", "missing"])
def test_a_file_that_does_not_fit_is_not_adopted(path, damage):
    writer = LabelsWriter.create(path, "ring-b" if damage == "another ring" else ME)
    writer.append({"a": 1})
    length = writer.length
    if damage == "shorter than published":
        os.truncate(path, length - 1)
    if damage == "not msgpack":
        path.write_bytes(b"\xc1" * length)
    if damage == "missing":
        path.unlink()

    assert LabelsWriter.adopt(path, ME, length) is None


def test_pairs_that_are_no_pairs_are_refused():
    for wrong in ([1], [1, "text"], ["1", {}], 7):
        with pytest.raises(ValueError, match="not a pair"):
            list(decode(msgpack.packb(wrong)))


def test_a_full_tmpfs_is_told_and_the_id_is_used_by_the_next(path, monkeypatch):
    writer = LabelsWriter.create(path, ME)
    really = os.pwrite

    def no_space(descriptor, data, offset):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(labels_module.os, "pwrite", no_space)
    with pytest.raises(EnvironmentFault, match="No space left on device; free space on its tmpfs"):
        writer.append({"a": 1})
    monkeypatch.setattr(labels_module.os, "pwrite", lambda descriptor, data, offset: really(descriptor, data[:3], offset))
    with pytest.raises(EnvironmentFault, match="3 of 6 bytes"):
        writer.append({"a": 1})
    monkeypatch.undo()

    assert writer.append({"a": 1}) == 1
    assert LabelsReader(path, ME, 0).read(writer.length) == [(1, {"a": 1})]


def test_labels_are_full_before_ids_reach_the_service_kinds_or_memory_runs_out(path, monkeypatch):
    writer = LabelsWriter.create(path, ME)
    assert not writer.full
    monkeypatch.setattr(labels_module, "MAX_IDS", 3)
    writer.append({"a": 1})
    assert not writer.full
    writer.append({"a": 1})
    assert writer.full
    monkeypatch.undo()
    assert not writer.full
    monkeypatch.setattr(labels_module, "MAX_BYTES", 10)
    assert writer.full
    assert labels_module.MAX_IDS < VOID


def test_the_file_is_not_readable_by_the_world(path):
    umask = os.umask(0)
    try:
        LabelsWriter.create(path, ME)
    finally:
        os.umask(umask)

    assert path.stat().st_mode & 0o777 == 0o640


def test_an_entry_is_written_before_its_length_is_published(open_writer, run_dir, monkeypatch):
    writer = open_writer()
    order = []
    really = os.pwrite
    monkeypatch.setattr(
        labels_module.os, "pwrite", lambda descriptor, data, offset: order.append("entry") or really(descriptor, data, offset)
    )

    class Watched:
        def __init__(self, words):
            self.words = words

        def __setitem__(self, index, value):
            order.append({layout.LABELS_LENGTH: "length", layout.CLAIM: "claim", layout.HEAD: "head"}[index])
            self.words[index] = value

    writer._words = Watched(writer._words)
    writer.append(writer.label({"zone": "core"}), 1, (1, 2, 3, 4))

    assert order == ["entry", "length", "claim", "head"]
    assert layout.read_header(run_dir / "rapl.ring").labels_length == (run_dir / "rapl.labels").stat().st_size
