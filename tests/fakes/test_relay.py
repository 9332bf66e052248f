"""The relay shows each fault as a real one would, and its journal holds exactly what it accepted (the ground that D1 and D2 stand on)."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import time
from typing import TYPE_CHECKING

import aiosmtplib
import pytest

from tests.fakes import processes
from tests.fakes.behaviours import STAGE_OF, Behaviour, Facts, Stage, always, by_local_part, by_message_id, by_recipient, first_times, seeded
from tests.fakes.journal import duplicates, read_faults, read_journal
from tests.fakes.relay import Relay

if TYPE_CHECKING:
    from pathlib import Path


def mail(number: int = 1, text: str = "Hello") -> bytes:
    return f"From: us@x.test\r\nTo: them@y.test\r\nMessage-ID: <m.{number}@x.test>\r\nSubject: Reminder\r\n\r\n{text}\r\n".encode()


async def send(port: int, recipient: str = "them@y.test", content: bytes | None = None, timeout_seconds: float = 5.0) -> str:
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, timeout=timeout_seconds, start_tls=False)
    async with client:
        _, answer = await client.sendmail("us@x.test", [recipient], content or mail())
    return answer


class Raw:
    """A client that speaks line by line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> Raw:
        raw = cls(*await asyncio.open_connection("127.0.0.1", port))
        assert (await raw.reply()).startswith("220")
        return raw

    async def reply(self) -> str:
        line = (await asyncio.wait_for(self.reader.readline(), 5)).decode()
        return await self.reply() if line[3:4] == "-" else line.strip()

    async def say(self, *lines: str) -> list[str]:
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())
        return [await self.reply() for _ in lines]


async def test_an_accepted_mail_is_in_the_journal_with_its_bytes_before_the_answer(tmp_path: Path) -> None:
    """The journal names envelope, Message-ID, hash and time; doubled dots are undone."""
    async with Relay(journal_path=tmp_path / "journal") as relay:
        content = mail(text=".\r\n..two\r\nlast")
        assert "queued" in await send(relay.port, content=content)
        [accepted] = read_journal(tmp_path / "journal")
        assert [accepted] == relay.accepted
        assert (accepted.sender, accepted.recipients, accepted.message_id) == ("us@x.test", ("them@y.test",), "<m.1@x.test>")
        assert accepted.sha256 == hashlib.sha256(content).hexdigest()
        assert relay.contents == {"<m.1@x.test>": [content]}


@pytest.mark.parametrize(
    ("behaviour", "code", "words"),
    [
        (Behaviour.CONNECT_421, 421, "4.3.2"),
        (Behaviour.MAIL_451, 451, "4.3.0"),
        (Behaviour.GREYLIST, 451, "4.7.1"),
        (Behaviour.RCPT_UNKNOWN, 550, "5.1.1"),
        (Behaviour.RCPT_POLICY, 550, "5.7.1"),
        (Behaviour.MAILBOX_FULL, 552, "5.2.2"),
        (Behaviour.DATA_554, 554, "5.5.1"),
        (Behaviour.DOT_452, 452, "4.3.1"),
        (Behaviour.DOT_554, 554, "5.6.0"),
    ],
)
async def test_a_refusal_answers_its_code_and_accepts_nothing(behaviour: Behaviour, code: int, words: str) -> None:
    """Each answer of the retry table (promises 2.5) can be met."""
    async with Relay(always(behaviour)) as relay:
        with pytest.raises(aiosmtplib.SMTPException) as refused:
            await send(relay.port)
        error = refused.value
        answers = error.recipients if isinstance(error, aiosmtplib.SMTPRecipientsRefused) else [error]
        assert [getattr(answer, "code", None) for answer in answers] == [code]
        assert words in str(error)
        assert relay.accepted == []
        assert relay.journal.faults == {behaviour: 1}


