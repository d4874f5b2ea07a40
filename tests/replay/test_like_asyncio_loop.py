"""Callbacks, futures and contexts do in a turn what they do under asyncio's own loop."""

from __future__ import annotations

import asyncio
import contextvars
from asyncio import sleep as pause
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    type Log = Any  # of conftest.py
    type Program = Callable[[Log], Awaitable[object]]

PROGRAMS: list[Any] = []


def program[P: Program](function: P) -> P:
    PROGRAMS.append(pytest.param(function, id=function.__name__))
    return function


@pytest.mark.parametrize("case", PROGRAMS)
def test_alike(case: Program, alike: Callable[[Program], list[str]]) -> None:
    assert alike(case)


# ----------------------------------------------------------------------------- callbacks


@program
async def callbacks(log: Log) -> None:
    loop = asyncio.get_running_loop()
    loop.call_later(0, log, "later, at once")
    loop.call_at(loop.time() - 1, log, "in the past")
    loop.call_soon(log, "soon")
    loop.call_soon(lambda: loop.call_soon(log, "sooner or later"))
    loop.call_soon(log, "soon too")
    await pause(0)
    log("rested once")
    await pause(0)
    log("rested twice")
    handle = loop.call_soon(log, "cancelled")
    handle.cancel()
    handle.cancel()
    timer = loop.call_later(3, log, "timer")
    log(handle.cancelled(), timer.cancelled(), timer.when() - loop.time())
    never = loop.call_at(loop.time() + 2, log, "never")
    await pause(1)
    never.cancel()
    log(never.cancelled())
    await pause(4)
    timer.cancel()
    for call in ("call_later", "call_at"):
        try:
            getattr(loop, call)(None, log)
        except TypeError as error:
            log(error)


@program
async def callbacks_that_are_due_at_once_run_in_the_order_of_their_times(log: Log) -> None:
    loop = asyncio.get_running_loop()
    for delay in (-1, -3, 0, -2):
        loop.call_later(delay, log, delay)
    loop.call_soon(log, "soon")
    await pause(0)
    await pause(0)


@program
async def a_timer_that_never_ends(log: Log) -> None:
    loop = asyncio.get_running_loop()
    timer = loop.call_later(float("inf"), log, "never")
    try:
        await asyncio.wait_for(pause(float("inf")), 5)
    except TimeoutError:
        log("five seconds of eternity", timer.cancelled())
    timer.cancel()
    log(timer.cancelled())


