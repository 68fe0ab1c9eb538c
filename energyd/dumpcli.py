"""`energyd dump RING`: the samples in a ring, decoded, oldest first; with --follow also those that come.

A reader like any other: it opens the ring read-only, takes no lock, and what it misses is counted and said.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from energyd import configfile, places, samples, ticfields, ticprofessional
from energyd.errors import EXIT_OK, EnvironmentFault
from energyd.ring import layout
from energyd.ring.dump import describe
from energyd.ring.reader import RingReader

POLL_S: Final = 0.1
HEAD: Final = ("index", "mono_ns", "batch", "kind", "status")


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="energyd dump", description="Show the samples in a ring, oldest first.")
    configfile.add_flags(result)
    result.add_argument(
        "ring", nargs="?", metavar="RING", help="rapl, usage, tic-NAME, or the path of a .ring file; none: list them"
    )
    result.add_argument("--follow", action="store_true", help="go on with what is written from now on, until Ctrl-C")
    result.add_argument("--json", action="store_true", help="one JSON object a line")
    result.add_argument("--last", type=int, metavar="N", help="only the last N samples that are there")
    return result


def line(sample: dict[str, Any]) -> str:
    """One sample for people: index, time, batch, kind, fields, status."""
    fields = " ".join(f"{name}={value}" for name, value in sample.items() if name not in HEAD)
    status = f" [{' '.join(sample['status'])}]" if sample["status"] else ""
    seconds = sample["mono_ns"] / 1e9
    return f"{sample['index']:>10}  {seconds:>16.6f}  {sample['batch']:>8}  {sample['kind']:<14}  {fields}{status}"


def find(path: Path) -> samples.Schema:
    """The schema of the ring file `path`; EnvironmentFault when there is no such ring or it cannot be read."""
    try:
        header = layout.read_header(path)
    except FileNotFoundError:
        there = ", ".join(sorted(file.stem for file in path.parent.glob("*.ring"))) or "none"
        raise EnvironmentFault(f"{path} does not exist; rings there: {there}") from None
    except OSError as error:
        raise EnvironmentFault(f"{path}: {error.strerror}; use the user of energyd or root") from error
    if header.schema not in samples.SCHEMAS:
        raise EnvironmentFault(
            f"{path} holds samples of {header.schema}, which this version does not know; use the version that writes it"
        )
    return samples.SCHEMAS[header.schema]


def follow(path: Path, schema: samples.Schema, last: int | None, forever: bool) -> Iterator[dict[str, Any]]:
    """The samples as dicts; losses are said on stderr."""
    reader = RingReader(path.parent, path.stem, schema, None)
    labels: dict[int, dict[str, Any]] = {}
    fields = (*ticfields.FIELDS, *ticprofessional.FIELDS) if schema is samples.TIC else ()
    kinds = {field.id: field.label for field in fields} or None
    while True:
        drained = reader.poll()
        if drained.rotated:
            labels.clear()
        labels.update(reader.labels())
        if lost := drained.overruns + drained.refused:
            print(f"energyd: {path}: {lost} samples were lost: overwritten before they were read, or damaged", file=sys.stderr)
        if reader.fault:
            raise EnvironmentFault(reader.fault)
        records = drained.records if last is None else drained.records[max(0, len(drained.records) - last) :]
        last = None
        yield from describe(records, schema, labels, kinds)
        if not forever:
            return
        time.sleep(POLL_S)


def main(argv: Sequence[str]) -> int:
    arguments = parser().parse_args(argv)
    if arguments.ring and arguments.ring.endswith(".ring"):
        path = Path(arguments.ring)
    else:
        run_dir = Path(places.running(arguments.config, arguments.set, os.environ, os.getuid()))
        if not arguments.ring:
            print("\n".join(sorted(file.stem for file in run_dir.glob("*.ring"))))
            return EXIT_OK
        path = Path(layout.ring_path(run_dir, arguments.ring))
    for sample in follow(path, find(path), arguments.last, arguments.follow):
        print(json.dumps(sample) if arguments.json else line(sample), flush=arguments.follow)
    return EXIT_OK
