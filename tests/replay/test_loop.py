"""asyncio in an orchestration: what works, and what is refused with a remedy."""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from perdure import OrchestrationContext, Registry, activity, current, orchestration
from perdure.errors import ForbiddenCallError
from perdure.model.actions import ScheduleActivity
from perdure.model.ids import JsonText
from perdure.model.records import Ending, Outcome
from perdure.replay.engine import Engine
from perdure.replay.loop import DeterministicLoop
from perdure.replay.turn import LiveExecution
from perdure.testing.scripted import ScriptedHistory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine


@activity
def work(what: str) -> str:
    return what


def completed(text: str) -> Ending:
    return Ending(Outcome.COMPLETED, JsonText(text))


def run_to_end(body: Callable[[OrchestrationContext], Coroutine[Any, Any, Any]]) -> Ending:
    """Run with every call answered in the order in which it was asked for."""
    definition = orchestration(name="run")(body)
    history = ScriptedHistory(Registry(definition, work), definition)

    def answer(action: Any) -> None:
        if isinstance(action, ScheduleActivity):
            history.complete(action.operation, action.operation)
        elif type(action).__name__ == "CreateTimer":
            history.fire(action.operation)

    ending = history.drive(answer).ending
    assert ending is not None
    history.replay()
    return ending


# ------------------------------------------------------------------------ what works


async def _lock(ctx: OrchestrationContext) -> Any:
    lock, order = asyncio.Lock(), list[str]()

    async def hold(name: str) -> None:
        async with lock:
            order.append(name)
            await asyncio.sleep(1)

    await asyncio.gather(hold("a"), hold("b"), hold("c"))
    return order


async def _semaphore(ctx: OrchestrationContext) -> Any:
    semaphore, most, inside = asyncio.Semaphore(2), 0, 0

    async def hold() -> None:
        nonlocal most, inside
        async with semaphore:
            inside += 1
            most = max(most, inside)
            await work("x")
            inside -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(hold())
    return most


async def _event_and_condition(ctx: OrchestrationContext) -> Any:
    event, condition, seen = asyncio.Event(), asyncio.Condition(), list[str]()

    async def wait_event() -> None:
        await event.wait()
        seen.append("event")

    async def wait_condition() -> None:
        async with condition:
            await condition.wait()
            seen.append("condition")

    tasks = [asyncio.create_task(wait_event()), asyncio.create_task(wait_condition())]
    await work("x")
    event.set()
    async with condition:
        condition.notify_all()
    await asyncio.gather(*tasks)
    return seen


async def _queue(ctx: OrchestrationContext) -> Any:
    queue = asyncio.Queue[int](maxsize=1)

    async def produce() -> None:
        for number in range(3):
            await queue.put(number)
            await asyncio.sleep(1)

    task = asyncio.create_task(produce())
    found = [await queue.get() for _ in range(3)]
    await task
    return found


async def _barrier(ctx: OrchestrationContext) -> Any:
    barrier = asyncio.Barrier(3)

    async def meet(name: str) -> str:
        await work(name)
        await barrier.wait()
        return name

    return await asyncio.gather(*(meet(name) for name in "abc"))


async def _as_completed(ctx: OrchestrationContext) -> Any:
    async def one(name: str) -> str:
        await work(name)
        return name

    found = [await each for each in asyncio.as_completed([one(name) for name in "abcdefgh"])]
    timed = [await each for each in asyncio.as_completed([work("x"), work("y")], timeout=9)]
    return found + timed


async def _timeouts(ctx: OrchestrationContext) -> Any:
    found: list[Any] = []
    try:
        async with asyncio.timeout(1):
            await asyncio.get_running_loop().create_future()
    except TimeoutError:
        found.append("timeout")
    try:
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + 1):
            await asyncio.Event().wait()
    except TimeoutError:
        found.append("timeout_at")
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 1)
    except TimeoutError:
        found.append("wait_for")
    done, pending = await asyncio.wait([asyncio.create_task(asyncio.Event().wait())], timeout=1)
    found.append([len(done), len(pending)])
    async with asyncio.timeout(None) as limit:
        limit.reschedule(asyncio.get_running_loop().time() + 5)
        await asyncio.sleep(0)
    return found


async def _call_later(ctx: OrchestrationContext) -> Any:
    loop, seen, end = asyncio.get_running_loop(), list[str](), asyncio.Event()
    loop.call_soon(seen.append, "soon")
    loop.call_later(5, seen.append, "later")
    loop.call_at(loop.time() + 6, end.set)
    loop.call_later(7, seen.append, "never").cancel()
    await end.wait()
    return seen


async def _generators(ctx: OrchestrationContext) -> Any:
    async def numbers() -> AsyncIterator[str]:
        for name in "abc":
            yield await work(name)

    return [each async for each in numbers()]


