"""Those who take what energyd has: Prometheus, VictoriaMetrics, Grafana. Asked only where a URL is given."""

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any, Final

from energyd.config import Config
from energyd.doctor.check import Check, failure, ok, warning

TIMEOUT_S: Final = 5.0
FRESH_S: Final = 120.0
PROBE: Final = "energyd_snapshot_timestamp_seconds"
OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str) -> Any:
    """The JSON answer of a GET, with the user and password of the URL. OSError or ValueError if none comes."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    plain = urllib.parse.urlunsplit(parts._replace(netloc=host + (f":{parts.port}" if parts.port else "")))
    request = urllib.request.Request(plain)
    if parts.username:
        secret = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        request.add_header("Authorization", "Basic " + base64.b64encode(secret.encode()).decode())
    with OPENER.open(request, timeout=TIMEOUT_S) as answer:
        return json.loads(answer.read())


def _why(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"answers {error.code} {error.reason}"
    return f"does not answer: {getattr(error, 'reason', error)}"


def prometheus(url: str, config: Config) -> Iterator[Check]:
    """Is our endpoint among its targets, is it up, and what was the last error."""
    try:
        targets = ask(f"{url}/api/v1/targets?state=active")["data"]["activeTargets"]
    except (OSError, ValueError, KeyError) as error:
        yield failure("prometheus", f"it {_why(error)}", "`systemctl status prometheus`, and the URL")
        return
    ours = [target for target in targets if urllib.parse.urlsplit(target["scrapeUrl"]).port == config.metrics.port]
    if not ours:
        mend = f"add `- targets: ['HOST:{config.metrics.port}']` to scrape_configs and reload it"
        yield failure("prometheus", f"none of its {len(targets)} targets has our port {config.metrics.port}", mend)
    for target in ours:
        if target["health"] == "up":
            yield ok("prometheus", f"{target['scrapeUrl']} is up, scraped in {target['lastScrapeDuration']:.3f} s")
        else:
            yield failure(
                "prometheus",
                f"{target['scrapeUrl']} is {target['health']}: {target['lastError']}",
                "`energyd doctor` on that machine",
            )


def newest(url: str, subject: str) -> Iterator[Check]:
    """Read back our newest sample, from anything that answers /api/v1/query."""
    query = urllib.parse.urlencode({"query": f"max(timestamp({PROBE}))", "nocache": 1})
    try:
        result = ask(f"{url}/api/v1/query?{query}")["data"]["result"]
    except (OSError, ValueError, KeyError) as error:
        yield failure(subject, f"it {_why(error)}", "check that it runs, and the URL")
        return
    if not result:
        yield failure(
            subject, f"it has no {PROBE}", "scrape us with it, or set metrics.push; `energyd status` shows what is pushed"
        )
        return
    age_s = time.time() - float(result[0]["value"][1])
    if age_s > FRESH_S:
        yield failure(subject, f"our newest sample in it is {age_s:.0f} s old", "`energyd status`, then its own log")
    else:
        yield ok(subject, f"our newest sample in it is {max(0.0, age_s):.0f} s old")


def grafana(url: str) -> Iterator[Check]:
    """Does it run, has it a data source that can hold our series, and a dashboard that speaks of energy."""
    try:
        health = ask(f"{url}/api/health")
        said = f"version {health.get('version', '?')}, database {health.get('database')}"
        healthy = health.get("database") == "ok"
        yield ok("grafana", said) if healthy else failure("grafana", said, "`journalctl -u grafana-server -n 50` says why")
        sources = [source["name"] for source in ask(f"{url}/api/datasources") if source.get("type") == "prometheus"]
        boards = [board["title"] for board in ask(f"{url}/api/search?type=dash-db&query=energyd")]
    except (OSError, ValueError, KeyError) as error:
        yield failure("grafana", f"it {_why(error)}", "give the URL as http://USER:PASSWORD@HOST:3000")
        return
    if sources:
        yield ok("grafana data source", ", ".join(sources))
    else:
        yield failure("grafana data source", "none of type prometheus", "add one that points at your Prometheus or VictoriaMetrics")
    if boards:
        yield ok("grafana dashboards", ", ".join(boards))
    else:
        yield warning("grafana dashboards", "none is called energyd", "Dashboards, New, Import")