@pytest.mark.parametrize(
    ("behaviour", "accepted"),
    [
        (Behaviour.DROP_AT_DATA, 0),
        (Behaviour.DROP_MID_BODY, 0),
        (Behaviour.DROP_AFTER_DOT, 0),
        (Behaviour.ACCEPT_THEN_DROP, 1),
    ],
)
async def test_a_drop_looks_alike_to_the_client_and_only_the_journal_knows(behaviour: Behaviour, accepted: int) -> None:
    """RFC 1047: a client that loses the connection after the dot cannot know; here the truth is written down."""
    async with Relay(always(behaviour)) as relay:
        with pytest.raises((aiosmtplib.SMTPServerDisconnected, ConnectionError)):
            await send(relay.port, content=mail(text="long " * 50_000))
        assert len(relay.accepted) == accepted
        assert relay.journal.faults == {behaviour: 1}


async def test_a_stalled_answer_comes_after_the_mail_was_accepted() -> None:
    """A client with a short timeout takes an accepted mail for a failed one: the duplicate machine of promises 2.1."""
    async with Relay(always(Behaviour.ACCEPT_THEN_STALL), stall_seconds=0.6) as relay:
        with pytest.raises((aiosmtplib.SMTPTimeoutError, aiosmtplib.SMTPServerDisconnected)):
            await send(relay.port, timeout_seconds=0.2)
        assert len(relay.accepted) == 1
        assert "queued" in await send(relay.port, timeout_seconds=5)
        assert duplicates(relay.accepted) == {"<m.1@x.test>": 2}


async def test_greylisting_lets_the_second_try_of_the_same_pair_through() -> None:
    """Greylisting keys on sender and recipient."""
    async with Relay(always(Behaviour.GREYLIST)) as relay:
        for recipient in ("a@y.test", "b@y.test"):
            with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
                await send(relay.port, recipient)
            assert "queued" in await send(relay.port, recipient)
        assert relay.journal.faults == {Behaviour.GREYLIST: 2}


async def test_pipelined_commands_are_answered_together_after_one_delay() -> None:
    """RFC 2920: a whole envelope in one round trip; the delay is a round trip's, not a command's."""
    async with Relay(delay_seconds=0.1) as relay:
        client = await Raw.connect(relay.port)
        await client.say("EHLO here")
        began = time.monotonic()
        answers = await client.say("MAIL FROM:<us@x.test>", "RCPT TO:<a@y.test>", "RCPT TO:<b@y.test>", "DATA")
        assert [answer[:3] for answer in answers] == ["250", "250", "250", "354"]
        assert 0.09 < time.monotonic() - began < 0.3
        client.writer.write(b"..\r\n")
        await asyncio.sleep(0.05)
        assert relay.accepted == []
        assert [answer[:3] for answer in await client.say(".")] == ["250"]
        assert relay.contents[""] == [b".\r\n"]
        client.writer.close()


async def test_a_reset_before_the_dot_is_not_a_mail_and_the_connection_goes_on() -> None:
    """A failed fence sends RSET before DATA and uses the connection again."""
    async with Relay() as relay:
        client = await Raw.connect(relay.port)
        answers = await client.say("EHLO here", "MAIL FROM:<us@x.test>", "RCPT TO:<a@y.test>", "RSET", "DATA", "NOOP", "XYZZY")
        assert [answer[:3] for answer in answers] == ["250", "250", "250", "250", "503", "250", "502"]
        assert (await client.say("MAIL FROM:<us@x.test>", "RCPT TO:<b@y.test>", "DATA"))[-1][:3] == "354"
        client.writer.write(b"\r\nbody\r\n.\r\nQUIT\r\n")
        assert [(await client.reply())[:3], (await client.reply())[:3]] == ["250", "221"]
        assert [m.recipients for m in relay.accepted] == [("b@y.test",)]
        assert relay.resets == 1
        client.writer.close()


