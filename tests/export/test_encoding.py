"""Every coding unpacks to the body that was encoded, by ordinary programs, however many threads made it."""

import gzip
import importlib
import random
import shutil
import subprocess
import threading
import types
import zlib

import pytest

from energyd.export import encoding
from energyd.export.encoding import GzipEncoder, encoders, gzip_encoder, zstd_encoder

LINE = b'energyd_process_energy_joules_total{pid="4711",comm="worker",cgroup="/system.slice/x.service",uid="0"} 12345.678901\n'


def body_of(size: int) -> bytes:
    source = random.Random(3)
    return b"".join([b"%d %b" % (source.randrange(10**9), LINE) for _ in range(size // len(LINE) + 1)])[:size]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("size", [0, 1, 1000, encoding._PIECE, encoding._PIECE + 1, 5 * encoding._PIECE + 7])
def test_gzip_unpacks_to_the_body(threads: int, size: int) -> None:
    encode, body = GzipEncoder(threads), body_of(size)
    for _ in range(2):
        assert gzip.decompress(encode(body)) == body


def test_a_large_body_is_one_gzip_member_that_is_hardly_larger() -> None:
    body = body_of(1_200_000)
    packed = GzipEncoder(2)(body)
    unpacker = zlib.decompressobj(31)
    assert unpacker.decompress(packed) == body
    assert unpacker.eof
    assert unpacker.unused_data == b""
    assert len(packed) < 1.04 * len(zlib.compress(body, 1))


def test_a_helper_that_gets_no_processor_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, over, finished = threading.Event(), threading.Event(), threading.Event()

    def deflated(piece: memoryview, last: bool) -> bytes:
        if threading.current_thread() is threading.main_thread():
            taken.wait(60)
        else:
            taken.set()
            over.wait(10)
            finished.set()
        return really(piece, last)

    really = encoding._deflated
    monkeypatch.setattr(encoding, "_deflated", deflated)
    body = body_of(3 * encoding._PIECE)
    try:
        packed = GzipEncoder(2)(body)
        assert taken.is_set()
        assert not finished.is_set()
        assert gzip.decompress(packed) == body
    finally:
        over.set()


@pytest.mark.parametrize("size", [0, 1, 1000, encoding._PIECE, encoding._PIECE + 1, 700_000])
def test_isal_packs_large_bodies_where_it_is_installed(size: int) -> None:
    pytest.importorskip("isal", reason="isal has wheels for x86_64 and aarch64 only")
    asked: list[str] = []

    def load(name: str) -> object:
        asked.append(name)
        return importlib.import_module(name)

    encode, body = gzip_encoder(load), body_of(size)
    for _ in range(2):
        assert gzip.decompress(encode(body)) == body
    assert asked == (["isal.isal_zlib"] if size > encoding._PIECE else []), "once, and not for small ones"
    assert len(encode(body)) <= len(zlib.compress(body, 1, 31))


def test_without_isal_large_bodies_are_packed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    packed: list[bytes] = []

    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(GzipEncoder, "__call__", lambda _self, body: packed.append(body) or b"packed")
    encode, body = gzip_encoder(missing), body_of(700_000)
    assert encode(body) == b"packed"
    assert encode(b"small") != b"packed"
    assert packed == [body]


@pytest.mark.skipif(shutil.which("gzip") is None, reason="gzip is not installed")
def test_gzip_itself_finds_nothing_wrong_with_it() -> None:
    packed = GzipEncoder(3)(body_of(700_000))
    assert subprocess.run(["gzip", "--test"], input=packed, capture_output=True, check=False).returncode == 0


def test_zstd_is_on_offer_where_python_has_it_and_preferred() -> None:
    asked: list[str] = []

    def load(name: str) -> object:
        asked.append(name)
        return types.SimpleNamespace(compress=lambda body, level: b"zstd %d " % level + body)

    encode = zstd_encoder(load)
    assert encode is not None
    assert (encode(b"x"), asked) == (b"zstd 1 x", ["compression.zstd"])

    def missing(name: str) -> object:
        raise ImportError(name)

    assert zstd_encoder(missing) is None
    assert list(encoders())[-1] == "gzip"


def test_what_zstd_packs_can_be_unpacked() -> None:
    zstd = pytest.importorskip("compression.zstd", reason="Python 3.14 and later have zstd")
    encode = zstd_encoder()
    assert encode is not None
    assert zstd.decompress(encode(body_of(300_000))) == body_of(300_000)
