"""Exit records of the kernel: read from its bytes, and from the kernel itself where it lets us."""

import errno
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energyd.procfs import taskstats
from energyd.procfs.taskstats import Exit, Silence, listen, parse_exit

LAST = 0x20


def structure(
    *, version: int = 13, flag: int = LAST, pid: int = 7, tgid: int = 7, ppid: int = 1, comm: bytes = b"true", counted_ns: int = 3
) -> bytes:
    """A struct taskstats as <linux/taskstats.h> lays it out, as long as that of version 13."""
    data = bytearray(416)
    struct.pack_into("=H", data, 0, version)
    struct.pack_into("=B", data, 8, flag)
    struct.pack_into("=Q", data, 72, counted_ns)
    data[80 : 80 + len(comm)] = comm
    struct.pack_into("=I", data, 120, 1000)  # uid
    struct.pack_into("=II", data, 128, pid, ppid)
    struct.pack_into("=QQ", data, 152, 4000, 8000)  # utime and stime in us
    struct.pack_into("=I", data, 368, tgid)
    return bytes(data)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(task: bytes, process: bytes | None = None) -> bytes:
    body = attribute(4, attribute(1, struct.pack("=I", 7)) + attribute(3, task))
    if process is not None:
        body += attribute(5, attribute(2, struct.pack("=I", 7)) + attribute(3, process))
    return struct.pack("=IHHII", 20 + len(body), 31, 0, 0, 0) + struct.pack("=BBH", 2, 1, 0) + body


def test_a_record_tells_who_ended_and_what_it_used() -> None:
    assert parse_exit(message(structure())) == Exit(7, 7, 1, 1000, b"true", True, 12_000_000, 3, None)


def test_the_last_thread_of_several_tells_of_the_process_too() -> None:
    record = parse_exit(message(structure(pid=9), structure(counted_ns=55)))
    assert record is not None
    assert (record.pid, record.tgid, record.process_ns) == (9, 7, 55)


def test_a_thread_of_a_living_process_is_not_its_end() -> None:
    record = parse_exit(message(structure(flag=0, pid=9)))
    assert record is not None
    assert not record.last


@pytest.mark.parametrize("version", [8, 11, 15])
def test_versions_that_do_not_tell_the_process_or_lie_otherwise_are_left_alone(version: int) -> None:
    assert parse_exit(message(structure(version=version))) is None


@given(st.binary(max_size=700))
def test_any_bytes_are_a_record_or_none(data: bytes) -> None:
    parse_exit(data)


@given(st.integers(0, 460))
def test_a_record_that_was_cut_is_none(length: int) -> None:
    whole = message(structure())
    assert parse_exit(whole[: min(length, len(whole) - 1)]) is None


class FakeSocket:
    """What the kernel would answer: bytes, or an errno."""

    def __init__(self, answers: list[bytes | int]) -> None:
        self.answers = answers

    def recv(self, _size: int) -> bytes:
        answer = self.answers.pop(0) if self.answers else errno.EAGAIN
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        return answer

    def close(self) -> None:
        pass


def listener(answers: list[bytes | int]) -> taskstats.ExitListener:
    made = taskstats.ExitListener.__new__(taskstats.ExitListener)
    made.lost, made._socket = 0, FakeSocket(answers)  # type: ignore[assignment]
    return made


def test_records_that_had_no_room_are_counted_and_the_rest_is_read() -> None:
    heard = listener([message(structure()), errno.ENOBUFS, b"odd", message(structure(pid=8, tgid=8))])
    assert [record.pid for record in heard.drain()] == [7, 8]
    assert heard.lost == 1
    assert heard.drain() == []


def test_another_fault_of_the_socket_is_not_hidden() -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        listener([errno.EIO]).drain()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(errno.EPERM, "no"), "CAP_NET_ADMIN is missing"),
        (OSError(errno.EINVAL, "no"), "not the machine's own network, PID and user namespaces"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
    ],
)
def test_without_permission_nothing_is_heard_and_the_reason_is_told(
    error: OSError, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "devices/system/cpu").mkdir(parents=True)
    (tmp_path / "devices/system/cpu/possible").write_text("0-3\n")

    def refuse(_self: object, cpus: str) -> None:
        assert cpus == "0-3"
        raise error

    monkeypatch.setattr(taskstats.ExitListener, "__init__", refuse)
    heard, said = listen(str(tmp_path))
    assert isinstance(heard, Silence)
    assert heard.drain() == []
    assert words in said


def test_the_kernel_tells_of_a_real_child(children: object, burner: Callable[[float], int]) -> None:
    heard, said = listen("/sys")
    if isinstance(heard, Silence):
        pytest.skip(said)
    pid = os.fork()
    if pid == 0:
        until = time.process_time() + 0.03
        while time.process_time() < until:
            pass
        os._exit(0)
    os.waitpid(pid, 0)
    until = time.monotonic() + 5
    found: list[Exit] = []
    while not found and time.monotonic() < until:
        found = [record for record in heard.drain() if record.pid == pid]
    heard.close()
    [record] = found
    assert (record.tgid, record.ppid, record.uid, record.last) == (pid, os.getpid(), os.getuid(), True)
    assert record.comm == Path("/proc/self/comm").read_bytes().strip()
    assert 0.020e9 <= record.counted_ns <= 0.2e9
