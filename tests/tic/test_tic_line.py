"""A line through a scripted port and a clock that the test turns: detection, loss, reconnection, and what is said about it."""

import errno
import grp
import os
import termios
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from clocks import TurnedClock
from energyd.tic.checksum import with_even_parity
from energyd.tic.decoder import Event, Group
from energyd.tic.framing import encode_group
from energyd.tic.line import LINK_LOST_S, Line, explain
from energyd.tic.port import SPEEDS
from energyd.ticfields import HISTORIQUE, STANDARD
from energyd.units import NS_PER_S

GOOD = (
    b"\x02"
    + b"".join(
        encode_group(HISTORIQUE, label, data)
        for label, data in ((b"ADCO", b"021861348497"), (b"BASE", b"012345678"), (b"PAPP", b"00420"), (b"HHPHC", b"A"))
    )
    + b"\x03"
)
NOISY = GOOD.replace(b"A ,", b"Q ,")
GARBAGE = bytes(range(128, 240)) + b"\r"


class FakePort:
    """Answers each read with `says(speed)`, half a second later; an exception is raised instead of said."""

    if_silent = "shake it"

    def __init__(
        self, clock: TurnedClock, says: Callable[[int | None], bytes | Exception], speeds: tuple[int, ...], remote: bool
    ) -> None:
        self.speeds = speeds
        self.remote = remote
        self.speed: int | None = None
        self.set: list[int] = []
        self.closed = False
        self._clock = clock
        self._says = says

    def read(self) -> bytes:
        self._clock.now_ns += NS_PER_S // 2
        said = self._says(self.speed)
        if isinstance(said, Exception):
            raise said
        return said

    def set_speed(self, baud: int) -> None:
        self.set.append(baud)
        self.speed = baud

    def close(self) -> None:
        self.closed = True


class World:
    """A device that the test changes while the line goes on."""

    def __init__(
        self, mode: str = "auto", speeds: tuple[int, ...] = SPEEDS, remote: bool = False, link_lost_s: float = LINK_LOST_S
    ) -> None:
        self.clock = TurnedClock(1_000 * NS_PER_S)
        self.told: list[str] = []
        self.ports: list[FakePort] = []
        self.opened_ns: list[int] = []
        self.says: Callable[[int | None], bytes | Exception] = lambda speed: b""
        self.refuses: Exception | None = None
        self._speeds = speeds
        self._remote = remote
        self.line = Line("/dev/meter", mode, self.clock, self.told.append, self._open, link_lost_s=link_lost_s)

    def _open(self, device: str) -> FakePort:
        self.opened_ns.append(self.clock.now_ns)
        if self.refuses is not None:
            raise self.refuses
        self.ports.append(FakePort(self.clock, self._say, self._speeds, self._remote))
        return self.ports[-1]

    def _say(self, speed: int | None) -> bytes | Exception:
        return self.says(speed)

    def run(self, seconds: float) -> list[Event]:
        until_ns = self.clock.now_ns + round(seconds * NS_PER_S)
        events: list[Event] = []
        while self.clock.now_ns < until_ns:
            events += self.line.poll()
        return events


def at(right: int, data: bytes = GOOD) -> Callable[[int | None], bytes | Exception]:
    return lambda speed: data if speed == right else GARBAGE


def labels(events: list[Event]) -> set[str]:
    return {event.field.label for event in events if isinstance(event, Group)}


@pytest.mark.parametrize("speed", SPEEDS)
def test_the_speed_is_found(speed: int) -> None:
    world = World()
    world.says = at(speed)

    events = world.run(15)

    assert world.line.understood
    assert (world.line.speed, world.line.mode) == (speed, HISTORIQUE)
    assert labels(events) == {"ADCO", "BASE", "PAPP", "HHPHC"}
    assert world.told == []


