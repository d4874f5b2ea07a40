"""Cancellation: of an instance, and of one operation."""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from perdure import (
    ActivityError,
    OperationHandle,
    OrchestrationContext,
    Registry,
    activity,
    orchestration,
)
from perdure.model.actions import (
    CancelActivity,
    CancelChild,
    CancelTimer,
    CreateTimer,
    ScheduleActivity,
    StartChild,
)
from perdure.model.failure import FailureCategory
from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.model.records import Ending, Outcome
from perdure.testing.scripted import ScriptedHistory


@activity
def work(what: str) -> str:
    return what


@orchestration
async def child(ctx: OrchestrationContext) -> str:
    return await work("child")


def assert_cancelled(ending: Ending | None, reason: str) -> None:
    assert ending is not None
    assert ending.outcome is Outcome.CANCELLED
    assert ending.failure is not None
    assert (ending.failure.category, ending.failure.message) == (FailureCategory.CANCELLED, reason)


def test_an_instance_that_is_cancelled_ends_as_cancelled() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        other, sub = work("other"), child()
        return await work("first") + await other + await sub

    history = ScriptedHistory(Registry(run, work, child), run)
    history.turn()
    history.cancel("not needed")
    result = history.turn()
    assert_cancelled(result.ending, "not needed")
    assert result.actions == (
        CancelActivity(OperationId("0:3"), "not needed"),
        CancelActivity(OperationId("0:1"), "the orchestration was cancelled"),
        CancelChild(
            OperationId("0:2"), InstanceId("scripted::1/0:2"), "the orchestration was cancelled"
        ),
    )
    history.replay()


def test_clean_up_may_use_activities() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        try:
            return await work("main")
        finally:
            assert ctx.cancel_reason == "stop"
            await asyncio.gather(work("undo 1"), work("undo 2"))

    history = ScriptedHistory(Registry(run, work), run)
    history.turn()
    history.cancel("stop")
    second = history.turn()
    kinds = [type(action) for action in second.actions]
    assert kinds == [CancelActivity, ScheduleActivity, ScheduleActivity]
    assert second.ending is None
    history.cancel("again, which is ignored")
    assert history.turn().ending is None
    history.complete("0:2", "")
    history.complete("0:3", "")
    assert_cancelled(history.turn().ending, "stop")
    history.replay()


def test_clean_up_that_fails_fails_the_run() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        try:
            return await work("main")
        except asyncio.CancelledError:
            raise ValueError("clean-up") from None

    history = ScriptedHistory(Registry(run, work), run)
    history.turn()
    history.cancel()
    ending = history.turn().ending
    assert ending is not None
    assert ending.outcome is Outcome.FAILED


def test_a_run_that_swallows_its_cancellation_completes() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        try:
            return await work("main")
        except asyncio.CancelledError as error:
            return f"stopped: {error}"

    history = ScriptedHistory(Registry(run, work), run)
    history.turn()
    history.cancel("enough")
    assert history.turn().ending == Ending(Outcome.COMPLETED, JsonText('"stopped: enough"'))


def test_a_shielded_operation_goes_on() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        handle = work("main")
        try:
            return await asyncio.shield(handle)
        except asyncio.CancelledError:
            return await handle + " all the same"

    history = ScriptedHistory(Registry(run, work), run)
    history.turn()
    history.cancel()
    assert history.turn().actions == ()
    history.complete("0:1", "done")
    ending = history.turn().ending
    assert ending == Ending(Outcome.COMPLETED, JsonText('"done all the same"'))


def test_cancelled_before_its_first_turn() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        return await work("main")

    history = ScriptedHistory(Registry(run, work), run)
    history.cancel("early")
    result = history.turn()
    assert_cancelled(result.ending, "early")
    assert [type(a) for a in result.actions] == [ScheduleActivity, CancelActivity]


def test_a_cancel_request_outlives_continue_as_new() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        await ctx.wait_event("go")
        await ctx.continue_as_new()

    history = ScriptedHistory(Registry(run), run)
    history.turn()
    history.raise_event("go")
    history.cancel("now")
    result = history.turn()
    assert_cancelled(result.ending, "now")
    assert result.next_execution is None
    history.replay()


def test_a_cancelled_error_of_ones_own_fails_the_run() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        raise asyncio.CancelledError("mine")

    ending = ScriptedHistory(Registry(run), run).turn().ending
    assert ending is not None
    assert ending.outcome is Outcome.FAILED
    assert ending.failure is not None
    assert (ending.failure.type, ending.failure.message) == ("CancelledError", "mine")


def test_cancelling_a_handle_raises_at_once_and_is_recorded() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        handles: list[OperationHandle[Any]] = [work("a"), child(), ctx.schedule_timer(5)]
        await work("b")
        for handle in handles:
            assert handle.cancel("changed my mind")
            assert not handle.cancel()
        found = await asyncio.gather(*handles, return_exceptions=True)
        return ",".join(type(each).__name__ for each in found)

    history = ScriptedHistory(Registry(run, work, child), run)
    assert [type(action) for action in history.turn().actions] == [
        ScheduleActivity,
        StartChild,
        CreateTimer,
        ScheduleActivity,
    ]
    history.complete("0:4", "b")
    result = history.turn()
    assert result.ending == Ending(
        Outcome.COMPLETED, JsonText('"CancelledError,CancelledError,CancelledError"')
    )
    assert result.actions == (
        CancelActivity(OperationId("0:1"), "changed my mind"),
        CancelChild(OperationId("0:2"), InstanceId("scripted::1/0:2"), "changed my mind"),
        CancelTimer(OperationId("0:3")),
    )
    history.replay()


@pytest.mark.parametrize("primitive", ["group", "gather", "wait_for"])
def test_siblings_of_a_failure_are_cancelled(primitive: str) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        try:
            if primitive == "group":
                async with asyncio.TaskGroup() as group:
                    for what in "abc":
                        group.create_task(_call(what))
            elif primitive == "gather":
                await asyncio.wait_for(asyncio.gather(*map(_call, "abc")), 60)
            else:
                await asyncio.wait_for(_call("a"), 60)
        except (ActivityError, ExceptionGroup):
            return "failed"
        return "?"

    async def _call(what: str) -> str:
        return await work(what)

    history = ScriptedHistory(Registry(run, work), run)
    first = history.turn()
    (operation,) = [
        a.operation
        for a in first.actions
        if isinstance(a, ScheduleActivity) and a.input == '{"what":"a"}'
    ]
    history.fail(operation)
    result = history.turn()
    assert result.ending == Ending(Outcome.COMPLETED, JsonText('"failed"'))
    cancelled = {a.operation for a in result.actions if isinstance(a, CancelActivity)}
    expected = 0 if primitive == "wait_for" else 2
    assert len(cancelled) == expected
    history.replay()
