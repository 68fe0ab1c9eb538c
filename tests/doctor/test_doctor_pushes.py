"""Receivers that take what is pushed, and others."""

import pytest

from energyd.config import Config, Metrics, Push
from energyd.doctor.pushes import pushes

NOW_S = 1_795_162_354.0
WELL = {"backlog_samples": 12, "spool_writable": 1, "failures_total": 3, "last_success_timestamp_seconds": NOW_S - 4}
CONFIG = Config(metrics=Metrics(push_enabled=True, push=(Push("vm", "http://127.0.0.1:8428", interval_s=15.0),)))


def body(values, target="vm", extra=""):
    lines = [f'energyd_push_{name}{{target="{target}"}} {value}' for name, value in values.items()]
    return "\n".join([*lines, extra, ""])


def judged(values, extra="", config=CONFIG):
    [check] = pushes(config, body(values, extra=extra), NOW_S)
    assert check.subject == "push vm"
    return check


def test_a_receiver_that_takes_everything_is_well():
    check = judged(WELL)
    assert (check.verdict, check.reason) == ("ok", "its last batch was taken 4 s ago, 12 samples wait")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (WELL | {"last_success_timestamp_seconds": NOW_S - 121}, "has taken nothing for 121 s, 12 samples wait"),
        (
            {"backlog_samples": 12, "failures_total": 3},
            "has not taken anything yet, 3 requests failed, 12 samples wait",
        ),
    ],
)
def test_a_receiver_that_takes_nothing_is_a_failure_that_the_check_of_push_explains(values, reason):
    check = judged(values)
    assert (check.verdict, check.reason) == ("failure", reason)
    assert check.mend.startswith("`energyd push --check vm`")


def test_a_long_interval_is_waited_for():
    slow = Config(metrics=Metrics(push_enabled=True, push=(Push("vm", "http://127.0.0.1:8428", interval_s=60.0),)))
    late = WELL | {"last_success_timestamp_seconds": NOW_S - 250}
    assert judged(late, config=slow).verdict == "ok"
    assert judged(late).verdict == "failure"


def test_before_the_first_batch_nothing_is_wrong():
    assert judged({"backlog_samples": 0, "failures_total": 0}).verdict == "ok"


def test_a_disk_that_takes_no_samples_is_a_failure():
    check = judged(WELL | {"spool_writable": 0})
    assert (check.verdict, check.reason) == ("failure", "the disk takes nothing, 12 samples wait in memory")
    assert "df -h" in check.mend


def test_samples_that_were_dropped_are_told_with_their_reason():
    name = "energyd_push_dropped_samples_total"
    dropped = f'{name}{{target="vm",reason="too_old"}} 0\n{name}{{target="vm",reason="spool_full"}} 7'
    check = judged(WELL, dropped)
    assert (check.verdict, check.reason) == ("warning", "samples were dropped: 7 spool_full")


def test_what_is_not_pushed_or_not_served_is_not_judged():
    assert list(pushes(Config(), body(WELL), NOW_S)) == []
    assert list(pushes(CONFIG, body(WELL, target="other"), NOW_S)) == []
