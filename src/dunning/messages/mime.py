"""Building the bytes of a mail, lean: parts joined by hand, bodies in base64, so that a core makes thousands a second.

The same input gives the same bytes: the boundary comes from the Message-ID, and date and id are given. Nothing a
customer's data holds can add a header: texts are cleaned, addresses and ids are refused when they are not what they
claim to be, and the finished header block is compared with what was meant (RFC 5322, 2047, 3834, 8058).
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
import struct
from collections.abc import Mapping
from email.utils import format_datetime
from functools import lru_cache

from dunning.kit.errors import DunningError
from dunning.ledger.addresses import InvalidAddress, ascii_address
from dunning.messages.clean_text import clean_header, is_clean_header
from dunning.messages.rendering import Rendered

_MESSAGE_ID = re.compile(r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+>")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]{1,60}")
_PLAIN_TEXT = re.compile(r"[ -~]{0,60}")
_EXTRA_NAME = re.compile(r"X-[A-Za-z0-9][A-Za-z0-9-]{0,60}|References|In-Reply-To")
_WEB_OR_MAIL = re.compile(r"(https://|mailto:)[!-;=?-~]+")
_ENCODED_WORD_BYTES = 45


class HeaderRefused(DunningError):
    """A header value is not what it must be, or the finished header block is not the one that was meant.

    No mail was made.
    """

    code = "mail_header_refused"
    title = "The mail cannot be built"


def build_mime(
    rendered: Rendered,
    *,
    message_id: str,
    date: dt.datetime,
    from_name: str,
    from_email: str,
    to_name: str,
    to_email: str,
    reply_to: str | None = None,
    list_unsubscribe: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Build one mail to one recipient, as canonical CRLF bytes: text and HTML as alternatives, or text alone.

    `message_id` comes with its angle brackets, `date` with its zone. `list_unsubscribe` is an https or mailto address;
    an https one is offered for one click (courtesy notices only). `headers` adds `X-…`, `References` and `In-Reply-To`.
    Raises `HeaderRefused`, naming the header. The second call with the same arguments gives the same bytes.
    """
    if _MESSAGE_ID.fullmatch(message_id) is None:
        raise _refused("Message-ID", "expected <id@domain> in ASCII")
    if date.tzinfo is None:
        raise _refused("Date", "expected an instant with its zone")
    fields = [
        ("From", _mailbox("From", from_name, from_email)),
        ("To", _mailbox("To", to_name, to_email)),
        ("Subject", _unstructured("Subject", clean_header(rendered.subject))),
        ("Date", format_datetime(date)),
        ("Message-ID", message_id),
        ("Auto-Submitted", "auto-generated"),
        ("Content-Language", rendered.language),
    ]
    if reply_to:
        fields.append(("Reply-To", header_address("Reply-To", reply_to)))
    if list_unsubscribe:
        fields += _unsubscribe(list_unsubscribe)
    for name, value in (headers or {}).items():
        if _EXTRA_NAME.fullmatch(name) is None:
            raise _refused(clean_header(name, cap=40), "only X-…, References and In-Reply-To can be added")
        if not is_clean_header(value) or not value.isascii() or len(value) > 900:
            raise _refused(name, "expected at most 900 ASCII characters on one line, without encoded words")
        fields.append((name, value))
    fields.append(("MIME-Version", "1.0"))
    if rendered.html is None:
        fields += [("Content-Type", "text/plain; charset=utf-8"), ("Content-Transfer-Encoding", "base64")]
        body = _base64_lines(rendered.text)
    else:
        # "=_" never occurs in base64, so no body can hold the boundary.
        boundary = f"=_{hashlib.sha256(message_id.encode()).hexdigest()[:32]}"
        fields.append(("Content-Type", f'multipart/alternative; boundary="{boundary}"'))
        mark = boundary.encode("ascii")
        body = b"".join(
            [
                b"--",
                mark,
                b"\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
                _base64_lines(rendered.text),
                b"--",
                mark,
                b"\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
                _base64_lines(rendered.html),
                b"--",
                mark,
                b"--\r\n",
            ]
        )
    head = "".join([f"{name}: {value}\r\n" for name, value in fields])
    _compare(head, [name for name, _ in fields])
    return f"{head}\r\n".encode("ascii") + body


def header_address(header: str, address: str) -> str:
    """Return a mail address as SMTP takes it; raise `HeaderRefused`, naming the header, for one that no mail can be sent to."""
    try:
        return ascii_address(address)
    except InvalidAddress as error:
        raise _refused(header, str(error)) from error


def _refused(header: str, why: str) -> HeaderRefused:
    return HeaderRefused(f"{header}: {why}.", header=header)


def _mailbox(header: str, name: str, address: str) -> str:
    address = header_address(header, address)
    name = clean_header(name, cap=120)
    if not name:
        return address
    if _PLAIN_NAME.fullmatch(name):
        return f'"{name}" <{address}>'
    # An encoded word needs no quoting, whatever quotes, commas or brackets the name holds (RFC 2047, 5).
    return f"{_encoded_words(name, len(header) + 2)}\r\n <{address}>"


def _unstructured(header: str, text: str) -> str:
    return text if _PLAIN_TEXT.fullmatch(text) else _encoded_words(text, len(header) + 2)


def _encoded_words(text: str, used: int) -> str:
    """Write text as base64 encoded words, folded, no word past 75 characters and no character cut in two."""
    raw = text.encode("utf-8")
    words: list[str] = []
    start, room = 0, _ENCODED_WORD_BYTES - used
    while start < len(raw):
        end = min(start + room, len(raw))
        while end < len(raw) and raw[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{base64.b64encode(raw[start:end]).decode('ascii')}?=")
        start, room = end, _ENCODED_WORD_BYTES
    return "\r\n ".join(words)


def _unsubscribe(address: str) -> list[tuple[str, str]]:
    if _WEB_OR_MAIL.fullmatch(address) is None or not is_clean_header(address) or len(address) > 900:
        raise _refused("List-Unsubscribe", "expected an https:// or mailto: address")
    made = [("List-Unsubscribe", f"<{address}>")]
    if address.startswith("https://"):
        made.append(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    return made


def _base64_lines(text: str) -> bytes:
    """Return text, its lines ended by CRLF, as base64 in lines of 76."""
    # A lone surrogate cannot be written in UTF-8; it would stop the mail, so it is shown as a question mark.
    raw = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n").encode("utf-8", "replace")
    encoded = base64.b64encode(raw)
    whole_lines = len(encoded) // 76
    # One unpacking cuts the lines at half the cost of a loop of slices.
    lines = [*_line_cutter(whole_lines).unpack_from(encoded), encoded[whole_lines * 76 :]]
    return b"\r\n".join(lines if lines[-1] else lines[:-1]) + b"\r\n"


@lru_cache(maxsize=2048)
def _line_cutter(lines: int) -> struct.Struct:
    return struct.Struct("76s" * lines)


def _compare(head: str, names: list[str]) -> None:
    """Read the finished header block back and refuse it unless it holds just the headers that were meant."""
    lines = head.split("\r\n")
    found = [line.partition(":")[0] for line in lines[:-1] if not line.startswith(" ")]
    bare = head.count("\r") != len(lines) - 1 or head.count("\n") != len(lines) - 1
    if found != names or bare or not head.isascii() or any(not line.strip() or len(line) > 998 for line in lines[:-1]):
        detail = "The finished headers are not the ones that were meant: a value held a line end or was too long. The mail was not built."
        raise HeaderRefused(detail, expected=names, found=found[:60])
