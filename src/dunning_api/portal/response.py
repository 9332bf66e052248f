"""How the page leaves: under headers that let nothing leak or load, and, when asked, telling that it left whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.responses import HTMLResponse
from starlette.types import Receive, Scope, Send

from dunning_api.portal.pages import STYLE_HASH

HEADERS = {
    "Content-Security-Policy": (f"default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; style-src '{STYLE_HASH}'"),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""The style sheet stands in the page and is allowed by its digest, so that nothing at all is loaded and the bytes shown are complete."""


_ALWAYS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class PageResponse(HTMLResponse):
    """A page of the portal."""

    def __init__(self, page: bytes, status: int = 200, *, language: str = "en", headers: dict[str, str] | None = None) -> None:
        super().__init__(page, status, headers={"Content-Language": language, **(headers or {})})
        self.raw_headers += _ALWAYS


class WatchedPage(PageResponse):
    """A page that tells when all of its bytes were handed over while the connection still stood.

    Behind a proxy that is the connection to the proxy; the evidence says no more than that.
    """

    def __init__(self, page: bytes, request: Request, sent: Callable[[], Awaitable[None]], *, language: str) -> None:
        super().__init__(page, language=language)
        self._request = request
        self._sent = sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the page; the last, empty part leaves only after the sending was recorded."""
        del scope, receive
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        if not await self._request.is_disconnected():
            await self._sent()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
