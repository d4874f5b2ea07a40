"""Taking back, in reverse order, what several activities have done.

No transaction spans several activities. What stands in for it is a second activity for each
that takes it back. The scope here collects those as the first ones succeed. If its body ends by an
exception, a cancellation or a timeout among them, they run one after the other, the last first.

The body may have ended *because* its task is cancelled, and may be cancelled again while it
undoes. So compensations run in a task of their own, which nobody cancels; what arrives meanwhile is
passed on when they are through. One that fails does not keep the others from running: to leave the
earlier ones in place as well helps nobody.
"""

from __future__ import annotations

import asyncio
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Self

from perdure.errors import ForbiddenCallError
from perdure.replay.definitions import Activity, OrchestrationDef
from perdure.replay.futures import DurableTask
from perdure.replay.lines import line_of_caller
from perdure.replay.loop import ExecutionClosed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

__all__ = ["Saga"]


class Saga:
    """Takes back what was done in its scope, unless that ends well."""

    __slots__ = ("_open", "_undos")

    def __init__(self) -> None:
        """Begin with nothing to take back."""
        self._undos: list[tuple[Callable[[], Awaitable[object]], str]] = []
        self._open = False

    def compensate[**P](
        self, undo: Callable[P, Awaitable[object]], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Remember how to take back what was just done.

        Args:
            undo: An activity, a sub-orchestration or an async function; called only when needed.
            *args: Its arguments. They are checked now, while they can still be mended.
            **kwargs: The same by name.

        Raises:
            PayloadError: an argument does not fit its type or is too large.
            TypeError: an argument is missing or unknown.
            ForbiddenCallError: the scope is not open.
        """
        if not self._open:
            msg = (
                "saga.compensate(...) was called outside of its scope; call it inside "
                "`async with ctx.saga() as saga:`"
            )
            raise ForbiddenCallError(msg)
        if isinstance(undo, Activity | OrchestrationDef):
            undo.encode_arguments(*args, **kwargs)
        elif not callable(undo):
            msg = (
                f"a compensation is an activity, an orchestration or an async function, not "
                f"{undo!r}; it is called only when needed: saga.compensate(undo, argument)"
            )
            raise TypeError(msg)
        self._undos.append((partial(undo, *args, **kwargs), line_of_caller()))

    def forget(self) -> None:
        """Take nothing back of what was done so far: the point of no return is passed."""
        self._undos.clear()

    async def __aenter__(self) -> Self:
        """Open the scope.

        Raises:
            ForbiddenCallError: it is open already.
        """
        if self._open:
            msg = "this saga is open already; open another with ctx.saga()"
            raise ForbiddenCallError(msg)
        self._open = True
        self._undos.clear()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Take back, if the body did not end well.

        Raises:
            BaseExceptionGroup: what ended the body, and what compensations raised.
            CancelledError: the task was cancelled while it took back.
        """
        self._open = False
        if error is None or isinstance(error, GeneratorExit | ExecutionClosed):
            return  # done, or thrown away with the process's memory of it
        undos = self._undos[::-1]
        self._undos.clear()
        if not undos:
            return
        errors = list[BaseException]()
        cancelled = await _unhindered(asyncio.create_task(_undo(undos, errors)))
        if errors:
            count = len(errors)
            msg = f"{count} {'compensation' if count == 1 else 'compensations'} failed after this"
            raise BaseExceptionGroup(msg, [error, *errors]) from cancelled
        if cancelled is not None and not isinstance(error, asyncio.CancelledError):
            raise cancelled


async def _undo(
    undos: list[tuple[Callable[[], Awaitable[object]], str]], errors: list[BaseException]
) -> None:
    """Run one after the other, whatever each raises."""
    task = asyncio.current_task()
    for undo, line in undos:
        if isinstance(task, DurableTask):
            task.line = line  # a call made from here is shown where it was asked for
        try:
            found = undo()
            if not isawaitable(found):
                errors.append(TypeError(f"the compensation at {line} gave nothing to await"))
                continue
            await found
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  the others must run
            errors.append(error)


async def _unhindered(task: asyncio.Task[None]) -> asyncio.CancelledError | None:
    """Wait until a task is done, even if cancelled meanwhile; return the first cancellation."""
    first: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            first = first or error
    task.result()
    return first
