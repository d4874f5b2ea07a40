"""An event loop whose time passes at once.

Where an ordinary loop sleeps until its next timer, this one moves its clock there. A day's wait
costs as much as the work that is done in it, and nothing depends on how quick the machine is.

Time moves only when nothing else can happen: no callback is ready and no file descriptor either.
If nothing is scheduled at all, an ordinary loop would wait for ever; this one raises
`StalledError`, so that a test which waits for what cannot come fails at once.

With dice, the order in which callbacks run is drawn: any interleaving that the rules of asyncio
allow may come up, and the same seed gives the same one.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

    from _typeshed import FileDescriptorLike

__all__ = ["StalledError", "VirtualLoop"]

START = datetime(2030, 1, 1, tzinfo=UTC)
_THREADS_SECONDS = 30.0
_DETOUR = 0.3
"""How many of the callbacks, with dice, let others go first."""
_DETOUR_SECONDS = 0.0005


class StalledError(Exception):
    """Nothing is ready, nothing is scheduled: what is waited for will never come."""


class _Jumping(selectors.BaseSelector):
    """A selector that moves the clock instead of waiting."""

    def __init__(self) -> None:
        self.now = 0.0
        self.threads = 0
        """Threads at work, for which real time must pass."""
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = self._real.select(0)
        if found or (timeout is not None and timeout <= 0):
            return found
        if self.threads:
            found = self._real.select(_THREADS_SECONDS)
            if not found:
                msg = f"a thread has not come back within {_THREADS_SECONDS:g} s"
                raise StalledError(msg)
            return found
        if timeout is None:
            msg = "nothing is ready and nothing is scheduled: what is waited for will never come"
            raise StalledError(msg)
        self.now += timeout
        return []

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the head of this module.

    Args:
        start: What `clock` says at first.
        dice: Draws the order of callbacks; None keeps the usual one.
    """

    def __init__(self, *, start: datetime = START, dice: random.Random | None = None) -> None:
        self._jumping = _Jumping()
        self._start = start
        self._skew = timedelta(0)
        self._dice = dice
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._jumping.now

    def clock(self) -> datetime:
        """Return the date and time; it passes with `time`."""
        return self._start + timedelta(seconds=self._jumping.now) + self._skew

    def skew(self, by: timedelta) -> None:
        """Let the clock jump, forwards or back, without time passing."""
        self._skew += by

    def call_soon[*Ts](
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Let it run next; with dice, perhaps a little later."""
        dice = self._dice
        if dice is not None and dice.random() < _DETOUR:
            delay = dice.random() * _DETOUR_SECONDS
            return self.call_later(delay, callback, *args, context=context)
        return super().call_soon(callback, *args, context=context)

    async def in_thread[T](self, work: Callable[[], T]) -> T:
        """Run in a thread; the clock stands still until it has returned."""
        self._jumping.threads += 1
        try:
            return await self.run_in_executor(None, work)
        finally:
            self._jumping.threads -= 1

    def run[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run to its end, here and now, also where another loop runs.

        Raises:
            StalledError: it waits for what will never come.
        """
        outer = asyncio._get_running_loop()  # noqa: SLF001  documented for exactly this
        asyncio._set_running_loop(None)  # noqa: SLF001  as above
        try:
            return self.run_until_complete(coroutine)
        finally:
            asyncio._set_running_loop(outer)  # noqa: SLF001  as above
