"""Reading imported files row by row: NDJSON and CSV into stated objects, or into one clear fault a row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, TypeAdapter, ValidationError

from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import TenantId
from dunning.ledger.connected import Name
from dunning.ledger.ledger_store import Ledger
from dunning.ledger.outcomes import RowOutcome

RAW_KEPT = 2000
"""Characters of a row's text that are kept beside its fault."""
SHAPE_ROWS = 20
"""Rows looked at to tell a file of the wrong shape."""
BOM = b"\xef\xbb\xbf"


class Applier(Protocol):
    """Writes many stated objects of one kind and says for each what became of it."""

    def __call__(self, session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger: Ledger, rows: Sequence[Any]) -> Awaitable[list[RowOutcome]]:
        """Write the rows in the caller's transaction."""
        ...


@dataclass(frozen=True, slots=True)
class KindOfRow:
    """A kind of object that files may hold.

    `columns` name the places of CSV cells in the object, a dot for each level; `complete` fills in what cells leave out. `amount_of` is the
    currency and amount that count in control totals and sums, in minor units. `names` are the objects that a row is about or refers to.
    """

    name: str
    plural: str
    model: type[BaseModel]
    columns: Mapping[str, tuple[str, ...]]
    required: frozenset[str]
    apply: Applier
    amount_of: Callable[[Any], tuple[str, int] | None]
    names: Callable[[Any], list[Name]]
    complete: Callable[[dict[str, Any]], None] = lambda _stated: None


