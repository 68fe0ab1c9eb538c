"""conf/grafana/dashboards from the modules: `python -m energyd.dashboards --write|--check [DIRECTORY]`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from energyd.dashboards import groups, home, host


def documents() -> dict[str, str]:
    """{file name: text}."""
    models = {"home.json": home.model(), "host.json": host.model(), "groups.json": groups.model()}
    return {name: json.dumps(model, indent=1, ensure_ascii=False) + "\n" for name, model in models.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or say (exit status 1) which is not what would be written."""
    parser = argparse.ArgumentParser(prog="python -m energyd.dashboards", description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="write the files")
    action.add_argument("--check", action="store_true", help="compare the files with what would be written")
    parser.add_argument("directory", nargs="?", type=Path, default=Path("conf/grafana/dashboards"))
    options = parser.parse_args(arguments)
    status = 0
    for name, text in documents().items():
        path: Path = options.directory / name
        if options.write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{path} is not up to date: run `python -m energyd.dashboards --write`", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
