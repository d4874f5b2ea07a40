"""Keeping what attempts tell of their progress.

Bodies may tell as often as they like; storage is told about once a second, of all attempts that
told anything since, in one call. Of each the last details win. What an attempt told before it
failed is kept before its failure is: the next attempt starts from it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from perdure.dispatch.attempts import Attempt
from perdure.dispatch.storage import Storage
from perdure.errors import PerdureError, ProviderError
from perdure.model.ids import JsonText
from perdure.providers.work import ActivityProgress, Renewed

__all__ = ["Progress"]

_LOG = logging.getLogger("perdure.activities")


class Progress:
    """Gathers details of heartbeats and has them kept.

    Args:
        storage: What keeps them.
        every: The time between two calls, at least.
        on_answer: Called with what storage says of an attempt meanwhile.
        on_task: Called with every task that sends, for its errors.
    """

    def __init__(
        self,
        storage: Storage,
        every: timedelta,
        *,
        on_answer: Callable[[Attempt, Renewed], None],
        on_task: Callable[[asyncio.Task[None]], None],
    ) -> None:
        self._storage = storage
        self._every = every.total_seconds()
        self._on_answer = on_answer
        self._on_task = on_task
        self._told: dict[Attempt, None] = {}
        self._next_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    def note(self, attempt: Attempt) -> None:
        """Have its details kept soon."""
        self._told[attempt] = None
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="perdure-progress")
            self._on_task(self._task)

    async def flush(self, attempts: Sequence[Attempt]) -> None:
        """Have the details of these kept now, however long storage is away."""
        batch = self._take(attempts)
        if not batch:
            return
        try:
            await self._storage.persist(
                "record_progress", partial(self._storage.provider.record_progress, _rows(batch))
            )
        except PerdureError as error:
            _LOG.warning("details of heartbeats were not kept: %s", error)

    async def close(self) -> None:
        """Send no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _take(self, attempts: Sequence[Attempt]) -> list[tuple[Attempt, JsonText]]:
        found: list[tuple[Attempt, JsonText]] = []
        for attempt in attempts:
            self._told.pop(attempt, None)
            details = attempt.context.take_details()
            if details is not None:
                found.append((attempt, details))
        return found

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._told:
                wait = self._next_at - loop.time()
                if wait > 0:
                    await asyncio.sleep(wait)
                self._next_at = loop.time() + self._every
                await self._send([a for a in self._told if a.decision is None])
        finally:
            self._task = None

    async def _send(self, attempts: Sequence[Attempt]) -> None:
        self._told.clear()
        batch = self._take(attempts)
        if not batch:
            return
        try:
            answers = await self._storage.call(
                "record_progress", partial(self._storage.provider.record_progress, _rows(batch))
            )
        except PerdureError as error:
            if isinstance(error, ProviderError) and error.retryable:
                for attempt, details in batch:
                    attempt.context.put_back(details)
                    self._told[attempt] = None
            else:
                _LOG.warning("details of heartbeats were not kept: %s", error)
            return
        for (attempt, _), answer in zip(batch, answers, strict=True):
            self._on_answer(attempt, answer)


def _rows(batch: Sequence[tuple[Attempt, JsonText]]) -> list[ActivityProgress]:
    return [ActivityProgress(attempt.lease, details) for attempt, details in batch]
