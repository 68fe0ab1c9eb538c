"""Rendering of N series beside prometheus_client.generate_latest: `python bench/bench_render.py [N ...]`.

CPU time (process_time), best of the rounds. `cold`: first rendering. `all`: every value has changed. `tenth`: one value in ten
has, scattered. `one replaced`: besides, a process has ended and another one begun. `none`: nothing has. `collect`: Snapshot into
columns. `gzip`: compression at level 1 by the fastest means there is, isal where it is installed.
"""

import random
import sys
import time
import zlib
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from energyd.aggregate.snapshot import Host, Process, Processes, Snapshot
from energyd.export.collect import collect
from energyd.export.encoding import gzip_encoder
from energyd.export.metric import FLOAT, Family
from energyd.export.render import Renderer

ROUNDS = 15


def snapshot_of(series: int) -> Snapshot:
    """Four series a process: energy, power, CPU time, what it is."""
    source = random.Random(1)
    processes = tuple(
        Process(
            1000 + i,
            f"worker-{i % 50}",
            f"/system.slice/service-{i % 100}.service",
            i % 7,
            source.randrange(10**13),
            round(source.random() * 10, 6),
            source.randrange(10**15),
        )
        for i in range(series // 4)
    )
    host = Host(10**15, 80.5, "rapl", (), 10**16, 10**12, ())
    return Snapshot(1, 1_795_162_354_123_456_789, True, host, (), Processes(processes, 1, 0.5, 1, 0, 0, len(processes)), (), ())


def changed(families: list[Family], share: float) -> list[Family]:
    """The same families with `share` of all values moved, at random places."""
    source = random.Random(2)
    result = []
    for metric, labels, values in families:
        moved = list(values)
        step = 0.125 if metric.decimals == FLOAT else 1_234_567
        for i in source.sample(range(len(moved)), round(len(moved) * share)):
            moved[i] += step
        result.append(Family(metric, labels, moved))
    return result


def with_one_replaced(snapshot: Snapshot) -> Snapshot:
    """The process in the middle has ended, and another one has begun."""
    visible = snapshot.processes.visible
    middle = len(visible) // 2
    moved = (*visible[:middle], *visible[middle + 1 :], visible[middle]._replace(pid=1_000_000))
    return snapshot._replace(processes=snapshot.processes._replace(visible=moved))


def best_ms(action: Callable[[], object], prepare: Callable[[], object] = lambda: None) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        prepare()
        begin = time.process_time()
        action()
        best = min(best, time.process_time() - begin)
    return best * 1e3


class _Peer:
    """The same families for prometheus_client, made afresh at each scrape as its documentation asks of a collector."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for metric, labels, values in self._families:
            kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.help, labels=metric.labels)
            scale = 1 if metric.decimals == FLOAT else 10**metric.decimals
            for texts, value in zip(labels, values, strict=True):
                family.add_metric(texts, value / scale)
            yield family


def main(sizes: list[int]) -> None:
    print(f"{'series':>8} {'what':<18} {'ms':>9} {'times faster than generate_latest':>36}")
    for size in sizes:
        snapshot = snapshot_of(size)
        families = collect(snapshot, "bench")
        tenth, everything = changed(families, 0.1), changed(families, 1.0)
        replaced = changed(collect(with_one_replaced(snapshot), "bench"), 0.1)
        renderer = Renderer()
        registry = CollectorRegistry()
        registry.register(_Peer(families))  # type: ignore[arg-type]
        rendered = renderer.render(families)
        body, packed = rendered.text(), gzip_encoder()
        rows = {
            "generate_latest": best_ms(lambda r=registry: generate_latest(r)),
            "cold": best_ms(lambda f=families: Renderer().render(f).text()),
            "all changed": best_ms(lambda r=renderer, e=everything: r.render(e).text(), lambda r=renderer, f=families: r.render(f)),
            "tenth changed": best_ms(lambda r=renderer, t=tenth: r.render(t).text(), lambda r=renderer, f=families: r.render(f)),
            "one replaced": best_ms(lambda r=renderer, n=replaced: r.render(n).text(), lambda r=renderer, f=families: r.render(f)),
            "none changed": best_ms(lambda r=renderer, f=families: r.render(f).text(), lambda r=renderer, f=families: r.render(f)),
            "collect": best_ms(lambda s=snapshot: collect(s, "bench")),
            "gzip": best_ms(lambda b=body, p=packed: p(b)),
            "gzip of zlib": best_ms(lambda b=body: zlib.compress(b, 1, 31)),
        }
        for what, cost_ms in rows.items():
            print(f"{size:>8} {what:<18} {cost_ms:>9.3f} {rows['generate_latest'] / cost_ms:>36.1f}")


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [200, 10_000, 50_000])
