"""The mail catcher: it keeps every mail, shows it safely, and tells when one came twice (D1 made visible)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from email.message import EmailMessage
from typing import TYPE_CHECKING

import aiosmtplib
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dunning_cli.catcher import Catcher
from dunning_cli.catcher.reading import read_mail
from dunning_cli.child_process import EmbeddedServerError, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser


def reminder(number: int = 1, to: str = "ap@acme.example") -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Müller & Söhne <billing@seller.example>"
    mail["To"] = to
    mail["Subject"] = f"Überfällig: Rechnung {number}"
    mail["Date"] = "Mon, 02 Mar 2026 08:00:00 +0000"
    mail["Message-ID"] = f"<m.{number}@seller.example>"
    mail.set_content("Zahlbar sind 1.234,50 €.\nhttps://pay.example/claim/1.\n")
    mail.add_alternative(
        "<html><head><title>x</title></head><body><p>1.234,50 €</p><script>steal()</script>"
        '<a href="https://pay.example/claim/1?a=b&amp;c=d">Pay</a> <a href="javascript:alert(1)">no</a></body></html>',
        subtype="html",
    )
    mail.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="Rechnung ä.pdf")
    return mail


class World:
    """A catcher and ways to reach it."""

    def __init__(self, catcher: Catcher) -> None:
        self.catcher = catcher
        self.web = httpx.AsyncClient(base_url=f"http://127.0.0.1:{catcher.web_port}", timeout=10)

    async def send(self, mail: EmailMessage | bytes, *recipients: str) -> str:
        content = bytes(mail) if isinstance(mail, EmailMessage) else mail
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=self.catcher.smtp_port, start_tls=False) as client:
            _, answer = await client.sendmail("bounce@seller.example", list(recipients or ("ap@acme.example",)), content)
        return answer

    async def mails(self, **query: str | int) -> list[dict[str, object]]:
        answer = await self.web.get("/api/mails", params=query)
        assert answer.status_code == 200, answer.text
        data: list[dict[str, object]] = answer.json()["data"]
        return data


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with Catcher(tmp_path / "mails") as catcher:
        made = World(catcher)
        yield made
        await made.web.aclose()


async def test_a_mail_is_kept_byte_for_byte_and_shown_decoded(world: World) -> None:
    """One mail is one .eml and one .json file; the JSON view has envelope, headers, texts, links and attachments."""
    mail = reminder()
    await world.send(mail, "ap@acme.example", "cfo@acme.example")
    [listed] = await world.mails()
    assert listed["subject"] == "Überfällig: Rechnung 1"
    assert listed["sender"] == "Müller & Söhne <billing@seller.example>"
    assert listed["recipients"] == ["ap@acme.example", "cfo@acme.example"]
    assert (listed["envelope_sender"], listed["message_id"], listed["copies"]) == ("bounce@seller.example", "<m.1@seller.example>", 1)
    read = (await world.web.get(f"/api/mails/{listed['id']}")).json()
    assert read["text"] == "Zahlbar sind 1.234,50 €.\nhttps://pay.example/claim/1.\n"
    assert "1.234,50 €" in read["html"]
    assert read["links"] == ["https://pay.example/claim/1?a=b&c=d", "https://pay.example/claim/1"]
    assert read["attachments"] == [{"name": "Rechnung ä.pdf", "media_type": "application/pdf", "size": 8}]
    source = await world.web.get(f"/mails/{listed['id']}/source")
    assert source.content == bytes(mail).replace(b"\n", b"\r\n")
    assert source.headers["content-disposition"].startswith("attachment")


async def test_the_same_mail_twice_is_two_mails_with_a_count_of_two(world: World) -> None:
    """D1: a duplicate must be seen and not be swallowed."""
    for number in (1, 1, 2):
        await world.send(reminder(number))
    assert [(m["message_id"], m["copies"]) for m in await world.mails()] == [
        ("<m.2@seller.example>", 1),
        ("<m.1@seller.example>", 2),
        ("<m.1@seller.example>", 2),
    ]
    assert (await world.web.get("/api/count")).json() == {"count": 3, "distinct_message_ids": 2}
    assert "received 2×" in (await world.web.get("/")).text
    assert "1 sent again" in (await world.web.get("/")).text


async def test_lists_are_searched_by_whole_address_or_message_id_and_paged_newest_first(world: World) -> None:
    """`to` is exact, so that ap@ does not find map@; the page's search finds parts of addresses."""
    for number in range(1, 8):
        await world.send(reminder(number), "map@acme.example" if number % 2 else "AP@acme.example")
    assert [m["message_id"] for m in await world.mails(to="ap@acme.example")] == [f"<m.{n}@seller.example>" for n in (6, 4, 2)]
    assert len(await world.mails(message_id="m.3@seller.example")) == 1
    first = (await world.web.get("/api/mails", params={"limit": 5})).json()
    second = (await world.web.get("/api/mails", params={"limit": 5, "after": first["next_cursor"]})).json()
    assert [m["message_id"] for m in first["data"] + second["data"]] == [f"<m.{n}@seller.example>" for n in range(7, 0, -1)]
    assert second["next_cursor"] is None
    assert (await world.web.get("/api/count", params={"to": "ap@acme.example"})).json()["count"] == 3
    page = (await world.web.get("/", params={"q": "MAP@"})).text
    assert page.count("map@acme.example") >= 4
    assert "AP@acme.example" not in page.replace("map@acme.example", "")


