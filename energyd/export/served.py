"""The bytes that are handed out: rendered at most once a Snapshot, compressed at most once a format, shared by all who ask.

Rendering waits for the first who asks, so a machine that is scraped every 15 s renders every 15 s. Law: everything that is served
or pushed comes from one Snapshot and is never older than FRESH_NS, and asking influences no reader.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from energyd.aggregate.snapshot import Snapshot
from energyd.export import encoding
from energyd.export.collect import collect
from energyd.export.defects import Failed, attempt, raise_the_error
from energyd.export.metric import Family
from energyd.export.negotiate import OPENMETRICS
from energyd.export.render import Rendered, Renderer
from energyd.export.selection import Selection
from energyd.service.clock import Clock

FRESH_NS: Final = 50_000_000


class Served:
    """The current Snapshot and its renderings.

    `refresh` folds what has come in and returns a new Snapshot, None while there is none; it is called when somebody asks and the
    last one is older than FRESH_NS. `sources` give families of the exporter's own, `views` others of the same Snapshot, `tail` an
    exposition that is appended in the format named (see `energyd.export.negotiate`). `encoders` are the codings on offer (see
    `energyd.export.encoding`). `selection` says what is shown of all that, and under which names. `failed(what, error)` is told
    what a defect of ours keeps from being shown.
    """

    def __init__(
        self,
        refresh: Callable[[], Snapshot | None],
        clock: Clock,
        version: str,
        labels: Sequence[tuple[str, str]] = (),
        sources: Sequence[Callable[[], list[Family]]] = (),
        tail: Callable[[str], bytes] = lambda _name: b"",
        encoders: Mapping[str, Callable[[bytes], bytes]] | None = None,
        views: Sequence[Callable[[Snapshot], list[Family]]] = (),
        selection: Selection | None = None,
        failed: Failed = raise_the_error,
    ) -> None:
        self._refresh = refresh
        self._clock = clock
        self._version = version
        self._sources = sources
        self._views = views
        self._tail = tail
        self._encoders = encoding.encoders() if encoders is None else encoders
        self._selection = selection or Selection()
        self._failed = failed
        self._renderer = Renderer(labels, failed)
        self._snapshot: Snapshot | None = None
        self._published_ns = 0
        self._rendered: Rendered | None = None
        self._bodies: dict[tuple[str, str], bytes] = {}

    def publish(self, snapshot: Snapshot) -> None:
        """Take `snapshot` as the current one; costs nothing until somebody asks."""
        self._snapshot = snapshot
        self._published_ns = self._clock.mono_ns()
        self._rendered = None
        self._bodies = {}

    @property
    def snapshot(self) -> Snapshot | None:
        """The Snapshot that was published last, however old: what the last rendering shows."""
        return self._snapshot

    def current(self) -> Snapshot | None:
        """The current Snapshot, not older than FRESH_NS; None while there is none."""
        if self._snapshot is None or self._clock.mono_ns() - self._published_ns > FRESH_NS:
            snapshot = self._refresh()
            if snapshot is not None:
                self.publish(snapshot)
        return self._snapshot

    def rendered(self) -> tuple[Snapshot, Rendered] | None:
        """The current Snapshot and its lines; None while it does not hold everything from before our start."""
        snapshot = self.current()
        if snapshot is None or not snapshot.ready:
            return None
        if self._rendered is None:
            self._rendered = self._renderer.render(self._selection.families(self._families(snapshot)))
        return snapshot, self._rendered

    def _families(self, snapshot: Snapshot) -> list[Family]:
        """All there are, whatever defects leave of them."""
        families = collect(snapshot, self._version, self._failed)
        for make in (*(partial(view, snapshot) for view in self._views), *map(partial, self._sources)):
            attempt(make, families.extend, self._failed)
        return families

    @property
    def encodings(self) -> tuple[str, ...]:
        """The codings that `body` can be asked for, the preferred one first."""
        return tuple(self._encoders)

    def body(self, name: str, coding: str = encoding.IDENTITY) -> bytes | None:
        """The whole exposition in the format `name`, encoded if that is wanted; None while nothing may be served yet."""
        current = self.rendered()
        if current is None:
            return None
        plain = self._bodies.get((name, encoding.IDENTITY))
        if plain is None:
            plain = self._bodies[name, encoding.IDENTITY] = self._plain(name, current[1])
        body = self._bodies.get((name, coding))
        if body is None:
            body = self._bodies[name, coding] = self._encoders[coding](plain)
        return body

    def _plain(self, name: str, rendered: Rendered) -> bytes:
        tail: list[bytes] = []
        attempt(partial(self._tail, name), tail.append, self._failed)
        if name == OPENMETRICS:
            return rendered.openmetrics(b"".join([*tail, b"# EOF\n"]))
        return rendered.text(b"".join(tail))