@program
async def errors_in_callbacks(log: Log) -> None:
    loop = asyncio.get_running_loop()

    def handler(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        log(context["message"].partition(" ")[0], context.get("exception"), sorted(context))
        if "worse" in str(context["exception"]):
            raise LookupError("the handler too")

    def fails(word: str) -> None:
        raise ValueError(word)

    log(loop.get_exception_handler())
    loop.set_exception_handler(handler)
    log(loop.get_exception_handler() is handler)
    loop.call_soon(fails, "bad")
    loop.call_later(1, fails, "later")
    await pause(2)
    with pytest.raises(TypeError):
        loop.set_exception_handler("no function")  # type: ignore[arg-type]  # wrong on purpose
    loop.set_exception_handler(None)


@program
async def about_the_loop(log: Log) -> None:
    loop = asyncio.get_running_loop()
    log(loop is asyncio.get_event_loop(), loop.is_running(), loop.is_closed(), loop.get_debug())
    before = loop.time()
    await pause(2.5)
    log(loop.time() - before)


# ------------------------------------------------------------------------------- futures


@program
async def futures(log: Log) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()

    def note(done: asyncio.Future[str]) -> None:
        log("callback", done is future, done.cancelled())

    future.add_done_callback(note)
    future.add_done_callback(note)
    log(future.remove_done_callback(note), future.done())
    future.add_done_callback(note)
    loop.call_later(1, future.set_result, "result")
    log(await future, future.result(), future.exception(), future.get_loop() is loop)
    future.add_done_callback(note)
    await pause(0)
    for call, value in (("set_result", "again"), ("set_exception", KeyError())):
        try:
            getattr(future, call)(value)
        except asyncio.InvalidStateError as error:
            log(str(error).partition(":")[0])
    log(await future)


@program
async def futures_with_errors(log: Log) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()
    loop.call_later(1, future.set_exception, KeyError("late"))
    for _ in range(2):
        try:
            await future
        except KeyError as error:
            log(error)
    future = loop.create_future()
    future.set_exception(OSError)
    log(future.exception())
    future = loop.create_future()
    try:
        future.set_exception(StopIteration())
        log(type(future.exception()).__name__)
    except TypeError as error:
        log(error)
    future = loop.create_future()
    log(future.cancel("message"), future.cancelled(), future.cancel())
    try:
        await future
    except asyncio.CancelledError as error:
        log(error)
    with pytest.raises(asyncio.CancelledError):
        future.exception()


@program
async def wrapping_what_is_awaitable(log: Log) -> None:
    class Waits:
        def __await__(self) -> Generator[Any, None, str]:
            yield from pause(1).__await__()
            return "waited"

    future = asyncio.ensure_future(Waits())
    log(
        asyncio.isfuture(future),
        isinstance(future, asyncio.Task),
        asyncio.ensure_future(future) is future,
    )
    log(await future, await Waits(), await asyncio.gather(Waits()))
    with pytest.raises(TypeError):
        _ = asyncio.ensure_future(5)  # type: ignore[call-overload]  # noqa: RUF006  wrong on purpose


# ------------------------------------------------------------------------------ contexts


@program
async def context_variables(log: Log) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("outer")

    async def child(value: str) -> str:
        seen = variable.get()
        variable.set(value)
        await pause(len(value))
        return f"{seen} {variable.get()}"

    log(await asyncio.gather(child("a"), child("bb")), variable.get())
    log(await child("inline"), variable.get())
    context = contextvars.copy_context()
    log(await asyncio.create_task(child("in a context"), context=context))
    log(variable.get(), context[variable])
    empty = contextvars.Context()
    log(await asyncio.create_task(child("empty"), context=empty), empty[variable])
    async with asyncio.TaskGroup() as group:
        task = group.create_task(child("grouped"), context=empty)
    log(task.result(), task.get_context() is empty)


@program
async def contexts_of_callbacks(log: Log) -> None:
    loop = asyncio.get_running_loop()
    variable = contextvars.ContextVar("variable", default="unset")

    def note(*_args: object) -> None:
        log(variable.get())

    variable.set("first")
    loop.call_soon(note)
    loop.call_later(1, note)
    empty = contextvars.Context()
    loop.call_soon(note, context=empty)
    loop.call_at(loop.time() + 2, note, context=empty)
    future: asyncio.Future[None] = loop.create_future()
    future.add_done_callback(note)
    future.add_done_callback(note, context=empty)
    variable.set("second")
    future.set_result(None)
    await pause(3)


@program
async def a_task_of_an_empty_context_stays_in_it(log: Log) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("outer")
    inner = contextvars.Context()
    seen = []

    async def child() -> None:
        for _ in range(3):
            seen.append(variable.get())
            await pause(1)

    await asyncio.create_task(child(), context=inner)
    log(seen, len(inner))


# ---------------------------------------------------------------------- groups of errors


@program
async def groups_of_errors(log: Log) -> None:
    try:
        try:
            message = "several"
            raise ExceptionGroup(message, [ValueError("v"), TypeError("t"), KeyError("k")])
        except* ValueError as errors:
            log("values", errors)
            await pause(1)
        except* TypeError as errors:
            log("types", errors)
            raise OSError("instead") from errors
    except BaseExceptionGroup as group:
        log(group)
        some, rest = group.split(OSError)
        log(some, rest)
