"""Those who take what energyd has: Prometheus, VictoriaMetrics. Asked only where a URL is given."""

import urllib.parse
from collections.abc import Iterator
from typing import Final

from energyd.asking import NoAnswer
from energyd.config import Config
from energyd.dashboards.server import DROPPED, Server, Target
from energyd.doctor.check import Check, failure, ok
from energyd.export.selection import Selection

FRESH_S: Final = 120.0
PROBE: Final = "energyd_snapshot_timestamp_seconds"
RELOAD: Final = "`promtool check config /etc/prometheus/prometheus.yml && sudo systemctl reload prometheus`"


def prometheus(url: str, config: Config) -> Iterator[Check]:
    """Is our endpoint among its targets, is it up, and what was the last error."""
    port = config.metrics.port
    try:
        targets = Server(url).targets()
    except NoAnswer as error:
        yield failure("prometheus", f"it {error}", "`systemctl status prometheus`, and the URL")
        return
    scraped = [target for target in targets if target.health != DROPPED]
    ours = [target for target in scraped if _port(target.url) == port]
    dropped = [target for target in targets if target.health == DROPPED and target.url.endswith(f":{port}")]
    for target in ours:
        yield _target(target)
    for target in dropped if not ours else ():
        yield failure(
            "prometheus",
            f"{target.url} is taken out by the relabel_configs of its job {target.job}",
            f"correct them, then {RELOAD}",
        )
    if not ours and not dropped:
        yield failure(
            "prometheus",
            f"none of its {len(scraped)} targets has our port {port}",
            f"add `- targets: ['HOST:{port}']` to a job of scrape_configs, then {RELOAD}",
        )


def _port(url: str) -> int | None:
    try:
        return urllib.parse.urlsplit(url).port
    except ValueError:
        return None


def _target(target: Target) -> Check:
    url, health, said = target.url, target.health, target.error
    if health == "up":
        return ok("prometheus", f"{url} is up, scraped in {target.scrape_s:.3f} s")
    if "401" in said:
        return failure(
            "prometheus",
            f"{url} is {health}: {said}",
            f"give its job `basic_auth` or `authorization` as energyd asks, then {RELOAD}",
        )
    return failure(
        "prometheus",
        f"{url} is {health}: {said}",
        f"`curl -v {url}` on the machine of Prometheus, `energyd doctor` on that of energyd",
    )


def newest(server: Server, subject: str, config: Config) -> Check:
    """The age of our newest sample there."""
    probe = Selection(config.metrics.families, config.metrics.rename).name(PROBE)
    if probe is None:
        return ok(subject, f"metrics.families leaves {PROBE} out: how old what it has of us is, was not looked at")
    try:
        at_s = server.now_s()
        newest_s = server.newest_s(probe, at_s)
    except NoAnswer as error:
        return failure(subject, f"it {error}", "check that it runs, and the URL")
    if newest_s is None:
        return failure(
            subject,
            f"it has had no {probe} for a day",
            "scrape us with it, or set metrics.push; `energyd status` shows what is pushed",
        )
    age_s = max(0.0, at_s - newest_s)
    told = f"our newest sample in it is {age_s:.0f} s old"
    return ok(subject, told) if age_s <= FRESH_S else failure(subject, told, "`energyd status`, then its own log")
