"""The page and the JSON view of the caught mails. No script runs anywhere, least of all one that came by mail."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.base import RequestResponseEndpoint
from starlette.middleware.trustedhost import TrustedHostMiddleware

from dunning_cli.catcher.folder import CaughtMail, MailFolder, Search
from dunning_cli.catcher.reading import Reading, instant_of, read_mail
from dunning_cli.catcher.schemas import AttachmentOut, CountOut, HeaderOut, MailDetailOut, MailListOut, MailOut

_HERE = Path(__file__).parent
_PAGE_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
# The mail itself: shut into an origin of its own, styled by itself, and unable to load anything from anywhere. A link that is clicked opens beside it.
_MAIL_POLICY = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'self'"
_HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)
_MAILS_PER_PAGE = 50
_VIEWS = ("html", "text", "headers")

Limit = Annotated[int, Query(ge=1, le=200, description="How many mails at most.")]
After = Annotated[str | None, Query(description="The next_cursor of the page before.")]
To = Annotated[str | None, Query(description="A recipient's whole address.")]
MessageId = Annotated[str | None, Query(description="A Message-ID, with or without its angle brackets.")]


def create_app(mails: MailFolder, *, host: str = "127.0.0.1") -> FastAPI:
    """Return the web application over an opened folder. On loopback it answers to local names alone, lest a foreign page reach it by DNS."""
    app = FastAPI(title="Mail catcher", docs_url=None, redoc_url=None)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    app.middleware("http")(_add_security_headers)
    if host in {"127.0.0.1", "localhost", "::1"}:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]", "testserver"])
    _add_pages(app, mails)
    _add_api(app, mails)
    return app


async def _add_security_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers.setdefault("Content-Security-Policy", _PAGE_POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _add_pages(app: FastAPI, mails: MailFolder) -> None:
    templates = Jinja2Templates(directory=_HERE / "templates")
    templates.env.filters |= {"day_and_time": day_and_time, "octets": octets, "dated": dated}

    @app.get("/", include_in_schema=False)
    async def inbox(request: Request, q: str = "", after: str | None = None) -> HTMLResponse:
        search = Search(containing=q)
        page = mails.page(search, limit=_MAILS_PER_PAGE, after=_cursor(after))
        total, distinct = mails.count(search)
        rows = [(mail, mails.copies_of(mail)) for mail in page.mails]
        known = {"q": q, "rows": rows, "total": total, "distinct": distinct, "next_cursor": page.next_cursor, "first_page": after is None}
        return templates.TemplateResponse(request, "inbox.html", known)

    @app.get("/mails/{mail_id}", include_in_schema=False)
    async def mail_page(request: Request, mail_id: str, view: str | None = None) -> HTMLResponse:
        mail, reading = await _read(mails, mail_id)
        views = [name for name in _VIEWS if name == "headers" or getattr(reading, name) is not None]
        shown = view if view in views else views[0]
        known = {"mail": mail, "reading": reading, "views": views, "view": shown, "copies": mails.copies_of(mail)}
        return templates.TemplateResponse(request, "mail.html", known)

    @app.get("/mails/{mail_id}/html", include_in_schema=False)
    async def mail_html(mail_id: str) -> HTMLResponse:
        _, reading = await _read(mails, mail_id)
        if reading.html is None:
            raise HTTPException(404, "This mail has no HTML part.")
        # A click inside the frame would otherwise replace the mail.
        framed = _HEAD.sub(lambda head: head.group() + '<base target="_blank">', reading.html, count=1)
        return HTMLResponse(framed, headers={"Content-Security-Policy": _MAIL_POLICY})

    @app.get("/mails/{mail_id}/source", include_in_schema=False)
    async def mail_source(mail_id: str) -> Response:
        mail = _known(mails, mail_id)
        return _download(f"{mail.id}.eml", "message/rfc822", _content(mails, mail))

    @app.get("/mails/{mail_id}/attachments/{number}", include_in_schema=False)
    async def attachment(mail_id: str, number: int) -> Response:
        _, reading = await _read(mails, mail_id)
        if not 1 <= number <= len(reading.attachments):
            raise HTTPException(404, "This mail has no such attachment.")
        wanted = reading.attachments[number - 1]
        return _download(wanted.name, "application/octet-stream", wanted.content)

    @app.exception_handler(StarletteHTTPException)
    async def problem(request: Request, error: StarletteHTTPException) -> Response:
        if request.url.path.startswith("/api/"):
            body = {"type": "about:blank", "title": "Not found" if error.status_code == 404 else "Not possible", "status": error.status_code}
            return JSONResponse(body | {"detail": error.detail}, error.status_code, media_type="application/problem+json")
        return templates.TemplateResponse(request, "missing.html", {"detail": error.detail}, status_code=error.status_code)


def _add_api(app: FastAPI, mails: MailFolder) -> None:
    @app.get("/api/mails", summary="List mails, newest first")
    async def list_mails(to: To = None, message_id: MessageId = None, limit: Limit = 50, after: After = None) -> MailListOut:
        page = mails.page(Search(to=to, message_id=message_id), limit=limit, after=_cursor(after))
        return MailListOut(data=[_mail_out(mails, mail) for mail in page.mails], next_cursor=page.next_cursor)

    @app.get("/api/mails/{mail_id}", summary="Read one mail")
    async def one_mail(mail_id: str) -> MailDetailOut:
        mail, reading = await _read(mails, mail_id)
        return MailDetailOut(
            **_mail_out(mails, mail).model_dump(),
            headers=[HeaderOut(name=name, value=value) for name, value in reading.headers],
            text=reading.text,
            html=reading.html,
            links=list(reading.links),
            attachments=[AttachmentOut(name=a.name, media_type=a.media_type, size=len(a.content)) for a in reading.attachments],
            oddities=list(reading.oddities),
        )

    @app.get("/api/count", summary="Count mails")
    async def count_mails(to: To = None, message_id: MessageId = None) -> CountOut:
        count, distinct = mails.count(Search(to=to, message_id=message_id))
        return CountOut(count=count, distinct_message_ids=distinct)


def _mail_out(mails: MailFolder, mail: CaughtMail) -> MailOut:
    return MailOut(
        id=mail.id,
        received_at=mail.received_at,
        envelope_sender=mail.envelope_sender,
        recipients=list(mail.recipients),
        sender=mail.summary.sender,
        to=mail.summary.to,
        subject=mail.summary.subject,
        date=mail.summary.date,
        message_id=mail.summary.message_id,
        size=mail.size,
        copies=mails.copies_of(mail),
    )


def _known(mails: MailFolder, mail_id: str) -> CaughtMail:
    mail = mails.mail_of(mail_id)
    if mail is None:
        raise HTTPException(404, "There is no mail with this id.")
    return mail


def _content(mails: MailFolder, mail: CaughtMail) -> bytes:
    try:
        return mails.content_of(mail)
    except FileNotFoundError:
        raise HTTPException(404, "The file of this mail has been removed from the folder.") from None


async def _read(mails: MailFolder, mail_id: str) -> tuple[CaughtMail, Reading]:
    mail = _known(mails, mail_id)
    return mail, await asyncio.to_thread(read_mail, _content(mails, mail))


def _cursor(after: str | None) -> str | None:
    if after is not None and not re.fullmatch(r"\d{8,20}-[0-9a-f]{6}", after):
        raise HTTPException(422, "after is no cursor: give the next_cursor of the page before.")
    return after


def _download(name: str, media_type: str, content: bytes) -> Response:
    disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    return Response(content, media_type=media_type, headers={"Content-Disposition": disposition, "Content-Security-Policy": "sandbox"})


def dated(mail: CaughtMail) -> str:
    """Return the instant by which people know a mail, in ISO 8601: that of its Date header, which follows a test clock; without one, its arrival."""
    at = instant_of(mail.summary.date)
    return mail.received_at if at is None else at.isoformat()


def day_and_time(stamp: str) -> str:
    """Return an ISO instant in UTC as people read it: `21 Nov 2026, 14:03:59`."""
    return f"{datetime.fromisoformat(stamp):%d %b %Y, %H:%M:%S}".removeprefix("0")


def octets(size: int) -> str:
    """Return a size in octets as people read it: `812 B`, `4.1 kB`, `2.0 MB`."""
    if size < 1000:
        return f"{size} B"
    return f"{size / 1000:.1f} kB" if size < 999_950 else f"{size / 1_000_000:.1f} MB"
