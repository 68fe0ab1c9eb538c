"""What the running energyd tells of each receiver that it pushes to: does it take anything, does the spool, what was lost."""

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from energyd.config import Config
from energyd.doctor.check import Check, failure, ok, warning

LEAST_SILENCE_S: Final = 120.0
MISSED: Final = 5
"""Intervals without an acknowledged batch, if that is longer."""


def pushes(config: Config, body: str, now_s: float) -> Iterator[Check]:
    """A line for each receiver, from the metrics of the one who pushes."""
    if not config.metrics.push_enabled:
        return
    told: dict[str, dict[str, float]] = {}
    dropped: dict[str, dict[str, int]] = {}
    for family in text_string_to_metric_families(body):
        if not family.name.startswith("energyd_push_"):
            continue
        for sample in family.samples:
            target = sample.labels.get("target", "")
            told.setdefault(target, {})[sample.name.removeprefix("energyd_push_")] = sample.value
            if "reason" in sample.labels and sample.value:
                dropped.setdefault(target, {})[sample.labels["reason"]] = int(sample.value)
    for receiver in config.metrics.push:
        if receiver.name in told:
            silence_s = max(LEAST_SILENCE_S, MISSED * receiver.interval_s)
            yield _judged(receiver.name, told[receiver.name], dropped.get(receiver.name, {}), now_s, silence_s)


def _judged(name: str, told: Mapping[str, float], dropped: Mapping[str, int], now_s: float, silence_s: float) -> Check:
    subject = f"push {name}"
    waiting = f"{told.get('backlog_samples', 0):.0f} samples wait"
    mend = f"`energyd push --check {name}` says what is wrong with it"
    if told.get("spool_writable", 1) == 0:
        return failure(
            subject,
            f"the disk takes nothing, {waiting} in memory",
            "free some space below state_dir: `df -h`, `energyd spool list`",
        )
    last_s = told.get("last_success_timestamp_seconds")
    if last_s is None:
        if told.get("failures_total"):
            return failure(subject, f"has not taken anything yet, {told['failures_total']:.0f} requests failed, {waiting}", mend)
        return ok(subject, f"nothing has been sent yet, {waiting}")
    if now_s - last_s > silence_s:
        return failure(subject, f"has taken nothing for {now_s - last_s:.0f} s, {waiting}", mend)
    if dropped:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
        return warning(
            subject,
            f"samples were dropped: {reasons}",
            "metrics.spool.max_bytes and max_age say how much is kept, see energyd.yml(5)",
        )
    return ok(subject, f"its last batch was taken {max(0.0, now_s - last_s):.0f} s ago, {waiting}")