async def test_wrong_questions_get_a_sentence_to_act_on(world: World) -> None:
    """A wrong cursor is 422, an unknown mail 404; people get a page and programs a problem document."""
    wrong = await world.web.get("/api/mails", params={"after": "yesterday"})
    assert (wrong.status_code, wrong.json()["detail"]) == (422, "after is no cursor: give the next_cursor of the page before.")
    assert (await world.web.get("/api/mails", params={"limit": 0})).status_code == 422
    unknown = await world.web.get("/api/mails/00000009-abcdef")
    assert (unknown.status_code, unknown.headers["content-type"]) == (404, "application/problem+json")
    page = await world.web.get("/mails/../../etc/passwd")
    assert page.status_code == 404
    assert "Back to the inbox" in page.text


async def test_no_script_of_a_mail_or_page_can_run(world: World) -> None:
    """The mail stands in a sandboxed frame under a policy that loads nothing; the page itself allows no script at all."""
    await world.send(reminder())
    [mail] = await world.mails()
    page = await world.web.get(f"/mails/{mail['id']}")
    assert '<iframe class="body" sandbox="allow-popups allow-popups-to-escape-sandbox"' in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "script" not in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert "javascript:alert" not in page.text
    framed = await world.web.get(f"/mails/{mail['id']}/html")
    assert framed.headers["content-security-policy"].startswith("sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'")
    assert '<head><base target="_blank">' in framed.text
    for path in ("/", f"/mails/{mail['id']}?view=text", f"/mails/{mail['id']}/attachments/1", "/static/catcher.css"):
        answer = await world.web.get(path)
        assert answer.status_code == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
    foreign = await world.web.get("/", headers={"Host": "evil.example"})
    assert foreign.status_code == 400


@pytest.mark.browser
async def test_a_link_in_a_mail_opens_beside_it_and_a_script_in_a_link_does_nothing(world: World, chromium: Browser) -> None:
    """Whoever tries a mail presses its button; what comes by mail runs nowhere, in the frame or beside it."""
    await world.send(reminder())
    [mail] = await world.mails()
    context = await chromium.new_context()
    asked: list[str] = []
    ran: list[str] = []
    await context.route("https://pay.example/**", lambda route: route.fulfill(body="paid"))
    context.on("request", lambda request: asked.append(request.url) if "pay.example" in request.url else None)
    context.on("dialog", lambda dialog: ran.append(dialog.message))
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{world.catcher.web_port}/mails/{mail['id']}")
    frame = page.frame_locator("iframe.body")
    await frame.get_by_role("link", name="no").click()
    async with context.expect_page() as opened:
        await frame.get_by_role("link", name="Pay").click()
    beside = await opened.value
    await beside.wait_for_load_state()
    assert asked == ["https://pay.example/claim/1?a=b&c=d"]
    assert await page.get_by_role("heading", level=1).inner_text() == "Überfällig: Rechnung 1"
    assert await page.locator("time").first.inner_text() == "2 Mar 2026, 08:00:00", "a mail is known by the day of its story"
    assert ran == []
    await context.close()


