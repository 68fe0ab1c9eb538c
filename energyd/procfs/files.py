"""Counter files read again and again: opened once, read at offset 0 by pread, which makes the kernel render them anew.

A cached read costs 1 to 6 us, open-read-close 10 to 20. Descriptors are bounded: the first `limit` files keep theirs until
they are closed, later ones are opened for each read. No eviction by age: all files are read in a circle, where the least
recently used one is always the next to be read.
"""

import os

_SIZE = 1 << 16  # /proc/stat of a machine with hundreds of CPUs and interrupts; what we use stands at the beginning


class CounterFiles:
    """Reads small virtual files by path; holds at most `limit` descriptors."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._descriptors: dict[bytes, int] = {}

    def read(self, path: bytes) -> bytes:
        """The file's content (at most 64 KiB); OSError (ENOENT, ENODEV, EACCES) when it is not there or no longer."""
        descriptor = self._descriptors.get(path)
        if descriptor is not None:
            return os.pread(descriptor, _SIZE, 0)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if len(self._descriptors) < self._limit:
            self._descriptors[path] = descriptor
            return os.pread(descriptor, _SIZE, 0)
        try:
            return os.pread(descriptor, _SIZE, 0)
        finally:
            os.close(descriptor)

    def read_whole(self, path: bytes) -> bytes:
        """The same of a file of many lines, which the kernel hands out by the page: all of it, however long."""
        data = more = self.read(path)
        descriptor = self._descriptors.get(path)
        while more and descriptor is not None:
            more = os.pread(descriptor, _SIZE, len(data))
            data += more
        return data if descriptor is not None else read_once(path)

    def forget(self, path: bytes) -> None:
        """Close the descriptor of `path`, if there is one."""
        descriptor = self._descriptors.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        for path in list(self._descriptors):
            self.forget(path)

    def __len__(self) -> int:
        return len(self._descriptors)


def read_once(path: bytes) -> bytes:
    """All of a file that is not kept open; OSError."""
    with open(path, "rb", buffering=0) as file:
        return file.readall()