@pytest.mark.parametrize("method", ["PLAIN", "LOGIN"])
async def test_a_relay_with_accounts_wants_the_right_password(method: str) -> None:
    """530 without, 535 with a wrong one: the account class of promises 2.5."""
    async with Relay(credentials={"shop": "secret"}) as relay:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=relay.port, start_tls=False)
        async with client:
            with pytest.raises(aiosmtplib.SMTPSenderRefused, match="530"):
                await client.sendmail("us@x.test", ["a@y.test"], mail())
            log_in = client.auth_plain if method == "PLAIN" else client.auth_login
            with pytest.raises(aiosmtplib.SMTPAuthenticationError, match="535"):
                await log_in("shop", "wrong")
            await log_in("shop", "secret")
            await client.sendmail("us@x.test", ["a@y.test"], mail())
        assert len(relay.accepted) == 1


async def test_choosers_pick_by_recipient_by_message_id_by_name_and_by_seed() -> None:
    """One run mixes behaviours; the same seed mixes them alike, another one differently."""
    async with Relay(by_recipient({"bad@y.test": Behaviour.RCPT_UNKNOWN})) as relay:
        await send(relay.port, "good@y.test")
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
            await send(relay.port, "BAD@y.test")
    async with Relay(by_message_id({"<m.2@x.test>": Behaviour.DOT_452})) as relay:
        await send(relay.port, content=mail(1))
        with pytest.raises(aiosmtplib.SMTPDataError, match="452"):
            await send(relay.port, content=mail(2))

    def at(stage: Stage, number: int) -> Facts:
        return Facts(stage, 1, 1, "us@x.test", f"r{number}@y.test", None)

    named = {b: by_local_part(Facts(Stage.RCPT, 1, 1, "s", f"{b.value}.17@y.test")) for b in Behaviour}
    assert all(given == wanted for wanted, given in named.items())
    assert by_local_part(Facts(Stage.RCPT, 1, 1, "s", "someone@y.test")) is Behaviour.OK
    one, again, other = seeded(1, Behaviour), seeded(1, Behaviour), seeded(2, Behaviour)
    picked = [one(at(Stage.DOT, n)) for n in range(400)]
    assert picked == [again(at(Stage.RCPT, n)) for n in range(400)]
    assert picked != [other(at(Stage.DOT, n)) for n in range(400)]
    late = {b for b in Behaviour if STAGE_OF.get(b) not in {Stage.CONNECT, Stage.MAIL}}
    assert set(picked) == late
    assert {one(Facts(Stage.CONNECT, n, 0)) for n in range(200)} == {Behaviour.OK, Behaviour.CONNECT_421}


@pytest.mark.parametrize("behaviour", [b for b in Behaviour if STAGE_OF.get(b, Stage.DOT) is not Stage.DOT or b.value.startswith("dot")])
async def test_a_fault_that_is_meant_once_lets_the_second_try_through(behaviour: Behaviour) -> None:
    """A run can end only if faults do: every one of them shows exactly once here, and then the mail arrives once."""
    async with Relay(first_times(always(behaviour), 1)) as relay:
        if behaviour is not Behaviour.OK:
            with pytest.raises((aiosmtplib.SMTPException, ConnectionError)):
                await send(relay.port)
        assert "queued" in await send(relay.port)
        assert len(relay.accepted) == 1
        assert sum(relay.journal.faults.values()) == (behaviour is not Behaviour.OK)


async def test_a_relay_of_its_own_process_keeps_its_journal_over_a_kill(tmp_path: Path) -> None:
    """The journal is the witness of a crash run: it is on disk before the answer, and a line cut short is not counted."""
    journal = tmp_path / "journal"
    with processes.running("tests.fakes.relay", "--journal", journal, "--behaviour", "by-local-part", "--times", 1) as relay:
        await send(relay.port, "someone@y.test", mail(1))
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
            await send(relay.port, "greylist.1@y.test", mail(2))
        await send(relay.port, "greylist.1@y.test", mail(2))
        os.kill(relay.pid, signal.SIGKILL)
    with journal.open("ab") as file:
        file.write(b'{"kind":"accepted","at":"2026')
    assert [m.message_id for m in read_journal(journal)] == ["<m.1@x.test>", "<m.2@x.test>"]
    assert read_faults(journal) == {Behaviour.GREYLIST: 1}
