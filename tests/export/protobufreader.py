"""A reader of remote-write requests that knows nothing of the writer: plain protobuf by field number, and snappy's block format."""

import struct
from collections.abc import Iterator
from typing import Any


def unsnappy(content: bytes) -> bytes:
    """github.com/google/snappy, format_description.txt; literals and copies."""
    size, at = varint(content, 0)
    out = bytearray()
    while at < len(content):
        tag = content[at]
        at += 1
        kind = tag & 3
        if kind == 0:
            length = tag >> 2
            if length >= 60:
                extra = length - 59
                length = int.from_bytes(content[at : at + extra], "little")
                at += extra
            out += content[at : at + length + 1]
            at += length + 1
        else:
            if kind == 1:
                length, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | content[at]
                at += 1
            else:
                width = 2 if kind == 2 else 4
                length, offset = (tag >> 2) + 1, int.from_bytes(content[at : at + width], "little")
                at += width
            for _ in range(length):
                out.append(out[-offset])
    assert len(out) == size
    return bytes(out)


def varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field: varints as int, fixed64 as 8 bytes, the rest as bytes."""
    at = 0
    while at < len(content):
        key, at = varint(content, at)
        number, wire = key >> 3, key & 7
        value: Any
        if wire == 0:
            value, at = varint(content, at)
        elif wire == 1:
            value, at = content[at : at + 8], at + 8
        else:
            assert wire == 2, f"wire type {wire}"
            length, at = varint(content, at)
            value, at = content[at : at + length], at + length
        yield number, value


def sample(content: bytes) -> tuple[int, int]:
    """(milliseconds, bits of the value)."""
    found = dict(fields(content))
    return found[2], struct.unpack("<Q", found[1])[0]


Series = tuple[tuple[tuple[str, str], ...], list[tuple[int, int]]]


def request_1_0(body: bytes) -> list[Series]:
    """[(labels in their order, samples)] of a WriteRequest."""
    result = []
    for number, series in fields(unsnappy(body)):
        assert number == 1
        labels, samples = [], []
        for kind, value in fields(series):
            if kind == 1:
                pair = dict(fields(value))
                labels.append((pair[1].decode(), pair[2].decode()))
            else:
                assert kind == 2
                samples.append(sample(value))
        result.append((tuple(labels), samples))
    return result


def request_2_0(body: bytes) -> list[Series]:
    """The same of an io.prometheus.write.v2.Request."""
    symbols: list[str] = []
    result = []
    for number, value in fields(unsnappy(body)):
        if number == 4:
            symbols.append(value.decode())
            continue
        assert number == 5
        labels, samples = [], []
        for kind, part in fields(value):
            if kind == 1:
                refs, at = [], 0
                while at < len(part):
                    ref, at = varint(part, at)
                    refs.append(symbols[ref])
                labels = list(zip(refs[::2], refs[1::2], strict=True))
            elif kind == 2:
                samples.append(sample(part))
            else:
                assert kind == 5
        result.append((tuple(labels), samples))
    assert symbols[:1] == [""]
    return result


def metadata_2_0(body: bytes) -> list[tuple[int, str, str] | None]:
    """(type, help, unit) of each series of an io.prometheus.write.v2.Request."""
    request = list(fields(unsnappy(body)))
    symbols = [value.decode() for number, value in request if number == 4]
    found = [dict(fields(value)).get(5) for number, value in request if number == 5]
    told = [None if one is None else dict(fields(one)) for one in found]
    return [None if one is None else (one[1], symbols[one[3]], symbols[one[4]]) for one in told]
