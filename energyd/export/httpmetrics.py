"""What our own HTTP server does, counted by prometheus_client in a registry of its own."""

from collections.abc import Iterator
from typing import Final, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client import Metric as ClientMetric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from energyd.export.catalogue import HTTP_DURATION, HTTP_IN_PROGRESS, HTTP_REQUESTS
from energyd.export.negotiate import OPENMETRICS
from energyd.service.clock import Clock
from energyd.units import NS_PER_S

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
_BUCKETS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class HttpMetrics:
    """Requests by handler, method and status, their duration, and how many are in progress."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._registry = CollectorRegistry()
        self._requests = Counter(HTTP_REQUESTS.family, HTTP_REQUESTS.help, HTTP_REQUESTS.labels, registry=self._registry)
        self._duration = Histogram(
            HTTP_DURATION.name, HTTP_DURATION.help, HTTP_DURATION.labels, registry=self._registry, buckets=_BUCKETS_S
        )
        self._in_progress = Gauge(HTTP_IN_PROGRESS.name, HTTP_IN_PROGRESS.help, HTTP_IN_PROGRESS.labels, registry=self._registry)
        self._expositions: dict[str, tuple[int, bytes]] = {}  # format -> (mono_ns, body)

    def begin(self, handler: str) -> int:
        """A request for `handler` has come; returns what `end` wants to know."""
        self._in_progress.labels(handler).inc()
        return self._clock.mono_ns()

    def end(self, handler: str, method: str, status: int, begin_ns: int) -> None:
        """Its last byte has been handed over, or it has failed."""
        method = method if method in _METHODS else "other"
        self._in_progress.labels(handler).dec()
        self._requests.labels(handler, method, str(status)).inc()
        self._duration.labels(handler, method).observe((self._clock.mono_ns() - begin_ns) / NS_PER_S)

    def exposition(self, name: str) -> bytes:
        """The families in the format `name`, without `# EOF`; rendered at most once a second."""
        now_ns = self._clock.mono_ns()
        rendered_ns, body = self._expositions.get(name, (now_ns - NS_PER_S, b""))
        if now_ns - rendered_ns >= NS_PER_S:
            registry = cast(CollectorRegistry, _WithoutCreated(self._registry))
            if name == OPENMETRICS:
                body = cast(bytes, generate_openmetrics(registry)).removesuffix(b"# EOF\n")  # type: ignore[no-untyped-call]
            else:
                body = generate_latest(registry)
            self._expositions[name] = (now_ns, body)
        return body


class _WithoutCreated:
    """The families of a registry without the `_created` series that prometheus_client adds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[ClientMetric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric
