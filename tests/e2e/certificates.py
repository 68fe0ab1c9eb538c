"""An authority, and certificates of servers by it and by another: one that is good, and those that a client has to refuse."""

import ssl
import subprocess
from pathlib import Path

GOOD = "good"
EXPIRED = "expired"
OTHER_NAME = "other name"
UNKNOWN = "unknown"
BEGIN = "20200101000000Z"

_CONFIGURATION = """\
[ca]
default_ca = authority
[authority]
dir = .
database = index.txt
new_certs_dir = .
serial = serial
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
"""


class Certificates:
    """Made in `home` by openssl(1) for the server `name`; `authority` is the file that a client trusts."""

    def __init__(self, home: Path, name: str) -> None:
        self._home = home
        self.authority = home / "authority.pem"
        (home / "ca.cnf").write_text(_CONFIGURATION)
        (home / "index.txt").write_text("")
        (home / "serial").write_text("1000\n")
        for authority in ("authority", "stranger"):
            self._openssl("req", "-x509", *self._new(authority), "-days", "30", "-out", f"{authority}.pem")
        self._sign(GOOD, name)
        self._sign(EXPIRED, name, "20200201000000Z")
        self._sign(OTHER_NAME, "other.test")
        self._sign(UNKNOWN, name, authority="stranger")

    def context(self, kind: str) -> ssl.SSLContext:
        """For a server that shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._home / f"{kind}.pem", self._home / f"{kind}.key")
        return context

    def _sign(self, kind: str, name: str, end: str = "20491231000000Z", authority: str = "authority") -> None:
        self._openssl("req", *self._new(kind), "-addext", f"subjectAltName=DNS:{name}", "-out", "request.pem")
        signer = ("-cert", f"{authority}.pem", "-keyfile", f"{authority}.key", "-in", "request.pem", "-out", f"{kind}.pem")
        dates = ("-startdate", BEGIN, "-enddate", end)
        self._openssl("ca", "-batch", "-notext", "-config", "ca.cnf", *signer, *dates)

    def _new(self, name: str) -> tuple[str, ...]:
        return ("-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-subj", f"/CN={name}")

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], cwd=self._home, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