@pytest.mark.parametrize(("mode", "first"), [("auto", 1200), (HISTORIQUE, 1200), (STANDARD, 9600)])
def test_the_configured_mode_suggests_the_first_speed(mode: str, first: int) -> None:
    world = World(mode)
    world.run(0.1)

    assert world.ports[0].set == [first]


def test_what_a_wrong_speed_makes_of_the_bytes_is_no_error_of_the_line() -> None:
    world = World()
    world.says = at(19200)
    world.run(30)

    counts = world.line.counts()

    assert counts["groups_bad_parity"] == counts["groups_malformed"] == counts["groups_bad_checksum"] == 0
    assert counts["bytes"] > counts["groups_ok"] > 0


def test_groups_heard_before_the_line_is_understood_are_handed_over() -> None:
    world = World()
    world.says = at(1200, encode_group(HISTORIQUE, b"BASE", b"012345678"))

    assert labels(world.run(0.4)) == {"BASE"}
    assert not world.line.understood


def test_parity_is_found() -> None:
    world = World()
    world.says = at(1200, with_even_parity(GOOD))
    world.run(5)

    assert world.line.parity is True


def test_after_ten_seconds_without_a_good_frame_the_line_is_searched_again() -> None:
    """The meter was switched from historique at 1200 baud to standard at 9600."""
    world = World()
    world.says = at(1200)
    world.run(5)
    standard = b"\x02" + b"".join(encode_group(STANDARD, b"EAST", b"%09d" % number) for number in range(4)) + b"\x03"
    world.says = at(9600, standard)

    events = world.run(20)

    assert (world.line.speed, world.line.mode) == (9600, STANDARD)
    assert labels(events) == {"EAST"}
    assert any("no good frame" in told for told in world.told)


def test_frames_that_hold_nothing_but_an_address_are_those_of_a_meter_asleep() -> None:
    """54E 9.4: they keep no line alive."""
    world = World()
    world.says = at(1200)
    world.run(5)
    world.says = at(1200, b"\x02" + encode_group(HISTORIQUE, b"ADCO", b"021861348497") + b"\x03")
    world.run(12)

    assert any("no good frame" in told for told in world.told)


def test_the_patience_with_a_silent_line_is_configured() -> None:
    """LINKY_FRAME_TIMEOUT of linky-exporter, which gave up altogether; here it means that the line is searched again."""
    for link_lost_s, searched in ((2.0, True), (10.0, False)):
        world = World(link_lost_s=link_lost_s)
        world.says = at(1200)
        world.run(5)
        world.says = lambda speed: b""
        world.run(5)

        assert any("no good frame" in told for told in world.told) is searched


def test_a_line_that_is_only_noisy_loses_nothing_but_its_bad_groups() -> None:
    world = World()
    world.says = at(1200, NOISY)

    events = world.run(60)

    good = sum(isinstance(event, Group) for event in events)
    assert good >= 3 * 110
    assert world.ports[0].set == [1200]
    assert world.line.counts()["groups_bad_checksum"] >= 110


def test_a_silent_line_is_said_once() -> None:
    world = World()
    world.run(60)

    assert world.told == ["/dev/meter is silent; shake it"]
    assert len(world.ports) == 1


def test_a_line_of_garbage_is_said_once() -> None:
    world = World()
    world.says = lambda speed: GARBAGE
    world.run(60)

    assert len(world.told) == 1
    assert "no group that verifies" in world.told[0]


def test_a_silent_server_is_connected_to_again() -> None:
    world = World(speeds=(), remote=True)
    world.says = lambda speed: GOOD
    world.run(5)
    world.says = lambda speed: b""
    world.run(20)

    assert len(world.ports) > 1
    assert world.ports[0].closed
    assert world.line.counts()["reopenings"] == len(world.ports) - 1


