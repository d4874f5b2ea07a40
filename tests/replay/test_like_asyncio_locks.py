"""Locks, queues and generators do in a turn what they do under asyncio's own loop."""

from __future__ import annotations

import asyncio
import sys
from asyncio import sleep as pause
from collections import deque
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    type Log = Any  # of conftest.py
    type Program = Callable[[Log], Awaitable[object]]

PROGRAMS: list[Any] = []


def program[P: Program](function: P) -> P:
    PROGRAMS.append(pytest.param(function, id=function.__name__))
    return function


@pytest.mark.parametrize("case", PROGRAMS)
def test_alike(case: Program, alike: Callable[[Program], list[str]]) -> None:
    assert alike(case)


# --------------------------------------------------------------------- locks and their kin


@program
async def an_event(log: Log) -> None:
    event = asyncio.Event()

    async def waits(name: str) -> None:
        log(name, await event.wait())

    tasks = [asyncio.create_task(waits(name)) for name in "abc"]
    await pause(1)
    tasks[1].cancel()
    event.set()
    log(event.is_set(), await asyncio.gather(*tasks, return_exceptions=True))
    await event.wait()
    event.clear()
    try:
        await asyncio.wait_for(event.wait(), 1)
    except TimeoutError:
        log("cleared", event.is_set())


@program
async def a_lock_is_fair(log: Log) -> None:
    lock = asyncio.Lock()

    async def holds(name: str, time: float) -> None:
        async with lock:
            log(name, lock.locked())
            await pause(time)

    tasks = [asyncio.create_task(holds(name, 1)) for name in "abcd"]
    await pause(0.5)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    log(lock.locked())
    try:
        lock.release()
    except RuntimeError as error:
        log(error)
    await lock.acquire()
    waiting = asyncio.create_task(holds("e", 1))
    await pause(0)
    lock.release()
    log(lock.locked(), await lock.acquire() if not lock.locked() else "taken")
    if not lock.locked():
        lock.release()
    await pause(0)
    if lock.locked() and not waiting.done():
        with suppress(RuntimeError):
            lock.release()
    waiting.cancel()
    await asyncio.wait([waiting])


@program
async def cancelled_as_the_lock_is_handed_over(log: Log) -> None:
    lock = asyncio.Lock()
    await lock.acquire()

    async def holds(name: str) -> None:
        async with lock:
            log(name)

    first, second = (asyncio.create_task(holds(name)) for name in "ab")
    await pause(0)
    lock.release()
    first.cancel()
    log(await asyncio.gather(first, second, return_exceptions=True), lock.locked())


@program
async def a_condition(log: Log) -> None:
    condition, stock = asyncio.Condition(), deque[str]()

    async def takes(name: str) -> None:
        async with condition:
            await condition.wait_for(lambda: stock)
            log(name, stock.popleft())

    async def waits(name: str) -> None:
        async with condition:
            log(name, await condition.wait())

    tasks = [asyncio.create_task(takes(name)) for name in "abc"]
    tasks += [asyncio.create_task(waits(name)) for name in "de"]
    await pause(1)
    tasks[1].cancel()
    async with condition:
        stock.extend("xy")
        condition.notify(2)
    await pause(1)
    async with condition:
        condition.notify_all()
    log(await asyncio.gather(*tasks, return_exceptions=True))
    for forbidden in (condition.notify, condition.notify_all):
        try:
            forbidden()
        except RuntimeError as error:
            log(error)
    with suppress(RuntimeError):
        await condition.wait()


@program
async def semaphores(log: Log) -> None:
    for kind in (asyncio.Semaphore, asyncio.BoundedSemaphore):
        semaphore = kind(2)

        async def holds(name: str, time: float, semaphore: asyncio.Semaphore = semaphore) -> None:
            async with semaphore:
                log(name, semaphore.locked())
                await pause(time)

        times = dict(zip("abcde", (3, 1, 4, 8, 2), strict=True))
        tasks = [asyncio.create_task(holds(name, time)) for name, time in times.items()]
        await pause(0.5)
        tasks[2].cancel()
        log(await asyncio.gather(*tasks, return_exceptions=True))
        try:
            semaphore.release()
            log("one more")
        except ValueError as error:
            log(error)
    with suppress(ValueError):
        asyncio.Semaphore(-1)


@program
async def a_barrier(log: Log) -> None:
    barrier = asyncio.Barrier(3)

    async def meets(name: str, time: float) -> None:
        await pause(time)
        log(name, barrier.n_waiting)
        try:
            async with barrier as place:
                log(name, "met", place)
        except asyncio.BrokenBarrierError as error:
            log(name, "broken", error)

    await asyncio.gather(*(meets(n, t) for n, t in zip("abc", (2, 1, 3), strict=True)))
    task = asyncio.create_task(meets("d", 1))
    await pause(2)
    await barrier.reset()
    await task
    task = asyncio.create_task(meets("e", 1))
    await pause(2)
    log(barrier.parties, barrier.n_waiting, barrier.broken)
    await barrier.abort()
    await task
    log(barrier.broken)
    await meets("f", 1)


