"""The Snapshot as JSON, for programs that are no scrapers: names and units as in `energyd.aggregate.snapshot`.

Pairs of a name and a value become an object. What a meter says bears its unit behind its label (`SINSTS_VA`). Integers stay exact;
those above 2**53 need a reader that keeps them so. A value that is not a finite number is null.
"""

import json
from collections.abc import Iterable
from functools import lru_cache
from math import isfinite
from typing import Any, Final, cast, get_args, get_origin, get_type_hints

from energyd import ticfields
from energyd.aggregate.snapshot import Meter, Snapshot

_UNITS: Final = {field.label: field.unit for field in ticfields.FIELDS}


def document(snapshot: Snapshot) -> bytes:
    """The whole Snapshot as one JSON object."""
    return (
        json.dumps(_plain(snapshot), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        pairs = _fields_of_pairs(type(value))
        fields: dict[str, Any] = cast(Any, value)._asdict()
        if isinstance(value, Meter):
            fields["quantities"] = [(_with_unit(label), number) for label, number in value.quantities]
        return {name: _object(item) if name in pairs else _plain(item) for name, item in fields.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _object(pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    return {str(name): _plain(item) for name, item in pairs}


@lru_cache(maxsize=64)
def _fields_of_pairs(kind: type[Any]) -> frozenset[str]:
    """The fields that are tuples of (name, value)."""
    return frozenset(name for name, hint in get_type_hints(kind).items() if _is_pairs(hint))


def _is_pairs(hint: Any) -> bool:
    if get_origin(hint) is not tuple:
        return False
    [item, *rest] = get_args(hint)
    return rest == [Ellipsis] and get_origin(item) is tuple and len(get_args(item)) == 2 and Ellipsis not in get_args(item)


def _with_unit(label: str) -> str:
    unit = _UNITS.get(label, "")
    return f"{label}_{unit}" if unit and unit != "bits" else label
