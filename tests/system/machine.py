"""A Debian system of its own: bootstrapped, booted with its own systemd, network and processes, and gone without a trace.

mmdebstrap(1) makes it from the packages of a release, systemd-nspawn(1) boots it; both need root. The machine has no network but
its own loopback, so nothing in it can leave or come in, and every dependency of the package is installed before it boots.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]
MIRROR = "http://deb.debian.org/debian"
TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "nsenter": "util-linux",
    "dh": "debhelper",
    "lintian": "lintian",
}
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
BOOT_S = 60
HALT = signal.SIGRTMIN + 4
"""PID 1 powers off (systemd(1))."""


def obstacle() -> str:
    """Why no system can be booted here, '' when one can."""
    if os.geteuid() != 0:
        return "a system is bootstrapped and booted as root only"
    if missing := sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)}):
        return f"not installed: sudo apt-get install {' '.join(missing)}"
    try:
        urllib.request.urlopen(f"{MIRROR}/dists/bookworm/Release", timeout=10).close()
    except OSError as error:
        return f"{MIRROR} cannot be reached: {error}"
    return ""


def build(directory: Path, version: str | None = None) -> Path:
    """The .deb of this tree, as `version` if one is given."""
    command = [ROOT / "packaging" / "build-deb", directory, *([version] if version else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(directory.glob("*.deb"))


def dependencies(deb: Path) -> list[str]:
    """The packages that a .deb depends on, the first of each alternative, without versions."""
    field = subprocess.run(["dpkg-deb", "--field", deb, "Depends"], capture_output=True, text=True, check=True).stdout
    return [re.split(r"[ :(|]", part.strip(), maxsplit=1)[0] for part in field.split(",")]


def bootstrap(release: str, directory: Path, packages: list[str]) -> None:
    """A minimal root file system of `release` with `packages`."""
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}", release, str(directory), MIRROR]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": PATH})
    assert done.returncode == 0, done.stderr[-4000:]


class Machine:
    """One booted system; leaving the context stops it and removes its files."""

    def __init__(self, release: str, packages: list[str]) -> None:
        self.release = release
        self.root = Path(tempfile.mkdtemp(prefix=f"energyd-{release}-"))
        self._packages = packages
        self._container: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def __enter__(self) -> "Machine":
        try:
            bootstrap(self.release, self.root, ["systemd-sysv", "dbus", "udev", "procps", *self._packages])
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def boot(self) -> None:
        """Start PID 1 and wait until it has started everything."""
        command = ["systemd-nspawn", "-D", self.root, "--boot", "--register=no", "--keep-unit", "--private-network"]
        with open(self.root.with_suffix(".console"), "ab") as console:
            self._container = subprocess.Popen(
                [*command, "--console=pipe"], stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
            )
        deadline = time.monotonic() + BOOT_S
        while time.monotonic() < deadline and self._container.poll() is None:
            children = Path(f"/proc/{self._container.pid}/task/{self._container.pid}/children").read_text().split()
            if children:
                self._pid = int(children[0])
                if self.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded"):
                    return
            time.sleep(0.2)
        raise AssertionError(
            f"{self.release} does not boot:\n{self.root.with_suffix('.console').read_text(errors='replace')[-4000:]}"
        )

    def run(self, script: str, *, check: bool = True, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a shell script in the machine as its root."""
        enter = ["nsenter", "-t", str(self._pid), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w"]
        command = [*enter, "env", "-i", f"PATH={PATH}", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "bash", "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, f"{script}\n{done.returncode}\n{done.stdout}\n{done.stderr}\n{self.journal()}"
        return done

    def say(self, script: str) -> str:
        """What a script prints, without the white space around it."""
        return self.run(script).stdout.strip()

    def said(self, options: str) -> str:
        """Messages of the journal, one a line."""
        return self.say(f"journalctl --quiet --no-pager --output=cat {options}")

    def journal(self) -> str:
        return self.run("journalctl --no-pager --output=short-monotonic | tail -60", check=False).stdout

    def wait_for(self, script: str, timeout_s: float) -> None:
        """Until `script` succeeds."""
        deadline = time.monotonic() + timeout_s
        while (done := self.run(script, check=False)).returncode:
            assert time.monotonic() < deadline, f"after {timeout_s} s: {script}\n{done.stdout}{done.stderr}\n{self.journal()}"
            time.sleep(0.2)

    def install(self, deb: Path) -> None:
        shutil.copy(deb, self.root / "root")
        self.run(f"apt-get install --yes --no-install-recommends /root/{deb.name}", timeout_s=120)

    def halt(self) -> None:
        """Power off, by force if need be."""
        if self._container is None:
            return
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, HALT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._container.wait(15)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._container.wait(5)
        self._container.kill()
        self._container.wait()
        self._container, self._pid = None, 0

    def __exit__(self, *_exception: object) -> None:
        self.halt()
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.with_suffix(".console").unlink(missing_ok=True)
