"""The meter's bytes to groups: sans-I/O, one event for each group as soon as it has ended.

    decoder = Decoder()
    for event in decoder.feed(data): ...        Group | Refused | FrameEnd | Interruption, in the order of the line
    for event in decoder.end(): ...             only where the bytes come to an end: a file

A group is accepted when every character has the right parity (where the source hands parity through), the checksum verifies,
the label is known in the meter's mode, the data have the label's width and characters, and the horodate is a date. The mode is
that of the first group that does, and does not change: a wrong mode passes the checksum once in 64. Whether bit 7 is a parity
bit is decided over the first characters of groups that otherwise verify. Law: the same bytes give the same events however they
are cut; garbage before an STX changes nothing after it; memory is bounded; nothing is raised.

Enedis-NOI-CPT_54E (Linky) and Enedis-NOI-CPT_02E 1.5 (framing, interruptions). The professional meters of 02E chapter 2 speak
other labels: their groups are refused as unknown, and offered raw.
"""

import re
from typing import Final, NamedTuple

from energyd import samples
from energyd.tic import horodate
from energyd.tic.catalogue import BLANK_SEASON, EMPTY, ENTRIES, HEX, NUMBER, PLAIN, TEXT
from energyd.tic.checksum import EVEN_CHARACTERS, EVEN_PARITY, LOW_BITS, checksum
from energyd.tic.framing import EOT, ETX, LIMIT, STX, Framer
from energyd.ticfields import HISTORIQUE, STANDARD, TicField

# why a group is refused; each has its counter, `groups_` + reason
BAD_PARITY: Final = "bad_parity"
BAD_CHECKSUM: Final = "bad_checksum"
MALFORMED: Final = "malformed"  # separators missing or too many, or longer than any group
UNKNOWN_LABEL: Final = "unknown_label"
BAD_WIDTH: Final = "bad_width"  # width, characters or horodate are not those of the label

_PARITY_VOTES: Final = 32  # two or three groups
_CACHED_GROUPS: Final = 512  # eight frames of a three-phase producer: most groups of a frame are those of the frame before
_GLUED_ADPS: Final = re.compile(rb"ADPS([0-9]{3})")


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
    """ETX, or an STX where ETX should have come before."""

    good: int
    refused: int


class Interruption(NamedTuple):
    """EOT: the meter stopped in the middle of a frame, and begins anew with STX."""


Event = Group | Refused | FrameEnd | Interruption


class Decoder:
    """`mode` is None until the first group is accepted, or given. `counts` are cumulative, by the names of their samples."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode
        self.counts = dict.fromkeys(samples.COUNTERS[samples.TIC.name], 0)
        self._framer = Framer()
        self._accepted: dict[bytes, Group] = {}
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
                self._run(run, events)
            return events
        accepted, counts = self._accepted.get, self.counts
        for run in self._framer.runs(data):
            group = accepted(run)
            if group is None:
                self._run(run, events)
            else:
                counts["groups_ok"] += 1
                self._good += 1
                events.append(group)
        return events

    def _run(self, run: bytes, events: list[Event]) -> None:
        if run in (STX, ETX, EOT):
            self._control(run, events)
            return
        undecided = self._framer.parity is None
        verdict = self._judge_undecided(run) if undecided else self._judge(run)
        if isinstance(verdict, Group):
            self.mode = verdict.field.mode
            self.counts["groups_ok"] += 1
            self._good += 1
            if not undecided:
                self._remember(run, verdict)
        elif verdict is None:
            return
        else:
            self.counts["groups_" + verdict.reason] += 1
            self._refused += 1
        events.append(verdict)

    def _remember(self, run: bytes, group: Group) -> None:
        if len(self._accepted) >= _CACHED_GROUPS:
            self._accepted.clear()
        self._accepted[run] = group

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
        group = run.lstrip(b"\0")  # a line that was idle or broken reads as NULs
        if not group:
            return None
        if len(run) > LIMIT:
            return Refused(MALFORMED, run[:LIMIT])
        if not run.isascii():
            return Refused(BAD_PARITY, run)
        mode = self.mode or (STANDARD if b"\t" in group else HISTORIQUE)
        parts = _split_standard(group) if mode == STANDARD else _split_historique(group)
        if parts is None:
            return Refused(MALFORMED, run)
        summed, label, date, data = parts
        if checksum(summed) != group[-1]:
            return Refused(BAD_CHECKSUM, run)
        entry = ENTRIES[mode].get(label)
        if entry is None:
            return Refused(UNKNOWN_LABEL, run)
        if entry.fits(data) is None or (entry.dated == PLAIN) != (date is None):
            return Refused(BAD_WIDTH, run)
        when = None
        if date is not None:
            when = horodate.parse(date, entry.dated == BLANK_SEASON)
            if when is None:
                return Refused(BAD_WIDTH, run)
        kind = entry.kind
        if kind == NUMBER:
            value = int(data)
        elif kind == HEX:
            value = int(data, 16)
        else:
            value = when.utc_s if kind == EMPTY and when is not None else 0
        text = data if kind == TEXT else b""
        return Group(entry.field, value, text, when.utc_s if when else 0, when.degraded if when else False)


def _split_standard(group: bytes) -> tuple[bytes, bytes, bytes | None, bytes] | None:
    """(what the checksum covers, label, horodate, data) of a group with HT for separators."""
    parts = group.split(b"\t")
    if len(parts[-1]) != 1:
        return None
    if len(parts) == 3:
        return group[:-1], parts[0], None, parts[1]
    return (group[:-1], parts[0], parts[1], parts[2]) if len(parts) == 4 else None


def _split_historique(group: bytes) -> tuple[bytes, bytes, None, bytes] | None:
    """The same with SP, which data and checksum may be too: from both ends (02E 1.5.3.2)."""
    label, separator, data = group[:-2].partition(b" ")
    if not separator or group[-2] != 0x20:
        return None
    glued = _GLUED_ADPS.fullmatch(label)  # Linky firmware repeats the value in the label
    if glued is not None and glued[1] == data:
        label = b"ADPS"
    return group[:-2], label, None, data
