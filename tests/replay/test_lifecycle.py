"""How executions end, and what becomes of what they leave: deadlines, children, attributes."""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from perdure import OrchestrationContext, Registry, activity, orchestration
from perdure.model.actions import (
    CancelActivity,
    CancelChild,
    CreateTimer,
    ScheduleActivity,
    SetAttributes,
    StartChild,
    StartDetached,
    TerminateChild,
)
from perdure.model.codec import decode
from perdure.model.failure import FailureCategory
from perdure.model.ids import JsonText
from perdure.model.records import Ending, Outcome, ParentLink, StartedBody
from perdure.replay.inbox import DEADLINE
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


def start(**fields: Any) -> StartedBody:
    return StartedBody("run", None, JsonText("{}"), **fields)


# ------------------------------------------------------------------------- deadlines

MINUTE = timedelta(minutes=1)


@orchestration(name="run")
async def patient(ctx: OrchestrationContext, again: bool = True) -> str | None:
    try:
        await ctx.wait_event("go")
        if again:
            await ctx.continue_as_new(again=False)
        return None if ctx.deadline is None else ctx.deadline.isoformat()
    except asyncio.CancelledError:
        await work(ctx.cancel_reason or "")
        raise


def test_a_deadline_is_a_timer_from_the_recorded_start(cached: bool) -> None:
    history = ScriptedHistory(Registry(patient, work), patient, started=start(timeout=MINUTE))
    began = history.now
    history.wait(timedelta(seconds=20))
    (timer, _) = history.turn().actions
    assert timer == CreateTimer(DEADLINE, timedelta(seconds=40), began + MINUTE, "")
    history.replay()


def test_a_run_past_its_deadline_cleans_up_and_is_timed_out(cached: bool) -> None:
    history = ScriptedHistory(
        Registry(patient, work), patient, started=start(timeout=MINUTE), cached=cached
    )
    history.turn()
    history.pass_deadline()
    result = history.turn()
    assert result.ending is None
    (clean_up,) = [each for each in result.actions if isinstance(each, ScheduleActivity)]
    assert "the deadline 2026-01-01 00:01:00+00:00 has passed" in clean_up.input
    history.cancel("as well")
    history.complete("0:2", "")
    ending = history.turn().ending
    assert ending is not None
    assert ending.outcome is Outcome.TIMED_OUT
    assert ending.failure is not None
    assert ending.failure.category is FailureCategory.TIMEOUT
    assert ending.failure.type == "OrchestrationTimedOutError"
    history.replay()


def test_a_deadline_holds_over_all_executions(cached: bool) -> None:
    history = ScriptedHistory(
        Registry(patient, work), patient, started=start(timeout=MINUTE), cached=cached
    )
    deadline = history.now + MINUTE
    history.turn()
    history.wait(2 * MINUTE)
    history.raise_event("go")
    history.pass_deadline()
    result = history.turn()
    assert result.ending == Ending(Outcome.CONTINUED_AS_NEW)
    following = history.follow()
    first = following.turn()
    assert CreateTimer(DEADLINE, timedelta(0), deadline, "") in first.actions
    following.pass_deadline()
    following.turn()
    following.complete("0:2", "")
    ending = following.turn().ending
    assert ending is not None
    assert ending.outcome is Outcome.TIMED_OUT


def test_a_deadline_that_passes_while_the_run_is_cancelled_changes_nothing(cached: bool) -> None:
    history = ScriptedHistory(
        Registry(patient, work), patient, started=start(timeout=MINUTE), cached=cached
    )
    history.turn()
    history.cancel("enough")
    history.turn()
    history.pass_deadline()
    history.complete("0:2", "")
    ending = history.turn().ending
    assert ending is not None
    assert ending.outcome is Outcome.CANCELLED
    history.replay()


def test_a_run_that_returns_despite_its_deadline_has_completed() -> None:
    @orchestration(name="run")
    async def run(ctx: OrchestrationContext) -> str:
        try:
            await ctx.wait_event("go")
        except asyncio.CancelledError:
            return ctx.cancel_reason or ""
        return ""

    history = ScriptedHistory(Registry(run), run, started=start(timeout=MINUTE))
    history.turn()
    history.pass_deadline()
    history.turn()
    assert "has passed" in output(history)


# --------------------------------------------------------- children and their parent's end


@orchestration(name="run")
async def parent(ctx: OrchestrationContext) -> str:
    children = [
        child(),
        child.options(parent_close="terminate")(),
        child.options(parent_close="abandon")(),
    ]
    work("left")
    match await ctx.wait_event("end", str):
        case "continue":
            await ctx.continue_as_new()
        case "raise":
            raise ValueError("no")
        case "drop":
            children[2].cancel("not wanted")
        case _:
            pass
    return "done"


