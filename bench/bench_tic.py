"""The meter's decoder and its reader process: `python bench/bench_tic.py [--seconds N]`.

Decoding, MB/s of one core: `same` repeats one frame, `day` has the values of a frame change as they do in a house (index, power,
current, clock; the rest stays), `new` never has the same group twice. `usual` is the loop of the exporters that one finds: split
lines, checksum, int; it checks neither parity nor labels, widths, characters or dates.

Reader: the real process on a pseudo terminal into which characters come at line speed. CPU of the whole process after its start;
wake-ups are its voluntary context switches; delay is from the last character of a group to its sample in the ring.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from energyd.config import Config, Meter
from energyd.ring.reader import RingReader
from energyd.samples import TIC, VOID
from energyd.tic.checksum import with_even_parity
from energyd.tic.decoder import Decoder
from energyd.tic.framing import encode_group
from energyd.ticfields import HISTORIQUE, STANDARD
from energyd.units import NS_PER_S

BYTES = 4_000_000
READ = 4096
BUDGET_MB_PER_S = 10
BAUD = {HISTORIQUE: 1200, STANDARD: 9600}
PROFILE = b"00008001 0600C002" + 9 * b" NONUTILE"


def historique(tick: int) -> list[tuple[bytes, ...]]:
    return [
        (b"ADCO", b"021861348497"),
        (b"OPTARIF", b"HC.."),
        (b"ISOUSC", b"45"),
        (b"HCHC", b"012345678"),
        (b"HCHP", b"%09d" % tick),
        (b"PTEC", b"HP.."),
        (b"IINST", b"%03d" % (tick % 45)),
        (b"IMAX", b"090"),
        (b"PAPP", b"%05d" % (tick * 10 % 9000)),
        (b"HHPHC", b"A"),
        (b"MOTDETAT", b"000000"),
    ]


def standard(tick: int) -> list[tuple[bytes, ...]]:
    clock = b"H2303%02d%02d%02d%02d" % (1 + tick // 86400 % 28, tick // 3600 % 24, tick // 60 % 60, tick % 60)
    return [
        (b"ADSC", b"021976825763"),
        (b"VTIC", b"02"),
        (b"DATE", b"", clock),
        (b"NGTF", b"H PLEINE/CREUSE "),
        (b"LTARF", b" HEURE  PLEINE  "),
        (b"EAST", b"%09d" % (80_000_000 + tick)),
        (b"EASF01", b"012345678"),
        (b"EASF02", b"%09d" % tick),
        *((b"EASF%02d" % index, b"000000000") for index in range(3, 11)),
        (b"EASD01", b"012345678"),
        (b"EASD02", b"%09d" % tick),
        *((b"EASD%02d" % index, b"000000000") for index in (3, 4)),
        (b"IRMS1", b"%03d" % (tick % 45)),
        (b"URMS1", b"%03d" % (225 + tick % 15)),
        (b"PREF", b"09"),
        (b"PCOUP", b"09"),
        (b"SINSTS", b"%05d" % (tick % 9000)),
        (b"SMAXSN", b"07835", b"H230307060708"),
        (b"SMAXSN-1", b"08717", b"H230306072928"),
        (b"UMOY1", b"237", b"H230307134000"),
        (b"STGE", b"003AC701"),
        (b"MSG1", b"PAS DE          MESSAGE         "),
        (b"PRM", b"14405933300802"),
        (b"RELAIS", b"000"),
        (b"NTARF", b"02"),
        (b"NJOURF", b"00"),
        (b"NJOURF+1", b"00"),
        (b"PJOURF+1", PROFILE),
    ]


def renewed(mode: str, tick: int) -> list[tuple[bytes, ...]]:
    if mode == HISTORIQUE:
        labels = (b"BASE", b"HCHC", b"HCHP", b"EJPHN", b"BBRHCJB", b"BBRHPJB")
    else:
        labels = (b"EAST", b"EASF01", b"EASF02", b"EASD01", b"EASD02", b"EAIT", b"ERQ1")
    return [(label, b"%09d" % tick) for label in labels]


def stream(mode: str, groups: Callable[[int], list[tuple[bytes, ...]]]) -> Iterator[bytes]:
    tick = size = 0
    while size < BYTES:
        frame = with_even_parity(b"\x02" + b"".join(encode_group(mode, *group) for group in groups(tick)) + b"\x03")
        yield frame
        tick += 1
        size += len(frame)


def usual(data: bytes, mode: str) -> int:
    good = 0
    for line in data.translate(bytes(byte & 0x7F for byte in range(256))).split(b"\r"):
        text = line.strip(b"\n\x02\x03")
        covered = text[:-1] if mode == STANDARD else text[:-2]
        if len(text) > 3 and (sum(covered) & 0x3F) + 0x20 == text[-1]:
            label, *_, value = covered.strip().split(b"\t" if mode == STANDARD else None) or [b""]
            good += bool(label)
            if value.isdigit():
                int(value)
    return good


def mb_per_s(run: Callable[[], object], size: int) -> float:
    best_s = float("inf")
    for _ in range(3):
        begin = time.process_time()
        run()
        best_s = min(best_s, time.process_time() - begin)
    return size / best_s / 1e6


def decode_all(data: bytes, groups: int) -> None:
    decoder = Decoder()
    for begin in range(0, len(data), READ):
        decoder.feed(data[begin : begin + READ])
    counts = decoder.counts
    assert counts["groups_ok"] == groups, f"{counts} of {groups}"


def bench_decoding() -> None:
    print(f"{'decoding, MB/s':<24}{'energyd':>9}{'usual':>9}{'ratio':>8}{'of budget':>11}")
    for mode, frame_at in ((HISTORIQUE, historique), (STANDARD, standard)):
        kinds: tuple[tuple[str, Callable[[int], list[tuple[bytes, ...]]]], ...] = (
            ("same", lambda _, frame_at=frame_at: frame_at(1)),
            ("day", frame_at),
            ("new", lambda tick, mode=mode: renewed(mode, tick)),
        )
        for name, groups in kinds:
            data = b"".join(stream(mode, groups))
            count = data.count(b"\x8d")
            ours = mb_per_s(lambda data=data, count=count: decode_all(data, count), len(data))
            peer = mb_per_s(lambda data=data, mode=mode: usual(data, mode), len(data))
            print(f"{mode + ' ' + name:<24}{ours:>9.1f}{peer:>9.1f}{ours / peer:>8.2f}{ours / BUDGET_MB_PER_S:>10.1f}x")


def bench_reader(mode: str, seconds: float) -> None:
    baud = BAUD[mode]
    data = b"".join(
        frame for _, frame in zip(range(200), stream(mode, historique if mode == HISTORIQUE else standard), strict=False)
    )
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        master, slave = os.openpty()
        path = Path(directory) / "config.json"
        path.write_text(Config(run_dir=directory, meters=(Meter("bench", os.ttyname(slave), mode),)).to_json())
        process = subprocess.Popen([sys.executable, "-m", "energyd.workers.tic", str(path), "bench"], stderr=subprocess.DEVNULL)
        try:
            cpu_s, wake_ups, delays_ms = _measure(process, master, data, baud, seconds, Path(directory))
            pss = next(
                line for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:")
            )
        finally:
            process.terminate()
            process.wait(5)
            os.close(master)
            os.close(slave)
    p50, p99 = np.percentile(delays_ms, (50, 99))
    print(
        f"{f'{mode} {baud} baud':<24}{cpu_s / seconds:>8.2%}{wake_ups / seconds:>12.0f}"
        f"{p50:>10.1f}{p99:>10.1f}{int(pss.split()[1]) / 1024:>10.1f}"
    )


def _measure(
    process: "subprocess.Popen[bytes]", master: int, data: bytes, baud: int, seconds: float, run_dir: Path
) -> tuple[float, int, list[float]]:
    ended_ns: list[int] = []
    settled_s = 1.5
    begin = time.monotonic()
    cpu_ns = wake_ups = 0
    measured = False
    for position in range(round((settled_s + seconds) * baud / 10)):
        due = begin + position * 10 / baud
        pause = due - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        os.write(master, data[position % len(data) :][:1])
        if data[position % len(data)] == 0x8D:
            ended_ns.append(time.monotonic_ns())
        if not measured and time.monotonic() - begin > settled_s:
            measured, cpu_ns, wake_ups = True, _cpu_ns(process.pid), _switches(process.pid)
    cpu_ns, wake_ups = _cpu_ns(process.pid) - cpu_ns, _switches(process.pid) - wake_ups
    time.sleep(0.1)
    records = RingReader(run_dir, "tic-bench", TIC, None).poll().records
    heard_ns = records["mono_ns"][(records["kind"] < VOID) & (records["status"] & 1 == 1)].astype(np.int64)
    pairs = min(len(heard_ns), len(ended_ns))
    delays = (heard_ns[-pairs:] - np.array(ended_ns[-pairs:])) / (NS_PER_S / 1000)
    return cpu_ns / NS_PER_S, wake_ups, delays[pairs // 3 :].tolist()


def _cpu_ns(pid: int) -> int:
    return time.clock_gettime_ns((~pid << 3) | 2)


def _switches(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("voluntary_ctxt_switches")).split()[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=8.0, help="of listening at each speed (default: %(default)g)")
    options = parser.parse_args()
    bench_decoding()
    print(f"\n{'reader':<24}{'CPU':>8}{'wake-ups/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'PSS MiB':>10}")
    for mode in (HISTORIQUE, STANDARD):
        bench_reader(mode, options.seconds)


if __name__ == "__main__":
    main()
