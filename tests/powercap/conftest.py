"""Powercap trees made of real directories, as /sys/class/powercap shows them."""

from collections.abc import Callable
from pathlib import Path

import pytest

Tree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """tree({"intel-rapl:0": {"name": "package-0", "energy_uj": 5}}) -> the root; plain zones get a range."""

    def make(zones: dict[str, dict[str, object]], root: Path = tmp_path / "class" / "powercap") -> Path:
        root.mkdir(parents=True, exist_ok=True)
        for device, attributes in zones.items():
            directory = root / device
            directory.mkdir(parents=True)
            for name, value in ({"max_energy_range_uj": 262143328850} | attributes).items():
                if value is not None:
                    (directory / name).write_text(f"{value}\n")
        return root

    return make


@pytest.fixture
def proc(tmp_path: Path) -> Callable[..., str]:
    """proc(cpuinfo="...", modules="...") -> a /proc with these files."""

    def make(**files: str) -> str:
        root = tmp_path / "proc"
        for name, text in files.items():
            path = root / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(root)

    return make
