"""Events find their readers, and go along to the next execution."""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

import asyncio
from typing import Any

from perdure import OrchestrationContext, Registry, activity, orchestration
from perdure.errors import (
    PayloadError,
)
from perdure.model.actions import (
    CancelActivity,
    CancelChild,
    CancelWait,
    ContinueAsNew,
    CreateTimer,
    WaitEvent,
)
from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.model.records import (
    CarriedEvent,
    Ending,
    Outcome,
    ParentLink,
    StartedBody,
)
from perdure.testing.scripted import ScriptedHistory


@activity
def hello(name: str) -> str:
    return f"hello {name}"


@orchestration
async def greet(ctx: OrchestrationContext, name: str) -> str:
    return await hello(name)


def test_events_wait_for_their_readers_and_readers_for_events() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> list[Any]:
        early = await ctx.wait_event("a", int)
        waits = [ctx.wait_event("a", int), ctx.wait_event("b")]
        return [early, *await asyncio.gather(*waits), await ctx.wait_event("a")]

    history = ScriptedHistory(Registry(run), run)
    history.raise_event("a", 1)
    first = history.turn()
    assert [type(action) for action in first.actions] == [WaitEvent, WaitEvent, WaitEvent]
    history.raise_event("b", {"x": 1})
    history.raise_event("a", 2)
    history.raise_event("a", 3)
    assert history.turn().ending == Ending(Outcome.COMPLETED, JsonText('[1,2,{"x":1},3]'))
    history.replay()


def test_a_cancelled_wait_consumes_nothing() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        try:
            async with asyncio.timeout(5):
                await ctx.wait_event("go")
        except TimeoutError:
            pass
        await asyncio.sleep(5)
        return await ctx.wait_event("go", str)

    history = ScriptedHistory(Registry(run), run)
    history.turn()
    history.fire("0:1")
    second = history.turn()
    assert [type(action) for action in second.actions] == [CancelWait, CreateTimer]
    history.raise_event("go", "first")
    history.turn()
    history.fire("0:3")
    assert history.turn().ending == Ending(Outcome.COMPLETED, JsonText('"first"'))
    history.replay()


def test_an_event_that_does_not_fit_is_the_codes_to_handle() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        try:
            return str(await ctx.wait_event("n", int))
        except PayloadError as error:
            return str(error)

    history = ScriptedHistory(Registry(run), run)
    history.raise_event("n", "many")
    ending = history.turn().ending
    assert ending is not None
    assert ending.output is not None
    assert "event 'n' does not read as int" in ending.output


def test_unread_events_are_listed_at_the_end() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        await ctx.wait_event("go")

    history = ScriptedHistory(Registry(run), run)
    for name in ("x", "go", "y"):
        history.raise_event(name)
    result = history.turn()
    assert '"unread":["x","y"]' in result.body


def test_continue_as_new_takes_along_what_is_unread() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext, count: int) -> None:
        ctx.status = {"count": count}
        hello("never awaited")
        greet("nor this")
        await ctx.wait_event("go")
        await ctx.continue_as_new(count + 1)
        raise AssertionError

    link = ParentLink(InstanceId("p"), 1, OperationId("0:1"))
    history = ScriptedHistory(
        Registry(run, hello, greet),
        run,
        started=StartedBody("run", None, JsonText('{"count":1}'), link),
    )
    for name in ("kept", "go", "later"):
        history.raise_event(name, name)
    result = history.turn()
    assert result.ending == Ending(Outcome.CONTINUED_AS_NEW)
    assert [type(a) for a in result.actions[-3:]] == [CancelActivity, CancelChild, ContinueAsNew]
    after = result.next_execution
    assert after is not None
    assert (after.name, after.input, after.parent) == ("run", '{"count":2}', link)
    assert [event.name for event in after.carried] == ["kept", "later"]
    assert after.custom_status == '{"count":1}'
    history.replay()

    following = ScriptedHistory(history.registry, run, started=after, execution=2)
    following.turn()
    following.raise_event("go")
    last = following.turn()
    assert last.next_execution is not None
    assert last.next_execution.carried[0] == CarriedEvent("kept", JsonText('"kept"'))


def test_an_event_after_the_end_is_not_given_to_a_wait_that_ended_too() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        waiting = asyncio.create_task(ctx_wait(ctx))
        await ctx.wait_event("go")
        await ctx.continue_as_new()
        await waiting

    async def ctx_wait(ctx: OrchestrationContext) -> None:
        await ctx.wait_event("other")

    history = ScriptedHistory(Registry(run), run)
    history.turn()
    history.raise_event("go")
    history.raise_event("other", 1)
    after = history.turn().next_execution
    assert after is not None
    assert after.carried == (CarriedEvent("other", JsonText("1")),)


def test_continue_as_new_without_await_still_ends_the_execution() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext, *, count: int = 0) -> int:
        _ = ctx.continue_as_new(count=count + 1, version="2.0.0")
        return count

    result = ScriptedHistory(Registry(run), run).turn()
    assert result.next_execution is not None
    assert result.next_execution.input == '{"count":1}'
    assert result.next_execution.version == "2.0.0"
