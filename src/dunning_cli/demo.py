"""The demo: a company's ledger is pushed, dunned for six weeks in four languages, and one claim is opened as its customer would."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dunning.kit.settings import Settings
from dunning_cli import tenants
from dunning_cli.api_client import ApiClient
from dunning_cli.catcher.reading import instant_of
from dunning_cli.demo_desk import BRUNO
from dunning_cli.demo_ledger import DemoCustomer, demo_customers
from dunning_cli.demo_story import morning_of, tell
from dunning_cli.stack import Stack, log_folder, running_stack

LINES_SHOWN = 6
"""Lines of the agenda that are printed."""


@dataclass(slots=True)
class Story:
    """What is kept between two starts of the demo on one data folder."""

    api_key: str
    ledger_id: str

    @classmethod
    def read(cls, path: Path) -> Story | None:
        """Return the story of an earlier demo, if there is one."""
        if not path.exists():
            return None
        kept = json.loads(path.read_text())
        return cls(kept["api_key"], kept["ledger_id"])

    def write(self, path: Path) -> None:
        """Keep the story, readable by its owner only: it holds an API key."""
        path.touch(mode=0o600)
        path.write_text(json.dumps({"api_key": self.api_key, "ledger_id": self.ledger_id}))


@dataclass(frozen=True, slots=True)
class Opened:
    """A claim that was opened as its customer would: by which link, and with which answer."""

    customer: str
    link: str
    answer: str


def show(settings: Settings, *, once: bool, as_json: bool, fresh: bool) -> None:
    """Run the demo and print where to look; stay up until Ctrl-C unless `once`."""
    out = Console(stderr=as_json)
    if "data_dir" not in settings.model_fields_set:
        settings = settings.model_copy(update={"data_dir": Path(".dunning/demo")})
    if fresh:
        (settings.data_dir / "demo.json").unlink(missing_ok=True)
    with Progress(TextColumn("{task.description}", table_column=None), BarColumn(), TimeElapsedColumn(), console=out, transient=False) as progress:
        step = progress.add_task("Starting PostgreSQL, Valkey, mail catcher, API and worker", total=None)
        with running_stack(settings, catcher=True) as stack:
            progress.update(step, total=1, completed=1, description="Servers are up")
            path = settings.data_dir / "demo.json"
            story = Story.read(path)
            if story is None:
                story = _tell(stack, progress)
                story.write(path)
            _write_environment(settings.data_dir / "demo.env", stack, story)
            opened = _open_a_claim(stack, progress)
            figures = _figures(stack, story)
            progress.stop()
            _say_what_happened(out, stack, story, figures)
            _say_where_to_look(out, stack, story, opened)
            if as_json:
                print(json.dumps(figures), flush=True)
            if not once:
                out.print("\nCtrl-C stops everything; the data stay in the folder for the next start.")
                stack.keep_running()


def _write_environment(path: Path, stack: Stack, story: Story) -> None:
    """Write what a shell needs to follow the guides, readable by its owner only: `. .dunning/demo/demo.env`."""
    path.touch(mode=0o600)
    lines = {"API": f"{stack.api_url}/v1", "KEY": story.api_key, "LEDGER": story.ledger_id, "MAILS": stack.catcher_url}
    path.write_text("".join(f"export {name}='{value}'\n" for name, value in lines.items()))


def _tell(stack: Stack, progress: Progress) -> Story:
    url, languages = stack.installation.database_url, ["en", "es", "it", "fr"]
    _, key = asyncio.run(tenants.create_tenant(url, name="Officine Aurora", mode="test", languages=languages, clock_at=morning_of(0)))
    return Story(key, tell(stack.api_url, key, progress))


def _mails_to(stack: Stack, address: str | None = None) -> list[Any]:
    """Return the newest mails, to one address or to anybody, the newest first."""
    query = {"limit": "200"} | ({} if address is None else {"to": address})
    return list(httpx.get(f"{stack.catcher_url}/api/mails", params=query).json()["data"])


def _link_of(stack: Stack, mail: Any) -> str | None:
    """Return the link of a mail to our page, at the address where the page is now: an earlier start may have had another port."""
    links = httpx.get(f"{stack.catcher_url}/api/mails/{mail['id']}").json()["links"]
    path = next((urlsplit(link).path for link in links if "/c/" in link), None)
    return None if path is None else f"{stack.api_url}{path}"


def _open_a_claim(stack: Stack, progress: Progress) -> Opened | None:
    """Open one claim as its customer would: from the mail's link, with the answer that the mail does not hold."""
    step = progress.add_task("Opening a claim as its customer", total=1)
    by_mail = {c.email: c for c in demo_customers()}
    for mail in sorted(_mails_to(stack), key=lambda mail: _of_interest(mail, by_mail)):
        customer = by_mail.get(mail["recipients"][0])
        link = None if customer is None else _link_of(stack, mail)
        if customer is None or link is None:
            continue
        with httpx.Client(timeout=30) as browser:
            nonce = _hidden(browser.get(link).text, "nonce")
            if nonce is None:
                continue
            answer = customer.tax_number[-4:]
            claim = browser.post(link, data={"form": "answer", "nonce": nonce, "answer": answer, "lang": customer.language})
            if claim.status_code != 200:
                continue
            receipt = _hidden(claim.text, "nonce")
            if receipt is not None:
                browser.post(
                    link, data={"form": "acknowledge", "nonce": receipt, "name": customer.contact, "role": "Accounts payable", "lang": customer.language}
                )
        progress.update(step, completed=1, description=f"{customer.name} opened its claim")
        return Opened(customer.name, link, answer)
    return None


