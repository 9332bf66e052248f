"""I1, I2: whatever a file holds, each row becomes an object or one fault that can be stored and shown."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dunning.ledger.import_files import FileRow, FileShape, WrongShape, read_rows
from dunning_worker.jobs.imports import KINDS

CUSTOMER = b'{"kind": "customer", "external_id": "C-1", "name": "Fine"}'


def storable(row: FileRow) -> bool:
    texts = [row.kind, row.external_id or "", row.raw, row.field or "", row.message or ""]
    return all("\x00" not in text and text.encode() is not None for text in texts)


@given(st.lists(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda t: json.dumps({"kind": "customer", "external_id": t, "name": t}).encode()))))
def test_hostile_lines_are_objects_or_faults_and_never_an_error(lines):
    content = b"\n".join([CUSTOMER, *(line.replace(b"\n", b" ") for line in lines)])
    rows = list(read_rows(content, FileShape("ndjson", "mixed"), KINDS))
    assert rows[0].external_id == "C-1"
    assert [row.row_no for row in rows] == list(range(1, len(rows) + 1))
    assert all(storable(row) for row in rows)
    assert all((row.stated is None) == (row.message is not None) for row in rows)


@given(st.lists(st.lists(st.one_of(st.text(max_size=20).map(lambda t: t.encode("utf-8", "replace")), st.binary(max_size=20)), min_size=2, max_size=3)))
def test_hostile_cells_are_objects_or_faults_and_never_an_error(rows):
    content = b"external_id,name\n" + b"\n".join(b",".join(cells) for cells in rows)
    found = list(read_rows(content, FileShape("csv", "customers"), KINDS))
    assert all(storable(row) for row in found)
    assert all((row.stated is None) == (row.message is not None) for row in found)


@pytest.mark.parametrize(
    "line",
    [
        b'{"kind": "customer", "external_id": "\\ud800", "name": "x"}',
        b'{"kind": "customer", "external_id": "a\\u0000b", "name": "x"}',
        b"[" * 100_000,
        b'{"kind": "customer", "external_id": "C", "name": ' + b"1" * 100_000 + b"}",
        b'{"kind": "customer", "external_id": "C", "name": "' + b"x" * 100_000 + b'"}',
        b'{"kind": "customer", "external_id": "C", "name": "x", "custom": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
        b"\xff\xfe",
    ],
)
def test_a_hostile_line_is_one_named_fault_beside_the_good_ones(line):
    rows = list(read_rows(CUSTOMER + b"\n" + line + b"\n" + CUSTOMER, FileShape("ndjson", "customers"), KINDS))
    assert [row.stated is None for row in rows] == [False, True, False]
    assert storable(rows[1])
    assert len(rows[1].raw) <= 2000


def test_amounts_keep_every_cent_and_more_decimals_than_the_currency_has_are_refused():
    def document(amount: str, currency: str) -> bytes:
        row = {"kind": "document", "external_id": "D", "customer_external_id": "C", "number": "1", "document_on": "2026-01-01", "due_on": "2026-01-31"}
        return json.dumps({**row, "total": {"amount": amount, "currency": currency}}).encode()

    cases = [("0.10", "EUR", 10), ("1000", "JPY", 1000), ("1.001", "TND", 1001), ("1.001", "EUR", None), ("1.5", "JPY", None), ("1e3", "EUR", None)]
    for amount, currency, minor in cases:
        row = next(iter(read_rows(document(amount, currency), FileShape("ndjson", "documents"), KINDS)))
        assert (row.stated.total.minor if row.stated else None) == minor, (amount, currency)


@pytest.mark.parametrize("content", [b"", b"  \n ", b"\xef\xbb\xbf"])
def test_an_empty_file_is_of_the_wrong_shape(content):
    with pytest.raises(WrongShape):
        read_rows(content, FileShape("ndjson", "mixed"), KINDS)
