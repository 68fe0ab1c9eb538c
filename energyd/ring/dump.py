"""Puts samples into words, for people: what `energyd dump` prints. Pure.

The names come from the tables of `energyd.samples`, from the ring's labels, and, for tele-information, from the caller's table
of fields, because a ring does not know what a meter is.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from energyd import samples
from energyd.ring.dtypes import SERVICE
from energyd.ring.labels import Entry
from energyd.ring.reader import Records

STATUS_NAMES: Final = {
    samples.LAST: "last",
    samples.CONTINUED: "continued",
    samples.FAILED: "failed",
    samples.GONE: "gone",
    samples.KEYFRAME: "keyframe",
    samples.DEGRADED: "degraded",
    samples.POWER: "power",
    samples.USED: "used",
}
USAGE_KINDS: Final = {
    samples.PROCESS: "process",
    samples.CGROUP: "cgroup",
    samples.CONTROL: "control",
    samples.HOST_CPU: "host_cpu",
    samples.HOST_MEMORY: "host_memory",
    samples.EXITED: "exited",
    samples.FIGURES: "figures",
}
SERVICE_KINDS: Final = {samples.END: "end", samples.COUNTER: "counter", samples.ERROR: "error", samples.FRAME: "frame"}


def describe(
    records: Records, schema: samples.Schema, labels: Mapping[int, Entry], tic_kinds: Mapping[int, str] | None = None
) -> Iterator[dict[str, Any]]:
    """One flat dict of JSON values for each of `records` (as `RingReader.poll` gives them), in order.

    Always index, mono_ns, batch, kind and status (a list of words); then the fields of the kind, whose names end in their unit.
    `labels`: every entry of the ring so far, by id. `tic_kinds`: names of the kinds of a tele-information ring.
    """
    services = records.view(SERVICE)
    for position, record in enumerate(records.tolist()):
        seq, mono_ns, batch, kind, status, *values = record[:-1]
        head = {"index": seq, "mono_ns": mono_ns, "batch": batch}
        flags = [name for bit, name in STATUS_NAMES.items() if status & bit]
        if kind >= samples.VOID:
            name = SERVICE_KINDS.get(kind, f"service {kind:#x}")
            fields = _service(kind, services[position].tolist()[5:9], schema, labels)
        else:
            name, fields = _sample(
                kind, status, dict(zip((field for field, _ in schema.fields), values, strict=True)), schema, labels
            )
            name = (tic_kinds or {}).get(kind, name)
        yield {**head, "kind": name, "status": flags, **fields}


def _service(kind: int, values: list[int], schema: samples.Schema, labels: Mapping[int, Entry]) -> dict[str, Any]:
    a, b, c, d = values
    if kind == samples.END:
        return {"samples": a, "begin_mono_ns": b, "suspended_ns": c}
    if kind == samples.COUNTER:
        names = samples.COUNTERS[schema.name]
        return {"counter": names[a] if a < len(names) else f"counter {a}", "value": b}
    if kind == samples.ERROR:
        return {"error": labels.get(a, {}).get("error", f"label {a}"), "count": b}
    if kind == samples.FRAME:
        return {"good_groups": a, "refused_groups": b}
    return {"a": a, "b": b, "c": c, "d": d}


def _sample(
    kind: int, status: int, fields: dict[str, Any], schema: samples.Schema, labels: Mapping[int, Entry]
) -> tuple[str, dict[str, Any]]:
    if schema is samples.RAPL:
        zone = labels.get(kind, {}).get("zone", f"zone {kind}")
        if status & samples.USED:
            return zone, {"pid": fields["pid"], "weight": fields["energy_uj"]}
        meaning = "errno" if status & samples.FAILED else "power_uw" if status & samples.POWER else "energy_uj"
        return zone, {meaning: fields["energy_uj"], "read_ns": fields["read_ns"]}
    if schema is samples.USAGE:
        return USAGE_KINDS.get(kind, f"kind {kind}"), _usage(kind, fields, labels)
    return f"field {kind}", {**fields, "text": fields["text"].decode("ascii", "backslashreplace")}


def _usage(kind: int, fields: dict[str, Any], labels: Mapping[int, Entry]) -> dict[str, Any]:
    consumer = fields["consumer"]
    if kind == samples.HOST_CPU:
        return {"mode": _name_at(samples.CPU_MODES, consumer), "cpu_ns": fields["cpu_ns"]}
    if kind == samples.HOST_MEMORY:
        return {"field": _name_at(samples.MEMORY_FIELDS, consumer), "mem_bytes": fields["mem_bytes"]}
    if kind == samples.CONTROL:
        return {"cpu_ns": fields["cpu_ns"]}
    entry = labels.get(consumer, {})
    if kind == samples.FIGURES:
        first, thing = fields["pid"], entry.get("kind", "")
        names = samples.FIELDS.get(thing, ())[first : first + samples.FIGURES_PER_RECORD]
        values = (fields["start_ticks"], fields["cpu_ns"], fields["mem_bytes"])
        told = dict(zip(names, values, strict=False)) if names else {"first": first, "values": list(values)}
        return {thing or "consumer": entry.get("name", consumer), **told}
    name = entry.get("comm") or entry.get("path") or f"consumer {consumer}"
    if kind == samples.EXITED:
        tasks, ancestor = fields["start_ticks"], fields["pid"]
        return {"comm": name, "tasks": tasks, "ancestor": ancestor, "ticks_ns": fields["cpu_ns"], "counted_ns": fields["mem_bytes"]}
    if kind == samples.CGROUP:
        return {"path": name, "cpu_ns": fields["cpu_ns"], "mem_bytes": fields["mem_bytes"]}
    return {"comm": name, "pid": fields["pid"], "start_ticks": fields["start_ticks"], "cpu_ns": fields["cpu_ns"]}


def _name_at(names: tuple[str, ...], index: int) -> str:
    return names[index] if index < len(names) else f"number {index}"
