"""Logging: one JSON line an event on standard error, named `noun.verb`, with ids as fields.

No address, no amount, no payload: what is about a person is in the database, under its tenant. Keys that would carry one are refused by
name, and tokens of links are masked wherever they turn up in a value.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

_FORBIDDEN = frozenset({"email", "to_email", "address", "amount", "amount_minor", "body", "payload", "password", "token", "name", "to_name", "subject"})
_TOKEN = re.compile(r"/c/[A-Za-z0-9._~-]+|\b[A-Za-z0-9]{1,8}\.[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{27}\b")
_ADDRESS = re.compile(r"[^\s<>@\"',;:()]+@[^\s<>@\"',;:()]+")


def _hide(text: str) -> str:
    # Nearly all words of a log line hold neither sign, and searching them is what a line would cost most.
    if "@" not in text and "." not in text and "/c/" not in text:
        return text
    return _ADDRESS.sub("<address>", _TOKEN.sub("<link>", text))


def _keep_private(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for key, value in list(event.items()):
        if key in _FORBIDDEN:
            event[key] = "<hidden>"
        elif isinstance(value, str):
            event[key] = _hide(value)
    return event


def set_up(level: str = "info") -> None:
    """Send every log line, the libraries' too, as JSON to standard error. A second call only changes the level."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _keep_private,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(default=str)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer(default=str)],
        )
    )
    logging.basicConfig(level=max(number, logging.INFO), handlers=[handler], force=True)
    for chatty in ("arq", "asyncio", "uvicorn.access", "httpx"):
        logging.getLogger(chatty).setLevel(max(number, logging.WARNING))


def logger(noun: str) -> FilteringBoundLogger:
    """Return a logger; call it as `log.info("message.parked", message_id=...)`."""
    return cast("FilteringBoundLogger", structlog.get_logger(noun=noun))