@dataclass(frozen=True, slots=True)
class FileShape:
    """How a file is to be read."""

    format: str
    kind: str
    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row of a file: the object it states, or what is wrong with it. `row_no` counts data rows from 1."""

    row_no: int
    kind: str
    stated: Any
    external_id: str | None
    raw: str
    field: str | None = None
    message: str | None = None


class WrongShape(Exception):
    """The file is not what it was said to be; nothing of it was read."""


def read_rows(content: bytes, shape: FileShape, kinds: Mapping[str, KindOfRow]) -> Iterator[FileRow]:
    """Yield the rows of a file; raise `WrongShape` with one sentence when it is not of the stated kind and format."""
    content = content.removeprefix(BOM)
    if not content.strip():
        msg = "The file is empty."
        raise WrongShape(msg)
    wanted = [kind for kind in kinds.values() if shape.kind in {kind.plural, "mixed"}]
    if shape.format == "csv":
        return _csv_rows(content, shape, wanted[0])
    adapters = {kind.name: TypeAdapter(kind.model) for kind in wanted}
    only = wanted[0].name if len(wanted) == 1 else None
    _check_json_shape(content, adapters, only)
    return _json_rows(content, adapters, only)


def _json_rows(content: bytes, adapters: Mapping[str, TypeAdapter[Any]], only: str | None) -> Iterator[FileRow]:
    row_no = 0
    for line in io.BytesIO(content):
        text = line.strip()
        if not text:
            continue
        row_no += 1
        name = only or _kind_named(text) or ""
        if name not in adapters:
            yield _bad_row(row_no, name, text, "kind", f"expected one of {', '.join(adapters)}")
            continue
        try:
            stated = adapters[name].validate_json(text)
        except ValidationError as error:
            yield _bad_row(row_no, name, text, *first_fault(error))
            continue
        yield FileRow(row_no, name, stated, getattr(stated, "external_id", None), "")


_NAMES = {b"customer": "customer", b"document": "document", b"receipt": "receipt", b"hold": "hold"}


def _kind_named(text: bytes) -> str | None:
    # Most files begin each row with its kind; only the others are read twice.
    head = text[:40].replace(b" ", b"")
    if head.startswith(b'{"kind":"'):
        return _NAMES.get(head[9:].partition(b'"')[0]) or _kind_parsed(text)
    return _kind_parsed(text)


def _kind_parsed(text: bytes) -> str | None:
    found = _object_of(text)
    kind = found.get("kind") if found is not None else None
    return kind if isinstance(kind, str) else None


def _object_of(text: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _check_json_shape(content: bytes, adapters: Mapping[str, Any], only: str | None) -> None:
    first = ""
    seen = 0
    for line in io.BytesIO(content):
        if not line.strip():
            continue
        seen += 1
        found = _object_of(line.strip())
        if found is not None and found.get("kind", only) in adapters:
            return
        first = first or line.strip()[:80].decode("utf-8", "replace")
        if seen == SHAPE_ROWS:
            break
    expected = f'a JSON object a line, such as {{"kind": "{only or next(iter(adapters))}", "external_id": "…", …}}'
    msg = f"The file is not NDJSON of this kind: expected {expected}; row 1 begins {first!r}. Nothing was imported."
    raise WrongShape(msg)


def _csv_rows(content: bytes, shape: FileShape, kind: KindOfRow) -> Iterator[FileRow]:
    # Bytes that are not of the encoding come through as lone surrogates, so that a fault can name its row.
    lines = io.TextIOWrapper(io.BytesIO(content), encoding=shape.encoding, errors="surrogateescape", newline="")
    reader = csv.reader(lines, delimiter=shape.delimiter, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader)]
    except (csv.Error, StopIteration) as error:
        msg = f"The first line is not a CSV header: {error}. Nothing was imported."
        raise WrongShape(msg) from None
    _check_header(header, shape, kind)
    return _csv_objects(reader, header, shape, TypeAdapter(kind.model), kind)


def _check_header(header: list[str], shape: FileShape, kind: KindOfRow) -> None:
    other = ";" if shape.delimiter == "," else ","
    if len(header) == 1 and other in header[0]:
        msg = f"The header has one column only; the file seems to use {other!r}: repeat with delimiter={other}. Nothing was imported."
        raise WrongShape(msg)
    unknown = [name or "(empty)" for name in header if name not in kind.columns]
    missing = sorted(kind.required - set(header))
    twice = sorted({name for name in header if header.count(name) > 1})
    faults = [
        f"{words} {', '.join(names)}" for words, names in (("missing columns", missing), ("unknown columns", unknown), ("repeated columns", twice)) if names
    ]
    if faults:
        msg = f"The header does not fit {kind.plural}: {'; '.join(faults)}. Known columns: {', '.join(kind.columns)}. Nothing was imported."
        raise WrongShape(msg)


def _csv_objects(reader: Any, header: list[str], shape: FileShape, adapter: TypeAdapter[Any], kind: KindOfRow) -> Iterator[FileRow]:
    row_no = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            row_no += 1
            yield FileRow(row_no, kind.name, None, None, "", None, f"not readable as CSV: {error}")
            continue
        if not any(cell.strip() for cell in cells):
            continue
        row_no += 1
        yield _csv_object(row_no, cells, header, shape, adapter, kind)


def _csv_object(row_no: int, cells: list[str], header: list[str], shape: FileShape, adapter: TypeAdapter[Any], kind: KindOfRow) -> FileRow:
    raw = storable(shape.delimiter.join(cells))[:RAW_KEPT]
    if len(cells) != len(header):
        return FileRow(row_no, kind.name, None, None, raw, None, f"has {len(cells)} cells, the header {len(header)}")
    named = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    external_id = storable(named.get("external_id", ""))[:200] or None
    for name, cell in named.items():
        if any("\udc80" <= c <= "\udcff" for c in cell):
            message = f"is not {shape.encoding} text: save the file as UTF-8, or repeat with encoding=windows-1252"
            return FileRow(row_no, kind.name, None, external_id, raw, name, message)
    stated: dict[str, Any] = {}
    for name, cell in named.items():
        if cell:
            for place in kind.columns[name]:
                _put(stated, place, _value(name, cell, shape))
    kind.complete(stated)
    try:
        return FileRow(row_no, kind.name, adapter.validate_json(json.dumps(stated)), external_id, "")
    except ValidationError as error:
        field, message = first_fault(error)
        by_place = {place: name for name, places in kind.columns.items() for place in places}
        return FileRow(row_no, kind.name, None, external_id, raw, by_place.get(field, field), message)


def _value(name: str, cell: str, shape: FileShape) -> Any:
    if name in {"amount", "open_amount"} and shape.decimal == ",":
        # With a decimal comma, points are separators of thousands.
        return cell.replace(".", "").replace(",", ".")
    return cell


def _put(target: dict[str, Any], place: str, value: Any) -> None:
    *path, last = place.split(".")
    for step in path:
        if step == "0":
            continue
        following = target.get(step)
        if following is None:
            following = target[step] = [{}] if f"{step}.0" in place else {}
        target = following[0] if isinstance(following, list) else following
    if last.endswith("[]"):
        target[last[:-2]] = value.split()
    else:
        target[last] = value


def first_fault(error: ValidationError) -> tuple[str, str]:
    """Return field and message of the first thing that is wrong with a row."""
    fault = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in fault["loc"])
    return field, fault["msg"].removeprefix("Value error, ")


def _bad_row(row_no: int, kind: str, text: bytes, field: str, message: str) -> FileRow:
    found = _object_of(text)
    external_id = found.get("external_id") if found is not None else None
    named = storable(external_id)[:200] if isinstance(external_id, str) else None
    return FileRow(row_no, storable(kind)[:60], None, named, storable(text[:RAW_KEPT].decode("utf-8", "replace")), storable(field) or None, message)


def storable(text: str) -> str:
    """Return text as the database can keep it: without NUL, and without halves of characters."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
