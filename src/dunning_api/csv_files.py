"""Lists and reports as files that are safe to open in a spreadsheet program, written while they are sent.

One row of a report may be several lines, one a currency: the column `currency` says which, and amounts are plain numbers beside it. What a row without
amounts says stands in one line. Whether something is so is `true` or `false`, days and instants are ISO 8601, and addresses are whole.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from fastapi.responses import StreamingResponse

from dunning.kit.database import ReadSession
from dunning.kit.spreadsheet import safe_cell
from dunning_api.schemas.base import Output

if TYPE_CHECKING:
    from dunning_api.deps import Work

CSV: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/csv": {"schema": {"type": "string"}}},
        "description": "All of it; a row with amounts has a line a currency, with the column `currency` and plain numbers. `true` or `false`, ISO 8601 days, whole addresses.",
    }
}
"""What an operation that answers with such a file documents."""
Rows = Callable[[ReadSession], AsyncIterator[Sequence[Any]]]
"""Gives the rows of a file, some at a time."""
PageOf = Callable[[ReadSession, list[str] | None], Awaitable[tuple[Sequence[Any], list[str] | None]]]
"""Gives the rows of the page at a place, and the place of the next one; None at the end."""


def csv_file(work: Work, name: str, shape: type[Output], page: PageOf) -> StreamingResponse:
    """Answer with all pages of a report as one file."""

    async def pages(session: ReadSession) -> AsyncIterator[Sequence[Any]]:
        rows, place = await page(session, None)
        yield rows
        while place is not None:
            rows, place = await page(session, place)
            yield rows

    return csv_stream(work, name, shape, pages)


def csv_stream(work: Work, name: str, shape: type[Output], rows: Rows) -> StreamingResponse:
    """Answer with rows of a shape as one file."""

    async def lines() -> AsyncIterator[bytes]:
        yield _written([header(shape)])
        # The route's own transaction ends before the body is sent, so the stream opens one of its own.
        async with work.reading_again() as session:
            async for some in rows(session):
                yield _written([line for row in some for line in lines_of(row, work.settings.public_url)])

    return StreamingResponse(lines(), media_type="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}.csv"'})


def header(shape: type[Output]) -> list[str]:
    """Return the columns of a shape: a part of it has a column a field, amounts a currency have `currency` and a column each."""
    found = []
    for name, field in shape.model_fields.items():
        part, many = _part_of(field.annotation)
        if part is None or (many and not _by_currency(part)):
            found.append(name)
        else:
            found += _amount_columns(part) if many else [f"{name}_{column}" for column in header(part)]
    return found


def lines_of(row: Output, public_url: str) -> list[list[str]]:
    """Return the lines of one row, at least one."""
    shown = row.model_dump(mode="json")
    amounts = next((shown[name] for name, field in type(row).model_fields.items() if _is_amounts(field.annotation)), None) or [None]
    return [_line(type(row), shown, one, public_url) for one in amounts]


def _line(shape: type[Output], shown: Mapping[str, Any] | None, amounts: Mapping[str, Any] | None, public_url: str) -> list[str]:
    cells = []
    for name, field in shape.model_fields.items():
        part, many = _part_of(field.annotation)
        value = None if shown is None else shown[name]
        if part is None or (many and not _by_currency(part)):
            cells.append(safe_cell(_text(name, value, public_url)))
        elif many:
            cells += [_amount(None if amounts is None else amounts[column if column in part.model_fields else name]) for column in _amount_columns(part)]
        else:
            cells += _line(part, value, None, public_url)
    return cells


def _part_of(annotation: Any) -> tuple[type[Output] | None, bool]:
    """Return the shape that a field holds, and whether it holds many of it; None where it holds plain values."""
    if get_origin(annotation) in {Union, UnionType}:
        annotation = next(one for one in get_args(annotation) if one is not type(None))
    many = get_origin(annotation) is list
    inner = get_args(annotation)[0] if many else annotation
    return (inner if isinstance(inner, type) and issubclass(inner, Output) else None), many


def _by_currency(part: type[Output]) -> bool:
    return "currency" in part.model_fields


def _is_amounts(annotation: Any) -> bool:
    part, many = _part_of(annotation)
    return many and part is not None and _by_currency(part)


def _amount_columns(part: type[Output]) -> list[str]:
    return ["currency", *(name for name in part.model_fields if name != "currency")]


def _amount(value: Any) -> str:
    """Return an amount as a plain number, or its currency; nothing where there is none."""
    return "" if value is None else safe_cell(value["amount"] if isinstance(value, dict) else str(value))


def _text(name: str, value: Any, public_url: str) -> str:
    """Return a value as one text: lists one after the other, parts with their names."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        if set(value) == {"amount", "currency"}:
            return f"{value['amount']} {value['currency']}"
        return ", ".join(f"{part}: {_text(part, one, public_url)}" for part, one in value.items())
    if isinstance(value, list):
        return "; ".join(_text(name, one, public_url) for one in value)
    text = str(value)
    return f"{public_url.rstrip('/')}{text}" if name.endswith("url") and text.startswith("/") else text


def _written(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
