"""Throwing an execution away: clean-up runs, asks for nothing, and nobody hears of it."""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from perdure import OrchestrationContext, Registry, activity, current, orchestration
from perdure.errors import ForbiddenCallError
from perdure.testing.scripted import ScriptedHistory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator


@activity
def work(what: str) -> str:
    return what


@pytest.fixture(autouse=True)
def nothing_unraisable(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Fail on what Python can only print."""
    found: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", found.append)
    yield found
    gc.collect()
    assert not found


def suspended(body: Callable[[OrchestrationContext], Coroutine[Any, Any, Any]]) -> ScriptedHistory:
    """Run a body to its first rest."""
    definition = orchestration(name="run")(body)
    history = ScriptedHistory(Registry(definition, work), definition)
    history.turn()
    return history


def test_clean_up_runs_in_reverse_order_of_start_and_asks_for_nothing() -> None:
    seen: list[str] = []

    async def hold(name: str) -> None:
        try:
            await work(name)
        finally:
            seen.append(name)
            await work("clean-up of " + name)

    async def run(ctx: OrchestrationContext) -> None:
        tasks = [asyncio.create_task(hold(name)) for name in "ab"]
        try:
            await asyncio.wait(tasks)
        finally:
            assert current() is ctx
            seen.append("root")
            ctx.set_custom_status("never")

    history = suspended(run)
    before = len(history.actions())
    history.close()
    assert seen == ["b", "a", "root"]
    assert len(history.actions()) == before


async def _catches_everything(ctx: OrchestrationContext) -> None:
    try:
        await work("x")
    except BaseException:  # noqa: BLE001  to see what goes on regardless
        await asyncio.sleep(5)


async def _never_gives_up(ctx: OrchestrationContext) -> None:
    for _ in range(5):
        try:
            await asyncio.sleep(5)
        except GeneratorExit:
            await asyncio.sleep(0)


async def _locks_and_timeouts(ctx: OrchestrationContext) -> None:
    lock = asyncio.Lock()
    async with asyncio.timeout(5), lock, asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(9))
        await asyncio.Event().wait()


async def _starts_tasks_in_clean_up(ctx: OrchestrationContext) -> None:
    try:
        await work("x")
    finally:
        task = asyncio.create_task(work_later())
        await task


async def work_later() -> None:
    await work("later")


async def _unstarted(ctx: OrchestrationContext) -> None:
    await work("x")


async def _logs(ctx: OrchestrationContext) -> None:
    try:
        await work("x")
    finally:
        ctx.logger.error("clean-up is not news")


async def _failing_clean_up(ctx: OrchestrationContext) -> None:
    try:
        await work("x")
    finally:
        raise ValueError("in clean-up")


async def _forgotten_handles(ctx: OrchestrationContext) -> None:
    handles = [work("x"), work("y")]
    task = asyncio.create_task(_fails())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    await handles[0]


async def _fails() -> None:
    raise ValueError("never retrieved")


@pytest.mark.parametrize(
    "body",
    [
        _catches_everything,
        _never_gives_up,
        _locks_and_timeouts,
        _starts_tasks_in_clean_up,
        _unstarted,
        _logs,
        _failing_clean_up,
        _forgotten_handles,
    ],
)
def test_closing_is_silent(
    body: Callable[[OrchestrationContext], Coroutine[Any, Any, Any]],
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    history = suspended(body)
    caplog.clear()
    before = len(history.actions())
    history.close()
    gc.collect()
    assert not caplog.records
    assert not recwarn.list
    assert len(history.actions()) == before


def test_closed_executions_are_freed_without_the_collector() -> None:
    """Ten thousand cached executions dropped at once must not wait for a collection."""

    class Witness:
        pass

    witnesses: list[weakref.ref[Any]] = []

    async def run(ctx: OrchestrationContext) -> None:
        witness = Witness()
        witnesses.append(weakref.ref(witness))
        witnesses.append(weakref.ref(asyncio.get_running_loop()))
        handles = [work("x"), work("y")]
        await handles[0]
        await asyncio.gather(handles[1], asyncio.sleep(5))

    for ends in (False, True):
        witnesses.clear()
        history = suspended(run)
        if ends:
            for operation in ("0:1", "0:2"):
                history.complete(operation, "x")
            assert history.turn().ending is None
            history.fire("0.0:1")
            assert history.turn().ending is not None
        gc.collect()
        gc.disable()
        try:
            history.close()
            assert [witness() for witness in witnesses] == [None, None]
        finally:
            gc.enable()


def test_generators_left_by_break_are_finished(nothing_unraisable: list[Any]) -> None:
    finished: list[str] = []

    async def numbers(name: str) -> AsyncIterator[int]:
        try:
            for number in range(3):
                yield number
        finally:
            finished.append(name)
            await work("never asked for")

    async def run(ctx: OrchestrationContext) -> None:
        async for _ in numbers("left by break"):
            break
        kept = numbers("kept until the end")
        await anext(kept)
        await work("asked for")
        await anext(kept)

    history = suspended(run)
    assert finished == ["left by break"]
    assert len(history.actions()) == 1
    history.close()
    assert finished == ["left by break", "kept until the end"]


def test_finalisers_of_the_collector_ask_for_nothing(nothing_unraisable: list[Any]) -> None:
    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            work("from a finaliser")

    async def run(ctx: OrchestrationContext) -> None:
        Cycle()
        gc.collect()
        await work("x")

    history = suspended(run)
    assert [getattr(action, "input", "") for action in history.actions()] == ['{"what":"x"}']
    (found,) = nothing_unraisable
    nothing_unraisable.clear()
    assert isinstance(found.exc_value, ForbiddenCallError)
    assert "while garbage was collected" in str(found.exc_value)
    history.close()


def test_calls_between_turns_are_refused() -> None:
    kept: list[OrchestrationContext] = []

    async def run(ctx: OrchestrationContext) -> None:
        kept.append(ctx)
        await work("x")

    history = suspended(run)
    with pytest.raises(ForbiddenCallError, match="outside its turn"):
        kept[0].schedule_timer(5)
    history.close()
    live = history.open()
    live.close()
    with pytest.raises(RuntimeError, match="is over; open it again"):
        live.take_turn(history.records, upto=1, now=history.now)


def test_logs_are_silent_on_replay(caplog: pytest.LogCaptureFixture) -> None:
    async def run(ctx: OrchestrationContext) -> None:
        ctx.logger.warning("first", extra={"order": 7})
        ctx.trace_warn("second")
        await work("x")
        ctx.trace_error("third")

    history = suspended(run)
    assert [record.message for record in caplog.records] == ["first", "second"]
    assert caplog.records[0].__dict__["instance_id"] == "scripted"
    assert caplog.records[0].__dict__["order"] == 7
    assert caplog.records[1].filename == "test_teardown.py"
    history.close()
    history.complete("0:1", "x")
    history.turn()
    assert [record.message for record in caplog.records] == ["first", "second", "third"]
    history.replay()
    assert len(caplog.records) == 3
