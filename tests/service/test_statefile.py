import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energyd.errors import EnvironmentFault
from energyd.service import statefile

STATE = {"totals": {"package-0": 123}, 7: [1, 2, None, -5, "é"]}


def test_what_was_saved_comes_back(tmp_path):
    statefile.save(tmp_path / "state", STATE)
    assert statefile.load(tmp_path / "state") == STATE
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


def test_no_file_is_no_state(tmp_path):
    assert statefile.load(tmp_path / "state") is None


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("state") / "state"
    statefile.save(path, STATE)
    return path


@given(st.data())
def test_any_flipped_bit_or_torn_tail_is_noticed_and_the_file_set_aside(saved, data):
    content = bytearray(saved.read_bytes())
    if data.draw(st.booleans()):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] ^= 1 << data.draw(st.integers(0, 7))
    else:
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    broken = saved.with_name("broken")
    broken.write_bytes(content)
    with pytest.raises(statefile.DamagedState, match="set aside"):
        statefile.load(broken)
    assert not broken.exists()
    assert saved.with_name("broken.damaged").read_bytes() == content


def test_a_disk_that_refuses_is_named_with_the_mend_and_the_old_state_stays(tmp_path, monkeypatch):
    path = tmp_path / "state"
    statefile.save(path, STATE)

    def full(_descriptor):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentFault, match=r"No space left on device.*free space"):
        statefile.save(path, {})
    monkeypatch.undo()
    assert statefile.load(path) == STATE
