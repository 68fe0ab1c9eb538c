"""conf/grafana/dashboards from the modules: `python -m energyd.dashboards --write | --check`."""

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from energyd.dashboards import groups, home, host
from energyd.dashboards.model import Json
from energyd.generated import write_or_check


def _text(model: Callable[[], Json]) -> str:
    return json.dumps(model(), indent=1, ensure_ascii=False) + "\n"


FILES: Final = {
    "conf/grafana/dashboards/home.json": partial(_text, home.model),
    "conf/grafana/dashboards/host.json": partial(_text, host.model),
    "conf/grafana/dashboards/groups.json": partial(_text, groups.model),
}


def main(argv: Sequence[str] | None = None) -> int:
    return write_or_check(FILES, "energyd.dashboards", argv)


if __name__ == "__main__":
    sys.exit(main())
