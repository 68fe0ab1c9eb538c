"""Grafana: does it run, does it get at our series, and have the dashboards that show them something to show.

Outside truth: Grafana's documentation of its HTTP API ("Data source", "Dashboard", "Folder/Dashboard search"):
GET /api/datasources, /api/search, /api/dashboards/uid/UID, and /api/datasources/proxy/uid/UID/*, which passes a question on to the
data source. Its reverse proxy (pkg/util/proxyutil, pkg/api/pluginproxy) answers 502 where the data source cannot be reached, 504
where it takes too long, 404 where there is none of that uid, and 400 "Authentication to data source failed" for a 401 of it.
"""

import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, Final

from energyd.asking import NoAnswer, ask, understood
from energyd.config import Config
from energyd.dashboards.questions import is_dashboard, questions, seconds, speaks_promql
from energyd.dashboards.server import Server
from energyd.doctor.check import Check, failure, ok, warning
from energyd.doctor.panels import Source, about_us, chosen_source, panels, sources_of
from energyd.doctor.receivers import newest

UNAUTHORIZED, FORBIDDEN, BAD_REQUEST = 401, 403, 400
SCRAPE_S: Final = 15.0  # what Grafana assumes where a data source says nothing
IMPORT: Final = (
    "Dashboards, New, Import, one of the files in /usr/share/doc/energyd/examples/grafana/dashboards (conf/grafana/dashboards)"
)


def grafana(url: str, config: Config) -> Iterator[Check]:
    """Does it run, can it reach the series, and has every panel that shows ours something to show."""
    try:
        yield _health(url)
        sources, boards = _sources(url), _boards(url)
    except NoAnswer as error:
        yield failure("grafana", f"it {error}", _credentials(error))
        return
    needed = {source for board in boards for source in sources_of(board, sources)} if boards else {chosen_source({}, "", sources)}
    reachable: dict[str, Server] = {}
    for source in filter(needed.__contains__, sources):
        server = Server(f"{url}/api/datasources/proxy/uid/{urllib.parse.quote(source.uid)}")
        check = _unreachable(source, server)
        if check is None:
            reachable[source.uid] = server
        yield check or newest(server, f"grafana data source {source.name}", config)
    if not sources:
        mend = "Connections, Add new data source, Prometheus; or conf/grafana/provisioning/datasources/energyd.yml"
        yield failure("grafana data source", "none of type prometheus", mend)
        return
    if not boards:
        yield warning("grafana dashboards", "none shows a metric of energyd", IMPORT)
    for board in boards:
        yield from panels(board, sources, reachable)


def _credentials(error: NoAnswer) -> str:
    if error.status == FORBIDDEN:
        return "give the user or the service account the role Admin, or the permissions datasources:read and dashboards:read"
    if error.status == UNAUTHORIZED:
        return "give the URL as http://USER:PASSWORD@HOST:3000, or http://api_key:TOKEN@HOST:3000 of a service account"
    return "`systemctl status grafana-server`, and the URL"


@understood("Grafana")
def _health(url: str) -> Check:
    health = ask(f"{url}/api/health")
    said = f"version {health.get('version', '?')}, database {health.get('database')}"
    if health.get("database") == "ok":
        return ok("grafana", said)
    return failure("grafana", said, "`journalctl -u grafana-server -n 50` says why")


@understood("Grafana")
def _sources(url: str) -> list[Source]:
    """Those that are asked in PromQL."""
    return [_source(told) for told in ask(f"{url}/api/datasources") if speaks_promql(told.get("type") or "-")]


def _source(told: Mapping[str, Any]) -> Source:
    interval_s = seconds((told.get("jsonData") or {}).get("timeInterval")) or SCRAPE_S
    return Source(str(told.get("uid")), str(told.get("name")), str(told.get("url")), bool(told.get("isDefault")), interval_s)


@understood("Grafana")
def _boards(url: str) -> list[Mapping[str, Any]]:
    """Every dashboard with a question about one of our metrics."""
    uids = [urllib.parse.quote(found["uid"]) for found in ask(f"{url}/api/search?type=dash-db&limit=5000")]
    models = (ask(f"{url}/api/dashboards/uid/{uid}")["dashboard"] for uid in uids)
    return [model for model in models if is_dashboard(model) and any(map(about_us, questions(model)))]


def _unreachable(source: Source, server: Server) -> Check | None:
    """Why Grafana cannot ask a data source, None if it can."""
    subject = f"grafana data source {source.name}"
    try:
        server.now_s()
    except NoAnswer as error:
        if error.status == BAD_REQUEST and "Authentication" in error.words:
            mend = f"Connections, Data sources, {source.name}: Basic auth with the user and password of {source.url}"
            return failure(subject, f"{source.url} asks Grafana for a password", mend)
        mend = f"`curl '{source.url}/api/v1/query?query=1'` where Grafana runs, then its URL in Connections, Data sources"
        return failure(subject, f"Grafana does not get through to {source.url}: it {error}", mend)
    return None
