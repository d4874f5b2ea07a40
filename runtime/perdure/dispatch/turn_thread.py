"""The thread in which turns run.

A turn runs where no other event loop runs, so that nothing of ours leaks into an orchestration.
With a thread of their own, turns also keep the dispatcher's loop free: leases are renewed and
probes answered while a long history is replayed, and a turn that spins can be ended.

How it is ended. Python lets one thread raise an exception in another; it comes out at the next
bytecode there. Two things need care. It must not come out in *our* code after the turn: so it is
only raised under a lock that also guards the mark of a running turn. And the user's code may
swallow it, or turn it into a failure of the run: so whatever came out of an interrupted turn is
ignored, and `SpinningTurnError` raised in its stead.

A turn in a call that does not return (`time.sleep`, a socket, a lock) reaches no next bytecode. Its
thread is given up: a new one goes on with what waits, and whatever the old one does, should it ever
return, is ignored. What holds the interpreter's lock and does not return (a regular expression
gone wild) stops every thread, the one that would notice too; that is for the liveness probe.

Either way the stack of the turn is read from outside, and its lines are part of the error.
"""

from __future__ import annotations

import asyncio
import ctypes
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from perdure.errors import SpinningTurnError
from perdure.replay.lines import stack_of

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

    @property
    def given_up(self) -> int:
        """How many threads have not come back from their turn."""
        ...

    def is_given_up(self) -> bool:
        """Tell whoever works in a thread that it was given up: nobody wants what it does."""
        ...

    def interrupt(self, longer_than: float) -> str | None:
        """End the current turn if it has run for more seconds than that; say where it was."""
        ...

    def give_up(self, longer_than: float) -> str | None:
        """Go on without a turn that was interrupted so long ago and did not end.

        `run` raises `SpinningTurnError` then. Says where the turn is.
        """
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
    given_up = 0

    def clock(self) -> float:
        """Seconds by the running loop, which stand still while turns run."""
        return asyncio.get_running_loop().time()

    async def run[T](self, work: Callable[[], T]) -> T:
        """Run `work` now."""
        return work()

    def turn[T](self, work: Callable[[], T]) -> T:
        """Run one turn."""
        return work()

    def is_given_up(self) -> bool:
        """Return False: there is one thread."""
        return False

    def interrupt(self, longer_than: float) -> None:
        """Do nothing."""

    def give_up(self, longer_than: float) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: there is nothing to end."""


class _Interruption(SystemExit):
    """Raised inside a turn that spins. Tasks let a `SystemExit` through; others they keep."""


class _Seat:
    """One thread, and the turn that runs in it."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self.turn_since: float | None = None
        self.interrupted_at: float | None = None
        self.stack = ""
        """Where the turn was when it was interrupted."""
        self.is_given_up = False
        self.fail: Callable[[BaseException], None] = _ignore
        """Tells whoever waits for what runs here."""

    def is_interrupted(self) -> bool:
        """Tell whether the turn, or the last one, was interrupted."""
        return self.interrupted_at is not None

    def lines(self) -> str:
        """Say in which lines of user code the thread is now."""
        ident = None if self.thread is None else self.thread.ident
        frame = None if ident is None else sys._current_frames().get(ident)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  the documented way
        return "" if frame is None else stack_of(frame)


def _ignore(_error: BaseException) -> None:
    """Be told of an error that is nobody's."""


class TurnThread:
    """Runs callables one after the other, none of them with an event loop around it."""

    def __init__(self, name: str = "perdure-turns") -> None:
        self._name = name
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._here = threading.local()
        self._given_up = 0
        self._seat = self._sit_down()

    def _sit_down(self) -> _Seat:
        seat = _Seat()
        seat.thread = threading.Thread(target=self._work, args=[seat], name=self._name, daemon=True)
        seat.thread.start()
        return seat

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

        def tell(result: T | None, error: BaseException | None) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(deliver, result, error)

        def item() -> None:
            seat: _Seat = self._here.seat
            seat.fail = partial(tell, None)
            result: T | None = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as raised:  # noqa: BLE001  it is the caller's
                error = raised
            tell(result, error)

        self._queue.put(item)
        return await future

    def turn[T](self, work: Callable[[], T]) -> T:
        """Run one turn, inside the thread; raises `SpinningTurnError` if it was interrupted."""
        seat: _Seat = self._here.seat
        started = time.monotonic()
        seat.interrupted_at = None
        result: T | None = None
        try:
            try:
                with self._lock:
                    seat.turn_since = started
                result = work()
            finally:
                with self._lock:
                    seat.turn_since = None
        except BaseException:
            if not seat.is_interrupted():
                raise
        if seat.is_interrupted():
            seat.turn_since = None
            self._let_it_out()
            raise SpinningTurnError(
                f"A turn was interrupted after {time.monotonic() - started:.0f} s. It was at "
                f"{seat.stack or 'no line of user code'}. {_REMEDY}"
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
        since = self._seat.turn_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def given_up(self) -> int:
        """How many threads have not come back from their turn."""
        return self._given_up

    def is_given_up(self) -> bool:
        """Tell whoever works in a thread that it was given up: nobody wants what it does."""
        seat: _Seat = self._here.seat
        return seat.is_given_up

    def interrupt(self, longer_than: float) -> str | None:
        """End the current turn if it has run for more seconds than that; at most once a turn.

        Returns where it was, or None if there was nothing to end.
        """
        with self._lock:
            seat, now = self._seat, time.monotonic()
            thread = None if seat.thread is None else seat.thread.ident
            if seat.turn_since is None or thread is None or seat.interrupted_at is not None:
                return None
            if now - seat.turn_since <= longer_than:
                return None
            seat.interrupted_at, seat.stack = now, seat.lines()
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread), ctypes.py_object(_Interruption)
            )
            return seat.stack

    def give_up(self, longer_than: float) -> str | None:
        """Go on without a turn that was interrupted so long ago and did not end."""
        with self._lock:
            seat, now = self._seat, time.monotonic()
            since, interrupted_at = seat.turn_since, seat.interrupted_at
            if since is None or interrupted_at is None or now - interrupted_at <= longer_than:
                return None
            seat.is_given_up = True
            self._given_up += 1
            lines = seat.lines()
            self._seat = self._sit_down()
        seat.fail(
            SpinningTurnError(
                f"A turn did not end after {now - since:.0f} s, nor when it was interrupted: it is "
                f"in a call that does not return, at {lines or 'no line of user code'}. {_REMEDY}"
            )
        )
        return lines

    def close(self) -> None:
        """Let the thread end after what it has been given."""
        self._queue.put(None)

    def _work(self, seat: _Seat) -> None:
        self._here.seat = seat
        while not seat.is_given_up and (item := self._queue.get()) is not None:
            item()
        if seat.is_given_up:
            with self._lock:
                self._given_up -= 1


_REMEDY = (
    "An orchestration may wait only by awaiting, and leaves long computations and blocking calls "
    "to activities: mend it, then resume the instance"
)
