"""The 64-byte samples of `energyd.samples` as numpy dtypes: what the aggregator sees of the bytes that readers packed."""

from typing import Any

import numpy as np

from energyd.samples import SERVICE as SERVICE_SCHEMA
from energyd.samples import Schema

HEAD_FIELDS = [("seq", "<u8"), ("mono_ns", "<i8"), ("batch", "<u4"), ("kind", "<u2"), ("status", "<u2")]


def dtype_of(schema: Schema) -> "np.dtype[Any]":
    """The dtype of one whole record of `schema`: head, payload fields, check."""
    return np.dtype([*HEAD_FIELDS, *schema.fields, ("check", "<u8")])


SERVICE = dtype_of(SERVICE_SCHEMA)
"""How records of kind >= samples.VOID read, in every ring: `records.view(SERVICE)`."""