def _of_interest(mail: Any, by_mail: Mapping[str, DemoCustomer]) -> tuple[bool, float, str]:
    """Order mails for whoever looks at them first: those in English, the newest by their date, then by recipient, so that it is the same one each time."""
    customer, at = by_mail.get(mail["recipients"][0]), instant_of(mail["date"])
    return (customer is None or customer.language != "en", 0.0 if at is None else -at.timestamp(), str(mail["recipients"][0]))


def _hidden(html: str, name: str) -> str | None:
    found = re.search(rf'name="{name}" value="([^"]+)"', html)
    return str(found.group(1)) if found else None


def _figures(stack: Stack, story: Story) -> dict[str, int]:
    with ApiClient(stack.api_url, story.api_key) as api:
        messages = api.all("/messages", ledger=story.ledger_id)
        sent = [m for m in messages if m["state"] == "accepted"]
        readings = sum(len(api.all(f"/claims/{claim}/readings")) for claim in {m["claim_id"] for m in sent if m["audience"] == "customer"}) if sent else 0
        caught = httpx.get(f"{stack.catcher_url}/api/count").json()
        return {
            "customers": len(api.all(f"/ledgers/{story.ledger_id}/customers")),
            "items": len(api.all(f"/ledgers/{story.ledger_id}/items")),
            "actions": len(api.all("/actions", ledger=story.ledger_id)),
            "messages_sent": len(sent),
            "mails_received": caught["count"],
            "readings": readings,
            "duplicates": caught["count"] - caught["distinct_message_ids"],
        }


def _say_what_happened(out: Console, stack: Stack, story: Story, figures: dict[str, int]) -> None:
    """Print the figures, what the collectors have to do, and two decisions with their reasons."""
    out.print()
    out.print(
        f"[bold]{figures['customers']} customers, {figures['items']} items, {figures['actions']} actions, "
        f"{figures['messages_sent']} messages sent, {figures['mails_received']} mails received, {figures['duplicates']} duplicates.[/]",
        soft_wrap=True,
    )
    with ApiClient(stack.api_url, story.api_key) as api:
        today, agenda = api.get("/tenant")["now"][:10], api.get("/agenda", limit=LINES_SHOWN)
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in agenda["counts"].items() if count)
        out.print(f"\n[bold]The agenda[/] of {today}: {counts or 'nothing'} (GET /v1/agenda)", soft_wrap=True, highlight=False)
        for line in agenda["data"]:
            out.print(f"  {_line_of(line)}", soft_wrap=True, highlight=False)
        _explain(out, api, story.ledger_id)


def _line_of(line: dict[str, Any]) -> str:
    amounts = " + ".join(f"{total['amount']} {total['currency']}" for total in line["totals"])
    return f"{line['scheduled_on']}  {line['person_name'] or 'nobody':13} {line['title'] or line['step_name']}: {line['customer_name']}, {amounts}"


def _explain(out: Console, api: ApiClient, ledger_id: str) -> None:
    """Print why two items are not reminded today: one whose day has not come, and one for another reason."""
    seen = set[str]()
    for item in api.all(f"/ledgers/{ledger_id}/items", state="open"):
        found = api.get(f"/items/{item['item_id']}/explain")
        code = next(iter(found["blockers"]), None)
        if code is None or code in seen:
            continue
        seen.add(code)
        day = f", from {found['first_day']} on" if found["first_day"] else ""
        what = "; ".join(change["text"].rstrip(".") for change in found["changes"])
        out.print(f"\n[bold]Why is invoice {item['number']} not reminded today?[/] {code}: {what}{day}.", soft_wrap=True, highlight=False)
        out.print(f"  GET /v1/items/{item['item_id']}/explain", soft_wrap=True, highlight=False)
        if len(seen) == 2:
            return


def _say_where_to_look(out: Console, stack: Stack, story: Story, opened: Opened | None) -> None:
    asked = next((link for mail in _mails_to(stack, BRUNO) if (link := _link_of(stack, mail))), None)
    places = [
        ("Mails", stack.catcher_url, "every reminder as it arrived, in four languages"),
        ("A claim", opened and opened.link, f"of {opened.customer}; answer {opened.answer} to its question" if opened else ""),
        ("A question", asked, "to a colleague, who takes charge of it and replies"),
        ("API docs", f"{stack.api_url}/docs", "Authorize with the key below, then try any operation"),
        ("API key", story.api_key, "of the demo's tenant"),
        ("Logs", str(log_folder(stack)), "of the API, the worker and the mail catcher"),
    ]
    for name, place, meaning in places:
        if place:
            out.print(f"\n[bold]{name}[/]: {meaning}\n  {place}", soft_wrap=True, highlight=False)
    environment = stack.installation.data_dir / "demo.env"
    out.print(f'\nIn another terminal:\n  . {environment}\n  curl -H "Authorization: Bearer $KEY" $API/agenda', soft_wrap=True, highlight=False)
    out.print("The guides in docs/guides/ begin there; every command in them runs against this demo as it stands.", soft_wrap=True)
