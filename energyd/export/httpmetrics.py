"""What our own HTTP server does, and how fresh what it shows is, counted by prometheus_client in a registry of its own."""

from collections.abc import Iterator, Sequence
from typing import Final, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from prometheus_client import Metric as ClientMetric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from energyd.aggregate.snapshot import Snapshot
from energyd.export import servermetrics
from energyd.export.negotiate import OPENMETRICS
from energyd.export.ringmetrics import TIC_RING_PREFIX
from energyd.export.selection import Selection
from energyd.service.clock import Clock
from energyd.units import NS_PER_S

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
_DURATIONS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_AGES_S: Final = (0.01, 0.02, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
ZONES: Final = "zones"
METERS: Final = "meters"
ATTRIBUTION: Final = "attribution"
_ZONES_RING: Final = "rapl"


class HttpMetrics:
    """Requests by handler, method and status: how many, how long, how large, how many at this moment; and freshness.

    `labels` are added to every series that has none of that name.
    """

    def __init__(self, clock: Clock, selection: Selection | None = None, labels: Sequence[tuple[str, str]] = ()) -> None:
        self._clock = clock
        self._selection, self._labels = selection or Selection(), labels
        registry = self._registry = CollectorRegistry()
        self.answered: dict[str, int] = {}  # requests by handler
        requests, duration, in_progress = servermetrics.HTTP_REQUESTS, servermetrics.HTTP_DURATION, servermetrics.HTTP_IN_PROGRESS
        asked, answered, freshness = servermetrics.HTTP_REQUEST_SIZE, servermetrics.HTTP_RESPONSE_SIZE, servermetrics.FRESHNESS
        self._requests = Counter(requests.family, requests.help, requests.labels, registry=registry)
        self._duration = Histogram(duration.name, duration.help, duration.labels, registry=registry, buckets=_DURATIONS_S)
        self._in_progress = Gauge(in_progress.name, in_progress.help, in_progress.labels, registry=registry)
        self._asked_bytes = Summary(asked.name, asked.help, asked.labels, registry=registry)
        self._answered_bytes = Summary(answered.name, answered.help, answered.labels, registry=registry)
        self._freshness = Histogram(freshness.name, freshness.help, freshness.labels, registry=registry, buckets=_AGES_S)
        self._expositions: dict[str, tuple[int, bytes]] = {}  # format -> (mono_ns, body)

    def begin(self, handler: str, method: str) -> int:
        """A request for `handler` has come; returns what `end` wants to know."""
        self._in_progress.labels(handler, _known(method)).inc()
        return self._clock.mono_ns()

    def end(self, handler: str, method: str, status: int, begin_ns: int, asked_bytes: int = 0, answered_bytes: int = 0) -> None:
        """Its last byte has been handed over, or it has failed."""
        method = _known(method)
        self._in_progress.labels(handler, method).dec()
        self._requests.labels(handler, method, str(status)).inc()
        self.answered[handler] = self.answered.get(handler, 0) + 1
        self._duration.labels(handler, method).observe((self._clock.mono_ns() - begin_ns) / NS_PER_S)
        self._asked_bytes.labels(handler, method, str(status)).observe(asked_bytes)
        self._answered_bytes.labels(handler, method, str(status)).observe(answered_bytes)

    def shown(self, snapshot: Snapshot) -> None:
        """A scraper is being given `snapshot` now. Stamps of an accelerated clock lie in the future and tell nothing."""
        newest = [(_data_of(ring.name), ring.newest_mono_ns) for ring in snapshot.rings]
        now_ns = self._clock.mono_ns()
        for data, mono_ns in (*newest, (ATTRIBUTION, snapshot.attributed_mono_ns)):
            if data and 0 < mono_ns <= now_ns:
                self._freshness.labels(data).observe((now_ns - mono_ns) / NS_PER_S)

    def exposition(self, name: str) -> bytes:
        """The families in the format `name`, without `# EOF`; rendered at most once a second."""
        now_ns = self._clock.mono_ns()
        rendered_ns, body = self._expositions.get(name, (now_ns - NS_PER_S, b""))
        if now_ns - rendered_ns >= NS_PER_S:
            registry = cast(CollectorRegistry, _Shown(self._registry, self._selection, dict(self._labels)))
            if name == OPENMETRICS:
                body = cast(bytes, generate_openmetrics(registry)).removesuffix(b"# EOF\n")  # type: ignore[no-untyped-call]
            else:
                body = generate_latest(registry)
            self._expositions[name] = (now_ns, body)
        return body


def _known(method: str) -> str:
    return method if method in _METHODS else "other"


def _data_of(ring: str) -> str:
    return METERS if ring.startswith(TIC_RING_PREFIX) else ZONES if ring == _ZONES_RING else ""


class _Shown:
    """The families of a registry that are shown, under their names, with the constant labels, without `_created`."""

    def __init__(self, registry: CollectorRegistry, selection: Selection, labels: dict[str, str]) -> None:
        self._registry = registry
        self._selection = selection
        self._labels = labels

    def collect(self) -> Iterator[ClientMetric]:
        for metric in self._registry.collect():
            own = metric.name + ("_total" if metric.type == "counter" else "")
            name = self._selection.name(own)
            if name is None:
                continue
            samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            metric.samples = [
                sample._replace(name=name + sample.name.removeprefix(own), labels=self._labels | sample.labels)
                for sample in samples
            ]
            if metric.type == "counter" and not name.endswith("_total"):
                metric.type = "unknown"  # what is called otherwise is no counter to OpenMetrics
            metric.name = name.removesuffix("_total") if metric.type == "counter" else name
            yield metric
