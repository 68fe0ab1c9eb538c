"""What stands in packaging agrees with the rest of the project."""

import configparser
import re
import sys
from pathlib import Path

import pytest

from energyd import __version__

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
DEBIAN = PACKAGING / "debian"
SYSTEMD = PACKAGING / "systemd"
DEBIAN_NAMES = {"PyYAML": "python3-yaml", "pyserial": "python3-serial"}
EPOCHS = {"numpy": "1:"}
WORKERS = sorted(path.name for path in SYSTEMD.glob("energyd-*.service") if path.name != "energyd-plugged.service")


def setup_cfg():
    parsed = configparser.ConfigParser()
    parsed.read(ROOT / "setup.cfg")
    return parsed["options"]


def unit(name):
    """{key: [values]} of a unit; systemd's files repeat keys, which configparser refuses."""
    values = {}
    for line in (SYSTEMD / name).read_text().splitlines():
        if "=" in line and not line.startswith(("#", "[")):
            key, value = line.split("=", 1)
            values.setdefault(key, []).append(value)
    return values


def test_the_changelog_has_the_version_of_the_code():
    assert re.match(r"energyd \(([^)]+)\)", (DEBIAN / "changelog").read_text()).group(1) == __version__


def test_the_dependencies_are_those_of_the_code_with_their_floors_and_epochs():
    control = (DEBIAN / "control").read_text()
    binary = control[control.index("Package: energyd") :]
    wanted = set()
    for requirement in setup_cfg()["install_requires"].split():
        name, floor = requirement.split(">=")
        wanted.add(f"{DEBIAN_NAMES.get(name, f'python3-{name}')} (>= {EPOCHS.get(name, '')}{floor})")

    assert wanted == set(re.findall(r"python3-\S+ \(>= [^)]+\)", binary))
    assert f"X-Python3-Version: {setup_cfg()['python_requires'].replace('>=', '>= ')}" in control


def test_whatever_a_command_imports_is_there_when_its_completions_are_made():
    source, _, binary = (DEBIAN / "control").read_text().partition("Package: energyd")
    for dependency in re.findall(r"python3-\S+ \(>= [^)]+\)", binary):
        assert f" {dependency},\n" in source


def test_ci_installs_what_the_package_is_built_with():
    source = (DEBIAN / "control").read_text().partition("Package: energyd")[0].partition("Build-Depends:")[2]
    wanted = {line.split()[0].strip(",") for line in source.splitlines() if line.strip() and "nocheck" not in line}
    provided = {"debhelper-compat": "debhelper", "dh-sequence-installsysusers": "debhelper", "dh-sequence-python3": "dh-python"}
    words = set((ROOT / ".ci/run").read_text().split())
    assert {provided.get(name, name) for name in wanted} <= words


def test_every_package_of_the_code_is_built():
    """A package that is not listed is not in the wheel, and only the installed command would notice."""
    here = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "energyd").glob("**/__init__.py")}
    assert {*here, "energyd.workers"} == set(setup_cfg()["packages"].split())


def test_every_unit_goes_into_the_package():
    rules, installed = (DEBIAN / "rules").read_text(), (DEBIAN / "energyd.install").read_text()
    for path in SYSTEMD.glob("*.*"):
        if path.is_dir():
            assert "packaging/systemd/*.service.d" in installed
        elif path.suffix == ".slice":
            assert f"packaging/systemd/{path.name}" in installed
        else:
            stem = path.stem if path.stem != "energyd" else ""
            link = DEBIAN / (f"energyd.{path.name}" if stem else path.name)
            assert link.resolve() == path, path.name
            assert f"--name={stem or 'energyd'}" in rules, path.name


@pytest.mark.parametrize("link", sorted(path.name for path in DEBIAN.iterdir() if path.is_symlink()))
def test_no_link_of_the_packaging_leads_nowhere(link):
    assert (DEBIAN / link).exists()


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_comes_back_from_every_end_but_a_wrong_configuration(name):
    values = unit(name)
    assert values["Type"] == ["notify"]
    assert values["Restart"] == ["always"]
    assert values["RestartPreventExitStatus"] == ["100"]
    assert values["StartLimitIntervalSec"] == ["0"]
    assert values["PartOf"] == ["energyd.service energyd.target"]
    assert float(values["WatchdogSec"][0]) > 10  # a reader at 0.1 Hz gives a sign of life every ten seconds


@pytest.mark.parametrize("name", [*WORKERS, "energyd.service"])
def test_no_packaged_unit_simulates_or_is_root(name):
    text = "\n".join(path.read_text() for path in [SYSTEMD / name, *SYSTEMD.glob(f"{name}.d/*.conf")])
    assert "simulate" not in text
    assert re.findall(r"^User=.*", text, re.MULTILINE) in ([], ["User=energyd"])
    assert "ExecStart=+" not in text


@pytest.mark.parametrize("path", sorted((SYSTEMD / "examples").glob("*.conf")), ids=lambda path: path.stem)
def test_an_optional_drop_in_says_what_it_costs_where_it_goes_and_why_each_capability(path):
    text = path.read_text()
    (unit,) = re.findall(r"/etc/systemd/system/(energyd-[a-z@A-Z]+)\.service\.d/", text)
    assert re.search(rf"^# Exposure of {unit}: [0-9.]+", text, re.MULTILINE)
    assert f"systemctl restart {unit}" in text
    comment, _, settings = text.partition("[Service]")
    for capability in re.findall(r"CAP_\w+", settings):
        assert f"{capability}, because" in comment


def test_the_sandbox_names_the_user_for_all_units():
    assert "\nUser=energyd\n" in (SYSTEMD / "energyd-.service.d/10-sandbox.conf").read_text()
    assert (SYSTEMD / "energyd.service.d/10-sandbox.conf").resolve() == SYSTEMD / "energyd-.service.d/10-sandbox.conf"


def test_tmpfiles_and_udev_give_the_counters_the_same_permissions():
    tmpfiles, udev = (PACKAGING / "tmpfiles/energyd.conf").read_text(), (PACKAGING / "udev/60-energyd.rules").read_text()
    for attribute, mode in (("energy_uj", "0440"), ("max_energy_range_uj", "0444")):
        assert f"z /sys/class/powercap/*/{attribute} {mode} root energyd -" in tmpfiles
        assert f"/bin/chmod {mode} $sys$devpath/{attribute}" in udev


def test_the_environment_file_shows_settings_that_exist():
    from energyd.environment import VARIABLES

    for name in re.findall(r"^#?(ENERGYD_\w+)=", (PACKAGING / "default/energyd").read_text(), re.MULTILINE):
        assert name in VARIABLES


def test_an_editable_install_is_a_line_in_a_pth():
    """The import hook of setuptools would be 0.6 MB of each process of `make run`."""
    assert [hook for hook in sys.meta_path if "__editable__" in str(getattr(hook, "__module__", ""))] == []