async def _context_variables(ctx: OrchestrationContext) -> Any:
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(1)

    async def child() -> int:
        variable.set(variable.get() + 1)
        await work("x")
        return variable.get()

    found = await asyncio.gather(child(), child())
    return [variable.get(), *found, current() is ctx]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (_lock, '["a","b","c"]'),
        (_semaphore, "2"),
        (_event_and_condition, '["event","condition"]'),
        (_queue, "[0,1,2]"),
        (_barrier, '["a","b","c"]'),
        (_as_completed, '["a","b","c","d","e","f","g","h","0:1","0:2"]'),
        (_timeouts, '["timeout","timeout_at","wait_for",[0,1]]'),
        (_call_later, '["soon","later"]'),
        (_generators, '["0:1","0:2","0:3"]'),
        (_context_variables, "[1,2,2,true]"),
    ],
    ids=lambda value: getattr(value, "__name__", "").strip("_") or None,
)
def test_asyncio_works(
    body: Callable[[OrchestrationContext], Coroutine[Any, Any, Any]], expected: str
) -> None:
    assert run_to_end(body) == completed(expected)


def test_an_exception_in_a_callback_does_not_end_the_run(caplog: pytest.LogCaptureFixture) -> None:
    async def run(ctx: OrchestrationContext) -> str:
        def fail() -> None:
            raise ValueError("in a callback")

        asyncio.get_running_loop().call_soon(fail)
        return await work("x")

    assert run_to_end(run) == completed('"0:1"')
    errors = [record for record in caplog.records if record.name == "perdure.orchestration"]
    assert len(errors) == 1  # and not again on replay
    assert errors[0].exc_info is not None
    assert str(errors[0].exc_info[1]) == "in a callback"


# ---------------------------------------------------------------------- what is refused


async def _to_thread(_ctx: OrchestrationContext) -> None:
    await asyncio.to_thread(len, "x")


async def _executor(_ctx: OrchestrationContext) -> None:
    with ThreadPoolExecutor(1) as pool:
        await asyncio.get_running_loop().run_in_executor(pool, len, "x")


async def _connection(_ctx: OrchestrationContext) -> None:
    await asyncio.open_connection("localhost", 1)


async def _process(_ctx: OrchestrationContext) -> None:
    await asyncio.create_subprocess_exec("true")


async def _asyncio_run(_ctx: OrchestrationContext) -> None:
    closing = asyncio.sleep(0)
    try:
        asyncio.run(closing)
    finally:
        closing.close()


async def _foreign_future(_ctx: OrchestrationContext) -> None:
    loop = asyncio.new_event_loop()
    try:
        await loop.create_future()
    finally:
        loop.close()


async def _foreign_awaitable(_ctx: OrchestrationContext) -> None:
    class Foreign:
        def __await__(self) -> Any:
            yield "something of another loop"

    await Foreign()


async def _in_a_callback(_ctx: OrchestrationContext) -> None:
    asyncio.get_running_loop().call_soon(work, "x")
    await asyncio.sleep(0)


async def _task_factory(_ctx: OrchestrationContext) -> None:
    asyncio.get_running_loop().set_task_factory(lambda loop, coro: asyncio.Task(coro, loop=loop))


async def _plain_task(_ctx: OrchestrationContext) -> None:
    async def inside() -> None:
        await work("x")

    await asyncio.Task(inside())


async def _from_another_thread(_ctx: OrchestrationContext) -> None:
    coroutine = asyncio.sleep(0)
    try:
        asyncio.run_coroutine_threadsafe(coroutine, asyncio.get_running_loop())
    finally:
        coroutine.close()


async def _runner(_ctx: OrchestrationContext) -> None:
    with asyncio.Runner() as runner:
        runner.get_loop()


async def _swallowed(_ctx: OrchestrationContext) -> None:
    with contextlib.suppress(Exception):  # the turn remembers all the same
        await asyncio.to_thread(len, "x")


@pytest.mark.parametrize(
    ("body", "remedy"),
    [
        (_to_thread, r"asyncio\.to_thread uses them.*make it an activity"),
        (_executor, "make it an activity"),
        (_connection, "make it an activity"),
        (_process, "make it an activity"),
        (_asyncio_run, r"at replay/test_loop\.py:\d+: .*use asyncio\.run\(\): make it an activity"),
        (_foreign_future, r"at replay/test_loop\.py:\d+: .*an event loop: make it an activity"),
        (_foreign_awaitable, r"not of this event loop at .*Make it an activity"),
        (_in_a_callback, r"in a callback, not in a task.*asyncio\.create_task"),
        (_task_factory, r"asyncio\.eager_task_factory alone: use asyncio\.create_task"),
        (_plain_task, r"in a task that asyncio\.Task\(\.\.\.\) made.*asyncio\.create_task"),
        (_from_another_thread, "no other thread may wake.*from within use call_soon"),
        (_runner, "may not make an event loop: make it an activity"),
        (_swallowed, "make it an activity"),
    ],
    ids=lambda value: getattr(value, "__name__", "").strip("_") or None,
)
def test_what_reaches_outside_is_refused(
    body: Callable[[OrchestrationContext], Awaitable[None]], remedy: str
) -> None:
    definition: Any = orchestration(name="run")(body)  # type: ignore[arg-type]  # any result
    history = ScriptedHistory(Registry(definition, work), definition)
    with pytest.raises(ForbiddenCallError, match=remedy):
        history.turn()


