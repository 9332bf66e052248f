"""Relays as their operator sees and resumes them: where the database is, because they serve all tenants."""

from __future__ import annotations

from dunning.kit.database import Database
from dunning.messages import relay_service
from dunning.messages.relay_service import Circuit


async def list_circuits(database_url: str) -> list[Circuit]:
    """Return every relay, and each tenant's queue that was stopped."""
    database = await Database.connect(database_url, size=1)
    try:
        async with database.across_tenants() as session:
            return await relay_service.circuits(session)
    finally:
        await database.close()


async def resume(database_url: str, *, name: str) -> bool:
    """Let mail go through a relay again, or through one tenant's queue at it; False when it was open. Raises `NotFound`."""
    database = await Database.connect(database_url, size=1)
    try:
        async with database.across_tenants() as session:
            return await relay_service.resume_circuit(session, name=name)
    finally:
        await database.close()
