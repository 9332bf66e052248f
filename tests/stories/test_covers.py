"""Template variants by insurance cover (S0-07): a covered customer is warned that the insurer will be told, another is not."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.stories.desk import TEXT, Desk, scenario, step

COVERED = {"state": "active", "until_on": "2026-03-31", "reference": "BUYER-7"}


async def opened(desk: Desk, **notice: Any) -> None:
    """Open a ledger whose step has a variant for covered customers."""
    await desk.ask("PATCH", "/tenant", {"languages": ["en"]})
    await desk.template("warning", en=("Insurer warning: {{document_numbers}}", TEXT))
    await desk.open(scenario(step("a", 1, "Urgent", notice={"template_when_covered": "warning"} | notice, repeat_every_days=5, max_repeats=9)))


@pytest.mark.parametrize(
    ("cover", "subject", "variant"),
    [
        (None, "Urgent: 1001", "standard"),
        ({"state": "none"}, "Urgent: 1001", "standard"),
        ({"state": "active"}, "Insurer warning: 1001", "covered"),
        ({"state": "active", "until_on": "2026-03-02"}, "Insurer warning: 1001", "covered"),
        ({"state": "active", "until_on": "2026-03-01"}, "Urgent: 1001", "standard"),
    ],
)
async def test_the_template_follows_the_cover_of_the_day(desk: Desk, cover: dict[str, Any] | None, subject: str, variant: str) -> None:
    """S0-07: until the day of its end, included; the claim records which variant was taken."""
    await opened(desk)
    content: dict[str, Any] = {} if cover is None else {"insurance_cover": cover}
    await desk.push_customer("C1", **content)
    await desk.invoice("1001", due=-9)
    await desk.remind()
    assert desk.mail.subjects() == [f"ap@c1.example {subject}"]
    (message,) = await desk.messages()
    claim = await desk.get(f"/claims/{message['claim_id']}")
    assert claim["data"]["template_variant"] == variant


async def test_a_cover_that_ends_changes_the_next_letter(desk: Desk) -> None:
    """S0-07: the cover is looked at when a letter is written, not when the scenario was assigned."""
    await opened(desk)
    await desk.push_customer("C1", insurance_cover=COVERED)
    await desk.invoice("1001", due=-9)
    await desk.remind()
    await desk.push_customer("C1")
    await desk.days(6)
    assert desk.mail.subjects_to("ap@c1.example") == ["Insurer warning: 1001", "Urgent: 1001"]


async def test_both_variants_are_checked_before_publishing(desk: Desk) -> None:
    """S0-07: a variant that is missing, or shows rows in a mail of link only, is named with its place."""
    await opened(desk)
    bad = scenario(step("a", 1, notice={"template_when_covered": "nowhere"}))
    made = await desk.post("/scenarios", bad, status=201)
    refused = await desk.post(f"/scenarios/{made['scenario_id']}/publish", status=422)
    assert "steps[0].notices[0].template_when_covered" in str(refused)
    assert "nowhere" in str(refused)
    found = await desk.get(f"/scenarios/{made['scenario_id']}/content")
    assert found["steps"][0]["notices"][0]["template_when_covered"] == "nowhere"


async def test_a_new_version_of_the_variant_names_the_scenario_to_publish(desk: Desk) -> None:
    """The variant is frozen with the scenario like every template."""
    await opened(desk)
    template = (await desk.get("/templates", code="warning"))["data"][0]["template_id"]
    await desk.ask("PATCH", f"/templates/{template}", {"contents": {"en": {"subject": "New words", "text": TEXT}}})
    published = await desk.post(f"/templates/{template}/publish")
    assert len(published["scenarios_to_publish"]) == 1


async def test_cover_is_stated_by_put_and_by_file(desk: Desk, other_api: httpx.AsyncClient) -> None:
    """S0-07: state, last day and reference; what makes no sense is refused; another tenant sees nothing (T1)."""
    await desk.open(scenario(step("a", 1)))
    await desk.push_customer("C1", insurance_cover=COVERED)
    assert (await desk.get(f"/customers/{desk.customers['C1']}"))["insurance_cover"] == COVERED
    done = await desk.import_rows({"kind": "customer", "external_id": "C2", "name": "Second", "insurance_cover": COVERED}, kind="customers", format="ndjson")
    assert done["state"] == "done", done
    csv = "external_id,name,insurance_cover,insurance_cover_until,insurance_cover_reference\nC3,Third,active,2026-03-31,BUYER-7\n"
    assert (await desk.import_file(csv, kind="customers", format="csv"))["state"] == "done"
    for name in ("C2", "C3"):
        (found,) = (await desk.get(f"/ledgers/{desk.ledger_id}/customers", external_id=name))["data"]
        assert found["insurance_cover"] == COVERED, name
    await desk.push_customer("C1")
    assert (await desk.get(f"/customers/{desk.customers['C1']}"))["insurance_cover"] == {"state": "none", "until_on": None, "reference": None}
    wrong = {"name": "X", "insurance_cover": {"state": "none", "until_on": "2026-03-31"}}
    assert (await desk.ask("PUT", f"/ledgers/{desk.ledger_id}/customers/C4", wrong, status=422))["code"] == "malformed"
    assert (await other_api.get(f"/v1/customers/{desk.customers['C1']}")).status_code == 404
