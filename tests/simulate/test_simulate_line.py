"""The line delivers bytes when a wire would, loses them where a wire does, and leaves nothing behind."""

import os
import termios

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clocks import TurnedClock
from energyd.errors import EnvironmentFault
from energyd.simulate.line import PIECE_NS, Line, Pace, duration_ns, pieces


def groups_of(count, size):
    return (b"\n" + b"x" * (size - 2) + b"\r") * count


@pytest.mark.parametrize(("baud", "group_s"), [(1200, 17 * 10 / 1200), (9600, 17 * 10 / 9600)])
def test_a_group_is_handed_over_when_its_last_bit_would_arrive(baud, group_s):
    """Ten bits a byte: group n is complete n group times after the begin, neither earlier nor later."""
    clock, arrivals, heard = TurnedClock(), [], bytearray()

    def write(piece):
        heard.extend(piece)
        if piece.endswith(b"\r"):
            arrivals.append(clock.now_ns)

    begin_ns = clock.now_ns
    end_ns = Pace(clock, stop=False).send(write, groups_of(30, 17), begin_ns, baud)
    assert heard == groups_of(30, 17)
    assert end_ns == clock.now_ns == begin_ns + duration_ns(30 * 17, baud)
    for n, arrival_ns in enumerate(arrivals, 1):
        assert arrival_ns - begin_ns == pytest.approx(n * group_s * 1e9, abs=2)


def test_a_late_line_keeps_its_deadlines():
    """A write that takes long delays nothing after it: deadlines are absolute."""
    clock = TurnedClock()
    begin_ns = clock.now_ns

    def write(piece):
        clock.now_ns += 3_000_000

    Pace(clock, stop=False).send(write, groups_of(20, 48), begin_ns, 9600)
    assert clock.now_ns - begin_ns == duration_ns(20 * 48, 9600) + 3_000_000


@given(st.binary(max_size=400), st.sampled_from([1200, 2400, 9600, 9600 * 50]))
def test_pieces_are_the_data_in_small_parts(data, baud):
    """Nothing is lost or reordered; a group's end ends a piece; no piece takes more than 50 ms."""
    parts = list(pieces(data, baud))
    assert b"".join(parts) == data
    for part in parts:
        assert duration_ns(len(part), baud) <= PIECE_NS
        assert not any(byte & 0x7F == 0x0D for byte in part[:-1])


def test_a_frame_at_line_speed_wakes_the_simulator_less_than_fifty_times_a_second():
    clock = TurnedClock()
    Pace(clock, stop=False).send(lambda piece: None, groups_of(38, 23), clock.now_ns, 9600)
    assert clock.sleeps <= 0.9 * 50


def test_stopping_ends_a_long_wait_within_a_nap():
    class Stop:
        asked = 0

        def __bool__(self):
            self.asked += 1
            return self.asked > 2

    clock = TurnedClock()
    begin_ns = clock.now_ns
    Pace(clock, Stop()).until(begin_ns + 60 * 10**9)
    assert clock.now_ns - begin_ns < 10**9


@pytest.fixture
def link(tmp_path):
    return str(tmp_path / "meter")


def test_a_reader_hears_all_byte_values(link):
    """The terminal is raw before anybody opens it: no echo, no signal characters, no eighth bit lost."""
    with Line(link) as line:
        fd = os.open(link, os.O_RDWR | os.O_NOCTTY)
        line.write(bytes(range(256)))
        heard = b""
        while len(heard) < 256:
            heard += os.read(fd, 256)
        assert heard == bytes(range(256))
        assert not termios.tcgetattr(fd)[3] & termios.ECHO
        assert line.dropped_bytes == 0
        os.close(fd)


def test_nobody_hears_what_was_said_before_he_listened(link):
    """Bytes are dropped and counted while the terminal is closed, and what the last reader left unread is not kept for the next."""
    with Line(link) as line:
        line.write(b"before")
        assert line.dropped_bytes == 6
        fd = os.open(link, os.O_RDONLY | os.O_NOCTTY)
        line.write(b"left unread")
        os.close(fd)
        line.write(b"between")
        assert line.dropped_bytes == 13
        fd = os.open(link, os.O_RDONLY | os.O_NOCTTY)
        line.write(b"now")
        assert os.read(fd, 100) == b"now"
        os.close(fd)


def test_a_reader_that_stalls_never_blocks_the_line(link):
    with Line(link) as line:
        fd = os.open(link, os.O_RDONLY | os.O_NOCTTY)
        for _ in range(1000):
            line.write(b"x" * 1000)
        assert line.dropped_bytes > 900_000
        assert line.unread() > 0
        os.close(fd)


def test_a_reader_of_a_line_that_ends_sees_a_hang_up(link):
    """As when the adapter is unplugged."""
    with Line(link):
        fd = os.open(link, os.O_RDONLY | os.O_NOCTTY)
    try:
        assert os.read(fd, 1) == b""
    except OSError:  # EIO, which of the two is the kernel's choice
        pass
    os.close(fd)
    assert not os.path.lexists(link)


def test_a_link_is_replaced_and_belongs_to_the_last(link):
    """A new line takes the name over from one that was killed; the old one, ending late, does not remove it."""
    old = Line(link)
    with Line(link) as new:
        assert os.readlink(link) == new.device != old.device
        old.__exit__(None, None, None)
        assert os.readlink(link) == new.device
    assert not os.path.lexists(link)


def test_a_file_in_the_way_is_left_alone(tmp_path):
    occupied = tmp_path / "precious"
    occupied.write_text("data")
    with pytest.raises(EnvironmentFault, match="no symbolic link"):
        Line(str(occupied))
    assert occupied.read_text() == "data"


def test_a_link_that_cannot_be_made_is_told(tmp_path):
    with pytest.raises(EnvironmentFault, match="cannot make the link"):
        Line(str(tmp_path / "absent" / "meter"))
