"""One process from its begin to its end: what every worker does around its three visible functions.

An EnergydError is one line on stderr and the exit code of whose fault it is; whatever was opened is closed on every way out.
"""

import sys
from collections.abc import Callable
from typing import TypeVar

from energyd.errors import EXIT_OK, EnergydError
from energyd.service.stop import Stop

State = TypeVar("State")


def run(
    name: str, startup: Callable[[], State], main_loop: Callable[[State, Stop], None], shutdown: Callable[[State], None]
) -> int:
    """The exit code of the process `name`."""
    stop = Stop.on_signals()
    try:
        state = startup()
        try:
            main_loop(state, stop)
        finally:
            shutdown(state)
    except EnergydError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    return EXIT_OK
