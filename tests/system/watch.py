"""Runs inside the machine: appends every 0.2 s what /metrics says to a file, a JSON line [mono_s, {series: value}] each.

python3 watch.py URL FILE
"""

import json
import sys
import time
import urllib.request


def scrape(url):
    """{series: value}, or None when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            text = answer.read().decode()
    except OSError:
        return None
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))}


def main(url, path):
    with open(path, "a", buffering=1) as file:
        while True:
            begin_s = time.monotonic()
            series = scrape(url)
            if series is not None:
                file.write(json.dumps([begin_s, series]) + "\n")
            time.sleep(max(0.0, begin_s + 0.2 - time.monotonic()))


if __name__ == "__main__":
    main(*sys.argv[1:])