# ------------------------------------------------------------------------------- queues


@program
async def queues(log: Log) -> None:
    queues: list[asyncio.Queue[int]] = [
        asyncio.Queue(2),
        asyncio.LifoQueue(2),
        asyncio.PriorityQueue(2),
    ]
    for queue in queues:

        async def produces(queue: asyncio.Queue[int] = queue) -> None:
            for item in (3, 1, 2, 5, 4):
                await queue.put(item)
                log("put", item, queue.qsize(), queue.full())

        async def consumes(queue: asyncio.Queue[int] = queue) -> None:
            while True:
                item = await queue.get()
                log("got", item)
                await pause(1)
                queue.task_done()

        producer, consumer = asyncio.create_task(produces()), asyncio.create_task(consumes())
        await producer
        await queue.join()
        log(queue.empty(), queue.maxsize)
        consumer.cancel()
        await asyncio.wait([consumer])
        try:
            queue.get_nowait()
        except asyncio.QueueEmpty:
            log("empty")
        queue.put_nowait(1)
        queue.put_nowait(2)
        try:
            queue.put_nowait(3)
        except asyncio.QueueFull:
            log("full")
        log(queue.get_nowait())
        queue.task_done()
        queue.task_done()
        with suppress(ValueError):
            queue.task_done()


@program
async def those_who_wait_at_a_queue_are_cancelled(log: Log) -> None:
    queue = asyncio.Queue[str](1)

    async def gets(name: str) -> None:
        log(name, await queue.get())

    tasks = [asyncio.create_task(gets(name)) for name in "abc"]
    await pause(1)
    tasks[0].cancel()
    await queue.put("x")
    tasks[1].cancel()
    await queue.put("y")
    await pause(1)
    for task in tasks:
        task.cancel()
    log(await asyncio.gather(*tasks, return_exceptions=True), queue.qsize())
    putting = [asyncio.create_task(queue.put(name)) for name in "pq"]
    await pause(1)
    for task in putting:
        task.cancel()
    log(await asyncio.gather(*putting, return_exceptions=True), queue.qsize())


if sys.version_info >= (3, 13):

    @program
    async def a_queue_is_shut_down(log: Log) -> None:
        for immediate in (False, True):
            queue = asyncio.Queue[int](2)
            for item in (1, 2):
                queue.put_nowait(item)
            putting = asyncio.create_task(queue.put(3))
            joining = asyncio.create_task(queue.join())
            await pause(1)
            queue.shutdown(immediate=immediate)
            log(await asyncio.gather(putting, return_exceptions=True), joining.done())
            for _ in range(3):
                try:
                    log(await queue.get())
                    queue.task_done()
                except asyncio.QueueShutDown as error:
                    log(type(error).__name__)
            with suppress(asyncio.QueueShutDown):
                queue.put_nowait(4)
            await joining
            getting = asyncio.create_task(asyncio.Queue[int]().get())
            await pause(1)
            getting.cancel()


# ---------------------------------------------------------------------------- generators


@program
async def generators(log: Log) -> None:
    async def numbers(count: int) -> AsyncGenerator[int, str | None]:
        try:
            for number in range(count):
                await pause(1)
                said = yield number
                if said is not None:
                    log("was sent", said)
        finally:
            await pause(1)
            log("closed")

    log([number async for number in numbers(3)])
    log([number * 2 async for number in numbers(3) if number])
    async with aclosing(numbers(9)) as some:
        async for number in some:
            if number == 1:
                break
    log("left")
    talk = numbers(3)
    log(await anext(talk), await talk.asend("hello"))
    try:
        await talk.athrow(KeyError("thrown"))
    except KeyError as error:
        log(error)
    log(await anext(talk, "over"))
    talk = numbers(3)
    await anext(talk)
    await talk.aclose()
    await talk.aclose()
    log({key: value async for key, value in pairs()})


async def pairs() -> AsyncIterator[tuple[str, int]]:
    for key, value in zip("ab", (1, 2), strict=True):
        yield key, value
        await pause(1)


@program
async def a_generator_whose_reader_is_cancelled(log: Log) -> None:
    async def numbers() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
                await pause(2)
        except asyncio.CancelledError:
            log("generator cancelled")
            raise
        finally:
            log("generator closed")

    async def reads() -> None:
        async for number in numbers():
            log(number)

    task = asyncio.create_task(reads())
    await pause(3)
    task.cancel()
    await asyncio.wait([task])


@program
async def context_managers(log: Log) -> None:
    @asynccontextmanager
    async def scope(name: str) -> AsyncIterator[str]:
        await pause(1)
        try:
            yield name
        except KeyError as error:
            log(name, "swallows", error)
        finally:
            await pause(1)
            log(name, "left")

    async with scope("a") as a, scope("b") as b:
        log(a, b)
        message = "k"
        raise KeyError(message)
    try:
        async with asyncio.timeout(2), scope("c"):
            await pause(5)
    except TimeoutError:
        log("timed out")
