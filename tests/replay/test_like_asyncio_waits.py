"""Timeouts, `gather` and `wait` do in a turn what they do under asyncio's own loop."""

# ruff: noqa: TRY301  where an error is raised is what is tested
# mypy: disable-error-code="possibly-undefined"

from __future__ import annotations

import asyncio
import sys
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


# ------------------------------------------------------------------------ sleep, timeouts


@program
async def sleeps(log: Log) -> object:
    log(await pause(1, "one"), await pause(0, "zero"), await pause(-1, 2))
    log(await pause(0.25, True))
    for wrong in (None, "x"):
        try:
            await pause(wrong)  # type: ignore[call-overload]  # wrong on purpose
        except (TypeError, ValueError) as error:
            log("refused", type(error).__name__)
    return "end"


@program
async def a_timeout_that_strikes(log: Log) -> object:
    try:
        async with asyncio.timeout(2) as limit:
            log(limit.when() is not None, limit.expired())
            await log.worker("slow", 5)
    except TimeoutError as error:
        log(error, limit.expired(), asyncio.current_task().cancelling())  # type: ignore[union-attr]  # there is one
    return limit


@program
async def a_timeout_that_does_not(log: Log) -> None:
    async with asyncio.timeout(5) as limit:
        await log.worker("quick", 2)
    log(limit.expired())
    async with asyncio.timeout(None) as limit:
        log(limit.when())
        await pause(1)
    async with asyncio.timeout(float("inf")):
        await pause(1)


@program
async def timeouts_nest(log: Log) -> None:
    for outer, inner in ((3, 1), (1.5, 3)):
        try:
            async with asyncio.timeout(outer) as one:
                try:
                    async with asyncio.timeout(inner) as two:
                        await log.worker(f"{outer} {inner}", 9)
                except TimeoutError:
                    log("inner", one.expired(), two.expired())
                    await pause(9)
        except TimeoutError:
            log("outer", one.expired(), two.expired())


@program
async def a_timeout_moves(log: Log) -> None:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(1) as limit:
            limit.reschedule(loop.time() + 4)
            await pause(2)
            log("still here")
            limit.reschedule(None)
            await pause(5)
            limit.reschedule(loop.time() - 1)
            await pause(1)
    except TimeoutError:
        log("late")
    with suppress(RuntimeError):
        limit.reschedule(1)
    try:
        async with asyncio.timeout_at(loop.time() + 1):
            await pause(2)
    except TimeoutError:
        log("timeout_at")
    try:
        async with asyncio.timeout(0):
            log("entered")
            await pause(0)
            log("rested")
            await pause(1)
    except TimeoutError:
        log("at once")
    async with asyncio.timeout(-1):  # noqa: ASYNC100  nothing to strike at
        log("leaves before it strikes")


@program
async def a_timeout_is_not_confused_by_other_errors(log: Log) -> None:
    try:
        async with asyncio.timeout(1):
            try:
                await pause(2)
            finally:
                raise ValueError("on the way")
    except ValueError as error:
        log(error, asyncio.current_task().cancelling())  # type: ignore[union-attr]  # there is one
    try:
        async with asyncio.timeout(1):  # noqa: ASYNC100  raises by itself
            raise asyncio.CancelledError("by hand")
    except asyncio.CancelledError as error:
        log(error)


@program
async def cancelled_within_a_timeout(log: Log) -> None:
    async def inside() -> None:
        async with asyncio.timeout(5):
            await log.worker("inside", 9)

    task = asyncio.create_task(inside())
    await pause(1)
    task.cancel("enough")
    try:
        await task
    except asyncio.CancelledError as error:
        log(error, task.cancelled(), task.cancelling())


@program
async def wait_for(log: Log) -> None:
    log(
        await asyncio.wait_for(log.worker("a", 1), 2),
        await asyncio.wait_for(log.worker("b", 1), None),
    )
    for timeout in (1, 0, -1):
        try:
            await asyncio.wait_for(log.worker(f"late {timeout}", 3), timeout)
        except TimeoutError as error:
            log("timed out", timeout, error)
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    done.set_result("done")
    log(await asyncio.wait_for(done, 0))
    try:
        await asyncio.wait_for(log.worker("raises", 1, KeyError("k")), 2)
    except KeyError as error:
        log(error)


@program
async def wait_for_one_that_resists(log: Log) -> None:
    async def resists() -> str:
        try:
            await pause(9)
        except asyncio.CancelledError:
            log("resists")
            await pause(2)
        return "after all"

    try:
        log(await asyncio.wait_for(asyncio.create_task(resists()), 1))
    except TimeoutError as error:
        log(error)


# -------------------------------------------------------------------------------- gather


@program
async def gather(log: Log) -> None:
    log(await asyncio.gather(), await asyncio.gather(log.worker("b", 2), log.worker("a", 1)))
    task = asyncio.create_task(log.worker("twice", 1))
    log(await asyncio.gather(task, task, asyncio.gather(log.worker("inner", 2))))
    coroutine = log.worker("same", 1)
    log(await asyncio.gather(coroutine, coroutine))
    errors = await asyncio.gather(
        log.worker("x", 1, KeyError("x")),
        log.worker("y", 2),
        log.worker("z", 3, asyncio.CancelledError("z")),
        return_exceptions=True,
    )
    log(errors)


