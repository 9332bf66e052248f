"""What a relay has accepted and which faults it has shown, line by line in a file that outlives every process that is killed."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tests.fakes.behaviours import Behaviour

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Accepted:
    """One accepted mail. `at` is UTC (ISO 8601), `sha256` is of the bytes as sent, `answered` tells whether the 250 was to be written."""

    at: str
    connection_no: int
    sender: str
    recipients: tuple[str, ...]
    message_id: str
    sha256: str
    size: int
    behaviour: str
    answered: bool


class Journal:
    """Accepted mails and faults, in memory and, with a path, as JSON lines; each line is one write, done before the relay answers."""

    def __init__(self, path: Path | None = None) -> None:
        self.accepted: list[Accepted] = []
        self.faults: Counter[Behaviour] = Counter()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if path is not None else None

    def add(self, mail: Accepted) -> None:
        """Write down one accepted mail."""
        self.accepted.append(mail)
        self._write({"kind": "accepted", **asdict(mail)})

    def add_fault(self, behaviour: Behaviour) -> None:
        """Write down that a fault was shown, so that a fault which never came up can be found (promises 2.6)."""
        self.faults[behaviour] += 1
        self._write({"kind": "fault", "behaviour": behaviour.value})

    def close(self) -> None:
        """Close the file; twice is harmless."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, entry: dict[str, object]) -> None:
        if self._descriptor is not None:
            os.write(self._descriptor, json.dumps(entry, separators=(",", ":")).encode() + b"\n")


def read_journal(path: Path) -> list[Accepted]:
    """Return the accepted mails of a journal file in their order; a line that a kill cut short was never answered and is left out."""
    entries = [_entry(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    return [
        Accepted(**{**{k: v for k, v in entry.items() if k != "kind"}, "recipients": tuple(entry["recipients"])})
        for entry in entries
        if entry is not None and entry["kind"] == "accepted"
    ]


def read_faults(path: Path) -> Counter[Behaviour]:
    """Return how often each fault was shown according to a journal file."""
    entries = [_entry(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    return Counter(Behaviour(entry["behaviour"]) for entry in entries if entry is not None and entry["kind"] == "fault")


def duplicates(accepted: list[Accepted]) -> dict[str, int]:
    """Return the Message-IDs that were accepted more than once, with their counts (promise D1)."""
    return {message_id: count for message_id, count in Counter(mail.message_id for mail in accepted).items() if count > 1}


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return entry
