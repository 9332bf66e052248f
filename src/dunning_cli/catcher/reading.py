"""What a mail says, however broken it is: headers, text, HTML, attachments, links, and what is odd about it. Pure, standard library only."""

from __future__ import annotations

import contextlib
import re
from base64 import b64decode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import MessageError
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from email.policy import compat32
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser

# What the standard library raises on input that it did not expect; a mail must be shown all the same.
BROKEN = (ValueError, LookupError, TypeError, AttributeError, AssertionError, MessageError, RecursionError)
MOST_PARTS = 500
MOST_LINKS = 50
LONGEST_LINE_OCTETS = 998
_WEB_ADDRESS = re.compile(r"https?://[^\s<>\"'\x00-\x1f]+", re.IGNORECASE)
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=\s]")
_UNPRINTABLE = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(code) not in "\n\t"}


@dataclass(frozen=True, slots=True)
class Summary:
    """What the inbox shows of a mail."""

    subject: str
    sender: str
    to: str
    date: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part of a mail that is not its text; `content` is decoded."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """A whole mail, decoded. `text` or `html` is None where the mail has no such part."""

    summary: Summary
    headers: tuple[tuple[str, str], ...]
    text: str | None
    html: str | None
    attachments: tuple[Attachment, ...]
    links: tuple[str, ...]
    oddities: tuple[str, ...]


@dataclass(slots=True)
class _Found:
    texts: list[str] = field(default_factory=list)
    html: str | None = None
    attachments: list[Attachment] = field(default_factory=list)
    oddities: list[str] = field(default_factory=list)
    parts: int = 0


def summary_of(content: bytes) -> Summary:
    """Return what the inbox shows; a missing header is the empty text."""
    return _summary(headers_of(content))


def read_mail(content: bytes) -> Reading:
    """Return everything that can be read from a mail; what cannot be parsed is shown as text, never refused."""
    headers = headers_of(content)
    found = _Found()
    try:
        _collect(BytesParser(policy=compat32).parsebytes(content), found)
    except BROKEN:
        found = _Found(texts=[clean(decoded_bytes(content, None))], oddities=["Its parts cannot be told apart; the whole mail is shown as text."])
    text = "\n\n".join(found.texts) if found.texts else None
    return Reading(
        summary=_summary(headers),
        headers=headers,
        text=text,
        html=found.html,
        attachments=tuple(found.attachments),
        links=links_of(text, found.html),
        oddities=tuple(dict.fromkeys([*_oddities_of(content, headers), *found.oddities])),
    )


def headers_of(content: bytes) -> tuple[tuple[str, str], ...]:
    """Return the headers in their order, unfolded and decoded."""
    head = re.split(rb"\r?\n\r?\n", content, maxsplit=1)[0]
    try:
        parsed = BytesHeaderParser(policy=compat32).parsebytes(head)
        return tuple((clean(name), decoded_header(str(raw))) for name, raw in parsed.raw_items())
    except BROKEN:
        return ()


def instant_of(date: str) -> datetime | None:
    """Return the instant of a Date header in UTC, None where it names none; one without a zone is taken as UTC."""
    try:
        at = parsedate_to_datetime(date)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (*BROKEN, OverflowError):
        return None


def decoded_header(raw: str) -> str:
    """Return a header value as people read it: encoded words (RFC 2047) decoded, bare 8-bit octets taken as UTF-8, else as Windows-1252."""
    plain = re.sub(r"\r?\n[ \t]*", " ", decoded_bytes(raw.encode("utf-8", "surrogateescape"), None)).strip()
    try:
        pieces = [piece if isinstance(piece, str) else decoded_bytes(piece, charset) for piece, charset in decode_header(plain)]
    except BROKEN:
        return clean(plain)
    return clean("".join(pieces)).replace("\n", " ")


def decoded_bytes(octets: bytes, charset: str | None) -> str:
    """Return octets as text in the stated charset, else UTF-8, else Windows-1252; nothing is refused."""
    for wanted in (charset, "utf-8", "cp1252"):
        try:
            if wanted:
                return octets.decode(wanted)
        except BROKEN:
            continue
    return octets.decode("latin-1")


def clean(text: str) -> str:
    """Return text that can be shown and stored anywhere: control characters and lone surrogates are marked, line ends are one."""
    whole = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return whole.replace("\r\n", "\n").replace("\r", "\n").translate(_UNPRINTABLE)


def links_of(text: str | None, html: str | None) -> tuple[str, ...]:
    """Return the web addresses of a mail, each once, those of the HTML first. Other schemes are left out: they are not safe to click."""
    targets: list[str] = []
    if html is not None:
        collector = _Anchors()
        with contextlib.suppress(*BROKEN):
            collector.feed(html)
        targets = [target.strip() for target in collector.targets if _WEB_ADDRESS.fullmatch(target.strip())]
    written = [found.rstrip(".,;:!?)]}") for found in _WEB_ADDRESS.findall(text or "")]
    return tuple(dict.fromkeys([*targets, *written]))[:MOST_LINKS]


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.targets += [value for name, value in attrs if name == "href" and value]


def _summary(headers: tuple[tuple[str, str], ...]) -> Summary:
    def first(name: str) -> str:
        return next((value for known, value in headers if known.lower() == name), "")

    return Summary(subject=first("subject"), sender=first("from"), to=first("to"), date=first("date"), message_id=first("message-id"))


def _collect(part: Message, found: _Found) -> None:
    found.parts += 1
    if found.parts > MOST_PARTS:
        found.oddities.append(f"It has more than {MOST_PARTS} parts; the rest is left out.")
        return
    found.oddities += [_words_of(type(defect).__name__) for defect in part.defects]
    if _is_base64(part) and _NOT_BASE64.search(_raw(part)):
        found.oddities.append("A part that says it is base64 holds other characters; they were passed over.")
    media_type = part.get_content_type()
    payload = part.get_payload()
    if isinstance(payload, list) and part.get_content_maintype() == "multipart":
        for inner in payload:
            if isinstance(inner, Message):
                _collect(inner, found)
        return
    content = _content_of(part)
    if media_type in {"text/plain", "text/html"} and not _is_attached(part):
        text = clean(decoded_bytes(content, _charset_of(part)))
        if media_type == "text/plain":
            found.texts.append(text)
            return
        if found.html is None:
            found.html = text
            return
    found.attachments.append(Attachment(name=_name_of(part, len(found.attachments) + 1), media_type=clean(media_type), content=content))


def _content_of(part: Message) -> bytes:
    try:
        if part.get_content_maintype() == "message" and part.is_multipart():
            inner = part.get_payload(0)
            return inner.as_bytes() if isinstance(inner, Message) else b""
        if _is_base64(part):
            return _base64_octets(_raw(part))
        content = part.get_payload(decode=True)
    except BROKEN:
        content = None
    return content if isinstance(content, bytes) else _raw(part)


def _is_base64(part: Message) -> bool:
    return str(part.get("Content-Transfer-Encoding", "")).strip().lower() == "base64"


def _raw(part: Message) -> bytes:
    return str(part.get_payload()).encode("utf-8", "surrogateescape")


def _base64_octets(written: bytes) -> bytes:
    """Decode as much as there is; the standard library gives up on the whole part for one wrong character."""
    kept = re.sub(rb"[^A-Za-z0-9+/]", b"", written.partition(b"=")[0])
    whole = kept[: len(kept) - 1] if len(kept) % 4 == 1 else kept
    return b64decode(whole + b"=" * (-len(whole) % 4))


def _charset_of(part: Message) -> str | None:
    try:
        return part.get_content_charset()
    except BROKEN:
        return None


def _is_attached(part: Message) -> bool:
    try:
        return part.get_content_disposition() == "attachment"
    except BROKEN:
        return False


def _name_of(part: Message, number: int) -> str:
    try:
        name = part.get_filename()
    except BROKEN:
        name = None
    shown = decoded_header(name) if name else ""
    return re.sub(r"[/\\:\n\t]", "_", shown).strip(". ")[:120] or f"attachment-{number}"


def _words_of(defect: str) -> str:
    """Turn the parser's class name into words: `InvalidBase64PaddingDefect` becomes `Invalid base64 padding.`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", defect.removesuffix("Defect"))
    return words.capitalize() + "."


def _oddities_of(content: bytes, headers: tuple[tuple[str, str], ...]) -> list[str]:
    names = [name.lower() for name, _ in headers]
    head = re.split(rb"\r?\n\r?\n", content, maxsplit=1)[0]
    odd = [f"It has no {wanted} header." for wanted in ("From", "Date", "Message-ID") if wanted.lower() not in names]
    odd += [f"It has {names.count(once.lower())} {once} headers." for once in ("From", "To", "Subject", "Message-ID") if names.count(once.lower()) > 1]
    if any(octet > 0x7F for octet in head):
        odd.append("Its headers hold 8-bit octets that are not encoded.")
    if re.search(rb"(?<!\r)\n|\r(?!\n)", content):
        odd.append("Some lines do not end in CR LF.")
    if any(len(line) > LONGEST_LINE_OCTETS for line in content.split(b"\r\n")):
        odd.append(f"It has lines longer than {LONGEST_LINE_OCTETS} octets, which relays may break.")
    if b"\0" in content:
        odd.append("It holds NUL octets.")
    return odd
