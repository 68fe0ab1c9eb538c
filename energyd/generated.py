"""Files of the working tree that are made from the sources: written, or compared with what would be written."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from energyd.errors import EXIT_OK


def write_or_check(files: Mapping[str, Callable[[], str]], module: str, argv: Sequence[str] | None) -> int:
    """The command of a module that makes `files` ({path below the tree: its text}): writes them, or says which differ (exit 1)."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description="Write what is made from the sources.")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help="write the files into the working tree")
    mode.add_argument("--check", action="store_true", help="exit 1 if one of them is not up to date")
    parser.add_argument(
        "--root", type=Path, default=Path(__file__).parents[1], help="the working tree (default: where this file is)"
    )
    arguments = parser.parse_args(argv)
    stale = 0
    for name, make in files.items():
        path = arguments.root / name
        if arguments.write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(make(), encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != make():
            print(f"{name} is not up to date; run python -m {module} --write", file=sys.stderr)
            stale = 1
    return stale or EXIT_OK
