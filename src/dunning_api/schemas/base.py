"""What all schemas share: strict input without unknown fields, output without defaults, money, pages."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Generic, Self, TypeVar, cast

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, model_validator
from pydantic_core import core_schema

from dunning.kit.money import Money, MoneyError, format_minor, parse_minor

T = TypeVar("T")


def _clean(value: str) -> str:
    if "\0" in value:
        msg = "holds a NUL character, which cannot be stored"
        raise ValueError(msg)
    try:
        value.encode()
    except UnicodeEncodeError:
        msg = "holds half a surrogate pair, which is not text"
        raise ValueError(msg) from None
    return value


Text = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_clean)]
"""One line or a few of text."""
LongText = Annotated[str, Field(min_length=1, max_length=10_000), AfterValidator(_clean)]
"""A comment or note."""
ExternalId = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s/\x00][^\x00/]*$"), AfterValidator(_clean)]
"""The ERP's own id: up to 200 characters, no slash, no leading space."""
Language = Annotated[str, Field(pattern=r"^(en|es|it|fr)$", description="Language: en, es, it or fr.", examples=["en"])]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code.", examples=["EUR"])]


_WRITTEN_AS_TEXT = frozenset({"date", "time", "datetime", "timedelta"})
_NUMBER = re.compile(r"\s*[+-]?[\d.]+\s*")
_OWN_KINDS = frozenset({"int", "float", "bool"})


def _exact(node: Any) -> Any:
    """Return a core schema in which numbers and flags are not made from text, and days and instants are not made from numbers."""
    if isinstance(node, list | tuple):
        return type(node)(_exact(part) for part in node)
    if not isinstance(node, dict):
        return node
    kind = node.get("type")
    if kind == "function-before" and node["function"]["function"] is _only_text_of_days:
        return node  # a part that is an Input itself has been through here
    made = {key: part if key in {"metadata", "serialization", "default", "config"} else _exact(part) for key, part in node.items()}
    if kind in _OWN_KINDS:
        made["strict"] = True
    return core_schema.no_info_before_validator_function(_only_text_of_days, made) if kind in _WRITTEN_AS_TEXT else made


def _only_text_of_days(value: Any) -> Any:
    if isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        msg = 'a day is text such as "2026-03-02", an instant text such as "2026-03-02T08:00:00Z"'
        raise ValueError(msg)  # pydantic reports ValueError as a field error
    return value


class Input(BaseModel):
    """A request body or a part of it: unknown fields are refused, and `"7"` is not taken for 7, nor 1 for true or for a day in 1970."""

    model_config = ConfigDict(extra="forbid", str_max_length=100_000, ser_json_inf_nan="strings")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Refuse coercion throughout."""
        return cast("core_schema.CoreSchema", _exact(handler(source)))

    def given(self) -> dict[str, Any]:
        """Return the fields that were given, by name, as Python values."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    @model_validator(mode="after")
    def _no_nul(self) -> Self:
        for name in self.model_fields_set:
            value = getattr(self, name)
            if isinstance(value, str):
                try:
                    _clean(value)
                except ValueError as error:
                    msg = f"{name} {error}"
                    raise ValueError(msg) from None
        return self


class Output(BaseModel):
    """A response body: every field is always there."""

    model_config = ConfigDict(from_attributes=True, extra="forbid")


_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,4})?")


def _only_text(value: Any) -> Any:
    if not isinstance(value, str):
        msg = 'an amount is text such as "1234.50", never a number'
        raise ValueError(msg)  # noqa: TRY004  # pydantic reports ValueError as a field error
    if not _DECIMAL.fullmatch(value):
        msg = f'{value[:40]!r} is not decimal text with a point, such as "1234.50"'
        raise ValueError(msg)
    return value


Day = Annotated[dt.date, BeforeValidator(_only_text_of_days)]
"""A day in a query: `2026-03-02`, and not the seconds of some clock."""
Instant = Annotated[AwareDatetime, BeforeValidator(_only_text_of_days)]
"""An instant in a query, with its zone."""


class MoneyIn(Input):
    """An amount as decimal text with its currency."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"amount": "1234.50", "currency": "EUR"}]})

    amount: Annotated[str, BeforeValidator(_only_text), Field(pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,4})?$", description="Decimal text with a point.")]
    currency: Currency

    @model_validator(mode="after")
    def _known(self) -> Self:
        try:
            parse_minor(self.amount, self.currency)
        except MoneyError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def money(self) -> Money:
        """The exact amount."""
        return Money.parse(self.amount, self.currency)


class MoneyOut(Output):
    """An amount as decimal text with its currency."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": "1234.50", "currency": "EUR"}]})

    amount: str
    currency: str

    @classmethod
    def of(cls, minor: int, currency: str) -> MoneyOut:
        """Write minor units."""
        return cls(amount=format_minor(minor, currency), currency=currency)


class Page(Output, Generic[T]):
    """One page of a list; `next_cursor` is null on the last."""

    data: list[T]
    next_cursor: str | None
