"""Faults that duroxide had, each by the case that showed it; those about turns and replay.

Storage's part of the list is in the conformance suite.
"""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from perdure import ActivityError, OrchestrationContext, Registry, activity, orchestration
from perdure.errors import NondeterminismError
from perdure.model.actions import CancelActivity, CreateTimer, ScheduleActivity, StartDetached
from perdure.model.codec import decode
from perdure.model.failure import FailureCategory
from perdure.model.records import Outcome
from perdure.testing.scripted import ScriptedHistory


@activity
def work(what: str) -> str:
    return what


@orchestration
async def child(ctx: OrchestrationContext) -> None: ...


def output(history: ScriptedHistory) -> Any:
    ending = history.decided[-1].ending
    assert ending is not None
    assert ending.failure is None, ending.failure
    history.replay()
    return decode(ending.output, object)


@pytest.fixture(params=[True, False], ids=["live", "cold"])
def cached(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_a_turn_without_a_start_uses_the_version_and_input_of_the_start() -> None:
    """A completion alone was replayed by the latest handler."""

    @orchestration(name="run", version="1.0.0")
    async def first(ctx: OrchestrationContext, what: str) -> str:
        return f"first {await work(what)}"

    @orchestration(name="run", version="2.0.0")
    async def second(ctx: OrchestrationContext, what: str) -> str:
        return f"second {await work(what)}"

    history = ScriptedHistory(Registry(first, work), first, "x", cached=False)
    history.turn()
    history.registry = Registry(first, second, work)
    history.complete("0:1", "done")
    history.turn()
    assert output(history) == "first done"
    assert history.decided[-1].version == "1.0.0"


def test_detached_starts_are_recorded(cached: bool) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        started = child.start_detached()
        await work("x")
        return started

    history = ScriptedHistory(Registry(run, child, work), run, cached=cached)
    history.turn()
    history.complete("0:2", "")
    assert history.turn().actions == ()
    assert len([each for each in history.actions() if isinstance(each, StartDetached)]) == 1
    assert output(history) == "scripted::1/0:1"


@pytest.mark.parametrize("how", ["completed", "failed"])
def test_a_second_answer_to_one_operation_is_passed_over(how: str, cached: bool) -> None:
    """Duplicates were not detected, those of failures least of all."""

    @orchestration
    async def run(ctx: OrchestrationContext) -> list[str]:
        try:
            first = await work("x")
        except ActivityError as error:
            first = str(error)
        return [first, await work("y")]

    history = ScriptedHistory(Registry(run, work), run, cached=cached)
    history.turn()
    for _ in range(2):
        if how == "completed":
            history.complete("0:1", "once")
        else:
            history.fail("0:1", "once")
    history.turn()
    history.fail("0:1", "again")
    history.turn()
    history.complete("0:2", "y")
    history.turn()
    assert output(history)[1] == "y"


def test_a_wait_that_lost_a_race_does_not_swallow_the_next_event(cached: bool) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        await ctx.select2(ctx.schedule_timer(1), ctx.wait_event("go"))
        return await ctx.wait_event("go", str)

    history = ScriptedHistory(Registry(run), run, cached=cached)
    history.turn()
    history.fire("0:1")
    history.raise_event("go", "mine")
    history.turn()
    assert output(history) == "mine"


@pytest.mark.parametrize("wait", ["dequeue_event", "schedule_wait", "wait_event"])
@pytest.mark.parametrize("first", ["timer", "message"])
def test_races_of_one_batch_are_replayed_as_they_ran(wait: str, first: str, cached: bool) -> None:
    """Timer and message in one fetch: the replay dropped the loser at another moment."""

    @orchestration
    async def run(ctx: OrchestrationContext) -> list[Any]:
        ask = getattr(ctx, wait)
        won = []
        for _ in range(3):
            index, value = await ctx.select2(ctx.schedule_timer(1), ask("q", str))
            won.append([index, value])
        return won

    history = ScriptedHistory(Registry(run), run, cached=cached)

    def message(data: str) -> None:
        (history.enqueue_event if wait == "dequeue_event" else history.raise_event)("q", data)

    history.turn()
    for number in range(3):
        timer = next(each for each in reversed(history.actions()) if isinstance(each, CreateTimer))
        if first == "timer":
            history.fire(timer.operation)
            message(str(number))
        else:
            message(str(number))
            history.fire(timer.operation)
        if history.turn().ending is not None:
            break
    expected = {
        ("timer", "dequeue_event"): [[0, None], [1, "0"], [0, None]],
        ("timer", "schedule_wait"): [[0, None], [1, "0"], [0, None]],
        ("timer", "wait_event"): [[0, None], [1, "0"], [0, None]],
    }.get((first, wait), [[1, "0"], [1, "1"], [1, "2"]])
    assert output(history) == expected


def test_custom_status_is_part_of_the_history() -> None:
    """It was a side channel, and its text was not compared."""

    def program(text: str) -> Any:
        @orchestration(name="run")
        async def run(ctx: OrchestrationContext) -> None:
            ctx.status = text
            await work("x")

        return run

    before = program("a")
    history = ScriptedHistory(Registry(before, work), before)
    history.turn()
    with pytest.raises(NondeterminismError, match=r"the value of `.*` changed"):
        history.replay(Registry(program("b"), work))


def test_a_timer_that_became_longer_is_found() -> None:
    def program(seconds: float) -> Any:
        @orchestration(name="run")
        async def run(ctx: OrchestrationContext) -> None:
            await asyncio.sleep(seconds)

        return run

    before = program(1)
    history = ScriptedHistory(Registry(before), before)
    history.turn()
    with pytest.raises(NondeterminismError, match="the delay of `timer#1` changed"):
        history.replay(Registry(program(2)))


def test_code_that_ends_early_is_found() -> None:
    """The rest of the history was left unchecked."""

    def program(calls: int) -> Any:
        @orchestration(name="run")
        async def run(ctx: OrchestrationContext) -> str:
            for _ in range(calls):
                await work("x")
            return "done"

        return run

    before = program(3)
    history = ScriptedHistory(Registry(before, work), before)
    history.turn()
    for number in range(3):
        history.complete(f"0:{number + 1}", "")
        history.turn()
    assert output(history) == "done"
    for calls in (2, 4):
        with pytest.raises(NondeterminismError):
            history.replay(Registry(program(calls), work))


def test_ten_thousand_at_once(cached: bool) -> None:
    """Joins of a thousand and more hung."""
    count = 10_000 if cached else 1_100

    @orchestration
    async def run(ctx: OrchestrationContext) -> int:
        return len(await ctx.join(work(str(number)) for number in range(count)))

    history = ScriptedHistory(Registry(run, work), run, cached=cached)
    assert len(history.turn().actions) == count
    for number in range(count):
        history.complete(f"0:{number + 1}", "x")
    history.turn()
    assert output(history) == count


def test_an_activity_asked_for_and_dropped_in_one_turn_is_both(cached: bool) -> None:
    """Worked example 7; storage inserts before it deletes, so nothing is left."""

    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        work("x").cancel("changed my mind")
        await ctx.wait_event("end")

    history = ScriptedHistory(Registry(run, work), run, cached=cached)
    asked = history.turn().actions[:2]
    assert [type(each) for each in asked] == [ScheduleActivity, CancelActivity]
    history.complete("0:1", "late")
    assert history.turn().ending is None
    history.replay()


@pytest.mark.parametrize(
    "category",
    [FailureCategory.CONFIGURATION, FailureCategory.INFRASTRUCTURE, FailureCategory.POISON],
)
def test_failures_that_code_cannot_mend_never_reach_it(
    category: FailureCategory, cached: bool
) -> None:
    """Appendix B no. 2: the run fails with that same failure, past every `except`."""

    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        try:
            return await work("x")
        except BaseException:  # noqa: BLE001  on purpose
            return "caught"

    history = ScriptedHistory(Registry(run, work), run, cached=cached)
    history.turn()
    history.fail("0:1", "boom", category=category)
    ending = history.turn().ending
    assert ending is not None
    assert ending.outcome is Outcome.FAILED
    assert ending.failure is not None
    assert (ending.failure.category, ending.failure.message) == (category, "boom")
    history.replay()


def test_a_cancel_beside_a_continue_as_new_is_not_lost(cached: bool) -> None:
    """Finalisation precedence: cancellation, then continue-as-new, then the output."""

    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        await ctx.wait_event("go")
        await ctx.continue_as_new()

    history = ScriptedHistory(Registry(run), run, cached=cached)
    history.turn()
    history.raise_event("go")
    history.cancel("enough")
    ending = history.turn().ending
    assert ending is not None
    assert ending.outcome is Outcome.CANCELLED
    history.replay()


def test_repeated_cancels_are_one(cached: bool) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        try:
            await ctx.wait_event("go")
        except asyncio.CancelledError:
            await work("clean up")
        return ctx.cancel_reason or ""

    history = ScriptedHistory(Registry(run, work), run, cached=cached)
    history.cancel("first")
    history.cancel("second")
    history.turn()
    history.cancel("third")
    history.complete("0:2", "")
    history.turn()
    assert output(history) == "first"


def test_generated_ids_cannot_be_told_in_advance_nor_repeat() -> None:
    """They were made of the time alone."""

    @orchestration
    async def run(ctx: OrchestrationContext) -> list[str]:
        return [ctx.new_guid() for _ in range(1000)]

    one = ScriptedHistory(Registry(run), run, instance="a")
    other = ScriptedHistory(Registry(run), run, instance="b")
    one.turn()
    other.turn()
    assert len({*output(one), *output(other)}) == 2000
