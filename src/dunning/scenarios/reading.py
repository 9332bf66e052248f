"""Strict reading of JSON-able content: every problem names its path, and all of them are found in one pass."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple, TypeVar

from dunning.kit.money import MoneyError, parse_minor
from dunning.scenarios.steps import Amount

CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
DAYS_MAX = 3650
TEXT_MAX = 2000

_Choice = TypeVar("_Choice", bound=StrEnum)


class Problem(NamedTuple):
    """Hold what is wrong at one place: `steps[2].trigger.offset_days`, `expected an integer`."""

    path: str
    message: str


class ContentReader:
    """Read one object of the content; what is wrong goes into `problems`, and a default stands in for it."""

    def __init__(self, content: object, path: str, problems: list[Problem]) -> None:
        self.path = path
        self.problems = problems
        self._seen: set[str] = set()
        self._content: Mapping[str, object] = {}
        if isinstance(content, Mapping):
            self._content = content
        else:
            problems.append(Problem(path or "content", "expected an object"))
            self.problems = []  # its keys are not missing one by one

    def problem(self, key: str, message: str) -> None:
        """Note what is wrong with one key."""
        self.problems.append(Problem(self.at(key), message))

    def at(self, key: str) -> str:
        """Return the path of a key."""
        return f"{self.path}.{key}" if self.path else key

    def take(self, key: str) -> object:
        """Return the raw value of a key, None where it is missing, and count the key as known."""
        self._seen.add(key)
        return self._content.get(key)

    def code(self, key: str) -> str:
        """Read a required code."""
        value = self.take(key)
        if isinstance(value, str) and CODE.fullmatch(value):
            return value
        self.problem(key, "expected a code of at most 63 letters, digits, '.', '_' or '-'")
        return ""

    def text(self, key: str, *, most: int = TEXT_MAX) -> str:
        """Read a required text that is not blank."""
        value = self.take(key)
        if isinstance(value, str) and value.strip() and len(value) <= most and "\0" not in value:
            return value
        self.problem(key, f"expected a text of at most {most} characters")
        return ""

    def integer(self, key: str, *, least: int = 0, most: int = DAYS_MAX) -> int | None:
        """Read an integer that may be missing or null."""
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            self.problem(key, "expected an integer")
            return None
        if not least <= value <= most:
            self.problem(key, f"expected an integer from {least} to {most}")
            return None
        return value

    def required_integer(self, key: str, *, least: int = 0, most: int = DAYS_MAX) -> int:
        """Read a required integer."""
        if self._content.get(key) is None:
            self._seen.add(key)
            self.problem(key, "expected an integer")
            return 0
        return self.integer(key, least=least, most=most) or 0

    def flag(self, key: str, *, default: bool) -> bool:
        """Read true or false."""
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.problem(key, "expected true or false")
            return default
        return value

    def choice(self, key: str, kind: type[_Choice], default: _Choice | None = None) -> _Choice:
        """Read one of the words of a vocabulary; without a default the key is required."""
        value = self.take(key)
        if value is None and default is not None:
            return default
        words = [word.value for word in kind]
        if isinstance(value, str) and value in words:
            return kind(value)
        self.problem(key, f"expected one of {', '.join(words)}{_meant(value, words)}")
        return default or next(iter(kind))

    def choices(self, key: str, kind: type[_Choice]) -> tuple[_Choice, ...]:
        """Read a list of words of a vocabulary."""
        words = [word.value for word in kind]
        found = []
        for index, value in enumerate(self._list(key)):
            if isinstance(value, str) and value in words:
                found.append(kind(value))
            else:
                self.problem(f"{key}[{index}]", f"expected one of {', '.join(words)}{_meant(value, words)}")
        return tuple(found)

    def codes(self, key: str) -> tuple[str, ...]:
        """Read a list of codes without repetition."""
        found: list[str] = []
        for index, value in enumerate(self._list(key)):
            if not isinstance(value, str) or not CODE.fullmatch(value):
                self.problem(f"{key}[{index}]", "expected a code such as dunning")
            elif value in found:
                self.problem(f"{key}[{index}]", f"{value} is named twice")
            else:
                found.append(value)
        return tuple(found)

    def amounts(self, key: str) -> tuple[Amount, ...]:
        """Read a list of amounts, at most one a currency, into minor units."""
        found: list[Amount] = []
        for reader in self.objects(key):
            amount, currency = reader.take("amount"), reader.take("currency")
            reader.close()
            if not isinstance(amount, str) or not isinstance(currency, str):
                reader.problem("amount", 'expected {"amount": "10.00", "currency": "EUR"}')
                continue
            try:
                minor = parse_minor(amount, currency)
            except MoneyError as error:
                reader.problem("amount", str(error))
                continue
            if minor < 0:
                reader.problem("amount", "expected an amount of 0 or more")
            elif any(other.currency == currency for other in found):
                reader.problem("currency", f"{currency} has an amount already")
            else:
                found.append(Amount(minor, currency))
        return tuple(sorted(found, key=lambda one: one.currency))

    def objects(self, key: str) -> Iterator[ContentReader]:
        """Yield a reader for each object of a list."""
        for index, value in enumerate(self._list(key)):
            yield ContentReader(value, self.at(f"{key}[{index}]"), self.problems)

    def part(self, key: str) -> ContentReader:
        """Return a reader for a required object."""
        return ContentReader(self.take(key), self.at(key), self.problems)

    def plain(self, key: str) -> dict[str, object]:
        """Read an object of any JSON values without floats, because money never is one."""
        value = self.take(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.problem(key, "expected an object")
            return {}
        self._check_plain(key, value)
        return dict(value)

    def close(self) -> None:
        """Note every key that nobody asked for."""
        for key in self._content:
            if key not in self._seen:
                self.problem(str(key), f"unknown key{_meant(key, sorted(self._seen))}")

    def _list(self, key: str) -> list[object]:
        value = self.take(key)
        if value is None:
            return []
        if isinstance(value, list | tuple):
            return list(value)
        self.problem(key, "expected a list")
        return []

    def _check_plain(self, path: str, value: object) -> None:
        if isinstance(value, Mapping):
            for key, part in value.items():
                if not isinstance(key, str):
                    self.problem(path, "expected texts as keys")
                self._check_plain(f"{path}.{key}", part)
        elif isinstance(value, list | tuple):
            for index, part in enumerate(value):
                self._check_plain(f"{path}[{index}]", part)
        elif not (value is None or isinstance(value, str | int | bool)):
            self.problem(path, "expected a text, an integer, true, false or null; write decimals as text")


def _meant(value: object, words: list[str]) -> str:
    near = difflib.get_close_matches(str(value), words, n=1)
    return f"; did you mean {near[0]}?" if near else ""
