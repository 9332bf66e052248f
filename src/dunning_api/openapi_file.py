"""The contract of the API as a file: `python -m dunning_api.openapi_file` writes it, with `--check` tells whether it is up to date."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from functools import cache
from pathlib import Path

from dunning.kit.bell import NullBell
from dunning.kit.settings import Settings
from dunning.kit.signing import Keyring
from dunning_api.app import create_app

DEFAULT_PATH = Path("openapi/openapi.json")
DIFFERENCES_SHOWN = 40


@cache
def openapi_text() -> str:
    """Return the OpenAPI document of the application as it is, the same text each time."""
    app = create_app(None, Settings(), Keyring.parse(Keyring.generate("file")), NullBell())
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


def write(path: Path) -> None:
    """Write the document, making its folder where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(openapi_text(), encoding="utf-8")


def differences(path: Path) -> list[str]:
    """Return the first lines in which the file differs from the application; empty when it is up to date."""
    kept = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    lines = difflib.unified_diff(kept, openapi_text().splitlines(), str(path), "the application", lineterm="", n=1)
    return [line for line, _ in zip(lines, range(DIFFERENCES_SHOWN), strict=False)]


def main(arguments: list[str] | None = None) -> int:
    """Write or compare; return 1 when the comparison fails."""
    parser = argparse.ArgumentParser(prog="python -m dunning_api.openapi_file", description="Write the OpenAPI document, or compare it with the application.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing; exit 1 when the file is not up to date")
    parser.add_argument("path", nargs="?", type=Path, default=DEFAULT_PATH)
    given = parser.parse_args(arguments)
    if not given.check:
        write(given.path)
        return 0
    found = differences(given.path)
    if found:
        sys.stderr.write("\n".join([*found, f"{given.path} is not what the application answers. Run: python -m dunning_api.openapi_file", ""]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
