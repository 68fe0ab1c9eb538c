"""The Dockerfile by the rules that hadolint checks, the DaemonSet by the restricted profile but for what it says it needs.

Outside truths: hadolint's rules (DLnnnn), the Kubernetes pod security standards.
"""

import json
import re

import pytest
import yaml
from dockerfile import DOCKERFILE, instructions, stages

from energyd import __version__, configfile
from energyd.environment import ALIASES, VARIABLES

TEXT = DOCKERFILE.read_text()
FINAL = stages(TEXT)[-1]
DAEMONSET = DOCKERFILE.parents[1] / "kubernetes/daemonset.yaml"
OBJECTS = {each["kind"]: each for each in yaml.safe_load_all(DAEMONSET.read_text())}
POD = OBJECTS["DaemonSet"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
(PERMISSIONS,) = POD["initContainers"]
USER = 9836


def words(word, of=FINAL):
    return [instruction.text for instruction in of if instruction.word == word]


def test_base_images_are_named_with_their_release():
    """DL3006, DL3007."""
    for text in words("FROM", instructions(TEXT)):
        assert re.fullmatch(r"debian:\d+-slim( AS \w+)?", text)


@pytest.mark.parametrize("command", [text for text in words("RUN", instructions(TEXT)) if "apt-get" in text])
def test_packages_are_installed_lean_and_without_questions(command):
    """DL3008 to DL3015, DL3009: lists are fetched and removed in the layer that needs them."""
    steps = [step.strip() for step in command.split("&&")]
    assert "apt-get update" in steps
    (install,) = [step for step in steps if re.search("apt-get (install|build-dep)", step)]
    assert re.match("DEBIAN_FRONTEND=noninteractive apt-get [a-z-]+ --yes --no-install-recommends ", install)
    assert steps[-1].startswith("rm -rf /var/lib/apt/lists/*")


def test_there_is_no_sudo_no_add_and_no_pipe_whose_failure_is_lost():
    """DL3004, DL3020, DL4006."""
    assert not words("ADD", instructions(TEXT))
    for command in words("RUN", instructions(TEXT)):
        assert "sudo" not in command
        assert not re.search(r"[^|]\|[^|]", command)


def test_the_image_runs_as_a_numbered_user_who_is_not_root():
    """DL3002; a number, because Kubernetes cannot tell from a name that it is not root."""
    assert words("USER") == [str(USER)]
    (setup,) = [text for text in words("RUN") if "useradd" in text]
    assert f"--uid {USER}" in setup
    assert f"--gid {USER}" in setup
    last = [instruction.word for instruction in FINAL]
    assert last.index("USER") > last.index("RUN")


def test_commands_are_lists_so_that_signals_arrive():
    """DL3025."""
    for word in ("ENTRYPOINT", "CMD"):
        (text,) = words(word)
        assert json.loads(text)


def test_the_health_of_the_web_server_is_asked_for():
    (check,) = words("HEALTHCHECK")
    assert "/-/healthy" in check
    assert json.loads(check.partition("CMD ")[2])[0] == "python3"


def test_variables_of_the_image_are_settings():
    names = re.findall(r"(ENERGYD_\w+)=", "".join(words("ENV")))
    assert names
    assert set(names) <= set(VARIABLES)


def test_the_readme_uses_flags_that_the_image_knows():
    text = DOCKERFILE.with_name("README.md").read_text()
    assert set(re.findall(r"--env (\w+)=", text)) <= {*VARIABLES, *ALIASES}
    assert f"--gid {USER}" in text


def test_the_pod_is_restricted_but_for_what_its_head_explains():
    assert POD["hostPID"] is True
    assert POD["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostIPC"} & set(POD)
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    head = DAEMONSET.read_text().partition("apiVersion")[0]
    for word in ("hostPID", "/sys, read-only", "init container", "no API access"):
        assert word in head


def test_the_container_has_no_right_that_it_does_not_use():
    context = CONTAINER["securityContext"]
    assert context == {
        "runAsUser": USER,
        "runAsGroup": USER,
        "runAsNonRoot": True,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = {mount["name"]: mount for mount in CONTAINER["volumeMounts"]}
    assert mounts["sys"]["readOnly"] is True
    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == {volume["name"] for volume in POD["volumes"]}
    assert next(volume for volume in POD["volumes"] if volume["name"] == "rings")["emptyDir"]["medium"] == "Memory"


def test_the_init_container_is_root_with_three_capabilities_and_nothing_else():
    context = PERMISSIONS["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN", "FOWNER", "DAC_OVERRIDE"]}
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False


def test_the_images_of_the_pod_are_this_version():
    assert {CONTAINER["image"], PERMISSIONS["image"]} == {f"energyd:{__version__}"}


def test_the_configuration_of_the_pod_is_one(tmp_path):
    file = tmp_path / "energyd.yml"
    file.write_text(OBJECTS["ConfigMap"]["data"]["energyd.yml"])
    config = configfile.load(str(file), {})

    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert config.sysfs_root == mounts["sys"]
    assert config.run_dir.startswith(mounts["rings"] + "/")
    assert config.state_dir == mounts["state"]
    assert CONTAINER["ports"][0]["containerPort"] == config.metrics.port
