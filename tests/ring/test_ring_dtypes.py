"""The bytes that `struct` packs in a reader are the ones that numpy sees in the aggregator."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energyd.ring.dtypes import SERVICE, dtype_of
from energyd.samples import HEAD_FORMAT, RAPL, RECORD_SIZE, SCHEMAS, SERVICE_FORMAT, TIC, USAGE
from energyd.samples import SERVICE as SERVICE_SCHEMA

u64 = st.integers(0, 2**64 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
u32 = st.integers(0, 2**32 - 1)
u16 = st.integers(0, 2**16 - 1)
heads = st.tuples(u64, i64, u32, u16, u16)
payloads = {
    TIC.name: st.tuples(i64, i64, st.binary(max_size=16).map(lambda text: text.rstrip(b"\0"))),
    RAPL.name: st.tuples(u64, u64, u64, u64),
    USAGE.name: st.tuples(u32, u32, u64, u64, u64),
    SERVICE_SCHEMA.name: st.tuples(u64, u64, u64, u64),
}


@pytest.mark.parametrize("schema", [*SCHEMAS.values(), SERVICE_SCHEMA], ids=lambda schema: schema.name)
@given(data=st.data())
def test_what_struct_packs_is_what_numpy_reads(schema, data):
    head, payload = data.draw(heads), data.draw(payloads[schema.name])

    packed = struct.pack(HEAD_FORMAT + schema.payload, *head, *payload) + bytes(8)

    assert np.frombuffer(packed, dtype_of(schema))[0].item() == (*head, *payload, 0)


@pytest.mark.parametrize("schema", [*SCHEMAS.values(), SERVICE_SCHEMA], ids=lambda schema: schema.name)
def test_every_record_has_64_bytes_and_every_field_lies_on_its_own_alignment(schema):
    dtype = dtype_of(schema)

    assert dtype.itemsize == RECORD_SIZE == struct.calcsize(HEAD_FORMAT + schema.payload) + 8
    for name in dtype.names:
        field, offset = dtype.fields[name]
        assert offset % min(field.itemsize, 8) == 0, name
    assert dtype.fields["check"][1] == RECORD_SIZE - 8


def test_service_records_have_one_layout_in_every_ring():
    assert SERVICE.names[5:9] == ("a", "b", "c", "d")
    assert struct.calcsize(SERVICE_FORMAT) == 32
