"""The templates that come with the product.

A folder a code, in it a folder a language with `subject.txt`, `body.txt` and `body.html`.

The HTML bodies share `layout.html`. A tenant starts from copies of these and makes them its own.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from dunning.messages.words import SUPPORTED_LANGUAGES

LINK_ONLY_CODE = "claim-link"
"""The template for mails of text and a link only: no amounts, no documents."""


@lru_cache(maxsize=1)
def _read() -> dict[str, dict[str, dict[str, str]]]:
    root = files(__name__)
    layout = root.joinpath("layout.html").read_text("utf-8")
    made: dict[str, dict[str, dict[str, str]]] = {}
    for folder in sorted(root.iterdir(), key=lambda entry: entry.name):
        if folder.joinpath(SUPPORTED_LANGUAGES[0], "subject.txt").is_file():
            made[folder.name] = {
                language: {
                    "subject": folder.joinpath(language, "subject.txt").read_text("utf-8").strip(),
                    "text": folder.joinpath(language, "body.txt").read_text("utf-8"),
                    "html": layout.replace("<!-- language -->", language).replace(
                        "<!-- content -->", folder.joinpath(language, "body.html").read_text("utf-8").strip()
                    ),
                }
                for language in SUPPORTED_LANGUAGES
            }
    return made


def shipped_templates() -> dict[str, dict[str, dict[str, str]]]:
    """Return the contents of each shipped template by its code, every language of each.

    Each call gives a copy of its own.
    """
    return {
        code: {language: dict(parts) for language, parts in contents.items()}
        for code, contents in _read().items()
    }  # fmt: skip
