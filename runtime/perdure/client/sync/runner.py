"""An event loop in a thread of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any

from perdure.errors import CallerError

__all__ = ["Runner"]


class Runner:
    """Runs coroutines to their end, one or many callers at once."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="perdure-client", daemon=True
        )
        self._thread.start()

    def run[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what the coroutine returns, or raise what it raises.

        An interrupt of the caller (Ctrl-C) cancels the coroutine.

        Raises:
            CallerError: an event loop runs in this thread, which this would stop.
        """
        if _has_loop():
            coroutine.close()
            raise CallerError(
                "SyncClient blocks, and this is called where an event loop runs: use "
                "`perdure.Client` with `await` here"
            )
        if self._loop.is_closed():
            coroutine.close()
            raise CallerError("This SyncClient is closed: use it inside its `with` block")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate[T](self, items: AsyncIterator[T]) -> Iterator[T]:
        """Yield what an asynchronous iterator yields."""
        while True:
            try:
                yield self.run(_next(items))
            except StopAsyncIteration:
                return
            except RuntimeError as error:
                if isinstance(error.__cause__, StopAsyncIteration):
                    return
                raise

    def close(self) -> None:
        """Stop the loop; the thread ends."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _next[T](items: AsyncIterator[T]) -> T:
    return await anext(items)


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
