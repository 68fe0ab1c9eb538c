"""Figures of things that come and go: cores, disks, network interfaces, control groups.

Law: raw values only. A thing is labelled when it is seen first, and again when a counter of it has fallen and it turns out to be
another thing under the same name. Only figures that moved are written, with a keyframe all of them; what has vanished is GONE.
"""

from collections.abc import Callable, Hashable, Mapping
from operator import lt
from typing import Final, Generic, NamedTuple, TypeVar

from energyd.procfs.scan import Sample, Sink
from energyd.samples import FIGURES, FIGURES_PER_RECORD, GONE

MAX_THINGS: Final = 1024
"""Of one kind: cores of the largest machines; more interfaces than that are veth ends, and what they carry is told elsewhere."""

Key = TypeVar("Key", bound=Hashable)
Values = tuple[int, ...]


class _Followed(NamedTuple):
    consumer: int
    entry: dict[str, object]
    values: Values


class FigureScan(Generic[Key]):
    """All things of one kind. `describe` gives the label of a thing, and thereby says whether it is still the same."""

    def __init__(self, describe: Callable[[Key], dict[str, object]], sink: Sink) -> None:
        self._describe = describe
        self._sink = sink
        self._followed: dict[Key, _Followed] = {}

    def __len__(self) -> int:
        return len(self._followed)

    def scan(self, figures: Mapping[Key, Values], keyframe: bool, mono_ns: int) -> list[Sample]:
        """What moved since the last scan. `figures` is everything there is, in the order of samples.FIELDS, read at `mono_ns`."""
        samples: list[Sample] = []
        for key in self._followed.keys() - figures.keys():
            gone = self._followed.pop(key)
            samples.append(_sample(gone.consumer, 0, gone.values, mono_ns, GONE))
        for key, values in figures.items():
            before = self._followed.get(key)
            followed = self._renewed(key, before, values)
            if followed is None:
                continue
            whole = keyframe or before is None or followed.consumer != before.consumer
            for first in range(0, len(values), FIGURES_PER_RECORD):
                span = slice(first, first + FIGURES_PER_RECORD)
                if whole or (before is not None and values[span] != before.values[span]):
                    samples.append(_sample(followed.consumer, first, values, mono_ns))
            self._followed[key] = followed
        return samples

    def relabel(self) -> None:
        """Describe everything once more, because the labels given out mean nothing any more."""
        for key, followed in self._followed.items():
            self._followed[key] = followed._replace(consumer=self._sink.label(followed.entry))

    def _renewed(self, key: Key, before: _Followed | None, values: Values) -> _Followed | None:
        if before is None:
            if len(self._followed) >= MAX_THINGS:
                self._sink.fault("too many", f"more than {MAX_THINGS} of a kind: {key!r} is left out")
                return None
        elif not any(map(lt, values, before.values)):
            return before._replace(values=values)
        entry = self._describe(key)
        if before is not None and entry == before.entry:  # the same thing, whose counter has wrapped or was set back
            return before._replace(values=values)
        return _Followed(self._sink.label(entry), entry, values)


def _sample(consumer: int, first: int, values: Values, mono_ns: int, status: int = 0) -> Sample:
    one, two, three = (*values[first : first + FIGURES_PER_RECORD], 0, 0, 0)[:FIGURES_PER_RECORD]
    return (FIGURES, mono_ns, (consumer, first, one, two, three), status)
