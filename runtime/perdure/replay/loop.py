"""A deterministic event loop: asyncio's tasks and futures over recorded time.

Theory. A turn delivers one message, runs every callback that is ready until none is left, and
only then delivers the next. Nothing else wakes anybody: there is no clock (`time()` is the turn's
recorded time), no selector, no thread. `call_later` and `call_at`, and through them `sleep`,
`timeout`, `wait_for`, ask the engine for a durable timer. Callbacks run first in, first out, and
futures hash by number: so the same messages in the same order give the same decisions.

The loop is *entered* for a turn, in whatever thread, and left after it. If that thread runs a loop
of its own, that one and its current task are put aside meanwhile: they must not be found by the
orchestration's code, and from Python 3.14 on a task can only step where no other is current.

Where asyncio itself has to be changed for this is in `perdure.replay.amendments`.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import weakref
from collections import deque
from contextvars import Context, copy_context
from math import inf
from typing import TYPE_CHECKING, Any

from perdure.errors import ForbiddenCallError, SpinningTurnError
from perdure.replay.failures import failure_from
from perdure.replay.futures import DurableFuture, DurableTask, DurableTimer, SoonHandle
from perdure.replay.lines import is_internal, line_of_caller, stack_of_waiting, stop_at
from perdure.replay.surface import ForbiddingLoop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable

    from perdure.replay.engine import Engine

__all__ = ["DeterministicLoop", "ExecutionClosed"]

_cancel_plainly: Callable[[Any], bool] = vars(asyncio.Future)["cancel"]
_swap_current_task: Callable[[Any, Any], Any] = vars(asyncio.tasks)["_swap_current_task"]


_INNER = 1 << 39
"""Futures of asyncio's own are counted from here, beside tasks and operations."""


class ExecutionClosed(BaseException):
    """The execution is being thrown away: nothing it asks for is wanted any more.

    Not an `Exception`, so that `except Exception` in user code does not go on regardless.
    """


