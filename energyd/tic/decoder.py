"""The meter's bytes to groups: sans-I/O, one event for each group as soon as it has ended.

    decoder = Decoder()
    for event in decoder.feed(data): ...        Group | Refused | FrameEnd | Interruption, in the order of the line
    for event in decoder.end(): ...             only where the bytes come to an end: a file

A group is accepted when every character has the right parity (where the source hands parity through), the checksum verifies,
the label is known in the meter's mode, the data have the label's width and characters, and the horodate is a date. The mode, and
whether the meter is a professional one, are those of the first group that does, and do not change: a wrong mode passes the
checksum once in 64. Whether bit 7 is a parity bit is decided over the first characters of groups that otherwise verify. Law: the
same bytes give the same events however they are cut; garbage before an STX changes nothing after it; memory is bounded; nothing
is raised.

Enedis-NOI-CPT_54E (Linky) and Enedis-NOI-CPT_02E (framing and interruptions in 1.5; the professional meters in 2.6 to 2.10).
"""

from typing import Any, Final, NamedTuple

from energyd import samples
from energyd.tic import horodate, professional
from energyd.tic.catalogue import BLANK_SEASON, EMPTY, ENTRIES, HEX, NUMBER, PLAIN, TEXT
from energyd.tic.checksum import EVEN_CHARACTERS, EVEN_PARITY, LOW_BITS
from energyd.tic.framing import EOT, ETX, LIMIT, STX, Framer
from energyd.ticfields import HISTORIQUE, STANDARD, TicField
from energyd.ticprofessional import PROFESSIONAL

# why a group is refused; each has its counter, `groups_` + reason
BAD_PARITY: Final = "bad_parity"
BAD_CHECKSUM: Final = "bad_checksum"
MALFORMED: Final = "malformed"  # separators missing or too many, or longer than any group
UNKNOWN_LABEL: Final = "unknown_label"
BAD_WIDTH: Final = "bad_width"  # width, characters or horodate are not those of the label

_CONTROLS: Final = frozenset((STX, ETX, EOT))
_TURNS: Final = ("Appli", "CONTRAT")
_CORRUPT: Final = (BAD_PARITY, BAD_CHECKSUM, MALFORMED)
"""What makes a frame a bad one. A group that verifies and that we do not know is the meter's right (02E 3.5.4, table 15)."""
_PARITY_VOTES: Final = 32  # two or three groups
_CACHED_GROUPS: Final = 512  # eight frames of a three-phase producer: most groups of a frame are those of the frame before
_BASES: Final = {NUMBER: 10, HEX: 16}
_new: Final[Any] = tuple.__new__  # twice as fast as calling the class


class Group(NamedTuple):
    """A group that was accepted. `text` holds the data of TEXT and IDENTITY fields, padding included; `value` all the others."""

    field: TicField
    value: int
    text: bytes
    horodate_s: int  # UTC, 0 = none
    degraded: bool  # the meter's clock was degraded when it stamped the group


class Refused(NamedTuple):
    """A group that was not: its characters, >= 0x80 where the parity was wrong."""

    reason: str
    raw: bytes


class FrameEnd(NamedTuple):
    """ETX, or an STX where ETX should have come before. `refused` are the groups in it that did not arrive as they were sent."""

    good: int
    refused: int


class Interruption(NamedTuple):
    """EOT: the meter stopped in the middle of a frame, and begins anew with STX."""


Event = Group | Refused | FrameEnd | Interruption


