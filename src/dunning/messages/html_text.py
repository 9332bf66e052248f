"""The text of a mail whose template was written in HTML only."""

from __future__ import annotations

from inscriptis import get_text
from inscriptis.model.config import ParserConfig

_CONFIG = ParserConfig(display_links=True)


def text_of_html(html: str) -> str:
    """Return rendered HTML as text with tables aligned and link addresses in brackets."""
    lines = [line.rstrip() for line in str(get_text(html, _CONFIG)).splitlines()]
    return "\n".join(lines).strip() + "\n"
