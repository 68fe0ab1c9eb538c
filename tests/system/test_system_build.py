"""What is built: clean by Debian's own judgement, and with everything in its place."""

import shutil
import subprocess

import machine
import pytest

pytestmark = pytest.mark.system

CONTENTS = (
    "etc/default/energyd",
    "etc/energyd/energyd.yml",
    "lib/systemd/system/energyd.service",
    "lib/systemd/system/energyd-tic@.service",
    "usr/lib/sysusers.d/energyd.conf",
    "usr/lib/tmpfiles.d/energyd.conf",
    "lib/udev/rules.d/60-energyd.rules",
    "usr/bin/energyd",
    "usr/lib/python3/dist-packages/energyd/workers/aggregator.py",
    "usr/share/bash-completion/completions/energyd",
    "usr/share/zsh/vendor-completions/_energyd",
    "usr/share/man/man1/energyd.1.gz",
    "usr/share/man/man5/energyd.yml.5.gz",
    "usr/share/doc/energyd/examples/network-meter.conf",
)


EXPLAINED = {"package-supports-alternative-init-but-no-init.d-script"}
"""What lintian still says, each explained in packaging/README.md."""


def test_lintian_says_nothing_that_is_not_explained(package):
    changes = next(package.parent.glob("*.changes"))
    done = subprocess.run(
        ["lintian", "--allow-root", "--display-info", "--pedantic", changes], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout
    tags = {line.split()[2] for line in done.stdout.splitlines()}
    assert tags <= EXPLAINED
    explanations = (machine.ROOT / "packaging/README.md").read_text()
    assert [tag for tag in EXPLAINED if tag not in explanations] == []


@pytest.fixture(scope="module")
def examples(package, tmp_path_factory):
    """What the package puts into the documentation folder."""
    place = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "--extract", package, place], check=True)
    return place / "usr/share/doc/energyd/examples"


def test_every_example_is_in_the_documentation_folder_as_it_is(examples):
    listed = subprocess.run(["git", "ls-files", "conf"], cwd=machine.ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        installed = examples / name.removeprefix("conf/").removeprefix("examples/")
        assert installed.read_bytes() == (machine.ROOT / name).read_bytes(), installed
    for drop_in in (machine.ROOT / "packaging/systemd/examples").iterdir():
        assert (examples / drop_in.name).read_bytes() == drop_in.read_bytes()


@pytest.mark.parametrize(
    "command",
    [
        ["promtool", "check", "config", "prometheus/prometheus.yml"],
        ["promtool", "check", "rules", "prometheus/rules/energyd.yml"],
        ["vmalert", "-dryRun", "-rule=prometheus/rules/energyd.yml"],
        ["amtool", "check-config", "alertmanager/alertmanager.yml"],
    ],
    ids=lambda command: " ".join(command[:3]),
)
def test_the_servers_own_tools_take_the_examples_where_they_lie(examples, command):
    program = shutil.which(command[0]) or shutil.which(f"victoria-metrics-{command[0]}") or shutil.which(f"{command[0]}-prod")
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([program, *command[1:]], cwd=examples, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_is_in_its_place(package):
    listed = subprocess.run(["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True).stdout
    paths = {line.split()[5].removeprefix("./") for line in listed.splitlines()}

    assert {wanted for wanted in CONTENTS if wanted not in paths and f"usr/{wanted}" not in paths} == set()
    assert {path.split("dist-packages/")[1].split("/")[0].split("-")[0] for path in paths if "dist-packages/" in path} <= {
        "",
        "energyd",
    }
