"""Logging: one JSON line an event on standard error, named `noun.verb`, with ids as fields.

No address, no amount, no payload: what is about a person is in the database, under its tenant. Keys that would carry one are refused by
name, and tokens of links, API keys and mail addresses are masked wherever they turn up: in a message, a field, an exception, the libraries' lines.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, TextIO, cast
from uuid import UUID

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from dunning.kit.signing import TOKEN_OF_TWO_IDS

_FORBIDDEN = frozenset({"email", "to_email", "address", "amount", "amount_minor", "body", "payload", "password", "token", "name", "to_name", "subject"})
_TOKEN = re.compile(rf"/[co]/[A-Za-z0-9._~%-]+|\b{TOKEN_OF_TWO_IDS}")
_API_KEY = re.compile(r"\bar_(?:live|test)_[A-Za-z0-9._~%-]+")
_SUSPECT = re.compile("[@%]|/[co]/|ar_")
_TOKEN_LENGTH = 73
"""Characters of the shortest token of a link."""
_ADDRESS = re.compile(r"[^\s<>@\"',;:()]+@[^\s<>@\"',;:()]+")


def _hide(text: str) -> str:
    # Nearly all words of a log line are short and hold none of these signs, and searching them is what a line would cost most.
    if len(text) < _TOKEN_LENGTH and _SUSPECT.search(text) is None:
        return text
    return _TOKEN.sub("<link>", _API_KEY.sub("<api key>", _ADDRESS.sub("<address>", text)))


def _keep_private(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for key, value in list(event.items()):
        if key in _FORBIDDEN:
            event[key] = "<hidden>"
        elif isinstance(value, str):
            event[key] = _hide(value)
        elif value is not None and not key.startswith("_") and not isinstance(value, bool | int | float | UUID):
            # The renderer would write whatever else there is as text; what begins with an underscore is structlog's own and is never written.
            shown = str(value)
            if (hidden := _hide(shown)) != shown:
                event[key] = hidden
    return event


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
    _keep_private,
]


def set_up(level: str = "info") -> None:
    """Send every log line, the libraries' too, as JSON to standard error. A second call only changes the level."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*_SHARED, structlog.processors.JSONRenderer(default=str)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=max(number, logging.INFO), handlers=[handler_of(sys.stderr)], force=True)
    for chatty in ("arq", "asyncio", "uvicorn.access", "httpx"):
        logging.getLogger(chatty).setLevel(max(number, logging.WARNING))


def handler_of(stream: TextIO) -> logging.Handler:
    """Return the handler through which the lines of libraries leave: the same JSON, and as private, as our own."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer(default=str)],
        )
    )
    return handler


def logger(noun: str) -> FilteringBoundLogger:
    """Return a logger; call it as `log.info("message.parked", message_id=...)`."""
    return cast("FilteringBoundLogger", structlog.get_logger(noun=noun))