class Decoder:
    """`mode` is None until the first group is accepted, or given; `professional` too, and never given.

    `counts` are cumulative, by the names of their samples.
    """

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode
        self.professional: bool | None = None
        self.counts = dict.fromkeys(samples.COUNTERS[samples.TIC.name], 0)
        self._framer = Framer()
        self._injection = False  # in the second half of a frame of an ICE-4Q, which uses labels of the first for something else
        self._caches: tuple[dict[bytes, Group], dict[bytes, Group]] = ({}, {})
        self._accepted = self._caches[False]
        self._votes = self._votes_for_parity = 0
        self._in_frame = False
        self._good = self._refused = 0  # groups of the frame so far

    @property
    def parity(self) -> bool | None:
        """Whether bit 7 is a parity bit, None while undecided."""
        return self._framer.parity

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` brings to an end."""
        self.counts["bytes"] += len(data)
        return self._events(data)

    def end(self) -> list[Event]:
        """The event of a last group without its CR, in a stream that stops here."""
        return self._events(b"\n")  # in even parity as it stands, unlike CR

    def _events(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        if self._framer.parity is None:
            for run in self._framer.feed(data):
                if run in _CONTROLS:
                    self._control(run, events)
                else:
                    judge = self._judge_undecided if self._framer.parity is None else self._judge
                    self._take(run, judge(run), events)
            return events
        accepted, ok = self._accepted, 0
        for run in self._framer.runs(data):
            group = accepted.get(run) or self._fresh(run, events)
            if group is None:
                accepted = self._accepted
            else:
                ok += 1
                self._good += 1
                events.append(group)
        self.counts["groups_ok"] += ok
        return events

    def _fresh(self, run: bytes, events: list[Event]) -> Group | None:
        """What has not been heard lately: a plain group is returned, anything else is dealt with here."""
        if run in _CONTROLS:
            self._control(run, events)
            return None
        verdict = self._judge(run)
        if isinstance(verdict, Group) and (self.professional is False or not self._turns(verdict)):
            if len(self._accepted) >= _CACHED_GROUPS:
                self._accepted.clear()
            self._accepted[run] = verdict
            return verdict
        self._take(run, verdict, events)
        return None

    def _take(self, run: bytes, verdict: Group | Refused | None, events: list[Event]) -> None:
        """What is rare: refusals, and groups that decide something."""
        if verdict is None:
            return
        if isinstance(verdict, Group):
            self.counts["groups_ok"] += 1
            self._good += 1
            if self._turns(verdict):
                self._turn(verdict.field, run)
        else:
            self.counts["groups_" + verdict.reason] += 1
            if verdict.reason in _CORRUPT:
                self._refused += 1
            else:
                self._good += 1
        events.append(verdict)

    def _turns(self, group: Group) -> bool:
        return self.professional is None or group.field.label in _TURNS

    def _turn(self, field: TicField, run: bytes) -> None:
        """A group that says how to understand those after it: the first of all, and what begins a half of an ICE-4Q's frame."""
        self.professional = field.mode == PROFESSIONAL
        self.mode = STANDARD if b"\t" in run else HISTORIQUE
        self._understand_injection(field.label == "Appli")

    def _understand_injection(self, injection: bool) -> None:
        self._injection = injection
        self._accepted = self._caches[injection]

    def _control(self, control: bytes, events: list[Event]) -> None:
        if control == EOT:
            self.counts["interruptions"] += 1
            events.append(Interruption())
        elif self._in_frame and (self._good or self._refused):
            self.counts["frames"] += 1
            self.counts["resynchronisations"] += control == STX
            events.append(FrameEnd(self._good, self._refused))
        self._in_frame = control == STX
        self._good = self._refused = 0
        if self._injection:
            self._understand_injection(False)

    def _judge_undecided(self, run: bytes) -> Group | Refused | None:
        """A group whose bytes are all in even parity, or all without; either way it votes on which of the two this source is."""
        checked = run.translate(EVEN_PARITY)
        characters = run.translate(LOW_BITS)
        verdict = self._judge(characters)
        if isinstance(verdict, Group):
            telling = run.translate(None, EVEN_CHARACTERS)
            self._votes += len(telling)
            self._votes_for_parity += len(telling.translate(None, LOW_BITS[:128]))
            if self._votes >= _PARITY_VOTES:
                self._framer.parity = self._votes_for_parity * 2 > self._votes
        if verdict is not None and not run.isascii() and not checked.isascii():
            return Refused(BAD_PARITY, checked[:LIMIT])
        return verdict

    def _judge(self, run: bytes) -> Group | Refused | None:
        """What a run of characters says; None for one that is only padding."""
        group = run.lstrip(b"\0") if run[0] == 0 else run  # a line that was idle or broken reads as NULs
        if not group:
            return None
        if len(run) > LIMIT:
            return Refused(MALFORMED, run[:LIMIT])
        if not run.isascii():
            return Refused(BAD_PARITY, run)
        mode = self.mode or (STANDARD if b"\t" in group else HISTORIQUE)
        check = group[-1]
        if mode == STANDARD:
            parts = group.split(b"\t")
            date = None
            if len(parts) == 3:
                label, data, last = parts
            elif len(parts) == 4:
                label, date, data, last = parts
            else:
                return Refused(MALFORMED, run)
            if len(last) != 1:
                return Refused(MALFORMED, run)
            summed = sum(group) - check
        else:  # data and checksum may be spaces too: from both ends (02E 1.5.3.2)
            label, separator, data = group[:-2].partition(b" ")
            if not separator or group[-2] != 0x20:
                return Refused(MALFORMED, run)
            date = None
            summed = sum(group) - check - 0x20
        if (summed & 0x3F) + 0x20 != check:
            return Refused(BAD_CHECKSUM, run)
        if self.professional is False and date is None:  # nearly every group that is new holds a plain number
            entry = ENTRIES[mode].get(label)
            if entry is not None and len(data) in entry.digits and data.isdigit():
                plain: Group = _new(Group, (entry.field, int(data), b"", 0, False))
                return plain
        verdict = self._interpret(mode, label, date, data)
        return verdict if isinstance(verdict, Group) else Refused(verdict, run)

    def _interpret(self, mode: str, label: bytes, date: bytes | None, data: bytes) -> Group | str:
        if self.professional:
            return _of_professional(label, date, data, self._injection)
        verdict = _of_household(mode, label, date, data)
        if self.professional is None and not isinstance(verdict, Group):
            other = _of_professional(label, date, data, self._injection)
            return verdict if other == UNKNOWN_LABEL else other
        return verdict


def _of_household(mode: str, label: bytes, date: bytes | None, data: bytes) -> Group | str:
    """A Linky or a CBE: fixed widths, 54E."""
    if label == b"ADPS" + data:  # Linky firmware repeats the value in the label
        label = b"ADPS"
    entry = ENTRIES[mode].get(label)
    if entry is None:
        return UNKNOWN_LABEL
    field, kind = entry.field, entry.kind
    if entry.fits(data) is None or (entry.dated == PLAIN) != (date is None):
        return BAD_WIDTH
    when = horodate.NONE if date is None else horodate.parse(date, entry.dated == BLANK_SEASON)
    if when is None:
        return BAD_WIDTH
    value = when.utc_s if kind == EMPTY else int(data, _BASES[kind]) if kind in _BASES else 0
    return Group(field, value, data if kind == TEXT else b"", *when)


def _of_professional(label: bytes, date: bytes | None, data: bytes, injection: bool) -> Group | str:
    """The others: units in the data, dates only there, 02E chapter 2."""
    if label not in (professional.LABELS_OF_INJECTION if injection else professional.LABELS):
        return UNKNOWN_LABEL
    reading = professional.read(label, data, injection) if date is None else None
    return BAD_WIDTH if reading is None else Group(reading.field, reading.value, reading.text, reading.utc_s, False)
