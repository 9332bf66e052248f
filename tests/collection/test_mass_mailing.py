"""Whom a mailing to many customers leaves out (S3-17)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.collection.stage import Stage
from tests.collection.test_specific_actions import LADDER, mails


@pytest.mark.parametrize("origin", ["ad_hoc", "specific"])
async def test_who_is_never_dunned_is_in_no_mailing_and_may_be_written_to_alone(stage: Stage, origin: str) -> None:
    """The customer's policy and its group's; the dry run says so too. A call, and a mail to just this customer, are somebody's own decision."""
    await stage.open(LADDER)
    await stage.api.put(f"/v1/ledgers/{stage.ledger_id}/customer-groups/QUIET", json={"name": "Quiet", "policy": "never"})
    ids = {code: str(await stage.customer(code, **terms)) for code, terms in (("C1", {}), ("C2", {"policy": "never"}), ("C3", {"group_code": "QUIET"}))}
    for code in ids:
        await stage.invoice(customer=code)
    mailing: dict[str, Any] = {
        "act": "send_template",
        "customer_ids": list(ids.values()),
        "origin": origin,
        "message": {"text": "Please: #items_list_selected"},
    }
    for dry_run, outcome in ((True, "ready"), (False, "done")):
        answer = await stage.post("/customers/bulk", mailing | {"dry_run": dry_run})
        found = {one["customer_id"]: (one["outcome"], one["code"]) for one in answer["data"]}
        assert found == {ids["C1"]: (outcome, None), ids["C2"]: ("refused", "never_dunned"), ids["C3"]: ("refused", "never_dunned")}
    await stage.settle()
    assert len(await mails(stage)) == 1
    calls = await stage.post("/customers/bulk", {"act": "call_task", "customer_ids": list(ids.values()), "text": "Ask."})
    assert sum(calls["counts"].values()) == 3 and "refused" not in calls["counts"]
    await stage.post(f"/customers/{ids['C2']}/messages", {"text": "Dear all."}, status=201)
    await stage.settle()
    assert len(await mails(stage)) == 2
