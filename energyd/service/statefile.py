"""Small state on disk that survives any crash: written beside, synced, renamed; checked when read.

The file is an 8-byte tag, a CRC-32 of the rest, and one msgpack map. A damaged file is set aside and reported, never half believed.
"""

import os
import zlib
from pathlib import Path
from typing import Any

import msgpack

from energyd.errors import EnvironmentFault

_TAG = b"energyd1"


class DamagedState(Exception):
    """The file does not hold what was written; the message says what happened to it."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Replace `path` by `state` at once; EnvironmentFault if the disk does not let us (full, read-only)."""
    body = msgpack.packb(state)
    beside = path.with_name(path.name + ".new")
    try:
        with open(beside, "wb", opener=lambda name, flags: os.open(name, flags, 0o640)) as file:
            file.write(_TAG + zlib.crc32(body).to_bytes(4, "little") + body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        raise EnvironmentFault(
            f"{path}: state cannot be saved ({error.strerror}); free space or make {path.parent} writable, "
            "until then a crash of the aggregator loses what the rings no longer hold"
        ) from error


def load(path: Path) -> dict[str, Any] | None:
    """The state last saved, None if there is none. DamagedState if it cannot be used; it is then set aside as NAME.damaged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EnvironmentFault(f"{path}: saved state cannot be read ({error.strerror}); check its owner and mode") from error
    state = _unpacked(content)
    if state is not None:
        return state
    damaged = path.with_name(path.name + ".damaged")
    os.replace(path, damaged)
    raise DamagedState(f"{path} is damaged and was set aside as {damaged.name}; totals start anew from what the rings still hold")


def peek(path: Path) -> dict[str, Any] | None:
    """The state last saved, for those who only look: None if there is none that can be read, and nothing is moved."""
    try:
        return _unpacked(path.read_bytes())
    except OSError:
        return None


def _unpacked(content: bytes) -> dict[str, Any] | None:
    """None unless the tag and the checksum are right."""
    body = content[len(_TAG) + 4 :]
    checksum = int.from_bytes(content[len(_TAG) : len(_TAG) + 4], "little")
    if not body or content[: len(_TAG)] != _TAG or zlib.crc32(body) != checksum:
        return None
    state = msgpack.unpackb(body, strict_map_key=False)
    assert isinstance(state, dict), "BUG: a state that is no map was saved"
    return state
