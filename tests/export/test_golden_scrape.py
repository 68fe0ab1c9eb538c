"""The scrape of a fixed Snapshot, byte for byte, and what Prometheus' own lint says of it.

After a deliberate change: `python tests/export/test_golden_scrape.py` writes the golden files anew.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from energyd.aggregate.snapshot import Snapshot
from energyd.export.collect import collect
from energyd.export.render import Rendered, Renderer

GOLDEN = Path(__file__).parents[1] / "golden"


def rendered(snapshot: Snapshot) -> Rendered:
    return Renderer((("site", "home"),)).render(collect(snapshot, "0.0.0"))


def bodies(snapshot: Snapshot) -> dict[str, bytes]:
    rendering = rendered(snapshot)
    return {"scrape.prom": rendering.text(), "scrape.openmetrics": rendering.openmetrics() + b"# EOF\n"}


@pytest.mark.parametrize("name", ["scrape.prom", "scrape.openmetrics"])
def test_the_scrape_of_a_fixed_snapshot_is_the_golden_one(snapshot: Snapshot, name: str) -> None:
    assert bodies(snapshot)[name].decode().split("\n") == (GOLDEN / name).read_bytes().decode().split("\n")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_to_say(snapshot: Snapshot) -> None:
    result = subprocess.run(["promtool", "check", "metrics"], input=rendered(snapshot).text(), capture_output=True, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, b"")


if __name__ == "__main__":
    from conftest import make_snapshot

    for file_name, body in bodies(make_snapshot()).items():
        (GOLDEN / file_name).write_bytes(body)