def test_every_method_of_a_loop_works_or_refuses() -> None:
    """Of the whole surface nothing is left that says NotImplementedError."""
    for name, base in vars(asyncio.AbstractEventLoop).items():
        if callable(base) and not name.startswith("__"):
            assert getattr(DeterministicLoop, name) is not base, name


def _refused() -> list[str]:
    """Name what a loop offers and this one does not."""
    return [
        name
        for name, base in vars(asyncio.AbstractEventLoop).items()
        if callable(base)
        and not name.startswith("_")
        and name not in vars(DeterministicLoop)
        and name != "forbid"
    ]


@pytest.mark.parametrize("name", _refused())
def test_what_a_loop_may_not_do_names_the_method_the_line_and_the_remedy(name: str) -> None:
    async def run(_ctx: OrchestrationContext) -> None:
        getattr(asyncio.get_running_loop(), name)()

    definition: Any = orchestration(name="run")(run)
    history = ScriptedHistory(Registry(definition), definition)
    with pytest.raises(
        ForbiddenCallError, match=rf"at replay/test_loop\.py:\d+: .* loop\.{name}\(\): \S+"
    ):
        history.turn()


def test_what_a_loop_may_do_is_what_asyncio_documents_of_time_tasks_and_futures() -> None:
    assert {
        "call_soon",
        "call_later",
        "call_at",
        "time",
        "create_future",
        "create_task",
        "set_task_factory",
        "get_task_factory",
        "set_exception_handler",
        "get_exception_handler",
        "default_exception_handler",
        "call_exception_handler",
        "get_debug",
        "set_debug",
        "is_running",
        "is_closed",
    }.isdisjoint(_refused())
    assert len(_refused()) > 30


def test_a_turn_may_run_inside_another_loops_task() -> None:
    """The other loop and its task are out of sight meanwhile, and back afterwards."""

    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        task = asyncio.current_task()
        assert task is not None
        assert isinstance(task.get_loop(), DeterministicLoop)
        await asyncio.sleep(5)
        return task.get_name()

    async def outside() -> Ending | None:
        mine = asyncio.current_task()
        history = ScriptedHistory(Registry(run), run)
        history.turn()
        await asyncio.sleep(0)
        history.fire("0:1")
        found = history.turn().ending
        history.close()
        assert asyncio.current_task() is mine
        assert asyncio.get_running_loop() is not None
        return found

    assert asyncio.run(outside()) == completed('"0"')


def test_executions_in_many_threads_do_not_meet() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext, rounds: int) -> list[str]:
        return [await work(f"{ctx.instance_id} {number}") for number in range(rounds)]

    def one(number: int) -> str:
        history = ScriptedHistory(Registry(run, work), run, 20, instance=f"i{number}")

        def answer(action: Any) -> None:
            history.complete(action.operation, action.input)

        ending = history.drive(answer).ending
        assert ending is not None
        assert ending.output is not None
        return ending.output

    with ThreadPoolExecutor(8) as pool:
        for number, output in enumerate(pool.map(one, range(40))):
            assert output.count(f"i{number} ") == 20


_ORDERS = """
import asyncio
from perdure import Registry, activity, orchestration
from perdure.testing.scripted import ScriptedHistory

@activity
def work(what: str) -> str | None: ...

async def child(n):
    try:
        await work(f"child {n}")
    finally:
        order.append(n)

async def run(ctx):
    global order
    order = []
    done, pending = await asyncio.wait([asyncio.create_task(child(n)) for n in range(12)],
                                       return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.wait(pending)
    try:
        async with asyncio.TaskGroup() as group:
            for n in range(12, 24):
                group.create_task(child(n))
            raise ValueError
    except ExceptionGroup:
        pass
    for each in asyncio.as_completed([child(n) for n in range(24, 36)]):
        await each
    return order

definition = orchestration(name="run")(run)
history = ScriptedHistory(Registry(definition, work), definition)
def answer(action):
    if type(action).__name__ == "ScheduleActivity":
        history.complete(action.operation)
ending = history.drive(answer).ending
print(ending.output, [str(a) for a in history.actions()])
"""


def test_order_is_the_same_in_every_process() -> None:
    """`wait`, `TaskGroup` and `as_completed` walk over sets: not in an order of addresses."""
    found = {
        subprocess.run(
            [sys.executable, "-c", f"kept = [object() for _ in range({seed * 997})]\n{_ORDERS}"],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in range(1, 4)
    }
    assert len(found) == 1, found
    assert "child 35" in found.pop()


def test_numbers_of_different_executions_do_not_collide() -> None:
    """All tasks of the process are in one set of asyncio's: like hashes would make it a list."""
    hashes: set[int] = set()
    for number in range(300):
        history = ScriptedHistory(Registry(_waiting), _waiting, instance=f"i{number}")
        history.turn()
        live = history._live
        assert isinstance(live, LiveExecution)
        engine = live._engine
        assert isinstance(engine, Engine)
        hashes.add(hash(engine.root))
        history.close()
    assert len(hashes) > 290


@orchestration
async def _waiting(ctx: OrchestrationContext) -> None:
    await ctx.wait_event("never")
