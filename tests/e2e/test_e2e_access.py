"""A closed energyd: TLS, a user and a token, and none of their secrets in a log, a status page or a list of processes."""

import base64
import json
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest
from daemon import Daemon, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")]

PASSWORD, TOKEN, USER = "staple-battery", "token-9f8e7d6c5b4a", "scraper"


class Closed(Daemon):
    """energyd behind TLS, with a user and a token."""

    def __init__(self, place: Path) -> None:
        self.hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=energyd", "-addext", "subjectAltName=IP:127.0.0.1"],
            cwd=place, check=True, capture_output=True,
        )  # fmt: skip
        (place / "web.yml").write_text(
            "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"
            f"basic_auth_users: {{{USER}: {self.hashed}}}\n"
            "http_server_config: {headers: {X-Content-Type-Options: nosniff}}\n"
        )
        (place / "token").write_text(TOKEN + "\n")
        self.context = ssl.create_default_context(cafile=str(place / "cert.pem"))
        super().__init__(f"metrics.web_config_file={place}/web.yml", f"metrics.bearer_token_file={place}/token")

    def ask(self, path: str = "/metrics", authorization: str = f"Bearer {TOKEN}") -> tuple[int, bytes]:
        headers = {"Authorization": authorization} if authorization else {}
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=6, context=self.context) as answer:
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    with Closed(tmp_path_factory.mktemp("web")) as daemon:
        wait_for(lambda: daemon.ask("/-/ready")[0] == 200, 20, "not ready")
        yield daemon


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()


def test_only_who_knows_a_secret_is_answered(closed: Closed) -> None:
    assert b"energyd_host_energy" in closed.ask()[1]
    assert closed.ask(authorization=basic(PASSWORD))[0] == 200
    assert closed.ask("/api/v1/snapshot", basic(PASSWORD))[0] == 200
    for wrong in ("", "Bearer wrong", basic("wrong")):
        for path in ("/", "/metrics", "/api/v1/snapshot", "/-/healthy", "/../../etc/passwd"):
            status, body = closed.ask(path, wrong)
            assert (status, b"energyd_" in body, b"root:" in body) == (401, False, False)


def test_status_finds_its_way_in(closed: Closed) -> None:
    command = [sys.executable, "-m", "energyd", "status", "--json", "--set", f"run_dir={closed.run_dir}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    rows = {row["name"]: row for row in json.loads(done.stdout)["processes"]}
    assert (done.returncode, rows["aggregator"]["advice"], rows["rapl"]["overruns"]) == (0, "", 0)


def test_no_secret_is_anywhere_to_be_seen(closed: Closed) -> None:
    pages = b"".join(closed.ask(path)[1] for path in ("/", "/metrics", "/api/v1/snapshot", "/-/ready"))
    seen = {"log": closed.log.read_bytes(), "pages": pages, "config.json": (closed.run_dir / "config.json").read_bytes()}
    for pid in [closed.process.pid, *closed.leftovers()]:
        seen[f"ps {pid}"] = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
    for secret in (PASSWORD, TOKEN, closed.hashed, basic(PASSWORD).split()[1]):
        assert [place for place, text in seen.items() if secret.encode() in text] == []
