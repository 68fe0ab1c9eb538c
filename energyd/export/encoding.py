"""Content codings of finished bodies: gzip (RFC 1952) always, zstd (RFC 8878) where this Python has it (3.14 and later).

Where the library isal is installed it packs large bodies: four times faster than zlib, and smaller. Without it they are cut into
pieces that are deflated (RFC 1951) without reference to each other and end on byte boundaries, so any number of threads can take
from them and the result is one ordinary gzip member. The calling thread takes pieces too and never waits for a helper: a piece that
one has begun and not finished, because it lost its processor, is deflated once more. When no other processor is free, this costs
hardly more than deflating in one go.
"""

import importlib
import os
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final

GZIP: Final = "gzip"
ZSTD: Final = "zstd"
IDENTITY: Final = ""

_LEVEL: Final = 1  # 20 times faster than 9 for bodies that are a fifth larger
_PIECE: Final = 128 << 10  # bytes; a new window for each costs 3 % in size
_RAW: Final = -zlib.MAX_WBITS
_GZIP_BITS: Final = zlib.MAX_WBITS | 16  # with the header and trailer of gzip
_HEADER: Final = b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"  # deflate, no name, no time, fastest, unknown system


def gzip_encoder(load: Callable[[str], Any] = importlib.import_module) -> Callable[[bytes], bytes]:
    """What compresses to gzip, large bodies by the fastest means that there are."""

    @cache  # not before there is a large body: most machines have none, and isal is a megabyte
    def large() -> Callable[[bytes], bytes]:
        try:
            module = load("isal.isal_zlib")
        except ImportError:
            return GzipEncoder()
        return lambda body: bytes(module.compress(body, _LEVEL, _GZIP_BITS))

    return lambda body: large()(body) if len(body) > _PIECE else zlib.compress(body, _LEVEL, _GZIP_BITS)


class GzipEncoder:
    """`threads` (this one included) deflate a large body together; default: one for each processor that we may run on."""

    def __init__(self, threads: int | None = None) -> None:
        self._helpers = (threads or len(os.sched_getaffinity(0))) - 1
        self._pool: ThreadPoolExecutor | None = None

    def __call__(self, body: bytes) -> bytes:
        count = -(-len(body) // _PIECE)
        if count < 2 or not self._helpers:
            return zlib.compress(body, _LEVEL, _GZIP_BITS)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._helpers, "gzip")
        pieces = [b""] * count
        view, untaken = memoryview(body), iter(range(count))

        def deflate(places: Iterable[int]) -> None:
            for place in places:
                pieces[place] = _deflated(view[place * _PIECE : (place + 1) * _PIECE], last=place == count - 1)

        for _ in range(min(self._helpers, count - 1)):
            self._pool.submit(deflate, untaken)
        deflate(untaken)
        checksum = zlib.crc32(body)
        deflate(place for place in range(count) if not pieces[place])
        return b"".join([_HEADER, *pieces, checksum.to_bytes(4, "little"), (len(body) & 0xFFFFFFFF).to_bytes(4, "little")])


def _deflated(piece: memoryview, last: bool) -> bytes:
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
    return compressor.compress(piece) + compressor.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)


def zstd_encoder(load: Callable[[str], Any] = importlib.import_module) -> Callable[[bytes], bytes] | None:
    """What compresses to zstd, or None where this Python has no module for it."""
    try:
        module = load("compression.zstd")
    except ImportError:
        return None
    return lambda body: bytes(module.compress(body, _LEVEL))


def encoders() -> dict[str, Callable[[bytes], bytes]]:
    """Every coding that can be offered, the preferred one first."""
    zstd = zstd_encoder()
    return {**({ZSTD: zstd} if zstd else {}), GZIP: gzip_encoder()}
