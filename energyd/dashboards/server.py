"""The HTTP API of Prometheus, which VictoriaMetrics answers too, directly or through Grafana's proxy of a data source.

Outside truth: prometheus.io/docs/prometheus/latest/querying/api. Law: only questions; times are the server's own, in Unix seconds.
"""

import math
import urllib.parse
from typing import Any, Final, NamedTuple

from energyd.asking import NoAnswer, ask, understood


class Answer(NamedTuple):
    """How many series came, and how many of them have a value that is a number at some time."""

    series: int
    drawn: int


AS_PROMETHEUS: Final = "Prometheus"
DROPPED: Final = "dropped"


class Target(NamedTuple):
    """What is scraped, or what a rule has left out: then `health` is DROPPED, and `url` no more than host and port."""

    url: str
    health: str
    error: str = ""
    scrape_s: float = 0.0
    job: str = ""


class Server:
    """One of them, by the URL before `/api/v1`. Every method raises NoAnswer."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._names: frozenset[str] | None = None

    @understood(AS_PROMETHEUS)
    def now_s(self) -> float:
        """The time there; also whether it answers at all."""
        [row] = self._result("query", query="vector(time())")
        return float(row["value"][1])

    @understood(AS_PROMETHEUS)
    def now(self, expression: str, at_s: float) -> Answer:
        """An instant query."""
        return _counted(self._result("query", query=expression, time=at_s))

    @understood(AS_PROMETHEUS)
    def over(self, expression: str, from_s: float, to_s: float, step_s: float) -> Answer:
        """A range query."""
        return _counted(self._result("query_range", query=expression, start=from_s, end=to_s, step=step_s))

    @understood(AS_PROMETHEUS)
    def newest_s(self, selector: str, at_s: float) -> float | None:
        """When its newest sample was, None if it had none for a day before."""
        windows = ("[10m:1s]", "[1d:1m]")  # the second is coarse, and a day of seconds is much to ask for
        looks = [f"max(timestamp({selector}))", *(f"max(max_over_time(timestamp({selector}){window}))" for window in windows)]
        rows = self._result("query", query=" or ".join(looks), time=at_s)
        return float(rows[0]["value"][1]) if rows else None

    def names(self) -> frozenset[str]:
        """Every metric that it has ever seen, asked once."""
        if self._names is None:
            self._names = frozenset(self.values("__name__"))
        return self._names

    def labels(self, selector: str) -> list[str]:
        return [name for name in self._texts("labels", **{"match[]": selector}) if name != "__name__"]

    def values(self, label: str, selector: str = "") -> list[str]:
        """The values of a label, among the series of a selector or among all, whenever they were."""
        match = {"match[]": selector} if selector else {}
        return self._texts(f"label/{urllib.parse.quote(label)}/values", **match)

    @understood(AS_PROMETHEUS)
    def targets(self) -> list[Target]:
        """What it scrapes, and what it was told not to."""
        told = self._get("targets")
        scraped = [
            Target(row["scrapeUrl"], row["health"], str(row["lastError"]), float(row["lastScrapeDuration"]))
            for row in told.get("activeTargets") or ()
        ]
        left_out = [row["discoveredLabels"] for row in told.get("droppedTargets") or () if row.get("discoveredLabels")]
        dropped = [Target(found.get("__address__", ""), DROPPED, job=found.get("job", "")) for found in left_out]
        return scraped + dropped

    @understood(AS_PROMETHEUS)
    def _texts(self, path: str, **match: str) -> list[str]:
        """In order, whenever they were."""
        return sorted(map(str, self._get(path, start=0, **match)))

    def _result(self, path: str, **parameters: object) -> Any:
        return self._get(path, nocache=1, **parameters)["result"]  # VictoriaMetrics else answers what it remembers

    def _get(self, path: str, **parameters: object) -> Any:
        """What stands under `data`."""
        answer = ask(f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        if not isinstance(answer, dict) or answer.get("status") != "success" or "data" not in answer:
            raise NoAnswer("does not answer as Prometheus does")
        return answer["data"]


def _counted(rows: Any) -> Answer:
    if rows and not isinstance(rows[0], dict):  # the value of a scalar, [time, number]
        return Answer(1, int(not math.isnan(float(rows[1]))))
    drawn = sum(any(not math.isnan(float(value)) for _, value in row.get("values") or [row["value"]]) for row in rows)
    return Answer(len(rows), drawn)
