"""Random programs do in a turn what they do under asyncio's own loop.

A program is data, interpreted with the real primitives over a few shared locks, events and queues.
What still waits after a while is cancelled, and again, until nothing is left.
"""

from __future__ import annotations

import asyncio
from asyncio import sleep as pause
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

type Node = list[Any]


class Machine:
    """Interprets one program."""

    def __init__(self, log: Any) -> None:
        self.log = log
        self.locks = [asyncio.Lock(), asyncio.Semaphore(2)]
        self.events = [asyncio.Event(), asyncio.Event()]
        self.condition = asyncio.Condition()
        self.queue = asyncio.Queue[int](1)
        self.tasks: list[asyncio.Task[Any]] = []
        self.running: dict[asyncio.Task[Any], None] = {}

    async def run(self, node: Node) -> Any:
        """Do one step; what it returns is a number or a list of them."""
        kind, *rest = node
        task = asyncio.current_task()
        assert task is not None
        self.running[task] = None
        self.log(kind)
        try:
            found = await getattr(self, f"do_{kind}")(*rest)
        except asyncio.CancelledError:
            self.log(kind, "cancelled")
            raise
        except Exception as error:
            self.log(kind, "raised", error)
            raise
        self.log(kind, "gave", found)
        return found

    async def do_sleep(self, time: float) -> float:
        return await pause(time, time)

    async def do_rest(self) -> None:
        await pause(0)

    async def do_raise(self, word: str) -> None:
        raise {"value": ValueError, "key": KeyError}[word](word)

    async def do_seq(self, *nodes: Node) -> Any:
        return [await self.run(node) for node in nodes]

    async def do_try(self, node: Node, cleaning: Node) -> Any:
        try:
            return await self.run(node)
        except Exception as error:  # noqa: BLE001  of whatever kind
            return type(error).__name__
        finally:
            await self.run(cleaning)

    async def do_swallow(self, node: Node) -> Any:
        try:
            return await self.run(node)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            return task and task.uncancel()

    async def do_gather(self, keep: bool, *nodes: Node) -> Any:
        return await asyncio.gather(*map(self.run, nodes), return_exceptions=keep)

    async def do_wait(self, when: str, timeout: float | None, *nodes: Node) -> Any:  # noqa: ASYNC109  it is data
        tasks = [asyncio.create_task(self.run(node)) for node in nodes]
        done, pending = await asyncio.wait(tasks, timeout=timeout, return_when=when)
        for task in tasks:
            if task in pending:
                task.cancel()
        ended = [task in done for task in tasks]
        return [*ended, await asyncio.gather(*tasks, return_exceptions=True)]

    async def do_each(self, *nodes: Node) -> Any:
        tasks = [asyncio.create_task(self.run(node)) for node in nodes]
        return [await each for each in asyncio.as_completed(tasks)]

    async def do_group(self, *nodes: Node) -> Any:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.run(node)) for node in nodes]
        return [task.result() for task in tasks]

    async def do_timeout(self, time: float, node: Node) -> Any:
        async with asyncio.timeout(time):
            return await self.run(node)

    async def do_wait_for(self, time: float, node: Node) -> Any:
        return await asyncio.wait_for(self.run(node), time)

    async def do_shield(self, time: float, node: Node) -> Any:
        inner = asyncio.create_task(self.run(node))
        try:
            return await asyncio.wait_for(asyncio.shield(inner), time)
        except TimeoutError:
            return [await inner]

    async def do_spawn(self, node: Node) -> None:
        self.tasks.append(asyncio.create_task(self.run(node)))

    async def do_cancel(self, number: int) -> Any:
        return self.tasks[number % len(self.tasks)].cancel() if self.tasks else None

    async def do_join(self, number: int) -> Any:
        if not self.tasks:
            return None
        done, _ = await asyncio.wait([self.tasks[number % len(self.tasks)]])
        return [task.cancelled() for task in done]

    async def do_lock(self, number: int, node: Node) -> Any:
        async with self.locks[number]:
            return await self.run(node)

    async def do_set(self, number: int) -> None:
        self.events[number].set()

    async def do_await(self, number: int) -> bool:
        return await self.events[number].wait()

    async def do_notify(self) -> None:
        async with self.condition:
            self.condition.notify()

    async def do_stand_by(self) -> bool:
        async with self.condition:
            return await self.condition.wait()

    async def do_put(self, item: int) -> None:
        await self.queue.put(item)

    async def do_get(self) -> int:
        return await self.queue.get()


TIMES = st.sampled_from([1.0, 2.0, 4.0, 8.0]).flatmap(
    lambda whole: st.integers(1, 97).map(lambda part: whole + part / 100)
)
WHEN = st.sampled_from([asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED])


def of(kind: str, *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Node]:
    return st.tuples(st.just(kind), *parts).map(list)


LEAVES = st.one_of(
    of("sleep", TIMES),
    of("rest"),
    of("raise", st.sampled_from(["value", "key"])),
    of("cancel", st.integers(0, 3)),
    of("join", st.integers(0, 3)),
    of("set", st.integers(0, 1)),
    of("await", st.integers(0, 1)),
    of("notify"),
    of("stand_by"),
    of("put", st.integers(0, 9)),
    of("get"),
)


def branches(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(inner, min_size=1, max_size=4)

    def spread(kind: str, *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Node]:
        return st.tuples(*parts, several).map(lambda t: [kind, *t[:-1], *t[-1]])

    return st.one_of(
        spread("seq"),
        spread("gather", st.booleans()),
        spread("wait", WHEN, st.none() | TIMES),
        spread("each"),
        spread("group"),
        of("try", inner, inner),
        of("swallow", inner),
        of("timeout", TIMES, inner),
        of("wait_for", TIMES, inner),
        of("shield", TIMES, inner),
        of("spawn", inner),
        of("lock", st.integers(0, 1), inner),
    )


PROGRAMS = st.recursive(LEAVES, branches, max_leaves=14)


@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(node=PROGRAMS)
def test_alike(node: Node, compared: Callable[[Any], tuple[list[str], list[str]] | None]) -> None:
    async def program(log: Any) -> Any:
        machine = Machine(log)
        main = asyncio.create_task(machine.run(node))
        await asyncio.wait([main], timeout=1000)
        while unfinished := [task for task in machine.running if not task.done()]:
            log("unfinished", len(unfinished))
            for task in unfinished:
                task.cancel()
            await asyncio.wait(unfinished, timeout=1000)
        return await asyncio.gather(main, return_exceptions=True)

    found = compared(program)
    assume(found is not None)
    assert found is not None
    under_turns, under_asyncio = found
    assert under_turns == under_asyncio
