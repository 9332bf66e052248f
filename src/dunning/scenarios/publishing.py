"""What a new version of a scenario means for items that are on their way: pure, standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dunning.scenarios.compiled import Compiled


@dataclass(frozen=True, slots=True)
class ItemPlace:
    """Open items that have come the same way in a scenario: `reached` holds `(version, step code)` of all they completed or skipped.

    `item_ids` names the first of them, `count` tells how many there are.
    """

    reached: tuple[tuple[int, str], ...]
    count: int
    item_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Concern:
    """Why open items are concerned by a new version.

    `code_gone`: the step they reached is no longer there, so that they count as having reached `counts_as` (None: as new). `steps_added`: `steps` are new
    below their place and will be skipped as `added_later`.
    """

    kind: str
    reached: str
    counts_as: str | None
    steps: tuple[str, ...]
    count: int
    item_ids: tuple[str, ...]


def concerns(places: Sequence[ItemPlace], new: Compiled, versions: Mapping[int, Compiled]) -> list[Concern]:
    """Return what changes for open items when `new` is published, by kind and step reached.

    `versions` are the published versions that the places refer to; one that is missing counts as having no steps. Rule: plan, 13.
    """
    found: dict[tuple[str, str, str | None, tuple[str, ...]], list[ItemPlace]] = {}
    for place in places:
        for kind, reached, counts_as, steps in _changes(place, new, versions):
            found.setdefault((kind, reached, counts_as, steps), []).append(place)
    return [
        Concern(kind, reached, counts_as, steps, sum(p.count for p in same), tuple(i for p in same for i in p.item_ids))
        for (kind, reached, counts_as, steps), same in sorted(found.items(), key=lambda entry: (entry[0][0], entry[0][1]))
    ]


def _changes(place: ItemPlace, new: Compiled, versions: Mapping[int, Compiled]) -> list[tuple[str, str, str | None, tuple[str, ...]]]:
    best: tuple[int, int] | None = None
    reached = ""
    for version, code in place.reached:
        survives = new.surviving(code, versions.get(version))
        if survives is not None and (best is None or survives > best):
            best, reached = survives, code
    if best is None:
        return []
    index = best[0]
    changes: list[tuple[str, str, str | None, tuple[str, ...]]] = []
    if index < 0 or new.ladder[index].code != reached:
        changes.append(("code_gone", reached, new.ladder[index].code if index >= 0 else None, ()))
    known = {code for _, code in place.reached}
    added = tuple(step.code for step in new.ladder[: max(index, 0)] if step.code not in known)
    if added:
        changes.append(("steps_added", reached, None, added))
    return changes