@pytest.mark.parametrize("how", ["return", "raise", "continue", "cancel", "deadline"])
def test_children_are_treated_as_they_were_started_to_be_whatever_the_end(
    how: str, cached: bool
) -> None:
    """The seed left children of a continued or cancelled turn running."""
    history = ScriptedHistory(
        Registry(parent, child, work), parent, started=start(timeout=MINUTE), cached=cached
    )
    history.turn()
    match how:
        case "cancel":
            history.cancel("enough")
        case "deadline":
            history.pass_deadline()
        case _:
            history.raise_event("end", how)
    result = history.turn()
    assert result.ending is not None
    reason = {
        "return": "the orchestration ended",
        "raise": "the orchestration ended",
        "continue": "the orchestration continued as new",
        "cancel": "the orchestration was cancelled",
        "deadline": "the orchestration timed out",
    }[how]
    withdrawn = [
        (type(each), each.operation, each.reason)
        for each in result.actions
        if isinstance(each, CancelChild | TerminateChild | CancelActivity)
    ]
    assert withdrawn == [
        (CancelChild, "0:1", reason),
        (TerminateChild, "0:2", reason),
        (CancelActivity, "0:4", reason),
    ]
    history.replay()


def test_a_child_that_is_dropped_is_cancelled_also_if_it_would_be_abandoned() -> None:
    history = ScriptedHistory(Registry(parent, child, work), parent, started=start())
    history.turn()
    history.raise_event("end", "drop")
    cancels = [each for each in history.turn().actions if isinstance(each, CancelChild)]
    assert [(each.operation, each.reason) for each in cancels] == [
        ("0:3", "not wanted"),
        ("0:1", "the orchestration ended"),
    ]
    history.replay()


@pytest.mark.parametrize("how", ["continue", "cancel"])
def test_a_child_dropped_in_the_very_turn_that_ends_is_cancelled(how: str, cached: bool) -> None:
    """§5.8 of the seed: such a turn returned before it collected what was dropped."""

    @orchestration(name="run")
    async def run(ctx: OrchestrationContext) -> None:
        await ctx.select2(child(), ctx.wait_event("go"))
        await ctx.continue_as_new()

    history = ScriptedHistory(Registry(run, child), run, started=start(), cached=cached)
    history.turn()
    if how == "cancel":
        history.cancel("enough")
    else:
        history.raise_event("go")
    result = history.turn()
    assert result.ending is not None
    assert [each.operation for each in result.actions if isinstance(each, CancelChild)] == ["0:1"]
    history.replay()


def test_detached_starts_are_nobodys_to_cancel(cached: bool) -> None:
    @orchestration(name="run")
    async def run(ctx: OrchestrationContext) -> str:
        return child.options(instance_id="alone").start_detached()

    history = ScriptedHistory(Registry(run, child), run, started=start(), cached=cached)
    result = history.turn()
    assert [type(each) for each in result.actions] == [StartDetached]
    assert output(history) == "alone"


def test_ids_of_children_are_other_ones_in_every_execution() -> None:
    """The seed's bug no. 11: ids repeated after continue-as-new."""

    @orchestration(name="run")
    async def run(ctx: OrchestrationContext, number: int = 0) -> None:
        child()
        await ctx.wait_event("go")
        await ctx.continue_as_new(number + 1)

    history = ScriptedHistory(Registry(run, child), run, started=start())
    seen: list[str] = []
    for _ in range(3):
        history.turn()
        seen += [each.instance for each in history.actions() if isinstance(each, StartChild)]
        history.raise_event("go")
        history.turn()
        history = history.follow()
    assert len(set(seen)) == 3


def test_continue_as_new_carries_everything() -> None:
    link = ParentLink(ScriptedHistory(Registry(parent, child, work), parent).instance, 4, DEADLINE)

    @orchestration(name="run")
    async def run(ctx: OrchestrationContext, number: int = 0) -> None:
        ctx.status = {"n": number}
        ctx.set_attributes(team="b", n=number)
        ctx.kv["k"] = number
        await ctx.wait_event("go")
        await ctx.continue_as_new(number + 1)

    began = start(
        parent=link, timeout=MINUTE, priority=4, attributes=JsonText('{"team":"a","zone":1}')
    )
    history = ScriptedHistory(Registry(run), run, started=began)
    deadline = history.now + MINUTE
    history.enqueue_event("q", 1)
    history.update("u", "nobody")
    history.turn()
    history.raise_event("go")
    following = history.turn().next_execution
    assert following is not None
    assert (following.parent, following.deadline, following.priority) == (link, deadline, 4)
    assert following.timeout is None
    assert following.custom_status == '{"n":0}'
    assert decode(following.attributes, object) == {"team": "b", "zone": 1, "n": 0}
    assert [(each.key, each.value) for each in following.keys] == [("k", "0")]
    assert [each.name for each in following.carried] == ["q"]
    assert following.updates == (), "it was answered: there is no such handler"


# ------------------------------------------------------------------------ attributes


def test_attributes_are_laid_over_those_there_are(cached: bool) -> None:
    @orchestration(name="run")
    async def run(ctx: OrchestrationContext) -> list[Any]:
        before = dict(ctx.attributes)
        ctx.set_attributes({"zone": None, "a b": 1.5}, team="b", done=False)
        await work("x")
        ctx.set_attributes()
        return [before, dict(ctx.attributes)]

    history = ScriptedHistory(
        Registry(run, work),
        run,
        started=start(attributes=JsonText('{"team":"a","zone":1}')),
        cached=cached,
    )
    (asked, _) = history.turn().actions
    assert isinstance(asked, SetAttributes)
    assert decode(asked.values, object) == {"zone": None, "a b": 1.5, "team": "b", "done": False}
    history.complete("0:2", "")
    history.turn()
    assert output(history) == [
        {"team": "a", "zone": 1},
        {"team": "b", "a b": 1.5, "done": False},
    ]
