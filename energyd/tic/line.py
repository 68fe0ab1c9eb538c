"""One meter's line for as long as the daemon lives: opened, understood, lost, and found again without help.

A line is understood once three groups verify. Until then the speeds are tried in turn, each for at least a frame, the one that
worked last first. A line without a good frame for ten seconds is lost (Enedis-NOI-CPT_54E 9.4, "Etat Liaison Comptage"), and
understood anew, which costs nothing where it is only noisy. A device that vanishes is tried again after 0.5 s, then twice as
long each time up to 10 s. Law: nothing that a device does is raised; each change of fault is told once, with its mend.
"""

import errno
import grp
import os
import pwd
from collections.abc import Callable
from typing import Final, Protocol

from energyd.tic.decoder import Decoder, Event, FrameEnd, Group
from energyd.tic.port import GONE, SPEEDS, WAIT_S, Port, open_port
from energyd.ticfields import HISTORIQUE, STANDARD
from energyd.units import NS_PER_S

VERIFIED_GROUPS: Final = 3
LINK_LOST_S: Final = 10.0
GATHER_S: Final = 0.04
"""Bytes are fetched this long after the last ones: one wake-up for two groups at 9600 baud, and a sample 40 ms late at most."""
BACK_OFF_S: Final = (0.5, 10.0)

_LISTEN_S: Final = {1200: 3.0, 2400: 2.0}
_LISTEN_FAST_S: Final = 1.5
_FIRST_SPEED: Final = {HISTORIQUE: 1200, STANDARD: 9600}


class Clock(Protocol):
    """What a line needs of `energyd.service.clock`."""

    def mono_ns(self) -> int: ...

    def sleep_until_ns(self, mono_ns: int) -> None: ...


