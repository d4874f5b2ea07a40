"""The thread in which turns run.

A turn runs where no other event loop runs, so that nothing of ours leaks into an orchestration.
With a thread of their own, turns also keep the dispatcher's loop free: leases are renewed and
probes answered while a long history is replayed, and a turn that spins can be ended.

How it is ended. Python lets one thread raise an exception in another; it comes out at the next
bytecode there. Two things need care. It must not come out in *our* code after the turn: so it is
only raised under a lock that also guards the mark of a running turn. And the user's code may
swallow it, or turn it into a failure of the run: so whatever came out of an interrupted turn is
ignored, and `SpinningTurnError` raised in its stead.
"""

from __future__ import annotations

import asyncio
import ctypes
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from perdure.errors import SpinningTurnError

__all__ = ["InlineTurns", "TurnRunner", "TurnThread"]


class TurnRunner(Protocol):
    """Where turns run."""

    def clock(self) -> float:
        """Seconds; for how long turns take."""
        ...

    async def run[T](self, work: Callable[[], T]) -> T:
        """Run `work` there; within it, `turn` may be called."""
        ...

    def turn[T](self, work: Callable[[], T]) -> T:
        """Run one turn; raises `SpinningTurnError` if it was interrupted."""
        ...

    @property
    def turn_seconds(self) -> float:
        """How long the current turn has been running; 0 between turns."""
        ...

    def interrupt(self, longer_than: float) -> bool:
        """End the current turn if it has run for more seconds than that."""
        ...

    def close(self) -> None:
        """Let what was given come to its end, and take no more."""
        ...


class InlineTurns:
    """Runs turns on the dispatcher's own loop, by its clock: for a simulation of one thread.

    A live execution's loop takes the place of the one around it for as long as a turn runs. Nobody
    is there to interrupt a turn that spins: only the limit of callbacks ends it.
    """

    turn_seconds = 0.0

    def clock(self) -> float:
        """Seconds by the running loop, which stand still while turns run."""
        return asyncio.get_running_loop().time()

    async def run[T](self, work: Callable[[], T]) -> T:
        """Run `work` now."""
        return work()

    def turn[T](self, work: Callable[[], T]) -> T:
        """Run one turn."""
        return work()

    def interrupt(self, longer_than: float) -> bool:  # noqa: ARG002  the protocol's signature
        """Do nothing."""
        return False

    def close(self) -> None:
        """Do nothing: there is nothing to end."""


class _Interruption(SystemExit):
    """Raised inside a turn that spins. Tasks let a `SystemExit` through; others they keep."""


class TurnThread:
    """Runs callables one after the other, none of them with an event loop around it."""

    def __init__(self, name: str = "perdure-turns") -> None:
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._turn_since: float | None = None
        self._is_interrupted = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def clock(self) -> float:
        """Seconds by the machine's clock: a loop's own may stand still while a thread works."""
        return time.monotonic()

    async def run[T](self, work: Callable[[], T]) -> T:
        """Run `work` in the thread; cancelling the caller does not stop it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def deliver(result: T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # the result, when no error

        def item() -> None:
            result: T | None = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as raised:  # noqa: BLE001  it is the caller's
                error = raised
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(deliver, result, error)

        self._queue.put(item)
        return await future

    def turn[T](self, work: Callable[[], T]) -> T:
        """Run one turn, inside the thread; raises `SpinningTurnError` if it was interrupted."""
        started = time.monotonic()
        self._is_interrupted = False
        result: T | None = None
        try:
            try:
                with self._lock:
                    self._turn_since = started
                result = work()
            finally:
                with self._lock:
                    self._turn_since = None
        except BaseException:
            if not self._is_interrupted:
                raise
        if self._is_interrupted:
            self._turn_since = None
            self._let_it_out()
            seconds = time.monotonic() - started
            raise SpinningTurnError(
                f"A turn was interrupted after {seconds:.0f} s: an orchestration may wait only by "
                "awaiting, and leaves long computations and blocking calls to activities"
            )
        return result  # type: ignore[return-value]  # set, when nothing was raised

    @staticmethod
    def _let_it_out() -> None:
        """Let an interruption that is still on its way arrive here, where it does no harm."""
        with suppress(_Interruption):
            for _ in range(100):
                time.sleep(0)

    @property
    def turn_seconds(self) -> float:
        """How long the current turn has been running; 0 between turns."""
        since = self._turn_since
        return 0.0 if since is None else time.monotonic() - since

    def interrupt(self, longer_than: float) -> bool:
        """End the current turn if it has run for more seconds than that; at most once a turn."""
        with self._lock:
            since, thread = self._turn_since, self._thread.ident
            if since is None or thread is None or self._is_interrupted:
                return False
            if time.monotonic() - since <= longer_than:
                return False
            self._is_interrupted = True
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread), ctypes.py_object(_Interruption)
            )
            return True

    def close(self) -> None:
        """Let the thread end after what it has been given."""
        self._queue.put(None)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            item()
