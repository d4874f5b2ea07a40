"""Tasks, groups and cancellation do in a turn what they do under asyncio's own loop."""

# ruff: noqa: TRY301  where an error is raised is what is tested

from __future__ import annotations

import asyncio
from asyncio import sleep as pause
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    type Log = Any  # of conftest.py
    type Program = Callable[[Log], Awaitable[object]]

PROGRAMS: list[Any] = []


def program[P: Program](function: P) -> P:
    PROGRAMS.append(pytest.param(function, id=function.__name__))
    return function


@pytest.mark.parametrize("case", PROGRAMS)
def test_alike(case: Program, alike: Callable[[Program], list[str]]) -> None:
    assert alike(case)


# ---------------------------------------------------------------------------- task groups


@program
async def a_group_that_ends_well(log: Log) -> object:
    async with asyncio.TaskGroup() as group:
        first = group.create_task(log.worker("a", 2), name="first")

        async def more() -> None:
            await pause(1)
            group.create_task(log.worker("late", 5))

        group.create_task(more())
        log("body ends")
    return first.result(), first.get_name()


@program
async def a_group_with_failures(log: Log) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(log.worker("a", 2, ValueError("a")))
            group.create_task(log.worker("b", 9))

            async def stubborn() -> None:
                try:
                    await pause(9)
                finally:
                    await pause(1)
                    raise TypeError("stubborn")

            group.create_task(stubborn())
            await log.worker("body", 8)
    except* ValueError as errors:
        log("values", errors)
    except* TypeError as errors:
        log("types", errors)


@program
async def a_group_whose_body_fails(log: Log) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(log.worker("a", 9))
            await pause(1)
            raise KeyError("body")
    except* KeyError as errors:
        log(errors)
    try:
        async with asyncio.TaskGroup() as group:
            raise SystemError
    except* SystemError as errors:
        log(errors)


@program
async def a_group_cancelled_from_outside(log: Log) -> None:
    async def grouped() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(log.worker("a", 9))

    task = asyncio.create_task(grouped())
    await pause(1)
    task.cancel("outside")
    try:
        await task
    except asyncio.CancelledError as error:
        log(error, task.cancelling())


@program
async def a_child_of_a_group_that_is_cancelled_alone(log: Log) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(log.worker("a", 9))
        group.create_task(log.worker("b", 3))
        await pause(1)
        task.cancel()
    log(task.cancelled())


@program
async def groups_nest_in_timeouts(log: Log) -> None:
    try:
        async with asyncio.timeout(3), asyncio.TaskGroup() as outer:
            outer.create_task(log.worker("outer", 9))
            async with asyncio.TaskGroup() as inner:
                inner.create_task(log.worker("inner", 8))
    except TimeoutError:
        log("timeout", asyncio.current_task().cancelling())  # type: ignore[union-attr]  # there is one
    try:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(log.worker("outer", 1, OSError("outer")))
            try:
                async with asyncio.TaskGroup() as inner:
                    inner.create_task(log.worker("inner", 8))
            except BaseException as error:
                log("inner", error)
                raise
    except* OSError as errors:
        log(errors)


@program
async def a_group_that_is_over_or_not_begun(log: Log) -> None:
    group = asyncio.TaskGroup()
    for _ in range(2):
        coroutine = log.worker("none", 1)
        try:
            group.create_task(coroutine)
        except RuntimeError as error:
            log(str(error).partition(">")[2])
        coroutine.close()
        with suppress(RuntimeError):
            async with group:
                pass


# ------------------------------------------------------------------------ tasks, cancelling


@program
async def names_and_results(log: Log) -> None:
    task = asyncio.create_task(log.worker("a", 1), name="named")
    log(task.get_name(), task.done(), task.cancelled(), task.cancelling())
    for ask in (task.result, task.exception):
        try:
            ask()
        except asyncio.InvalidStateError as error:
            log(error)
    task.set_name("renamed")
    log(await task, task.get_name(), task.result(), task.exception(), task.cancel())
    log(asyncio.create_task(pause(0), name="").get_name() == "")
    log(asyncio.create_task(pause(0), name=5).get_name())  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(TypeError):
        asyncio.get_running_loop().create_task("no coroutine")  # type: ignore[arg-type]  # wrong on purpose
    for name in ("set_result", "set_exception"):
        try:
            getattr(task, name)(None)
        except RuntimeError as error:
            log(error)


@program
async def cancelling(log: Log) -> None:
    task = asyncio.create_task(log.worker("never starts", 1))
    log(task.cancel("early"), task.cancelling(), task.cancel("twice"), task.cancelling())
    try:
        await task
    except asyncio.CancelledError as error:
        log(error, task.cancelled())
    task = asyncio.create_task(log.worker("starts", 9))
    await pause(1)
    task.cancel("late")
    log(await asyncio.gather(task, return_exceptions=True))
    for ask in (task.result, task.exception):
        try:
            ask()
        except asyncio.CancelledError as error:
            log(error)


