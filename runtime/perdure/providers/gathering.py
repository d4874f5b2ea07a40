"""Batches that form by themselves.

Storage takes lists, and its cost is mostly per call: a list of one costs about as much as a list
of twenty. Callers, on the other hand, come one at a time. `Gatherer` stands between them: what
comes while a call is in flight waits for it to return and then goes as one list. Nothing ever
lingers to see whether more comes: on an idle system an item is sent at once, on a busy one the
lists grow with the load, and both need no setting.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from perdure.errors import ProviderError

__all__ = ["Gatherer"]


class Gatherer[Item, Reply]:
    """Sends items in lists, one call at a time, and hands each caller its own reply.

    Args:
        send: Takes a list and returns as many replies, in order.
        items_max: The longest list.

    A call that fails for good with more than one item is repeated item by item, so that a bad
    item harms nobody but whoever sent it.
    """

    def __init__(
        self, send: Callable[[Sequence[Item]], Awaitable[Sequence[Reply]]], *, items_max: int = 500
    ) -> None:
        self._send = send
        self._items_max = items_max
        self._waiting: deque[tuple[Item, asyncio.Future[Reply]]] = deque()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many items have not been sent yet."""
        return len(self._waiting)

    async def submit(self, item: Item) -> Reply:
        """Send one item; raises whatever `send` raised for it."""
        return await self.put(item)

    def put(self, item: Item) -> asyncio.Future[Reply]:
        """Send one item, without waiting for the reply."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="perdure-gatherer")
        return future

    async def close(self) -> None:
        """Cancel what was not sent, and the call in flight."""
        task, self._task = self._task, None
        waiting, self._waiting = self._waiting, deque()
        for _, future in waiting:
            future.cancel()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while self._waiting:
                count = min(len(self._waiting), self._items_max)
                batch = [self._waiting.popleft() for _ in range(count)]
                try:
                    await self._send_batch(batch)
                finally:
                    for _, future in batch:
                        if not future.done():
                            future.cancel()
        finally:
            if self._task is asyncio.current_task():
                self._task = None

    async def _send_batch(self, batch: Sequence[tuple[Item, asyncio.Future[Reply]]]) -> None:
        try:
            replies = await self._send([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001  it belongs to the callers, who get it
            if len(batch) > 1 and not (isinstance(error, ProviderError) and error.retryable):
                for single in batch:
                    await self._send_batch([single])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), reply in zip(batch, replies, strict=True):
            if not future.done():
                future.set_result(reply)