@program
async def gather_with_an_error_lets_the_others_run(log: Log) -> None:
    tasks = [asyncio.create_task(log.worker("a", 1, KeyError("a"))), log.worker("b", 2)]
    try:
        await asyncio.gather(*tasks)
    except KeyError as error:
        log(error)
    await pause(5)


@program
async def gather_cancelled(log: Log) -> None:
    for keep in (False, True):
        group = asyncio.gather(
            log.worker("a", 1), log.worker("b", 9), log.worker("c", 8), return_exceptions=keep
        )
        await pause(2)
        log(group.cancel("all"), group.done())
        try:
            log(await group)
        except asyncio.CancelledError as error:
            log(error)
        log(group.cancelled(), group.cancel())


@program
async def a_child_of_gather_is_cancelled(log: Log) -> None:
    for keep in (False, True):
        child = asyncio.create_task(log.worker("child", 9))
        group = asyncio.gather(child, log.worker("other", 3), return_exceptions=keep)
        await pause(1)
        child.cancel("one")
        try:
            log(await group)
        except asyncio.CancelledError as error:
            log(error, child.cancelled())
        await pause(5)


# ---------------------------------------------------------------------- wait, as_completed


@program
async def wait(log: Log) -> None:
    for when in (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED):
        tasks = [
            asyncio.create_task(log.worker("a", 3), name="a"),
            asyncio.create_task(log.worker("b", 1), name="b"),
            asyncio.create_task(log.worker("c", 2, ValueError("c")), name="c"),
            asyncio.create_task(log.worker("d", 4), name="d"),
        ]
        done, pending = await asyncio.wait(tasks, return_when=when)
        log(when, sorted(t.get_name() for t in done), sorted(t.get_name() for t in pending))
        for task in sorted(pending, key=lambda each: each.get_name()):
            task.cancel()
        log(sorted(await asyncio.gather(*tasks, return_exceptions=True), key=str))


@program
async def wait_with_a_timeout(log: Log) -> None:
    tasks = [asyncio.create_task(log.worker(str(n), n), name=str(n)) for n in (1, 5)]
    done, pending = await asyncio.wait(tasks, timeout=2)
    log([t.get_name() for t in done], [t.get_name() for t in pending])
    done, pending = await asyncio.wait(pending)
    log([t.get_name() for t in done], pending)
    done, pending = await asyncio.wait(done, timeout=0)
    log(len(done), len(pending))
    for wrong in ([], [log.worker("raw", 1)]):
        try:
            await asyncio.wait(wrong)
        except (TypeError, ValueError) as error:
            log(error)
    for each in wrong:
        each.close()
    with suppress(TypeError):
        await asyncio.wait(tasks[0])
    with suppress(ValueError):
        await asyncio.wait(tasks, return_when="sometime")


@program
async def wait_is_cancelled_and_its_tasks_are_not(log: Log) -> None:
    inner = asyncio.create_task(log.worker("inner", 3))
    outer = asyncio.create_task(asyncio.wait([inner]))
    await pause(1)
    outer.cancel()
    await asyncio.wait([outer])
    log(outer.cancelled(), inner.done(), await inner)


@program
async def the_sets_of_wait_are_sets(log: Log) -> None:
    tasks = [asyncio.create_task(log.worker(str(n), n), name=str(n)) for n in (1, 2, 3)]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    log(done == {tasks[0]}, pending == set(tasks[1:]), tasks[1] in pending, len(pending))
    log(done | pending == set(tasks), done & pending, isinstance(done, set))
    pending.remove(tasks[1])
    pending.add(asyncio.create_task(log.worker("4", 4), name="4"))
    pending |= {tasks[1]}
    log(sorted(task.get_name() for task in pending))
    first = pending.pop()
    log(first in pending, len(pending))
    await asyncio.wait(pending | {first})
    pending.clear()
    with suppress(KeyError):
        pending.pop()
    log(bool(pending), list(pending))


@program
async def as_completed(log: Log) -> None:
    # Tasks, for asyncio starts coroutines in the order of their addresses.
    tasks = [asyncio.create_task(log.worker(str(n), n)) for n in (3, 1, 2)]
    for each in asyncio.as_completed(tasks):
        log(await each)
    tasks = [asyncio.create_task(log.worker(str(n), n)) for n in (1, 9)]
    try:
        for each in asyncio.as_completed(tasks, timeout=2):
            log(await each)
    except TimeoutError as error:
        log(error)
    for each in asyncio.as_completed([log.worker("bad", 1, OSError("bad"))]):
        try:
            await each
        except OSError as error:
            log(error)
    log(list(asyncio.as_completed([])))


if sys.version_info >= (3, 13):

    @program
    async def as_completed_asynchronously(log: Log) -> None:
        tasks = [asyncio.create_task(log.worker(str(n), n), name=str(n)) for n in (3, 1, 2)]
        async for each in asyncio.as_completed(tasks):
            log(each in tasks, each.get_name(), each.result())
        try:
            async for each in asyncio.as_completed([log.worker("9", 9)], timeout=1):
                log(each)
        except TimeoutError as error:
            log(error)
