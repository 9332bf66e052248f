"""Reports as files that are safe to open in a spreadsheet program: all pages, one after the other, while they are sent."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from fastapi.responses import StreamingResponse

from dunning.kit.database import ReadSession
from dunning.kit.spreadsheet import safe_cell
from dunning_api.schemas.base import Output

if TYPE_CHECKING:
    from dunning_api.deps import Work

CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "The whole report."}}
"""What an operation that answers with such a file documents."""
PageOf = Callable[[ReadSession, list[str] | None], Awaitable[tuple[Sequence[Any], list[str] | None]]]
"""Gives the rows of the page at a place, and the place of the next one; None at the end."""


def csv_file(work: Work, name: str, shape: type[Output], page: PageOf) -> StreamingResponse:
    """Answer with all pages as one file; what is made of several values stands in its cell as text."""

    async def lines() -> AsyncIterator[bytes]:
        yield _lines([list(shape.model_fields)])
        # The route's own transaction ends before the body is sent, so the stream opens one of its own.
        async with work.reading_again() as session:
            rows, place = await page(session, None)
            yield _shown(rows)
            while place is not None:
                rows, place = await page(session, place)
                yield _shown(rows)

    return StreamingResponse(lines(), media_type="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}.csv"'})


def _shown(rows: Sequence[Any]) -> bytes:
    return _lines([[_cell(value) for value in row.model_dump(mode="json").values()] for row in rows])


def _cell(value: Any) -> str:
    """Return a value as one cell: amounts with their currency, lists one after the other."""
    if value is None:
        return ""
    if isinstance(value, dict):
        words = f"{value['amount']} {value['currency']}" if set(value) == {"amount", "currency"} else ", ".join(f"{k}: {_cell(v)}" for k, v in value.items())
        return safe_cell(words)
    return safe_cell("; ".join(_cell(one) for one in value) if isinstance(value, list) else str(value))


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