class Line:
    """`poll` for ever. `mode` is auto, historique or standard; `tell` gets each change of fault: one sentence, '' for cured."""

    def __init__(
        self,
        device: str,
        mode: str,
        clock: Clock,
        tell: Callable[[str], None],
        opener: Callable[[str], Port] = open_port,
        *,
        link_lost_s: float = LINK_LOST_S,
    ) -> None:
        self.understood = False
        self.speed: int | None = None  # None where there is none to choose
        self._device = device
        self._mode = None if mode == "auto" else mode
        self._clock = clock
        self._tell = tell
        self._opener = opener
        self._link_lost_s = link_lost_s
        self._port: Port | None = None
        self._decoder = Decoder(self._mode)
        self._counts = dict.fromkeys(self._decoder.counts, 0)  # of decoders before this one
        self._best_speed = _FIRST_SPEED.get(mode, SPEEDS[0])
        self._fault = ""
        self._opened = False
        self._back_off_s, self._open_at_ns = BACK_OFF_S[0], 0
        self._candidates: tuple[int | None, ...] = ()
        self._index = self._verified = self._heard = 0
        self._read_ns = self._good_frame_ns = self._until_ns = 0

    @property
    def mode(self) -> str | None:
        return self._decoder.mode

    @property
    def parity(self) -> bool | None:
        return self._decoder.parity

    def counts(self) -> dict[str, int]:
        """Cumulative, by the names of the TIC counters. What was heard at a wrong speed counts as bytes only."""
        now = self._decoder.counts if self.understood else {"bytes": self._decoder.counts["bytes"]}
        return {name: count + now.get(name, 0) for name, count in self._counts.items()}

    def poll(self) -> list[Event]:
        """What the line has said since the last call; waits for it, half a second at most (opening a remote one: some seconds)."""
        try:
            if self._port is None and not self._open():
                return []
            assert self._port is not None
            self._clock.sleep_until_ns(self._read_ns + round(GATHER_S * NS_PER_S))
            data = self._port.read()
            now_ns = self._clock.mono_ns()
            if data:
                self._read_ns = now_ns
            return self._listen(data, now_ns)
        except GONE as error:
            self._say(explain(self._device, error))
            self._give_up()
            return []

    def look_again(self) -> None:
        """Try a device that is away at the next poll; may be called from a signal handler."""
        self._back_off_s, self._open_at_ns = BACK_OFF_S[0], 0

    def close(self) -> None:
        """Let go of the device."""
        if self._port is not None:
            port, self._port = self._port, None
            try:
                port.close()
            except GONE:  # it is gone already
                pass

    def _listen(self, data: bytes, now_ns: int) -> list[Event]:
        events = self._decoder.feed(data) if data else []
        if self.understood:
            if any(isinstance(event, FrameEnd) and event.refused == 0 and event.good > 1 for event in events):
                self._good_frame_ns = now_ns
            elif now_ns - self._good_frame_ns > self._link_lost_s * NS_PER_S:
                self._say(f"no good frame from {self._device} for {self._link_lost_s:g} s; listening for its speed and mode again")
                self._detect(now_ns)
            return events
        groups: list[Event] = [event for event in events if isinstance(event, Group)]
        self._verified += len(groups)
        if self._verified >= VERIFIED_GROUPS:
            self._understand(now_ns)
            return events
        if now_ns >= self._until_ns:
            self._next_candidate(now_ns)
        return groups

    def _understand(self, now_ns: int) -> None:
        self.understood = True
        self._best_speed = self.speed or self._best_speed
        self._good_frame_ns = now_ns
        self._back_off_s = BACK_OFF_S[0]
        self._say("")

    def _detect(self, now_ns: int) -> None:
        assert self._port is not None
        self._renew()
        self._candidates = tuple(sorted(self._port.speeds, key=lambda speed: speed != self._best_speed)) or (None,)
        self._heard = 0
        self._try(0, now_ns)

    def _try(self, index: int, now_ns: int) -> None:
        assert self._port is not None
        speed = self._candidates[index]
        if speed is not None and speed != self.speed:
            self._port.set_speed(speed)
        self.speed = speed
        self._index = index
        self._verified = 0
        self._until_ns = now_ns + round(_LISTEN_S.get(speed or SPEEDS[0], _LISTEN_FAST_S) * NS_PER_S)

    def _next_candidate(self, now_ns: int) -> None:
        self._heard += self._decoder.counts["bytes"]
        self._renew()
        if self._index + 1 < len(self._candidates):
            self._try(self._index + 1, now_ns)
            return
        if self._heard:
            self._say(
                f"{self._device} sends bytes but no group that verifies, at any speed; check the adapter, its wiring and `mode`"
            )
        else:
            assert self._port is not None
            self._say(f"{self._device} is silent; {self._port.if_silent}")
            if self._port.remote:
                self._give_up()
                return
        self._detect(now_ns)

    def _renew(self) -> None:
        """A new decoder knows neither mode nor parity."""
        self._counts = self.counts()
        self._decoder = Decoder(self._mode)
        self.understood = False

    def _open(self) -> bool:
        now_ns = self._clock.mono_ns()
        if now_ns < self._open_at_ns:
            self._clock.sleep_until_ns(min(self._open_at_ns, now_ns + round(WAIT_S * NS_PER_S)))
            return False
        self._port = self._opener(self._device)
        self.speed = None
        self._counts["reopenings"] += self._opened
        self._opened = True
        self._detect(self._clock.mono_ns())
        return True

    def _give_up(self) -> None:
        self.close()
        self._renew()
        self._open_at_ns = self._clock.mono_ns() + round(self._back_off_s * NS_PER_S)
        self._back_off_s = min(2 * self._back_off_s, BACK_OFF_S[1])

    def _say(self, fault: str) -> None:
        if fault != self._fault:
            self._fault = fault
            self._tell(fault)


def explain(device: str, error: Exception) -> str:
    """What is wrong with a device that does not open or does not stay, and what to do."""
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        return f"{device} does not exist; `ls -l /dev/serial/by-id` shows the adapters that do; waiting for it"
    if number in (errno.EACCES, errno.EPERM):
        return f"no permission to open {device}; `sudo adduser {_user()} {_group(device)}`, then start energyd again"
    if number in (errno.EAGAIN, errno.EBUSY):
        return f"another program reads {device}: `fuser {device}` names it; waiting until it lets go"
    return f"{device}: {error}; trying again"


def _group(device: str) -> str:
    """Whose members may open it; Debian's for serial lines where that cannot be known, or would be root."""
    try:
        gid = os.stat(device).st_gid
        return grp.getgrgid(gid).gr_name if gid else "dialout"
    except (OSError, KeyError):
        return "dialout"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's nameless user
        return str(os.geteuid())