@pytest.mark.parametrize("fault", [OSError(errno.EIO, "unplugged"), termios.error(5, "unplugged")])
def test_an_unplugged_adapter_is_opened_again(fault: Exception) -> None:
    world = World()
    world.says = at(1200)
    world.run(5)
    before = world.line.counts()
    world.says = lambda speed: fault
    world.run(1)
    world.says = at(1200)

    events = world.run(5)

    assert labels(events) == {"ADCO", "BASE", "PAPP", "HHPHC"}
    assert world.ports[0].closed
    assert world.line.counts()["reopenings"] == 1
    assert all(count >= before[name] for name, count in world.line.counts().items())
    fault, cured = world.told
    assert "unplugged" in fault
    assert cured == ""


def test_a_device_that_does_not_exist_is_waited_for_ever_more_patiently() -> None:
    world = World()
    world.refuses = OSError(errno.ENOENT, "no such file")
    world.run(60)

    pauses = [(after - before) / NS_PER_S for before, after in zip(world.opened_ns, world.opened_ns[1:], strict=False)]

    assert pauses[:7] == [0.5, 1, 2, 4, 8, 10, 10]
    assert world.told == ["/dev/meter does not exist; `ls -l /dev/serial/by-id` shows the adapters that do; waiting for it"]


def test_a_device_that_appears_late_is_used() -> None:
    world = World()
    world.refuses = OSError(errno.ENOENT, "no such file")
    world.run(30)
    world.refuses = None
    world.says = at(1200)
    world.run(15)

    assert world.line.understood
    assert world.line.counts()["reopenings"] == 0


def test_who_is_told_to_look_again_does_so_at_once() -> None:
    world = World()
    world.refuses = FileNotFoundError(errno.ENOENT, "No such file or directory")
    world.run(60)
    tries = len(world.opened_ns)
    world.line.look_again()
    world.line.poll()

    assert len(world.opened_ns) == tries + 1


def test_the_patience_is_forgotten_once_the_line_is_understood() -> None:
    world = World()
    world.refuses = OSError(errno.ENOENT, "no such file")
    world.run(60)
    world.refuses = None
    world.says = at(1200)
    world.run(15)
    world.says = lambda speed: OSError(errno.EIO, "unplugged")
    world.run(0.5)
    lost_ns = world.clock.now_ns
    world.says = at(1200)
    world.run(3)

    assert world.opened_ns[-1] - lost_ns <= NS_PER_S


def test_closing_a_port_that_is_gone_is_no_fault() -> None:
    world = World()
    world.run(1)

    def gone() -> None:
        raise OSError(errno.EBADF, "closed")

    world.ports[0].close = gone  # type: ignore[method-assign]
    world.line.close()
    world.line.close()


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (errno.ENOENT, "/dev/serial/by-id"),
        (errno.EACCES, "adduser"),
        (errno.EACCES, "dialout"),
        (errno.EAGAIN, "fuser /dev/meter"),
        (errno.ENODEV, "trying again"),
    ],
)
def test_each_fault_of_a_device_comes_with_its_mend(number: int, mend: str) -> None:
    assert mend in explain("/dev/meter", OSError(number, "text"))


def test_the_group_that_is_told_is_that_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """uucp on some systems, tty of a pseudo terminal; the part behind `; ` is what `energyd doctor` prints as the mend."""
    monkeypatch.setattr(os, "stat", lambda _device: SimpleNamespace(st_gid=10))
    monkeypatch.setattr(grp, "getgrgid", lambda gid: SimpleNamespace(gr_name="uucp" if gid == 10 else "dialout"))
    reason, _, mend = explain("/dev/ttyUSB0", OSError(errno.EACCES, "Permission denied")).partition("; ")

    assert reason == "no permission to open /dev/ttyUSB0"
    assert " uucp`, then start energyd again" in mend
    monkeypatch.setattr(os, "stat", lambda _device: SimpleNamespace(st_gid=0))
    assert " dialout`" in explain("/dev/ttyUSB0", OSError(errno.EACCES, "Permission denied"))
