"""A scriptable SMTP relay (RFC 5321, 2920, 4954): each message meets the behaviour that the test has chosen for it.

In a test: `async with Relay(chooser) as relay`. As its own process, which outlives a killed worker:
`python -m tests.fakes.relay --port 0 --journal relay.jsonl --behaviour ok --delay-ms 0`; it prints `listening on 127.0.0.1:<port>`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import binascii
import contextlib
import hashlib
import re
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dunning.kit.clock import Clock, SystemClock
from tests.fakes.behaviours import REPLIES, STAGE_OF, Behaviour, Chooser, Facts, Stage, always, by_local_part, first_times, seeded
from tests.fakes.journal import Accepted, Journal
from tests.fakes.wire import LARGEST_MAIL, ConnectionOver, Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATH = re.compile(r"(?:FROM|TO):\s*<(?P<address>[^>]*)>", re.IGNORECASE)
_MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
_CLOSES = (Behaviour.DROP_AT_DATA, Behaviour.DROP_MID_BODY, Behaviour.DROP_AFTER_DOT, Behaviour.ACCEPT_THEN_DROP)


@dataclass(slots=True)
class _Transaction:
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)


class _Session:
    """One connection."""

    def __init__(self, relay: Relay, wire: Wire, connection_no: int) -> None:
        self._relay, self._wire, self._connection_no = relay, wire, connection_no
        self._transaction = _Transaction()
        self._transaction_no = 0
        self._greeted = False
        self._user: str | None = None

    async def run(self) -> None:
        if self._meets(Behaviour.CONNECT_421, Stage.CONNECT):
            self._wire.say(REPLIES[Behaviour.CONNECT_421])
            await self._wire.flush()
            return
        self._wire.say("220 relay.test ESMTP")
        while True:
            line = (await self._wire.line()).decode("utf-8", "replace")
            verb, _, rest = line.partition(" ")
            answer = getattr(self, f"_on_{verb.lower()}", None) if verb.isalpha() else None
            if answer is None:
                self._wire.say("502 5.5.2 command not known")
                continue
            await answer(rest.strip())
            if verb.lower() == "quit":
                await self._wire.flush()
                return

    async def _on_ehlo(self, _name: str) -> None:
        self._greeted, self._transaction = True, _Transaction()
        offers = ["relay.test", "PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", f"SIZE {LARGEST_MAIL}"]
        offers += ["AUTH PLAIN LOGIN"] if self._relay.credentials else []
        for offer in offers[:-1]:
            self._wire.say(f"250-{offer}")
        self._wire.say(f"250 {offers[-1]}")

    async def _on_helo(self, _name: str) -> None:
        self._greeted, self._transaction = True, _Transaction()
        self._wire.say("250 relay.test")

    async def _on_noop(self, _rest: str) -> None:
        self._wire.say("250 2.0.0 ok")

    async def _on_rset(self, _rest: str) -> None:
        self._transaction = _Transaction()
        self._relay.resets += 1
        self._wire.say("250 2.0.0 flushed")

    async def _on_quit(self, _rest: str) -> None:
        self._wire.say("221 2.0.0 bye")

    async def _on_auth(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        try:
            if mechanism.upper() == "PLAIN":
                answer = initial or await self._ask("")
                _, user, password = base64.b64decode(answer, validate=True).decode("utf-8").split("\0")
            elif mechanism.upper() == "LOGIN":
                user = base64.b64decode(initial or await self._ask("VXNlcm5hbWU6"), validate=True).decode("utf-8")
                password = base64.b64decode(await self._ask("UGFzc3dvcmQ6"), validate=True).decode("utf-8")
            else:
                self._wire.say("504 5.5.4 mechanism not known")
                return
        except (binascii.Error, ValueError):
            self._wire.say("501 5.5.2 cannot decode")
            return
        if self._relay.credentials.get(user) == password:
            self._user = user
            self._wire.say("235 2.7.0 welcome")
        else:
            self._wire.say("535 5.7.8 wrong user or password")

    async def _ask(self, challenge: str) -> str:
        self._wire.say(f"334 {challenge}")
        return (await self._wire.line()).decode("ascii", "replace")

    async def _on_mail(self, rest: str) -> None:
        found = _PATH.match(rest)
        if not self._greeted or self._transaction.sender is not None:
            self._wire.say("503 5.5.1 bad sequence of commands")
        elif self._relay.credentials and self._user is None:
            self._wire.say("530 5.7.0 authentication required")
        elif found is None:
            self._wire.say("501 5.1.7 bad sender address")
        else:
            self._transaction_no += 1
            if self._meets(Behaviour.MAIL_451, Stage.MAIL, sender=found["address"]):
                self._wire.say(REPLIES[Behaviour.MAIL_451])
                return
            self._transaction = _Transaction(sender=found["address"])
            self._wire.say("250 2.1.0 ok")

    async def _on_rcpt(self, rest: str) -> None:
        found = _PATH.match(rest)
        if self._transaction.sender is None:
            self._wire.say("503 5.5.1 MAIL first")
        elif found is None or not found["address"]:
            self._wire.say("501 5.1.3 bad recipient address")
        else:
            behaviour = self._chosen(Stage.RCPT, recipient=found["address"])
            refused = STAGE_OF.get(behaviour) == Stage.RCPT
            if behaviour == Behaviour.GREYLIST:
                refused = self._relay.is_new_to_greylist(self._transaction.sender, found["address"])
            if refused:
                self._relay.journal.add_fault(behaviour)
                self._wire.say(REPLIES[behaviour])
                return
            self._transaction.recipients.append(found["address"])
            self._wire.say("250 2.1.5 ok")

    async def _on_data(self, _rest: str) -> None:
        if not self._transaction.recipients:
            self._wire.say("554 5.5.1 no valid recipients" if self._transaction.sender is not None else "503 5.5.1 MAIL first")
            return
        behaviour = self._chosen(Stage.DATA)
        if STAGE_OF.get(behaviour) == Stage.DATA:
            self._relay.journal.add_fault(behaviour)
            if behaviour == Behaviour.DROP_AT_DATA:
                await self._drop()
            self._transaction = _Transaction()
            self._wire.say(REPLIES[behaviour])
            return
        self._wire.say("354 end with a dot")
        await self._wire.flush()
        if self._chosen(Stage.BODY) == Behaviour.DROP_MID_BODY:
            await self._wire.some_input()
            self._relay.journal.add_fault(Behaviour.DROP_MID_BODY)
            await self._drop()
        await self._after_dot(await self._wire.body())

    async def _after_dot(self, sent: bytes) -> None:
        content = _without_stuffing(sent)
        found = _MESSAGE_ID.search(content.partition(b"\r\n\r\n")[0])
        message_id = found.group(1).decode("utf-8", "replace") if found else ""
        behaviour = self._chosen(Stage.DOT, message_id=message_id)
        if behaviour == Behaviour.DROP_AFTER_DOT:
            self._relay.journal.add_fault(behaviour)
            await self._drop()
        if behaviour in REPLIES and STAGE_OF[behaviour] == Stage.DOT:
            self._relay.journal.add_fault(behaviour)
            self._transaction = _Transaction()
            self._wire.say(REPLIES[behaviour])
            return
        self._relay.accept(self._connection_no, self._transaction, message_id, content, behaviour)
        self._transaction = _Transaction()
        if behaviour == Behaviour.ACCEPT_THEN_DROP:
            await self._drop()
        if behaviour == Behaviour.ACCEPT_THEN_STALL:
            await asyncio.sleep(self._relay.stall_seconds)
        self._wire.say("250 2.0.0 queued")

    def _chosen(self, stage: Stage, *, sender: str | None = None, recipient: str | None = None, message_id: str | None = None) -> Behaviour:
        known = self._transaction
        return self._relay.chooser(
            Facts(
                stage=stage,
                connection_no=self._connection_no,
                transaction_no=self._transaction_no,
                sender=sender if sender is not None else known.sender,
                recipient=recipient or (known.recipients[0] if known.recipients else None),
                message_id=message_id,
            )
        )

    def _meets(self, behaviour: Behaviour, stage: Stage, *, sender: str | None = None) -> bool:
        met = self._chosen(stage, sender=sender) == behaviour
        if met:
            self._relay.journal.add_fault(behaviour)
        return met

    async def _drop(self) -> None:
        await self._wire.flush()
        self._wire.abort()
        raise ConnectionOver


def _without_stuffing(sent: bytes) -> bytes:
    """Take off the dots that the sender doubled (RFC 5321 4.5.2)."""
    return (b"\r\n" + sent).replace(b"\r\n.", b"\r\n")[2:]


class Relay:
    """A relay on loopback. Each call of `chooser` may see another stage of the same message; it must answer alike for all of them.

    `contents` keeps the accepted bytes by Message-ID when `keep_content` is set. `resets` counts RSET: a fence that failed shows here.
    """

    def __init__(
        self,
        chooser: Chooser | None = None,
        *,
        journal_path: Path | None = None,
        delay_seconds: float = 0.0,
        stall_seconds: float = 5.0,
        credentials: Mapping[str, str] | None = None,
        keep_content: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self.chooser = chooser or always(Behaviour.OK)
        self.journal = Journal(journal_path)
        self.delay_seconds = delay_seconds
        self.stall_seconds = stall_seconds
        self.credentials = dict(credentials or {})
        self.contents: dict[str, list[bytes]] = {}
        self.resets = 0
        self.connections = 0
        self._keep_content = keep_content
        self._clock = clock or SystemClock()
        self._greylisted: set[tuple[str, str]] = set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def accepted(self) -> list[Accepted]:
        """Return what was accepted, in order."""
        return self.journal.accepted

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        if self._server is None:
            msg = "the relay is not started"
            raise RuntimeError(msg)
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1, on a free port by default; the same relay may be started again after `stop`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=1 << 16)

    async def stop(self) -> None:
        """Stop listening and cut all connections; the journal stays readable. Twice is harmless."""
        if self._server is None:
            return
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        self.journal.close()

    def is_new_to_greylist(self, sender: str, recipient: str) -> bool:
        """Tell whether this sender writes to this recipient for the first time, and remember it (greylisting keys on both)."""
        known = (sender, recipient) in self._greylisted
        self._greylisted.add((sender, recipient))
        return not known

    def accept(self, connection_no: int, transaction: _Transaction, message_id: str, content: bytes, behaviour: Behaviour) -> None:
        """Write an accepted mail into the journal: from here on the relay is responsible for it, whatever the client hears."""
        if behaviour in STAGE_OF and STAGE_OF[behaviour] == Stage.DOT:
            self.journal.add_fault(behaviour)
        if self._keep_content:
            self.contents.setdefault(message_id, []).append(content)
        self.journal.add(
            Accepted(
                at=self._clock.now().isoformat(),
                connection_no=connection_no,
                sender=transaction.sender or "",
                recipients=tuple(transaction.recipients),
                message_id=message_id,
                sha256=hashlib.sha256(content).hexdigest(),
                size=len(content),
                behaviour=behaviour.value,
                answered=behaviour not in _CLOSES,
            )
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionOver, ConnectionError, asyncio.CancelledError):
                await _Session(self, Wire(reader, writer, self.delay_seconds), self.connections).run()
        finally:
            self._writers.discard(writer)
            writer.close()


def _chooser_of(arguments: argparse.Namespace) -> Chooser:
    if arguments.behaviour == "by-local-part":
        chooser: Chooser = by_local_part
    elif arguments.behaviour == "seeded":
        chooser = seeded(arguments.seed, Behaviour)
    else:
        chooser = always(Behaviour(arguments.behaviour))
    return first_times(chooser, arguments.times) if arguments.times else chooser


async def _main(arguments: argparse.Namespace) -> None:
    relay = Relay(
        _chooser_of(arguments),
        journal_path=arguments.journal,
        delay_seconds=arguments.delay_ms / 1000,
        stall_seconds=arguments.stall_seconds,
        keep_content=False,
    )
    await relay.start(arguments.port)
    sys.stdout.write(f"listening on 127.0.0.1:{relay.port}\n")
    sys.stdout.flush()
    over = asyncio.Event()
    for wanted in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(wanted, over.set)
    await over.wait()
    await relay.stop()
    relay.journal.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.relay", description="A scriptable SMTP relay on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--journal", type=Path)
    parser.add_argument("--behaviour", default="ok", choices=[*(b.value for b in Behaviour), "by-local-part", "seeded"])
    parser.add_argument("--seed", type=int, default=0, help="for --behaviour seeded")
    parser.add_argument("--times", type=int, default=0, help="how often one recipient meets a fault; 0 is always")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="wait before each group of replies")
    parser.add_argument("--stall-seconds", type=float, default=5.0, help="for accept-then-stall")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(_main(_arguments()))
