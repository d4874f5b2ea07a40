"""The life of a dispatcher: its tasks, how they end, and that none of them fails unheard."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping

__all__ = ["Life"]


class Life:
    """Runs the tasks of one dispatcher."""

    def __init__(self) -> None:
        self.draining = asyncio.Event()
        """Set once the dispatcher is to stop."""
        self._ended = asyncio.Event()
        self._broken: asyncio.Future[None] | None = None

    async def run(
        self, work: Coroutine[None, None, None], helpers: Mapping[str, Coroutine[None, None, None]]
    ) -> None:
        """Run `work` to its end, with tasks of these names beside it, which are cancelled then.

        Raises whatever any of them raised, or a task that `watch` was given.
        """
        self._broken = asyncio.get_running_loop().create_future()
        tasks = [asyncio.create_task(work, name="perdure-dispatcher")]
        tasks += [asyncio.create_task(helper, name=name) for name, helper in helpers.items()]
        try:
            waits: list[asyncio.Future[None]] = [*tasks, self._broken]
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in waits:
                if task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            self._broken.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def watch(self, task: asyncio.Task[None]) -> None:
        """Let a bug in a background task end the dispatcher, not hide in a stall."""
        task.add_done_callback(self._heard)

    def _heard(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and self._broken is not None and not self._broken.done():
            self._broken.set_exception(error)

    def end(self) -> None:
        """Say that all is over."""
        self._ended.set()

    async def ended(self) -> None:
        """Return when all is over."""
        await self._ended.wait()