@program
async def a_cancellation_that_is_swallowed(log: Log) -> None:
    async def stubborn() -> str:
        me = asyncio.current_task()
        assert me is not None
        for number in range(3):
            try:
                await pause(9)
            except asyncio.CancelledError as error:
                log(number, error, me.cancelling(), me.uncancel(), me.uncancel())
        return "survived"

    task = asyncio.create_task(stubborn())
    for number in range(3):
        await pause(1)
        task.cancel(number)
    log(await task, task.cancelled(), task.cancelling())


@program
async def a_task_cancels_itself(log: Log) -> None:
    async def own() -> None:
        me = asyncio.current_task()
        assert me is not None
        log(me.cancel("me"))
        log("goes on")
        await pause(0)
        log("unreached")

    task = asyncio.create_task(own())
    await asyncio.wait([task])
    log(task.cancelled())

    async def taken_back() -> str:
        me = asyncio.current_task()
        assert me is not None
        me.cancel()
        me.uncancel()
        try:
            await pause(1)
        except asyncio.CancelledError:
            return "cancelled all the same"
        return "taken back"

    log(await asyncio.create_task(taken_back()))


@program
async def cancelling_reaches_what_is_awaited(log: Log) -> None:
    inner = asyncio.create_task(log.worker("inner", 9))

    async def waits() -> None:
        await inner

    outer = asyncio.create_task(waits())
    await pause(1)
    outer.cancel("outer")
    await asyncio.wait([inner, outer])
    log(inner.cancelled(), outer.cancelled())


@program
async def clean_up_that_waits(log: Log) -> None:
    async def cleans() -> None:
        try:
            await pause(9)
        finally:
            await pause(2)
            log("cleaned")

    task = asyncio.create_task(cleans())
    await pause(1)
    task.cancel()
    await pause(1)
    log(task.done(), task.cancelling())
    task.cancel()
    await asyncio.wait([task])
    log(task.cancelled())


@program
async def shield(log: Log) -> None:
    inner = asyncio.create_task(log.worker("inner", 3))
    try:
        await asyncio.wait_for(asyncio.shield(inner), 1)
    except TimeoutError:
        log("outer", inner.done())
    log(await inner)
    outer = asyncio.shield(log.worker("fails", 1, KeyError("k")))
    try:
        await outer
    except KeyError as error:
        log(error)
    inner = asyncio.create_task(log.worker("cancelled", 9))
    outer = asyncio.shield(inner)
    await pause(1)
    inner.cancel("inner")
    await asyncio.wait([outer])
    log(outer.cancelled())
    log(asyncio.shield(inner) is inner)


@program
async def awaiting_oneself(log: Log) -> None:
    async def own() -> None:
        await task

    task = asyncio.create_task(own())
    try:
        await task
    except RuntimeError as error:
        log("itself" in str(error))
    with suppress(RuntimeError):
        coroutine = log.worker("twice", 0)
        await coroutine
        await coroutine


@program
async def tasks_are_listed(log: Log) -> None:
    me = asyncio.current_task()
    tasks = [asyncio.create_task(log.worker(str(n), n), name=str(n)) for n in (1, 2)]
    log(asyncio.all_tasks() == {me, *tasks}, asyncio.current_task() is me)
    await pause(1.5)
    log(asyncio.all_tasks() == {me, tasks[1]})
    log(tasks[1].get_loop() is asyncio.get_running_loop(), len(tasks[1].get_stack()))
    log(asyncio.iscoroutine(tasks[1].get_coro()), asyncio.isfuture(tasks[1]))
    await tasks[1]


@program
async def eager_tasks(log: Log) -> None:
    loop, outer = asyncio.get_running_loop(), asyncio.current_task()

    async def at_once(value: str) -> str:
        me = asyncio.current_task()
        log(value, me is outer, me in asyncio.all_tasks())
        return value

    loop.set_task_factory(asyncio.eager_task_factory)
    log(loop.get_task_factory() is asyncio.eager_task_factory)
    task = asyncio.create_task(at_once("done"), name="eager")
    log(task.done(), task.get_name(), await task)
    waiting = asyncio.create_task(log.worker("waits", 1), name="waits")
    log("after", waiting.done())
    log(await asyncio.gather(at_once("a"), log.worker("b", 2), waiting))
    failing = asyncio.create_task(log.worker("no", 0, ValueError("no")))
    log(await asyncio.gather(failing, return_exceptions=True))
    async with asyncio.TaskGroup() as group:
        group.create_task(at_once("grouped"), name="g")
        group.create_task(log.worker("grouped too", 1), name="h")
    loop.set_task_factory(None)
    lazy = asyncio.create_task(at_once("lazy"), name="lazy")
    log(loop.get_task_factory(), lazy.done(), await lazy)
