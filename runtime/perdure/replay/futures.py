"""Tasks, futures and timers whose order is the program's, not the memory's.

asyncio keeps awaitables in sets (`wait`, `as_completed`, `TaskGroup`), and a set walks in the
order of hashes, by default addresses. Ours hash by a number counted within the execution, so
every process walks in the same order. Tasks and operations are counted by themselves: how many
plain futures asyncio makes beside them differs from one Python to the next. The number is offset
by a digest of the execution: asyncio also keeps one set of *all* tasks of the process, where ten
thousand root tasks numbered 1 would make one long chain.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Any

from perdure.model.codec import storable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Context

    from perdure.model.ids import JsonText, OperationId
    from perdure.replay.engine import Engine
    from perdure.replay.loop import DeterministicLoop

__all__ = ["DurableFuture", "DurableTask", "OperationHandle", "OperationKind"]


class OperationKind(Enum):
    """What an operation waits for."""

    ACTIVITY = "activity"
    CHILD = "sub-orchestration"
    EVENT = "event"
    QUEUE = "queue"
    KEY = "key"
    TIMER = "timer"


class DurableFuture[T](asyncio.Future[T]):
    """A future of the deterministic loop."""

    __slots__ = ("_number",)

    def __init__(self, loop: DeterministicLoop, number: int) -> None:
        super().__init__(loop=loop)
        self._number = number

    def __hash__(self) -> int:
        return self._number


class OperationHandle[R](DurableFuture[R]):
    """The coming result of an activity, sub-orchestration, event or timer: await it, even twice.

    A plain future: `cancel()` records that the result is no longer wanted and raises
    `CancelledError` in whoever awaits it at once, as do a lost race and a timeout.
    """

    __slots__ = ("_decode", "_engine", "kind", "operation", "subject")

    def __init__(
        self,
        engine: Engine,
        kind: OperationKind,
        operation: OperationId,
        subject: str,
        decode: Callable[[JsonText | None], R],
    ) -> None:
        super().__init__(engine.loop, engine.loop.next_number())
        self._engine = engine
        self._decode = decode
        self.kind = kind
        self.operation = operation
        """The id of the call within its execution."""
        self.subject = subject
        """Name of the activity or event, id of the child instance; empty for a timer."""

    def cancel(self, msg: Any | None = None) -> bool:
        """Withdraw the operation; False if it is done already."""
        if self.done():
            return False
        reason = storable(str(msg)) if msg else "its result is no longer awaited"
        self._engine.withdraw(self, reason)
        return super().cancel(msg=msg)

    def deliver(self, body: JsonText | None) -> None:
        """Decode the recorded result and wake whoever awaits it."""
        self.set_result(self._decode(body))

    def __repr__(self) -> str:
        state = "cancelled" if self.cancelled() else "done" if self.done() else "open"
        return f"<{self.kind.value} {self.subject!r} at {self.operation}, {state}>"


class DurableTask[T](asyncio.Task[T]):
    """A task that knows its place among tasks, and counts what it asks for."""

    __slots__ = ("_number", "children", "derived", "line", "operations", "path")

    def __init__(
        self,
        coro: Coroutine[Any, Any, T],
        *,
        loop: DeterministicLoop,
        path: str,
        name: str | None,
        context: Context | None,
        line: str,
        eager: bool,
    ) -> None:
        self._number = loop.next_number()
        self.path = path
        """`0` for the root, `0.2` for its third child task."""
        self.operations = 0
        self.children = 0
        self.derived = 0
        """How many ids and random generators were derived here."""
        self.line = line
        """Where it was started, if its own code is asyncio's (`create_task(asyncio.sleep(1))`)."""
        shown = path if name is None else name
        super().__init__(coro, loop=loop, name=shown, context=context, eager_start=eager)

    def __hash__(self) -> int:
        return self._number


class SoonHandle(asyncio.Handle):
    """One callback that is due: asyncio's own, less what only its debug mode needs."""

    __slots__ = ()

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: Context,
    ) -> None:
        self._context = context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class DurableTimer(asyncio.TimerHandle):
    """One callback that waits for a recorded timer."""

    __slots__ = ("operation",)

    kind = OperationKind.TIMER
    operation: OperationId


type Waiting = OperationHandle[Any] | DurableTimer
"""What an open operation wakes."""
