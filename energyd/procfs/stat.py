"""Parsers of procfs files: bytes in, values out.

Outside truth: proc_pid_stat(5), proc_stat(5), proc_meminfo(5), proc_loadavg(5). The name in /proc/PID/stat is whatever the
process calls itself: spaces, parentheses, newlines and bytes that are not UTF-8 included, so fields are counted from the last
parenthesis on. Law: no file, no clock; bytes of another shape raise ValueError.
"""

import os
from typing import Final, NamedTuple

from energyd.samples import CPU_MODES, MEMORY_FIELDS
from energyd.units import NS_PER_S

NS_PER_TICK: Final = NS_PER_S // os.sysconf("SC_CLK_TCK")
"""USER_HZ is 100 on every architecture that we run on: 10 ms."""
_KERNEL_THREAD: Final = 0x00200000  # PF_KTHREAD, include/linux/sched.h
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Stat(NamedTuple):
    """What /proc/PID/stat tells: `start_ticks` since boot and the pid are the identity of a process."""

    comm: bytes
    ppid: int
    kernel_thread: bool
    cpu_ns: int  # user and system, all threads, in steps of NS_PER_TICK
    start_ticks: int
    rss_bytes: int
    child_ns: int  # of all ended descendants that it, or who it reaped, waited for; in steps of NS_PER_TICK


def parse_stat(data: bytes) -> Stat:
    """The fields of /proc/PID/stat that identify a process and measure it; ValueError when they are not there."""
    start, end = data.find(b"("), data.rfind(b")")
    fields = data[end + 1 :].split()  # fields[0] is field 3 of the manual page, the state
    if start < 0 or end < start or len(fields) < 22:
        raise ValueError(f"not a /proc/PID/stat: {data[:80]!r}")
    return Stat(
        comm=data[start + 1 : end],
        ppid=int(fields[1]),
        kernel_thread=bool(int(fields[6]) & _KERNEL_THREAD),
        cpu_ns=(int(fields[11]) + int(fields[12])) * NS_PER_TICK,
        start_ticks=int(fields[19]),
        rss_bytes=int(fields[21]) * _PAGE_BYTES,
        child_ns=(int(fields[13]) + int(fields[14])) * NS_PER_TICK,
    )


def parse_last_cpu(data: bytes) -> int:
    """The CPU that a process last ran on (its main thread), from /proc/PID/stat; ValueError or IndexError when it is not there."""
    return int(data[data.rfind(b")") + 1 :].split()[36])


def parse_host_cpu(data: bytes) -> list[int]:
    """CPU time of all CPUs together in ns for each of CPU_MODES, from the first line of /proc/stat.

    Guest time is part of `user` and `nice` already. ValueError when the line is not there.
    """
    fields = data[: data.find(b"\n")].split()
    if len(fields) <= len(CPU_MODES) or fields[0] != b"cpu":
        raise ValueError(f"not a /proc/stat: {data[:80]!r}")
    return [int(field) * NS_PER_TICK for field in fields[1 : len(CPU_MODES) + 1]]


def parse_memory(data: bytes) -> dict[int, int]:
    """Bytes by index into MEMORY_FIELDS, from /proc/meminfo; a field that this kernel lacks is left out."""
    found = dict(line.split(b":", 1) for line in data.splitlines() if b":" in line)
    indices = {name.encode(): index for index, name in enumerate(MEMORY_FIELDS)}
    return {index: int(found[name].split()[0]) * 1024 for name, index in indices.items() if name in found}


def parse_last_pid(data: bytes) -> int:
    """The pid given out last in the caller's PID namespace (a thread's id counts), from /proc/loadavg."""
    return int(data.split()[4])


def text(data: bytes) -> str:
    """Names are bytes; what is not UTF-8 is shown escaped, so that every label can be carried and exported."""
    return data.decode("utf-8", "backslashreplace")
