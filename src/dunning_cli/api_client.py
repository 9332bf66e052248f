"""A small client of our own API for the demo: what an ERP's integration would write."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx


class ApiRefused(RuntimeError):
    """The API answered with a problem; the text is its detail."""


class ApiClient:
    """Calls the API with one key, in the name of a person where one is given; every path is below /v1."""

    def __init__(self, base_url: str, api_key: str, person: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} | ({} if person is None else {"Dunning-Person": person})
        self._http = httpx.Client(base_url=f"{base_url}/v1", headers=headers, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._http.close()

    def call(self, method: str, path: str, *, body: Any = None, content: bytes | None = None, **query: Any) -> Any:
        """Send one request and return its JSON; raise `ApiRefused` with the problem's detail."""
        headers = {"Idempotency-Key": str(uuid4())} if method == "POST" else {}
        if content is not None:
            headers["Content-Type"] = "application/x-ndjson"
        try:
            answer = self._http.request(method, path, json=body, content=content, params=query, headers=headers)
        except httpx.TransportError as error:
            msg = f"{self._http.base_url} does not answer ({error}). Is the service running? `./run serve` starts it."
            raise ApiRefused(msg) from error
        if answer.is_error:
            problem = answer.json() if "json" in answer.headers.get("content-type", "") else {"detail": answer.text}
            msg = f"{method} {path}: {answer.status_code} {problem.get('detail')}"
            raise ApiRefused(msg)
        return answer.json() if answer.content else None

    def get(self, path: str, **query: Any) -> Any:
        """Read."""
        return self.call("GET", path, **query)

    def all(self, path: str, **query: Any) -> list[Any]:
        """Read a whole list, page by page."""
        rows: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.get(path, limit=500, **cursor, **query)
            rows += page["data"]
            if page["next_cursor"] is None:
                return rows
            cursor = {"cursor": page["next_cursor"]}

    def wait(self, path: str, *states: str, seconds: float = 60.0) -> Any:
        """Read a resource until it is in one of the states; raise when it failed or takes too long."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.get(path)
            if found["state"] in states:
                return found
            if found["state"] == "failed" or time.monotonic() > deadline:
                msg = f"{path} is {found['state']}: {found.get('error') or 'it took too long'}"
                raise ApiRefused(msg)
            time.sleep(0.05)
