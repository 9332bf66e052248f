"""A receivables file as a replay reads it: one row an invoice, with the day on which it was settled."""

from __future__ import annotations

import csv
import datetime as dt
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from dunning.kit.errors import Malformed
from dunning.kit.money import MoneyError, parse_minor

FAULTS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns, how dates are written, and the one currency of the file."""

    customer: str
    invoice: str
    issued: str
    due: str
    amount: str
    settled: str
    disputed: str
    date_format: str
    currency: str


@dataclass(frozen=True, slots=True)
class Invoice:
    """One row: `settled_on` is None while it is open."""

    customer: str
    number: str
    issued_on: dt.date
    due_on: dt.date
    amount: str
    settled_on: dt.date | None
    disputed: bool


def read_file(path: Path, columns: Columns) -> list[Invoice]:
    """Read the whole file, oldest first; raise `Malformed` naming the first wrong rows, fields and what was expected."""
    if not path.exists():
        msg = f"{path} does not exist."
        raise Malformed(msg)
    invoices: list[Invoice] = []
    faults: list[str] = []
    seen: dict[str, int] = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        wanted = {columns.customer, columns.invoice, columns.issued, columns.due, columns.amount, columns.settled, columns.disputed}
        missing = sorted(wanted - set(reader.fieldnames or []))
        if missing:
            msg = f"{path.name} lacks the columns {', '.join(missing)}; it has {', '.join(reader.fieldnames or ['none'])}. Name yours with the options."
            raise Malformed(msg)
        for number, row in enumerate(reader, 2):
            try:
                invoice = _invoice(row, columns)
            except ValueError as error:
                faults.append(f"row {number}: {error}")
                continue
            if invoice.number in seen:
                faults.append(f"row {number}: {columns.invoice} {invoice.number} stands in row {seen[invoice.number]} already")
            seen[invoice.number] = number
            invoices.append(invoice)
    if faults:
        more = f" … and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
        msg = f"{path.name}: {'; '.join(faults[:FAULTS_SHOWN])}{more}. Nothing was replayed."
        raise Malformed(msg)
    if not invoices:
        msg = f"{path.name} has no rows."
        raise Malformed(msg)
    return sorted(invoices, key=lambda invoice: (invoice.issued_on, invoice.number))


def _invoice(row: dict[str, str], columns: Columns) -> Invoice:
    settled = (row[columns.settled] or "").strip()
    return Invoice(
        customer=_given(row, columns.customer),
        number=_given(row, columns.invoice),
        issued_on=_day(row, columns.issued, columns.date_format),
        due_on=_day(row, columns.due, columns.date_format),
        amount=_amount(row, columns),
        settled_on=_day(row, columns.settled, columns.date_format) if settled else None,
        disputed=(row[columns.disputed] or "").strip().lower() in {"yes", "y", "true", "1"},
    )


def _given(row: dict[str, str], column: str) -> str:
    text = (row[column] or "").strip()
    if not text:
        msg = f"{column} is empty"
        raise ValueError(msg)
    return text


def _day(row: dict[str, str], column: str, date_format: str) -> dt.date:
    try:
        return dt.datetime.strptime(_given(row, column), date_format).replace(tzinfo=dt.UTC).date()
    except ValueError:
        msg = f"{column} is {row[column]!r}: expected a day written as {date_format}"
        raise ValueError(msg) from None


def _amount(row: dict[str, str], columns: Columns) -> str:
    given = _given(row, columns.amount)
    try:
        text = f"{Decimal(given):f}"
    except InvalidOperation:
        msg = f"{columns.amount} is {given!r}: expected an amount such as 1234.50"
        raise ValueError(msg) from None
    try:
        minor = parse_minor(text, columns.currency)
    except MoneyError as error:
        msg = f"{columns.amount}: {error}"
        raise ValueError(msg) from None
    if minor <= 0:
        msg = f"{columns.amount} is {text}: expected an amount above zero"
        raise ValueError(msg)
    return text
