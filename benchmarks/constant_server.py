"""The least that FastAPI and uvicorn can do: one route that returns a constant dictionary, served as the product is served."""

from __future__ import annotations

import argparse
import asyncio

import uvicorn
import uvloop
from fastapi import FastAPI

app = FastAPI(openapi_url=None)


@app.get("/constant")
async def constant() -> dict[str, str | int]:
    """Answer."""
    return {"item_id": "01a20004-f1e9-72d7-91d7-4fc65adcfbf8", "number": "K1-1", "amount": "1234.50", "currency": "EUR", "episode": 1}


@app.get("/readyz")
async def ready() -> dict[str, str]:
    """Say that it serves."""
    return {"state": "ready"}


async def serve(port: int) -> None:
    """Serve until told to stop."""
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False, server_header=False, date_header=True)
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(chosen.port))
