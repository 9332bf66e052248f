"""Which messages are a courtesy: notices before the due date, about which nobody has to decide for ever."""

from __future__ import annotations

from collections.abc import Sequence

from dunning.collection import catalogue
from dunning.kit.database import ReadSession
from dunning.kit.ids import MessageId, TenantId


async def courtesies(session: ReadSession, tenant_id: TenantId, message_ids: Sequence[MessageId]) -> set[MessageId]:
    """Return those of some messages to customers whose step is a courtesy; a message outside any scenario is none."""
    rows = await session.rows(
        """select m.message_id, a.scenario_id::text as scenario_id, a.scenario_version, a.step_code
             from message m join action a on a.tenant_id = m.tenant_id and a.action_id = m.action_id
            where m.tenant_id = $1 and m.message_id = any ($2::uuid[]) and m.audience = 'customer' and a.origin = 'scenario'""",
        tenant_id,
        list(message_ids),
    )
    versions = await catalogue.load(session, tenant_id, sorted({(row["scenario_id"], row["scenario_version"]) for row in rows}))
    steps = {row["message_id"]: versions[row["scenario_id"], row["scenario_version"]].steps.get(row["step_code"]) for row in rows}
    return {message_id for message_id, step in steps.items() if step is not None and step.is_courtesy}
