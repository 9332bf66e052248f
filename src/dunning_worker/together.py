"""Doing at once what is asked for at the same time: several mails share one transaction, and none of them waits for a timer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Together(Generic[Question, Answer]):
    """Answers questions in groups: the first begins at once, and what is asked while `at_once` groups are under way makes up the next.

    `work` answers a group of at most `most` in its order. An error of it goes to everyone in the group.
    """

    def __init__(self, work: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]], most: int, *, at_once: int = 1) -> None:
        self._work = work
        self._most = most
        self._at_once = at_once
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._at_work = 0
        self._workers: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question) -> Answer:
        """Return the answer to one question."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        # A task begins with the loop's next turn: whoever asks in this turn is in the first group.
        if len(self._waiting) == 1 and self._at_work < self._at_once:
            self._at_work += 1
            worker = asyncio.create_task(self._work_off())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return await answer

    async def _work_off(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._answer(group)
        finally:
            # In the same step in which the queue was seen empty: who asks next finds the place free.
            self._at_work -= 1

    async def _answer(self, group: Sequence[tuple[Question, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._work([question for question, _ in group])
        except Exception as error:  # noqa: BLE001  # whoever asked decides what it means
            for _, waiting in group:
                if not waiting.done():
                    waiting.set_exception(error)
        except BaseException:
            for _, waiting in group:
                waiting.cancel()
            raise
        else:
            for (_, waiting), answer in zip(group, answers, strict=True):
                if not waiting.done():
                    waiting.set_result(answer)
