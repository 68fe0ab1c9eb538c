"""`python -m energyd.simulate meter|powercap|replay ...`: each simulator is a program of its own."""

import importlib
import sys

from energyd.errors import EnergydError

PROGRAMS = ("meter", "powercap", "replay")


def main(argv: list[str]) -> int:
    """Run the simulator that `argv` names with the rest of `argv`; returns its exit status."""
    if not argv or argv[0] not in PROGRAMS:
        print(f"usage: energyd simulate {{{','.join(PROGRAMS)}}} ...", file=sys.stderr)
        return 0 if argv in (["-h"], ["--help"]) else 2
    program = importlib.import_module(f"energyd.simulate.{argv[0]}")
    try:
        status = program.main(argv[1:])
    except EnergydError as error:
        print(f"energyd simulate {argv[0]}: {error}", file=sys.stderr)
        return error.exit_code
    assert isinstance(status, int), "BUG: a program without an exit status"
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