class DeterministicLoop(ForbiddingLoop):
    """The event loop of one execution."""

    def __init__(self, engine: Engine, first_number: int) -> None:
        self._engine = engine
        self._number = first_number
        self._inner = first_number + _INNER
        self._ready: deque[asyncio.Handle] = deque()
        self._due: list[DurableTimer] = []
        self._eager = False
        self._exception_handler: Any = None
        self._generators: dict[int, weakref.ref[AsyncGenerator[Any, Any]]] = {}
        self._tasks: list[DurableTask[Any]] = []
        self._tasks_swept = 64
        self._callback_tasks = 0
        self._outer: tuple[Any, Any, Any] = (None, None, (None, None))
        self.running = False
        self.closed = False
        self.stopping = False

    def next_number(self) -> int:
        """Count tasks and operations."""
        self._number += 1
        return self._number

    # ---------------------------------------------------------------- running

    def __enter__(self) -> None:
        """Become the running loop of this thread."""
        outer = asyncio._get_running_loop()  # noqa: SLF001  the documented way for loops
        task = None if outer is None else _swap_current_task(outer, None)
        self._outer = (outer, task, sys.get_asyncgen_hooks())
        sys.set_asyncgen_hooks(self._generator_started, self._generator_dropped)
        asyncio._set_running_loop(self)  # noqa: SLF001  as above
        self.running = True

    def __exit__(self, *_exc_info: object) -> None:
        """Give the thread back as it was."""
        self.running = False
        outer, task, hooks = self._outer
        asyncio._set_running_loop(outer)  # noqa: SLF001  as above
        sys.set_asyncgen_hooks(*hooks)
        if task is not None:
            _swap_current_task(outer, task)

    def run_until_idle(self, budget: int) -> int:
        """Run callbacks until none is ready; return what is left of the budget.

        In rounds, as asyncio does: a callback that is due by `call_later(0, ...)` runs in the next
        round, after those that became ready in this one.

        Raises:
            SpinningTurnError: more callbacks than `budget` became ready.
        """
        ready = self._ready
        while (ready or self._due) and not self.stopping:
            if self._due:
                self._due.sort(key=_when)
                ready.extend(self._due)
                self._due.clear()
            for _ in range(len(ready)):
                handle: Any = ready.popleft()
                if handle._cancelled:  # noqa: SLF001  what Handle._run reads
                    continue
                budget -= 1
                if budget < 0:
                    raise SpinningTurnError(self._spin(handle))
                try:
                    handle._context.run(handle._callback, *handle._args)  # noqa: SLF001  as above
                except BaseException as error:  # noqa: BLE001  as asyncio does for callbacks
                    self._failed(handle, error)
                if self.stopping:
                    break
        return budget

    def _failed(self, handle: Any, error: BaseException) -> None:
        """What a callback raises is its own affair, as in asyncio."""
        if isinstance(error, KeyboardInterrupt | SystemExit):
            self._exit(error)
            return
        callback: Any = handle._callback  # noqa: SLF001  as above
        name: str = getattr(callback, "__qualname__", "of an object")
        message = f"Exception in callback {name}"
        self.call_exception_handler({"message": message, "exception": error, "handle": handle})

    def _exit(self, error: KeyboardInterrupt | SystemExit) -> None:
        """End the run, and not the process it runs in."""
        _pass_on_interrupt(error)
        self._engine.abort(failure_from(error))

    def _spin(self, handle: Any) -> str:
        """Say which task keeps the turn from resting."""
        task = getattr(handle._callback, "__self__", None)  # noqa: SLF001  as above
        place = ""
        if isinstance(task, DurableTask):
            lines = stack_of_waiting(task.get_coro())
            place = f" (now at {lines})" if lines else ""
        return (
            f"instance {self._engine.instance!r}: a turn does not come to rest{place}: its tasks "
            "wake one another without awaiting an activity, a timer or an event. A loop of "
            "`await asyncio.sleep(0)` spins; wait for an event or sleep for a time instead"
        )

    def wake(self, timer: DurableTimer) -> None:
        """Make a fired timer's callback ready."""
        self._ready.append(timer)

    # --------------------------------------------------------- callbacks, time

    def call_soon[*Ts](
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run a callback after those that are ready."""
        if context is None:  # an empty one is false
            context = copy_context()
        handle = SoonHandle(callback, args, self, context)
        if not self.closed:
            self._ready.append(handle)
        return handle

    def call_later[*Ts](
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback after a durable timer of `delay` seconds; an endless one needs no timer.

        Raises:
            TypeError: the delay is None.
            ValueError: it is no number, or ends after the year 9999.
        """
        if delay is None:  # pyright: ignore[reportUnnecessaryComparison]  as asyncio checks
            msg = "delay must not be None"
            raise TypeError(msg)
        timer = DurableTimer(self.time() + delay, callback, args, self, context)
        if delay <= 0:
            self._due.append(timer)
        elif delay != inf:
            self._engine.start_timer(timer, delay)
        return timer

    def call_at[*Ts](
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback at a time of `time()`, by a durable timer.

        Raises:
            TypeError: the time is None.
            ValueError: it is no number, or after the year 9999.
        """
        if when is None:  # pyright: ignore[reportUnnecessaryComparison]  as asyncio checks
            msg = "when cannot be None"
            raise TypeError(msg)
        return self.call_later(when - self.time(), callback, *args, context=context)

    def _timer_handle_cancelled(self, timer: DurableTimer) -> None:
        """Withdraw a timer; asyncio calls this from the handle."""
        self._engine.withdraw_timer(timer)

    def time(self) -> float:
        """Return the turn's recorded time, in seconds since 1970, UTC."""
        return self._engine.timestamp

    # ----------------------------------------------------------- tasks, futures

    def create_future(self) -> DurableFuture[Any]:
        """Make a future of this loop."""
        if self.closed:
            raise ExecutionClosed
        self._inner += 1
        return DurableFuture(self, self._inner)

    def create_task(
        self,
        coro: Any,
        *,
        name: str | None = None,
        context: Context | None = None,
        eager_start: bool | None = None,
    ) -> DurableTask[Any]:
        """Start a task, the next child of the task that calls.

        An eager one runs at once, up to its first wait. It is named like any other.
        """
        if self.closed or self._engine.is_silenced:
            coro.close()
            raise ExecutionClosed
        eager = self._eager if eager_start is None else eager_start
        return self._start(coro, self._child_path(), name, context, eager=eager)

    def start_root[T](self, coro: Coroutine[Any, Any, T], context: Context) -> DurableTask[T]:
        """Start the task of the orchestration itself."""
        return self._start(coro, "0", None, context, eager=False)

    def start_at(self, path: str, coro: Coroutine[Any, Any, None], context: Context) -> None:
        """Start a task beside the root, under a path of its own."""
        self._start(coro, path, None, context, eager=False)

    @property
    def is_resting(self) -> bool:
        """True while no callback is ready."""
        return not self._ready and not self._due

    def _start[T](
        self,
        coro: Coroutine[Any, Any, T],
        path: str,
        name: str | None,
        context: Context | None,
        *,
        eager: bool,
    ) -> DurableTask[T]:
        line = line_of_caller() if is_internal(getattr(coro, "cr_code", None)) else ""
        task = DurableTask(
            coro, loop=self, path=path, name=name, context=context, line=line, eager=eager
        )
        # Held, unlike in asyncio: when a forgotten task vanishes is the collector's whim.
        tasks = self._tasks
        tasks.append(task)
        if len(tasks) > self._tasks_swept:
            tasks[:] = [each for each in tasks if not each.done()]
            self._tasks_swept = 2 * len(tasks) + 64
        return task

    def _child_path(self) -> str:
        """Name the next child of the current task; callbacks share a branch of their own."""
        parent = asyncio.current_task(self)
        if isinstance(parent, DurableTask):
            number = parent.children
            parent.children += 1
            return f"{parent.path}.{number}"
        self._callback_tasks += 1
        return f"c.{self._callback_tasks - 1}"

    # ------------------------------------------------------------------ errors

    def forbid(self, message: str) -> ForbiddenCallError:
        """Name the line, and remember: user code may swallow the error, the turn does not."""
        if self.closed:
            raise ExecutionClosed
        line = line_of_caller()
        place = f", at {line}" if line else ""
        error = ForbiddenCallError(f"instance {self._engine.instance!r}{place}: {message}")
        self._engine.block(error)
        return error

    def set_task_factory(self, factory: Any) -> None:
        """Choose between ordinary and eager tasks; tasks of another kind could not be named."""
        if factory is not None and factory is not asyncio.eager_task_factory:
            raise self.forbid(
                "tasks must be counted by the engine, so loop.set_task_factory() takes None or "
                "asyncio.eager_task_factory alone: use asyncio.create_task(...)"
            )
        self._eager = factory is not None

    def get_task_factory(self) -> Any:
        """Return what `set_task_factory` set."""
        return asyncio.eager_task_factory if self._eager else None

    def get_exception_handler(self) -> Any:
        """Return what `set_exception_handler` set."""
        return self._exception_handler

    def set_exception_handler(self, handler: Any) -> None:
        """Set what is told of errors that nobody else is.

        Raises:
            TypeError: it is neither callable nor None.
        """
        if handler is not None and not callable(handler):
            msg = f"A callable object or None is expected, got {handler!r}"
            raise TypeError(msg)
        self._exception_handler = handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Log, unless replaying."""
        self._engine.report(context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tell of an error that nobody else is told of.

        Many are found when a task or future is freed. So the handler may note, but not ask.
        """
        if self.closed or not self.running:
            return
        if self._exception_handler is None:
            self.default_exception_handler(context)
            return
        try:
            with self._engine.silenced():
                self._exception_handler(self, context)
        except (KeyboardInterrupt, SystemExit) as error:
            self._exit(error)
        except BaseException as error:  # noqa: BLE001  as asyncio does
            message = "Unhandled error in exception handler"
            self.default_exception_handler({"message": message, "exception": error})

    # ------------------------------------------------------------- small change

    def get_debug(self) -> bool:
        """Return False: debug mode would slow replay and change nothing."""
        return False

    def set_debug(self, enabled: bool) -> None:
        """Do nothing, see `get_debug`."""

    def is_running(self) -> bool:
        """Return True during a turn."""
        return self.running

    def is_closed(self) -> bool:
        """Return True once the execution is thrown away."""
        return self.closed

    # -------------------------------------------------------- async generators

    def _generator_started(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._inner += 1
        key = self._inner
        generators = self._generators

        def forget(_ref: object) -> None:
            generators.pop(key, None)

        generators[key] = weakref.ref(generator, forget)

    def _generator_dropped(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Finish a generator that nobody holds any more.

        When that happens depends on reference counts and the collector, so its clean-up may run
        synchronous code and nothing else; `contextlib.aclosing` closes at a definite place.
        """
        with self._engine.silenced():
            _finish(generator)

    # ---------------------------------------------------------------- teardown

    def close_all(self, waiting: Iterable[object]) -> None:
        """Throw everything away: coroutines in reverse order of their start, then generators.

        Synchronous clean-up runs; whatever it asks for raises `ExecutionClosed`.
        """
        self.closed = True
        self._ready.clear()
        self._due.clear()
        open_tasks = [task for task in self._tasks if not task.done()]
        self._tasks.clear()
        if not open_tasks and not self._generators:
            return
        with self:
            for task in reversed(open_tasks):
                task.get_context().run(_close, task.get_coro())
                _let_go(getattr(task, "_fut_waiter", None))
            for generator in reversed([ref() for ref in self._generators.values()]):
                if generator is not None:
                    _finish(generator)
        for each in list(waiting):
            _let_go(each)
        self._generators.clear()
        self._ready.clear()


stop_at(DeterministicLoop.run_until_idle.__code__)

_CLOSE_TRIES = 100


def _close(coro: Any) -> None:
    """Close a coroutine, however often it suspends in its clean-up."""
    for _ in range(_CLOSE_TRIES):
        try:
            coro.close()
        except RuntimeError as error:
            if "ignored GeneratorExit" in str(error):
                continue
        except BaseException as error:  # noqa: BLE001  clean-up of what is thrown away
            _pass_on_interrupt(error)
        return


def _pass_on_interrupt(error: BaseException) -> None:
    """Let Ctrl-C through; clean-up that wants to exit may not end the process."""
    if isinstance(error, KeyboardInterrupt) and _may_be_interrupted():
        raise error


def _may_be_interrupted() -> bool:
    """Tell whether a `KeyboardInterrupt` may be a user's: only the main thread is given those."""
    return threading.get_ident() == threading.main_thread().ident


def _when(timer: DurableTimer) -> float:
    return timer.when()


def _let_go(future: Any) -> None:
    """Make a future forget who awaits it: they hold each other, and would wait for the collector.

    asyncio's own `cancel`, whatever a subclass makes of it; the closed loop runs no callbacks.
    """
    if asyncio.isfuture(future):
        _cancel_plainly(future)


def _finish(generator: AsyncGenerator[Any, Any]) -> None:
    """Drive `aclose()` as far as it goes without a loop."""
    closing = generator.aclose()
    try:
        closing.send(None)
    except (StopIteration, StopAsyncIteration):
        return
    except BaseException as error:  # noqa: BLE001  clean-up of what is thrown away
        _pass_on_interrupt(error)
        return
    _close(closing)