async def test_hostile_text_stays_text(world: World) -> None:
    """I1: names and subjects are escaped wherever they are shown."""
    mail = b"From: <script>f()</script>\r\nSubject: =?utf-8?q?=3Cscript=3Ealert(1)=3C/script=3E?=\r\n\r\n<script>t()</script>\r\n"
    await world.send(mail)
    [kept] = await world.mails()
    for path in ("/", f"/mails/{kept['id']}", f"/mails/{kept['id']}?view=headers", "/?q=<script>q()</script>"):
        assert "<script" not in (await world.web.get(path)).text


async def test_mails_survive_a_kill_and_ids_are_never_used_again(tmp_path: Path) -> None:
    """What was answered with 250 is in the folder; a half-written file of a killed catcher is swept away."""
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom dunning_cli.catcher import Catcher\n"
        "async def main():\n  async with Catcher(Path(sys.argv[1])) as c:\n    print(c.smtp_port, flush=True)\n    await c.wait()\nasyncio.run(main())"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline())
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
        for number in (1, 2):
            await client.sendmail("s@x.example", ["r@x.example"], bytes(reminder(number)))
        process.kill()
        process.wait()
        process.stdout.close()
        client.close()
    (tmp_path / "00000003-abcdef.eml.part").write_bytes(b"half")
    (tmp_path / "00000004-abcdef.json").write_text("not json", encoding="ascii")
    async with Catcher(tmp_path) as catcher:
        world = World(catcher)
        assert [m["message_id"] for m in await world.mails()] == ["<m.2@seller.example>", "<m.1@seller.example>"]
        await world.send(reminder(3))
        ids = [str(m["id"]) for m in await world.mails()]
        assert len(set(ids)) == 3
        assert sorted(ids, reverse=True) == ids
        assert not list(tmp_path.glob("*.part"))
        assert (tmp_path / f"{ids[0]}.eml").exists()
        assert json.loads((tmp_path / f"{ids[0]}.json").read_text(encoding="utf-8"))["recipients"] == ["ap@acme.example"]
        await world.web.aclose()


async def test_a_second_catcher_on_the_folder_and_a_taken_port_are_refused_with_a_sentence(world: World, tmp_path: Path) -> None:
    """Both say what to do."""
    with pytest.raises(EmbeddedServerError, match="in use by another running process"):
        await Catcher(tmp_path / "mails").start()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(EmbeddedServerError, match=r"cannot listen on 127\.0\.0\.1 port \d+ for its page"):
            await Catcher(tmp_path / "other", web_port=taken.getsockname()[1]).start()
    async with Catcher(tmp_path / "other"):
        pass


