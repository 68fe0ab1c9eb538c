"""The files of a writer: its lock, a new ring, or the ring that it left behind.

A ring is made as NAME.ring.new, allocated whole (a hole would become SIGBUS on a full tmpfs), given its header and renamed.
Law: rotate, never repair. What a dead writer of this boot left is adopted when layout, schema and capacity are the same;
anything else stays as it is under NAME.ring.old, for who was not there to read it, and a new file takes its name.
"""

import contextlib
import errno
import fcntl
import mmap
import os
import struct
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from energyd.errors import EnvironmentFault
from energyd.ring import layout
from energyd.ring.labels import FILE_MODE, LabelsWriter
from energyd.samples import HEAD_FORMAT, RECORD_SIZE, VOID, Schema
from energyd.units import NS_PER_S

LOCK_PATIENCE_NS: Final = 5 * NS_PER_S
LOCK_RETRY_NS: Final = NS_PER_S // 10
BATCH_MASK: Final = 0xFFFFFFFF

_head = struct.Struct(HEAD_FORMAT)


class Clock(Protocol):
    """What a ring asks of the machine's clock (energyd.service.clock.Clock). Never a scaled one: liveness is judged by it."""

    def mono_ns(self) -> int: ...
    def real_ns(self) -> int: ...
    def sleep_until_ns(self, mono_ns: int) -> None: ...


class Words(Protocol):
    """The changing words of the header, by index, each stored and loaded at once: `memoryview.cast("Q")` of the file."""

    def __getitem__(self, index: int, /) -> int: ...
    def __setitem__(self, index: int, value: int, /) -> None: ...


class Slots(Protocol):
    """The bytes of the file from its start."""

    def __getitem__(self, where: slice, /) -> bytes: ...
    def __setitem__(self, where: slice, value: bytes, /) -> None: ...


class Store(NamedTuple):
    """An open ring, ready for the record after `head`, in batch number `batch`."""

    words: Words
    slots: Slots
    labels: LabelsWriter
    head: int
    batch: int


class Identity(NamedTuple):
    """What two runs of a writer must have in common to use the same file."""

    directory: str
    name: str
    schema: Schema
    capacity: int
    boot_id: bytes


def read_boot_id(path: layout.AnyPath) -> bytes:
    """The 16 bytes that name this boot (Documentation/admin-guide/sysctl/kernel.rst, random/boot_id)."""
    try:
        with open(path, encoding="ascii") as file:
            return bytes.fromhex(file.read().strip().replace("-", ""))
    except (OSError, ValueError) as fault:
        raise EnvironmentFault(f"{path}: {fault}; mount /proc, the boot id tells rings of an earlier boot apart") from fault


