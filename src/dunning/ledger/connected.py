"""Which rows of a file bear on one another: those that name the same customer, document, item or receipt, directly or through others.

Rows that do not are answered alike whether they are applied together or apart. That lets a dry run try a file piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

Noun = Literal["customer", "document", "item", "item_id", "receipt", "ledger"]


class Name(NamedTuple):
    """How a row names an object: by its external id, or an item by its own."""

    noun: Noun
    called: str


class Connections:
    """Names that bear on one another, joined as they come to be known."""

    def __init__(self) -> None:
        self._above: dict[Name, Name] = {}

    def join(self, names: Sequence[Name]) -> None:
        """Note that some names bear on one another; joining them again changes nothing."""
        for name in names[1:]:
            one, other = self.root(names[0]), self.root(name)
            if one != other:
                self._above[other] = one
        if len(names) == 1:
            self._above.setdefault(names[0], names[0])

    def root(self, name: Name) -> Name:
        """Return the name that stands for all that are joined with this one."""
        path: list[Name] = []
        above = self._above.setdefault(name, name)
        while above != name:
            path.append(name)
            name, above = above, self._above[above]
        for passed in path:
            self._above[passed] = name
        return name

    def by_root(self, noun: Noun) -> dict[Name, list[str]]:
        """Return all names of one sort by the name that stands for them and what they are joined with."""
        found: dict[Name, list[str]] = {}
        for name in [name for name in self._above if name.noun == noun]:
            found.setdefault(self.root(name), []).append(name.called)
        return found

    def named(self, noun: Noun) -> list[str]:
        """Return all names of one sort."""
        return [name.called for name in self._above if name.noun == noun]


def pieces_of(rows: Iterable[tuple[int, Name | None]], connections: Connections, size: int) -> list[list[int]]:
    """Split rows, given as number and one of the names, into pieces of about `size` rows of which none bears on a row of another.

    A row without a name bears on none. What belongs together stays together, so a piece can be as large as the largest such part of the file.
    """
    together: dict[Name | int, list[int]] = {}
    for row_no, name in rows:
        together.setdefault(row_no if name is None else connections.root(name), []).append(row_no)
    pieces: list[list[int]] = [[]]
    for part in together.values():
        if len(pieces[-1]) >= size or (pieces[-1] and len(pieces[-1]) + len(part) > size):
            pieces.append([])
        pieces[-1].extend(part)
    return [piece for piece in pieces if piece]