async def test_eight_bit_base64_and_long_lines_are_caught_and_remarked_on(world: World) -> None:
    """A strict server would refuse these; a developer wants to see them and to be told."""
    latin = "Subject: Größe\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nfür Müller\r\n".encode("latin-1")
    wrong_charset = b"Content-Type: text/html; charset=klingon\r\n\r\n<p>f\xc3\xbcr</p>\r\n"
    base64 = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nZsO8ciBNw7xsbGVy\r\nZsO8c!!\r\n"
    long_line = b"Subject: long\r\n\r\n" + b"x" * 5000 + b"\r\n"
    for mail in (latin, wrong_charset, base64, long_line):
        await world.send(mail)
    read = [(await world.web.get(f"/api/mails/{mail['id']}")).json() for mail in reversed(await world.mails())]
    assert (read[0]["subject"], read[0]["text"]) == ("Größe", "für Müller\n")
    assert "Its headers hold 8-bit octets that are not encoded." in read[0]["oddities"]
    assert read[1]["html"] == "<p>für</p>\n"
    assert read[2]["text"].startswith("für Müller")
    assert any("longer than 998 octets" in oddity for oddity in read[3]["oddities"])
    for mail in read:
        assert (await world.web.get(f"/mails/{mail['id']}")).status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n",
        b"no header at all",
        b"Subject: =?utf-8?b?!!!?= =?bogus?q?x?=\r\n\r\n",
        b"Content-Type: multipart/mixed\r\n\r\nno boundary",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nnever closed",
        b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nhello",
        b"Content-Type: text/plain; charset*=''x%ff\r\nContent-Transfer-Encoding: uuencode\r\n\r\nbegin",
        b"Content-Disposition: attachment; filename*0*=utf-8''%ff%00; filename*1=\"../../x\"\r\n\r\nx",
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000)),
        b"\x00\x01\xff" * 100,
    ],
)
def test_a_broken_mail_is_shown_and_never_refused(content: bytes) -> None:
    """I2: the parser of a catcher meets whatever a program under development sends."""
    reading = read_mail(content)
    json.dumps([reading.text, reading.html, reading.headers, reading.oddities]).encode("utf-8")
    assert all("/" not in attachment.name for attachment in reading.attachments)
    assert reading.text is not None or reading.html is not None or reading.attachments or reading.oddities


_WORDS = [
    b"Content-Type: multipart/mixed; boundary=x\r\n", b"--x\r\n", b"--x--\r\n", b"\r\n", b"Content-Transfer-Encoding: base64\r\n", b"Subject: ",
    b"=?utf-8?q?", b"?=", b"Content-Type: text/html; charset=", b"Content-Disposition: attachment; filename=", b"\xff\xfe", b"\x00", b"<a href=", b"\n",
]  # fmt: skip


@given(st.lists(st.one_of(st.sampled_from(_WORDS), st.binary(max_size=12)), max_size=25).map(b"".join))
def test_any_octets_make_a_mail_that_can_be_shown(content: bytes) -> None:
    """I1, I2: no octets raise, and what comes out is valid UTF-8 without control characters."""
    reading = read_mail(content)
    for text in (reading.text or "", reading.html or "", *(value for header in reading.headers for value in header)):
        text.encode("utf-8")
        assert not any(ord(char) < 0x20 and char not in "\n\t" for char in text)


def test_the_command_serves_until_it_is_asked_to_end(tmp_path: Path) -> None:
    """`serve` runs both servers in the caller's loop and leaves the caller's signals alone."""
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom dunning_cli.catcher import serve\n"
        "async def main():\n  t = asyncio.create_task(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))\n  await t\n"
        "try:\n  asyncio.run(main())\nexcept KeyboardInterrupt:\n  print('ended')"
    )
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(str(free.getsockname()[1]))
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), *ports], stdout=subprocess.PIPE, text=True)

    def answers() -> bool:
        try:
            return bool(httpx.get(f"http://127.0.0.1:{ports[1]}/api/count", timeout=2).json() == {"count": 0, "distinct_message_ids": 0})
        except httpx.HTTPError:
            return False

    try:
        assert wait_until(answers, seconds=20, pause_seconds=0.1)
        os.kill(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=10)
        assert said.strip() == "ended"
    finally:
        process.kill()
        process.wait()


async def test_many_mails_at_once_are_all_kept_in_one_order(world: World) -> None:
    """Several connections at a time, as the dispatcher has them."""
    await asyncio.gather(*(world.send(reminder(n)) for n in range(60)))
    mails = await world.mails(limit=200)
    assert len({mail["id"] for mail in mails}) == len(mails) == 60
    assert [mail["received_at"] for mail in mails] == sorted((mail["received_at"] for mail in mails), reverse=True)  # type: ignore[type-var]
