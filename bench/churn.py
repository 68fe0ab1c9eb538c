"""Births and deaths: `python bench/churn.py BIRTHS_PER_S`, until SIGTERM; then it prints how many there were.

Two in three are another program with arguments of its own, which lives 0.5 s on average; the third is a fork that burns
1 to 8 ms of CPU and ends, often before anybody can have seen it.
"""

import os
import random
import signal
import sys
import time

SLEEP = "/bin/sleep"


def burn(cpu_s: float) -> None:
    while time.process_time() < cpu_s:
        pass


def reap() -> int:
    """How many children are left."""
    left = 0
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        left = 1
    except ChildProcessError:
        pass
    return left


def main(births_per_s: float) -> None:
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    draw = random.Random(1)
    births = 0
    due_s = time.monotonic()
    while running:
        if births % 3:
            lifetime_s = min(20.0, draw.expovariate(2.0))
            os.posix_spawn(SLEEP, [SLEEP, f"{lifetime_s:.6f}"], os.environ)
        elif os.fork() == 0:
            burn(draw.uniform(0.001, 0.008))
            os._exit(0)
        births += 1
        reap()
        due_s += draw.expovariate(births_per_s)
        time.sleep(max(0.0, due_s - time.monotonic()))
    print(births, flush=True)
    while reap():
        time.sleep(0.1)


if __name__ == "__main__":
    main(float(sys.argv[1]))
