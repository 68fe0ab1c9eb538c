"""A capture is played as it was heard: its mode, its parity, its bytes."""

import os
import threading
from pathlib import Path

import pytest

from energyd.errors import EnvironmentFault
from energyd.service.clock import SYSTEM_CLOCK
from energyd.simulate import replay
from energyd.simulate.frames import HISTORIQUE, STANDARD, Group, encode_frame, with_even_parity
from energyd.simulate.line import Line, Pace

CAPTURES = Path(__file__).parents[3] / "shared" / "fixtures" / "tic"
HISTORIQUE_FRAME = b"".join(encode_frame([Group("ADCO", "041876097514"), Group("PAPP", "00720")], HISTORIQUE))
STANDARD_FRAME = b"".join(
    encode_frame([Group("ADSC", "041876097514"), Group("MSG1", "PAS DE          MESSAGE         ")], STANDARD)
)


def test_the_mode_is_the_one_in_which_groups_verify():
    """With parity or without; spaces in a standard message do not make it historique."""
    assert replay.mode_of(HISTORIQUE_FRAME) is HISTORIQUE
    assert replay.mode_of(with_even_parity(STANDARD_FRAME)) is STANDARD


@pytest.mark.skipif(not CAPTURES.exists(), reason="the captures are not there")
def test_the_mode_of_every_capture_is_known():
    """Their names say it, but for the one that mixes both."""
    for path in sorted(CAPTURES.glob("[hs]*_*.*")):
        assert replay.mode_of(path.read_bytes()) is (HISTORIQUE if path.name.startswith("hist") else STANDARD), path.name


def test_parity_is_recognised():
    assert not replay.has_parity(HISTORIQUE_FRAME)
    assert replay.has_parity(with_even_parity(HISTORIQUE_FRAME))
    assert not replay.has_parity(HISTORIQUE_FRAME + b"\xbfPTARIF"), "a few spoilt characters are no parity"


def listen(link, size, heard):
    """Read `size` bytes of `link`, or until it hangs up."""
    fd = os.open(link, os.O_RDONLY | os.O_NOCTTY)
    try:
        while len(heard) < size and (part := os.read(fd, 4096)):
            heard.extend(part)
    except OSError:
        pass
    finally:
        os.close(fd)


class Stop:
    """Set from another thread."""

    def __init__(self):
        self.requested = False

    def __bool__(self):
        return self.requested


@pytest.mark.parametrize("loop", [False, True], ids=["once", "loop"])
def test_a_tape_starts_when_somebody_listens_and_is_heard_to_its_end(tmp_path, loop):
    """Nothing is dropped: played once the line waits until all is read, in a loop it goes on until it is told to stop."""
    stop, heard, size = Stop(), bytearray(), len(HISTORIQUE_FRAME)
    with Line(str(tmp_path / "meter")) as line:
        player = threading.Thread(
            target=replay.play, args=(HISTORIQUE_FRAME, 1200 * 200, line, Pace(SYSTEM_CLOCK, stop)), kwargs={"loop": loop}
        )
        player.start()
        listen(line.link, size * (3 if loop else 1), heard)
        stop.requested = loop
        player.join(10)
        assert not player.is_alive()
    assert heard[:size] == HISTORIQUE_FRAME
    assert heard[: 3 * size] == HISTORIQUE_FRAME * (3 if loop else 1)


def test_a_capture_that_is_not_there_is_told(tmp_path):
    with pytest.raises(EnvironmentFault, match="cannot read the capture"):
        replay.main([str(tmp_path / "absent"), "--link", str(tmp_path / "meter")])
    (tmp_path / "empty").touch()
    with pytest.raises(EnvironmentFault, match="is empty"):
        replay.main([str(tmp_path / "empty"), "--link", str(tmp_path / "meter")])


def test_a_speed_of_nothing_is_refused(tmp_path):
    with pytest.raises(SystemExit):
        replay.main(["x", "--link", "y", "--speed", "0"])
