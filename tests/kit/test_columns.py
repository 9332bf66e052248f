from __future__ import annotations

import pytest

from dunning.kit.columns import columns_of

TYPES = {"id": "int", "word": "text", "day": "date", "data": "jsonb"}


def test_a_column_that_is_the_same_in_all_rows_is_sent_once():
    columns = columns_of(TYPES, [(1, "a", None, {}), (2, "a", None, {})], first=3)
    assert columns.selected == "u.id, $4::text, $5::date, $6::jsonb"
    assert (columns.source, columns.values) == ("unnest($3::int[]) as u(id)", [(1, 2), "a", None, {}])


def test_a_column_that_differs_in_one_row_is_sent_as_an_array():
    columns = columns_of(TYPES, [(1, "a", None, {}), (2, "b", None, {}), (3, "a", None, {})], first=1)
    assert (columns.selected, columns.source) == ("u.id, u.word, $3::date, $4::jsonb", "unnest($1::int[], $2::text[]) as u(id, word)")
    assert columns.values == [(1, 2, 3), ("a", "b", "a"), None, {}]


def test_one_row_says_by_its_first_column_that_it_is_one():
    columns = columns_of(TYPES, [(7, "a", None, {"x": 1})], first=1)
    assert columns.source == "unnest($1::int[], $4::jsonb[]) as u(id, data)"


async def test_objects_that_python_calls_equal_stay_what_they_are(session):
    """True and 1 are equal in Python and different in JSON."""
    rows = [(1, "a", None, {"x": True}), (2, "a", None, {"x": 1})]
    columns = columns_of(TYPES, rows, first=1)
    found = await session.rows(f"select id, word, day, data::text as data from (select {columns.selected} from {columns.source}) as r(id, word, day, data)", *columns.values)  # fmt: skip
    assert [tuple(row.values()) for row in found] == [(1, "a", None, '{"x": true}'), (2, "a", None, '{"x": 1}')]


@pytest.mark.parametrize("rows", [1, 2, 5])
async def test_the_rows_arrive_as_they_were_given(session, rows):
    given = [(n, "w" if n else "v", None, {}) for n in range(rows)]
    columns = columns_of(TYPES, given, first=1)
    found = await session.rows(f"select {columns.selected} from {columns.source}", *columns.values)
    assert [tuple(row.values()) for row in found] == given
