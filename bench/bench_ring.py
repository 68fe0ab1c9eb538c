"""Writing and reading rings beside the usual ways between two processes: `python bench/bench_ring.py`.

CPU time of the process in ns a record, best of the rounds, on a file in /dev/shm. Write: one sample, its check word, claim
and head included. Peers: a numpy structured assignment (neither checked nor published), multiprocessing.Queue.put (with its
feeder thread, which pickles and sends) and multiprocessing.Pipe.
Read: closed batches of 11 records, all checks included; peers: Pipe.recv, and a loop over structured records.
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from energyd.ring.dtypes import dtype_of
from energyd.ring.reader import Cursor, RingReader
from energyd.ring.writer import RingWriter
from energyd.samples import RAPL, TIC, USAGE
from energyd.service.clock import SYSTEM_CLOCK

ROUNDS, RECORDS, CAPACITY = 9, 10_000, 65536
PAYLOADS = {RAPL: (123_456_789_012, 5_000, 0, 0), USAGE: (7, 4711, 998_877, 123_456_789_012, 0), TIC: (123, 1_700_000_000, b"HC..")}


def best_ns(action: Callable[[], object], records: int, rounds: int = ROUNDS) -> float:
    costs = []
    for _ in range(rounds):
        begin = time.process_time_ns()
        action()
        costs.append(time.process_time_ns() - begin)
    return min(costs) / records


def row(what: str, ns: float, peer: str = "", peer_ns: float = 0.0) -> None:
    ratio = f"{peer:32} {peer_ns:9.0f} {peer_ns / ns:7.1f} x" if peer else ""
    print(f"{what:38} {ns:9.1f}   {ratio}")


def write_costs(directory: Path) -> dict[str, float]:
    costs = {}
    for schema, payload in PAYLOADS.items():
        writer = RingWriter.open(directory, schema.name, schema, CAPACITY, SYSTEM_CLOCK)

        def fill(writer: RingWriter = writer, payload: tuple[object, ...] = payload) -> None:
            for number in range(RECORDS):
                writer.append(1, number, payload)
            writer.end_batch(1, 1, 1)

        costs[schema.name] = best_ns(fill, RECORDS)
        writer.close()
    return costs


def structured_assignment_ns() -> float:
    slots = np.zeros(CAPACITY, dtype_of(RAPL))

    def fill() -> None:
        for number in range(RECORDS):
            slots[number] = (number, number, 1, 1, 0, 123_456_789_012, 5_000, 0, 0, 0)

    return best_ns(fill, RECORDS)


def queue_ns() -> float:
    """Put samples into a multiprocessing.Queue until its feeder thread has sent the last one."""
    costs = []
    for _ in range(3):
        queue: multiprocessing.Queue[tuple[int, ...]] = multiprocessing.Queue()
        sink = multiprocessing.Process(target=take_all, args=(queue.get,), daemon=True)
        sink.start()

        def fill(queue: "multiprocessing.Queue[tuple[int, ...]]" = queue) -> None:
            for number in range(RECORDS):
                queue.put((1, number, *PAYLOADS[RAPL]))
            queue.put(())
            queue.close()
            queue.join_thread()

        costs.append(best_ns(fill, RECORDS, rounds=1))
        sink.join()
    return min(costs)


def pipe_ns() -> tuple[float, float]:
    """Send, and receive, one sample through multiprocessing.Pipe."""
    receiving, sending = multiprocessing.Pipe(duplex=False)
    sink = multiprocessing.Process(target=take_all, args=(receiving.recv,), daemon=True)
    sink.start()

    def fill() -> None:
        for number in range(RECORDS):
            sending.send((1, number, *PAYLOADS[RAPL]))

    send = best_ns(fill, RECORDS, rounds=3)
    sending.send(())
    sink.join()
    few = 500  # what fits into the pipe

    costs = []
    for _ in range(ROUNDS):
        for number in range(few):
            sending.send((1, number, *PAYLOADS[RAPL]))
        costs.append(best_ns(lambda: [receiving.recv() for _ in range(few)], few, rounds=1))
    return send, min(costs)


def take_all(take: Callable[[], tuple[int, ...]]) -> None:
    while take():
        pass


def read_costs(directory: Path) -> dict[int, float]:
    writer = RingWriter.open(directory, "read", RAPL, CAPACITY, SYSTEM_CLOCK)
    for number in range(CAPACITY):
        writer.append(1, number, PAYLOADS[RAPL])
        if number % 10 == 9:
            writer.end_batch(number, number, 0)
    writer.end_batch(1, 1, 0)
    head = writer._seq
    first = RingReader(directory, "read", RAPL)
    first.poll()
    cursor = first.cursor
    assert cursor is not None
    costs = {}
    for size in (10, 100, 1000, 60_000):
        batch_begins = head - size - (head - size) % 11 + 1
        reader = RingReader(directory, "read", RAPL, Cursor(cursor.identity, head + 1, 0))
        reader.poll()

        def read(reader: RingReader = reader, begin: int = batch_begins) -> None:
            reader._next_index = begin
            reader.poll()

        costs[size] = best_ns(read, head - batch_begins + 1, rounds=50)
    writer.close()
    return costs


def structured_loop_ns() -> float:
    records = np.zeros(RECORDS, dtype_of(RAPL))
    return best_ns(lambda: [record["energy_uj"] for record in records], RECORDS, rounds=3)


def main() -> None:
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, numpy {np.__version__}")
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="energyd-bench-") as directory:
        writes, reads = write_costs(Path(directory)), read_costs(Path(directory))
    send, receive = pipe_ns()
    print(f"\n{'write':38} {'ns':>9}   {'peer':32} {'ns':>9}   ratio")
    row("rapl record", writes[RAPL.name], "structured assignment, unchecked", structured_assignment_ns())
    row("rapl record", writes[RAPL.name], "multiprocessing.Queue.put", queue_ns())
    row("rapl record", writes[RAPL.name], "multiprocessing.Pipe send", send)
    row("usage record", writes[USAGE.name])
    row("tic record", writes[TIC.name])
    print(f"\n{'read':38} {'ns':>9}   {'peer':32} {'ns':>9}   ratio")
    for size, cost in reads.items():
        row(f"poll of {size} records ({1000 / cost:.1f} M/s)", cost, "multiprocessing.Pipe recv", receive)
    row("poll of 60000 records", reads[60_000], "loop over a structured array", structured_loop_ns())


if __name__ == "__main__":
    main()
