"""Alerts and recording rules: each fires when it should and only then; every tool that reads the files takes them."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from expressions import ROOT, RULES, SERIES, documented, rules, series_with_recorded
from promql import Fault, check
from rulecases import ALERTS, RECORDED

CONF = ROOT / "conf"
NAMES = [rule.get("alert") or rule["record"] for rule in rules()]


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"needs {program}")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def question(series, at, expression, samples, step="15s"):
    """Evaluate the rules on these series until `at`, and compare the answer to an expression."""
    return {
        "interval": step,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": expression, "eval_time": at, "exp_samples": samples}],
    }


def promtool(tmp_path, *questions):
    file = tmp_path / "test.yml"
    files = [str(path) for path in RULES]
    file.write_text(json.dumps({"rule_files": files, "evaluation_interval": questions[0]["interval"], "tests": list(questions)}))
    run("promtool", "test", "rules", str(file))


def test_every_rule_has_a_case():
    assert len(set(NAMES)) == len(NAMES)
    assert {case.name for case in (*ALERTS, *RECORDED)} == set(NAMES)


@needs("promtool")
@pytest.mark.parametrize("case", ALERTS, ids=lambda case: case.name)
def test_an_alert_fires_when_it_should_and_not_when_it_should_not(tmp_path, case):
    labels = {"alertname": case.name, "alertstate": "firing", "severity": case.severity, **case.labels}
    series = ", ".join(f'{name}="{text}"' for name, text in sorted(labels.items()))
    expression = f'ALERTS{{alertname="{case.name}", alertstate="firing"}}'

    fires = question(case.firing, case.at, expression, [{"labels": f"ALERTS{{{series}}}", "value": 1}], case.step)
    promtool(tmp_path, fires, question(case.quiet, case.at, expression, [], case.step))


@needs("promtool")
@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case.name)
def test_a_recorded_series_is_what_its_name_says(tmp_path, case):
    there = question(case.series, "1h30m", case.name, [{"labels": case.name + case.labels, "value": case.value}], "1m")
    promtool(tmp_path, there, question({}, "1h30m", case.name, [], "1m"))


@pytest.mark.parametrize("rule", rules(), ids=NAMES)
def test_a_rule_asks_for_what_exists_and_its_texts_name_labels_that_it_has(rule):
    found, names = check(rule["expr"], series_with_recorded())

    assert names
    texts = " ".join(rule.get("annotations", {}).values())
    assert set(re.findall(r"\$labels\.(\w+)", texts)) <= found.labels | set(rule.get("labels", {}))


def test_the_name_of_a_recorded_series_says_which_labels_are_left():
    """level:metric:operations, the level without `direction`, which each meter has anyway."""
    for rule in rules():
        if "record" in rule:
            level, metric, operation = rule["record"].split(":")
            found, [name] = check(rule["expr"], SERIES)
            assert set(level.split("_")) == found.labels - {"direction"}
            assert metric == name.removesuffix("_total")
            assert f"_over_time({name}[{operation[-2:]}" in rule["expr"] or f"increase({name}[{operation[-2:]}" in rule["expr"]


def test_every_expression_in_the_documentation_is_a_good_one():
    series = series_with_recorded()
    for file, expression in documented():
        try:
            check(expression, series)
        except Fault as fault:
            pytest.fail(f"{file}: {expression}: {fault}")


def test_the_scrape_job_of_both_files_is_the_same():
    files = [yaml.safe_load((CONF / "prometheus" / name).read_text()) for name in ("prometheus.yml", "scrape.yml")]

    assert files[0]["scrape_configs"] == files[1]["scrape_configs"]


@needs("promtool")
def test_prometheus_takes_its_configuration():
    run("promtool", "check", "config", str(CONF / "prometheus/prometheus.yml"))
    run("promtool", "check", "config", str(CONF / "prometheus/scrape.yml"))
    run("promtool", "check", "rules", *(str(path) for path in RULES))


@needs("victoria-metrics")
def test_victoriametrics_takes_the_scrape_configuration():
    run("victoria-metrics", "-dryRun", f"-promscrape.config={CONF}/prometheus/scrape.yml")


@needs("vmalert")
def test_vmalert_takes_the_rules():
    run("vmalert", "-dryRun", *(f"-rule={path}" for path in RULES))


@needs("amtool")
def test_alertmanager_takes_its_configuration():
    run("amtool", "check-config", str(CONF / "alertmanager/alertmanager.yml"))
