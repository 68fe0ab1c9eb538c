"""The dashboards: generated, importable as they are, and no panel asks for what does not exist."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from expressions import DASHBOARDS, ROOT, SERIES, as_asked, dashboards, panel_targets, panels
from promql import check

PROVISIONING = ROOT / "conf/grafana/provisioning"
ALL = sorted(dashboards().items())


@pytest.fixture(params=[name for name, _ in ALL])
def dashboard(request):
    return dashboards()[request.param]


@pytest.mark.parametrize(("where", "target"), panel_targets(), ids=[where for where, _ in panel_targets()])
def test_every_expression_asks_for_metrics_and_labels_that_exist_in_a_way_that_can_answer(where, target):
    found, names = check(as_asked(target["expr"]), SERIES)

    assert names
    legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
    assert legend <= found.labels, f"the legend names {legend - found.labels}, which the result has not"


@pytest.mark.parametrize(("where", "target"), panel_targets(), ids=[where for where, _ in panel_targets()])
def test_every_expression_is_bound_to_the_chosen_machine(where, target):
    selectors = re.findall(r"\benergyd_\w+(\{[^}]*\})?", target["expr"])

    assert selectors
    assert all('instance=~"$instance"' in selector for selector in selectors)


def test_the_files_are_what_is_generated(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "energyd.dashboards", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    damaged = subprocess.run(
        [sys.executable, "-m", "energyd.dashboards", "--check", "--root", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert damaged.returncode == 1
    assert damaged.stderr.count("is not up to date") == len(DASHBOARDS)


def test_a_dashboard_is_the_plain_model_that_provisioning_reads(dashboard):
    """Wrapped in {"dashboard": ...} it is refused: its title cannot be empty."""
    assert dashboard["title"]
    assert re.fullmatch(r"[a-z-]{1,40}", dashboard["uid"])
    assert "id" not in dashboard
    assert "__inputs" not in dashboard


def test_no_panel_is_of_a_kind_that_grafana_has_removed(dashboard):
    assert {panel["type"] for panel in panels(dashboard)} <= {"timeseries", "stat", "piechart", "table", "bargauge", "barchart"}


def test_panels_and_queries_can_be_told_apart_and_no_two_panels_overlap(dashboard):
    ids = [panel["id"] for panel in dashboard["panels"]]
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(set(ids)) == len(ids)
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    for panel in panels(dashboard):
        names = [target["refId"] for target in panel["targets"]]
        assert "" not in names
        assert len(set(names)) == len(names) > 0


def test_the_data_source_is_a_variable_everywhere(dashboard):
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}

    assert variables["datasource"]["type"] == "datasource"
    for panel in panels(dashboard):
        assert {panel["datasource"]["uid"], *(target["datasource"]["uid"] for target in panel["targets"])} == {"${datasource}"}


def test_every_variable_is_defined_and_its_values_exist(dashboard):
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(dashboard["panels"])))

    assert used <= set(variables)
    for variable in variables.values():
        if variable["type"] == "query":
            query = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            found, _ = check(as_asked(query[1]), SERIES)
            assert query[2] in found.labels


def test_the_columns_of_a_table_are_labels_or_values_of_its_queries(dashboard):
    for panel in panels(dashboard):
        if panel["type"] != "table":
            continue
        results = [check(as_asked(target["expr"]), SERIES)[0] for target in panel["targets"]]
        values = {"Value"} if len(results) == 1 else {f"Value #{target['refId']}" for target in panel["targets"]}
        columns = panel["transformations"][1]["options"]["include"]["names"]
        assert set(columns) - values <= frozenset.union(*(result.labels for result in results))
        assert values <= set(columns)


def test_provisioning_finds_data_source_and_dashboards():
    [source] = yaml.safe_load((PROVISIONING / "datasources/energyd.yml").read_text())["datasources"]
    [provider] = yaml.safe_load((PROVISIONING / "dashboards/energyd.yml").read_text())["providers"]

    assert source["type"] == "prometheus"
    assert source["isDefault"] is True
    assert provider["type"] == "file"
    assert provider["folder"] == "energyd"
    assert Path(provider["options"]["path"]).is_absolute()