def acquire_lock(path: str, clock: Clock) -> int:
    """The descriptor of `path`, locked for as long as it is open; the file holds the pid of whoever has the lock.

    An orphan of a killed supervisor may be just leaving, so a busy lock is tried again for 5 s. Raises EnvironmentFault.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    except OSError as fault:
        raise EnvironmentFault(f"{path}: {fault.strerror}; {_directory_mend(os.path.dirname(path))}") from fault
    deadline_ns = clock.mono_ns() + LOCK_PATIENCE_NS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            now_ns = clock.mono_ns()
            if now_ns >= deadline_ns:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
                os.close(descriptor)
                raise EnvironmentFault(
                    f"{path} is held by process {holder}, which writes this ring already; stop it, or use another run_dir"
                ) from None
            clock.sleep_until_ns(now_ns + LOCK_RETRY_NS)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    except OSError as fault:
        os.close(descriptor)
        raise EnvironmentFault(f"{path}: {fault.strerror}; {_directory_mend(os.path.dirname(path))}") from fault
    return descriptor


def create(identity: Identity, clock: Clock) -> Store:
    """A new ring under its name; what had the name is kept as its predecessor. Raises EnvironmentFault."""
    directory, name, schema, capacity, boot_id = identity
    path = layout.ring_path(directory, name)
    labels_path = layout.labels_path(directory, name)
    new_path, new_labels_path = f"{path}.new", f"{labels_path}.new"
    header = layout.Header(capacity, schema.name, boot_id, os.getpid(), clock.mono_ns(), clock.real_ns(), 0, 0, 0, 0)
    leaving = (labels_path, path) if os.path.exists(path) else ()
    if leaving:
        _remove(layout.retired(path))  # now: there need not be room for three
    try:
        mapping = _allocate(new_path, layout.file_size(capacity))
        labels = LabelsWriter.create(new_labels_path, header.identity)
    except OSError as fault:
        raise EnvironmentFault(f"{path}: {fault.strerror}; {_directory_mend(directory)}") from fault
    packed = layout.pack_header(header)
    mapping[: len(packed)] = packed
    words = memoryview(mapping).cast("Q")
    words[layout.LABELS_LENGTH] = labels.length
    # Between these the pair does not match: readers wait, and a writer that finds it so rotates once more.
    for file in leaving:
        with contextlib.suppress(FileNotFoundError):
            os.rename(file, layout.retired(file))
    os.rename(new_labels_path, labels_path)
    os.rename(new_path, path)
    return Store(words, mapping, labels, head=0, batch=1)


def adopt(identity: Identity, warn: Callable[[str], None]) -> Store | None:
    """The ring that an earlier writer of this boot left, or None when there is none that fits; `warn` is told of a refused one."""
    directory, name, schema, capacity, boot_id = identity
    path = layout.ring_path(directory, name)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        size = os.fstat(descriptor).st_size
        header = layout.parse_header(os.pread(descriptor, layout.HEADER_SIZE, 0), path, size)
        if (header.schema, header.capacity, header.boot_id) != (schema.name, capacity, boot_id):
            return None
        mapping = mmap.mmap(descriptor, layout.file_size(capacity))
    except layout.RefusedRing as refusal:
        warn(f"{refusal}; a new file takes its place, what it held is not read")
        return None
    finally:
        os.close(descriptor)
    words = memoryview(mapping).cast("Q")
    batch = finish_torn_write(words, mapping, capacity)
    labels = (
        None if batch is None else LabelsWriter.adopt(layout.labels_path(directory, name), header.identity, header.labels_length)
    )
    if batch is None or labels is None:
        return None
    if labels.full:
        labels.close()
        return None
    words[layout.WRITER_PID] = os.getpid()
    words[layout.FAULT] = 0  # the one before's
    return Store(words, mapping, labels, head=header.claim, batch=batch)


def finish_torn_write(words: Words, slots: Slots, capacity: int) -> int | None:
    """Fill what a death left between head and claim with VOID records, then set head to claim; claim is never lowered.

    Returns the next batch number, above every one that was used, or None when the ring is damaged.
    """
    claim, head = words[layout.CLAIM], words[layout.HEAD]
    if not head <= claim < head + capacity:
        return None
    batch = 0
    if head:
        last = slots[_slot(head, capacity)]
        seq, _, batch, _, _ = _head.unpack_from(last)
        if seq != head or layout.seal(last[:-8]) != last:
            return None
    if claim > head:
        for index in range(head + 1, claim + 1):
            slots[_slot(index, capacity)] = layout.service_record(index, 0, batch, VOID, 0, 0, 0, 0, 0)
        words[layout.HEAD] = claim
    return (batch + 1) & BATCH_MASK


def _slot(index: int, capacity: int) -> slice:
    offset = layout.HEADER_SIZE + (index & (capacity - 1)) * RECORD_SIZE
    return slice(offset, offset + RECORD_SIZE)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _allocate(path: str, size: int) -> mmap.mmap:
    _remove(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        os.fchmod(descriptor, FILE_MODE)
        os.posix_fallocate(descriptor, 0, size)
        return mmap.mmap(descriptor, size)
    except OSError as fault:
        os.unlink(path)
        if fault.errno != errno.ENOSPC:
            raise
        directory = os.path.dirname(path)
        free = os.statvfs(directory)
        raise EnvironmentFault(
            f"{path}: the ring needs {size} bytes, {directory} has {free.f_bavail * free.f_frsize} free; "
            "enlarge its tmpfs (mount -o remount,size=...), or lower the rate of the reader"
        ) from fault
    finally:
        os.close(descriptor)


def _directory_mend(directory: str) -> str:
    return f"{directory} must exist and belong to uid {os.geteuid()} (install -d -m 0750 {directory})"
