"""A deterministic event loop: asyncio's tasks and futures over recorded time.

Theory. A turn delivers one message, runs every callback that is ready until none is left, and
only then delivers the next. Nothing else wakes anybody: there is no clock (`time()` is the turn's
recorded time), no selector, no thread. `call_later` and `call_at`, and through them `sleep`,
`timeout`, `wait_for`, ask the engine for a durable timer. Callbacks run first in, first out, and
futures hash by number: so the same messages in the same order give the same decisions.

The loop is *entered* for a turn, in whatever thread, and left after it. If that thread runs a loop
of its own, that one and its current task are put aside meanwhile: they must not be found by the
orchestration's code, and from Python 3.14 on a task can only step where no other is current.

One thing in asyncio itself needs a hand. `as_completed` puts raw coroutines, which hash by address,
through `set(...)` before it makes tasks of them. In that one module the name `set` is therefore
bound to a function that keeps the order when called in a turn, and is the built-in otherwise.
Binding a name in the module, rather than replacing `as_completed`, also reaches code that imported
the function before this package.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections import deque
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from perdure.errors import ForbiddenCallError, SpinningTurnError
from perdure.replay.failures import failure_from
from perdure.replay.futures import DurableFuture, DurableTask, DurableTimer, SoonHandle
from perdure.replay.lines import is_internal, line_of_caller, stop_at
from perdure.replay.surface import ForbiddingLoop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable

    from perdure.replay.engine import Engine

__all__ = ["DeterministicLoop", "ExecutionClosed"]

_cancel_plainly: Callable[[Any], bool] = vars(asyncio.Future)["cancel"]
_swap_current_task: Callable[[Any, Any], Any] = vars(asyncio.tasks)["_swap_current_task"]


class ExecutionClosed(BaseException):
    """The execution is being thrown away: nothing it asks for is wanted any more.

    Not an `Exception`, so that `except Exception` in user code does not go on regardless.
    """


class DeterministicLoop(ForbiddingLoop):
    """The event loop of one execution."""

    def __init__(self, engine: Engine, first_number: int) -> None:
        self._engine = engine
        self._number = first_number
        self._ready: deque[asyncio.Handle] = deque()
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
        """Count tasks and futures."""
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

        Raises:
            SpinningTurnError: more callbacks than `budget` became ready.
        """
        ready = self._ready
        while ready and not self.stopping:
            handle: Any = ready.popleft()
            if handle._cancelled:  # noqa: SLF001  what Handle._run reads
                continue
            budget -= 1
            if budget < 0:
                raise SpinningTurnError(self._spin(handle))
            try:
                handle._context.run(handle._callback, *handle._args)  # noqa: SLF001  as above
            except KeyboardInterrupt:
                raise
            except SystemExit as error:  # a run may end itself, not its process
                self._engine.abort(failure_from(error))
            except BaseException as error:  # noqa: BLE001  as asyncio does for callbacks
                self.call_exception_handler({"message": "a callback raised", "exception": error})
        return budget

    def _spin(self, handle: Any) -> str:
        """Say which task keeps the turn from resting."""
        task = getattr(handle._callback, "__self__", None)  # noqa: SLF001  as above
        place = ""
        if isinstance(task, DurableTask):
            frames = task.get_stack(limit=1)
            if frames:
                frame = frames[-1]
                place = f" (now at {frame.f_code.co_filename}:{frame.f_lineno})"
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
        handle = SoonHandle(callback, args, self, context or copy_context())
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
        """Run a callback after a durable timer of `delay` seconds."""
        when = self.time() + delay
        timer = DurableTimer(when, callback, args, self, context)
        if delay <= 0:
            self._ready.append(timer)
        else:
            self._engine.start_timer(timer, delay)
        return timer

    def call_at[*Ts](
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback at a time of `time()`, by a durable timer."""
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
        return DurableFuture(self)

    def create_task(
        self,
        coro: Any,
        *,
        name: str | None = None,
        context: Context | None = None,
        **options: Any,
    ) -> DurableTask[Any]:
        """Start a task, the next child of the task that calls."""
        if self.closed:
            coro.close()
            raise ExecutionClosed
        if options.get("eager_start"):
            coro.close()
            raise self.forbid("eager tasks would start out of order: leave eager_start out")
        return self._start(coro, self._child_path(), name, context)

    def start_root[T](self, coro: Coroutine[Any, Any, T], context: Context) -> DurableTask[T]:
        """Start the task of the orchestration itself."""
        return self._start(coro, "0", None, context)

    def _start[T](
        self, coro: Coroutine[Any, Any, T], path: str, name: str | None, context: Context | None
    ) -> DurableTask[T]:
        task = DurableTask(coro, loop=self, path=path, name=name, context=context)
        if is_internal(getattr(coro, "cr_code", None)):
            task.line = line_of_caller()
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
        """Remember what was forbidden: user code may swallow the error, the turn does not."""
        if self.closed:
            raise ExecutionClosed
        error = ForbiddenCallError(f"instance {self._engine.instance!r}: {message}")
        self._engine.block(error)
        return error

    def get_exception_handler(self) -> Any:
        """Return what `set_exception_handler` set."""
        return self._exception_handler

    def set_exception_handler(self, handler: Any) -> None:
        """Set what is told of errors that nobody else is."""
        self._exception_handler = handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Log, unless replaying."""
        self._engine.report(context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tell of an error that nobody else is told of."""
        if self.closed or not self.running:
            return
        if self._exception_handler is None:
            self.default_exception_handler(context)
        else:
            self._exception_handler(self, context)

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

    def get_task_factory(self) -> None:
        """Return None: there is none."""
        return

    # -------------------------------------------------------- async generators

    def _generator_started(self, generator: AsyncGenerator[Any, Any]) -> None:
        key = self.next_number()
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
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001, S110  clean-up of what is thrown away
            pass
        return


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
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001  clean-up of what is thrown away
        return
    _close(closing)


_NOTHING: Any = object()


def _set_in_order(items: Iterable[Any] = _NOTHING) -> Any:
    """Be `set`, or in a turn an ordered collection of the distinct items."""
    if items is _NOTHING:
        return set[Any]()
    loop = asyncio._get_running_loop()  # noqa: SLF001  may be None, which is no error here
    if isinstance(loop, DeterministicLoop):
        return dict.fromkeys(items)
    return set(items)


_tasks_module: Any = asyncio.tasks
_tasks_module.set = _set_in_order
