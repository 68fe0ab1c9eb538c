"""Names of containers and users from files that other programs keep, as those programs write them."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energyd.groups.names import HostNames, docker_container, kubelet_container, podman_containers
from energyd.groups.rules import Container

HEX, OTHER = "0123456789abcdef" * 4, "f" * 64


@pytest.fixture
def faults() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def names(tmp_path: Path, faults: list[tuple[str, str]]) -> HostNames:
    return HostNames(str(tmp_path), lambda kind, text: faults.append((kind, text)))


def docker(root: Path, state: object, identifier: str = HEX) -> Path:
    directory = root / "var/lib/docker/containers" / identifier
    directory.mkdir(parents=True)
    file = directory / "config.v2.json"
    file.write_text(state if isinstance(state, str) else json.dumps(state))
    return file


def podman(root: Path, *containers: dict[str, object], store: str = "var/lib/containers/storage") -> Path:
    file = root / store / "overlay-containers/containers.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(containers))
    return file


def test_docker_names_a_container_with_image_and_labels(tmp_path: Path, names: HostNames) -> None:
    docker(tmp_path, {"Name": "/web01", "Config": {"Image": "nginx:1", "Labels": {"com.optivolt.environment": "microvm"}}})
    found = names.container("docker", HEX)
    assert found == Container("web01", "nginx:1", {"com.optivolt.environment": "microvm"})
    (tmp_path / "var/lib/docker/containers" / HEX / "config.v2.json").unlink()
    assert names.container("docker", HEX) is found, "it is asked for once"


def test_a_container_of_kubernetes_under_docker_tells_its_pod() -> None:
    labels = {"io.kubernetes.pod.name": "p", "io.kubernetes.pod.namespace": "n"}
    assert docker_container({"Name": "/k8s_c_p", "Config": {"Labels": labels}})[3:] == ("p", "n")


def test_podman_names_its_containers_and_new_ones_are_found(tmp_path: Path, names: HostNames) -> None:
    file = podman(tmp_path, {"id": HEX, "names": ["web01"], "metadata": json.dumps({"image-name": "localhost/tiny:1"})})
    assert names.container("podman", HEX) == Container("web01", "localhost/tiny:1")
    assert names.container("podman", OTHER) == Container()
    podman(tmp_path, {"id": HEX, "names": ["web01"]}, {"id": OTHER, "names": ["web02"], "metadata": "not json"})
    os.utime(file, ns=(1, 1))
    assert names.container("podman", OTHER).name == "web02"


def test_a_users_own_podman_is_looked_at_too(tmp_path: Path, names: HostNames) -> None:
    podman(tmp_path, {"id": HEX, "names": ["mine"]}, store="home/alice/.local/share/containers/storage")
    assert names.container("podman", HEX).name == "mine"


def test_the_kubelets_links_name_container_pod_and_namespace(tmp_path: Path, names: HostNames) -> None:
    directory = tmp_path / "var/log/containers"
    directory.mkdir(parents=True)
    (directory / f"web-7d4_shop_nginx-{HEX}.log").touch()
    assert names.container("containerd", HEX) == Container("shop/web-7d4/nginx", pod="web-7d4", namespace="shop")
    assert kubelet_container("odd.log") is None


def test_what_cannot_be_read_is_said_and_the_container_keeps_its_id(
    tmp_path: Path, names: HostNames, faults: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = docker(tmp_path, {"Name": "/web"})

    def refuse(path: object, *_rest: object) -> None:
        assert path == file
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert names.container("docker", HEX) == Container()
    monkeypatch.undo()
    [(kind, text)] = faults
    assert kind == "names docker"
    assert "CAP_DAC_READ_SEARCH" in text
    assert str(file) in text
    assert names.container("docker", HEX).name == "web", "permission that comes late is used"


def test_a_damaged_file_is_said(tmp_path: Path, names: HostNames, faults: list[tuple[str, str]]) -> None:
    docker(tmp_path, "{")
    assert names.container("docker", HEX) == Container()
    assert faults[0][0] == "names docker damaged"


def test_only_ids_are_looked_for(names: HostNames) -> None:
    assert names.container("lxc", "../../etc/passwd") == Container()


def test_memory_is_bounded(tmp_path: Path, names: HostNames, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("energyd.groups.names.MAX_KNOWN", 2)
    for digit in "abc":
        docker(tmp_path, {"Name": "/" + digit}, digit * 64)
        assert names.container("docker", digit * 64).name == digit
    assert len(names._known) == 2


def test_users_of_the_host_are_those_of_its_passwd(tmp_path: Path, names: HostNames) -> None:
    assert names.user(1000) == ""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nodd\n")
    fresh = HostNames(str(tmp_path))
    assert [fresh.user(0), fresh.user(1000), fresh.user(5)] == ["root", "alice", ""]
    assert HostNames().user(0) == "root"
    assert HostNames().user(4_000_000_000) == ""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "names", "metadata", "Name", "Config", "Labels"]), inner)
    ),
    max_leaves=8,
)


@given(json_values)
def test_any_json_is_a_name_or_none(state):
    podman_containers(state)
    if isinstance(state, dict):
        docker_container(state)
