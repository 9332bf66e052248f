"""What all schemas share: strict input without unknown fields, output without defaults, money, pages."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

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


class Input(BaseModel):
    """A request body or a part of it: unknown fields are refused, values are not coerced."""

    model_config = ConfigDict(extra="forbid", strict=False, str_max_length=100_000, ser_json_inf_nan="strings")

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


def _only_text(value: Any) -> Any:
    if not isinstance(value, str):
        msg = 'an amount is text such as "1234.50", never a number'
        raise ValueError(msg)  # noqa: TRY004  # pydantic reports ValueError as a field error
    return value


class MoneyIn(Input):
    """An amount as decimal text with its currency."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"amount": "1234.50", "currency": "EUR"}]})

    amount: Annotated[str, BeforeValidator(_only_text), Field(pattern=r"^-?\d{1,15}(\.\d{1,4})?$", description="Decimal text with a point.")]
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
