"""The composition of containers, as far as it can be checked without an engine: pinned, healthy, made of files that exist."""

import re

import pytest
import yaml
from expressions import ROOT

COMPOSE = ROOT / "conf/compose"
MODEL = yaml.safe_load((COMPOSE / "compose.yml").read_text())
SERVICES = MODEL["services"]


@pytest.fixture(params=sorted(SERVICES))
def service(request):
    return SERVICES[request.param]


def test_it_is_of_the_present_format():
    """`version:` is of the first generation of compose, which has reached its end of life."""
    assert set(MODEL) == {"name", "services", "volumes"}


def test_every_image_is_pinned_to_a_version(service):
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+", service["image"])


def test_every_service_tells_whether_it_is_healthy_and_comes_back(service):
    assert service["healthcheck"]["test"][0] == "CMD"
    assert {"interval", "timeout", "start_period"} <= set(service["healthcheck"])
    assert service["restart"] == "unless-stopped"


def test_who_depends_on_another_waits_until_that_is_healthy(service):
    for name, how in service.get("depends_on", {}).items():
        assert name in SERVICES
        assert how == {"condition": "service_healthy"}


def test_no_password_is_shipped():
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if "PASSWORD" in key or "SECRET" in key or "TOKEN" in key:
                assert re.fullmatch(r"\$\{\w+:\?.+\}", value), f"{key} has a value of its own"


def test_nothing_can_be_reached_from_another_machine(service):
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_what_is_mounted_from_the_tree_exists_and_is_read_only(service):
    for volume in service.get("volumes", []):
        source, target, *mode = volume.split(":")
        assert target.startswith("/")
        if source.startswith("."):
            assert (COMPOSE / source).exists(), source
            assert mode == ["ro"]
        elif not source.startswith("/"):
            assert source in MODEL["volumes"]


def test_services_speak_to_each_other_by_the_names_that_they_have():
    text = (COMPOSE / "compose.yml").read_text()
    names = set(re.findall(r"http://([a-z]+):\d+", text)) | {
        target.partition(":")[0]
        for job in yaml.safe_load((COMPOSE / "scrape.yml").read_text())["scrape_configs"]
        for target in job["static_configs"][0]["targets"]
    }

    assert names <= set(SERVICES)


def test_the_job_is_that_of_prometheus_but_for_the_address():
    [here] = yaml.safe_load((COMPOSE / "scrape.yml").read_text())["scrape_configs"]
    [there] = yaml.safe_load((ROOT / "conf/prometheus/scrape.yml").read_text())["scrape_configs"]

    assert {key: value for key, value in here.items() if key != "static_configs"} == {
        key: value for key, value in there.items() if key != "static_configs"
    }


def test_provisioned_dashboards_are_where_grafana_is_told_to_look():
    [provider] = yaml.safe_load((ROOT / "conf/grafana/provisioning/dashboards/energyd.yml").read_text())["providers"]
    targets = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]

    assert provider["options"]["path"] in targets


def test_what_energyd_is_given_is_what_its_image_documents():
    energyd = SERVICES["energyd"]
    documented = (ROOT / "packaging/docker/README.md").read_text()

    assert (energyd["read_only"], energyd["pid"], energyd["cgroup"], energyd["cap_drop"]) == (True, "host", "host", ["ALL"])
    assert (COMPOSE / energyd["build"]["context"] / energyd["build"]["dockerfile"]).exists()
    assert "--volume /sys:/host/sys:ro" in documented
    assert energyd["environment"]["ENERGYD_SYSFS_ROOT"] == "/host/sys"
