"""Servers that answer what neither Prometheus nor Grafana does; what those two answer: tests/e2e/test_e2e_doctor.py."""

import contextlib

import pytest

from energyd.config import Config
from energyd.dashboards import server
from energyd.doctor import grafana, receivers
from energyd.doctor.command import main

CONFIG = Config()
ODD = [
    None,
    5,
    "text",
    [],
    [1],
    {},
    {"status": "success"},
    {"status": "success", "data": None},
    {"status": "success", "data": [1]},
    {"status": "success", "data": {"activeTargets": [{}], "result": []}},
    {"status": "success", "data": {"activeTargets": 5, "result": [{"metric": {}}]}},
    {"status": "success", "data": {"droppedTargets": [5], "result": [{"value": [1, "x"]}]}},
    {"status": "success", "data": {"droppedTargets": [{"discoveredLabels": 5}], "result": [1, "5"]}},
]


@pytest.fixture(params=ODD, ids=str)
def odd(request, monkeypatch):
    monkeypatch.setattr(server, "ask", lambda url: request.param)
    monkeypatch.setattr(grafana, "ask", lambda url: request.param)


@pytest.mark.usefixtures("odd")
def test_an_answer_of_another_shape_is_a_failure_of_who_gave_it():
    asked = server.Server("http://x")
    found = [
        *receivers.prometheus("http://x", CONFIG),
        receivers.newest(asked, "prometheus", CONFIG),
        *grafana.grafana("http://x", CONFIG),
    ]
    assert {check.verdict for check in found[1:]} == {"failure"}
    assert all(check.mend for check in found if check.verdict == "failure")


@pytest.mark.usefixtures("odd")
def test_every_question_of_dashboards_is_answered_or_not():
    asked = server.Server("http://x")
    for question in (
        asked.now_s,
        lambda: asked.now("x", 0.0),
        lambda: asked.over("x", 0.0, 1.0, 1.0),
        asked.names,
        lambda: asked.labels("x"),
        lambda: asked.values("x"),
        asked.targets,
    ):
        with contextlib.suppress(server.NoAnswer):
            question()


def test_a_dashboard_that_is_none_hides_no_other(monkeypatch):
    boards = {"a": None, "b": {"panels": [5, {"title": "p", "targets": [{"expr": "energyd_build_info"}]}]}, "c": {"panels": {}}}
    answers = {"search": [{"uid": uid} for uid in boards]} | {uid: {"dashboard": board} for uid, board in boards.items()}
    monkeypatch.setattr(grafana, "ask", lambda url: answers[url.rpartition("/")[2].partition("?")[0]])

    assert grafana._boards("http://x") == [boards["b"]]


@pytest.mark.parametrize("whom", ["prometheus", "victoriametrics", "grafana"])
def test_an_empty_url_is_no_url_and_not_nobody_to_ask(whom, tmp_path, capsys):
    """As of a variable in a script that nobody has set."""
    assert main([f"--{whom}", "", "--set", f"run_dir={tmp_path}", "--set", f"state_dir={tmp_path}"]) == 2
    assert f"FAILURE  {whom}: it does not answer: its URL must begin with http:// or https://" in capsys.readouterr().out
