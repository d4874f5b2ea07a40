"""What a call may ask for beyond its arguments; sessions; trying again in code."""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from perdure import (
    ActivityError,
    OrchestrationContext,
    Registry,
    Retry,
    activity,
    orchestration,
)
from perdure.errors import DefinitionError, NondeterminismError
from perdure.model.actions import CreateTimer, ScheduleActivity, StartChild, StartDetached
from perdure.model.codec import decode
from perdure.model.failure import FailureCategory
from perdure.model.ids import JsonText
from perdure.model.options import ActivityOptions, StartOptions
from perdure.model.records import Outcome, ParentClose, StartedBody
from perdure.testing.scripted import ScriptedHistory

SECOND = timedelta(seconds=1)


@activity
def work(what: str) -> str:
    return what


@activity(
    tag="gpu",
    priority=3,
    limit="gpus",
    queue_timeout=60,
    heartbeat_timeout=timedelta(seconds=5),
    session="shared",
)
def embed(text: str) -> str:
    return text


@activity(transactional=True)
async def book(seat: str) -> None: ...


@orchestration
async def child(ctx: OrchestrationContext) -> None: ...


def scheduled(history: ScriptedHistory) -> list[ScheduleActivity]:
    return [each for each in history.actions() if isinstance(each, ScheduleActivity)]


def output(history: ScriptedHistory) -> Any:
    ending = history.decided[-1].ending
    assert ending is not None
    assert ending.failure is None, ending.failure
    history.replay()
    return decode(ending.output, object)


# ----------------------------------------------------------------------- activities


def test_options_of_definitions_and_calls() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        await asyncio.gather(
            embed("a"),
            embed.options(session=None, priority=None, limit=None)("b"),
            embed.options(queue_timeout=None, heartbeat_timeout=1.5)("c"),
            work("d"),
            work.options(priority=0)("e"),
            work.options(session="s").options(limit="k").options(priority=-1)("f"),
        )

    history = ScriptedHistory(Registry(run, embed, work), run)
    history.turn()
    minute, five = timedelta(seconds=60), timedelta(seconds=5)
    assert [each.options for each in scheduled(history)] == [
        ActivityOptions("shared", 3, "gpus", minute, five),
        ActivityOptions(None, 0, None, minute, five),
        ActivityOptions("shared", 3, "gpus", None, timedelta(seconds=1.5)),
        None,
        None,
        ActivityOptions("s", -1, "k"),
    ]
    assert embed.more == ActivityOptions("shared", 0, "gpus", minute, five), "copies, not changes"
    history.replay()


def test_by_name() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        await ctx.schedule_activity("far", {"x": 1}, tag="io", session="s", priority=2)

    history = ScriptedHistory(Registry(run), run)
    history.turn()
    (found,) = scheduled(history)
    assert (found.name, found.tag, found.options) == ("far", "io", ActivityOptions("s", 2))
    history.replay()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"priority": 101}, "priority is 101; it must be a whole number, -100 to 100"),
        ({"session": ""}, "session '' cannot be"),
        ({"limit": "a\nb"}, "has a control character"),
        ({"queue_timeout": 0}, "queue_timeout is 0.0 s; it must be more than 0"),
        ({"heartbeat_timeout": float("inf")}, "heartbeat_timeout is inf s, which is no time"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=f"activity 'work'.*{said}"):
        work.options(**options)
    with pytest.raises(DefinitionError, match=said):
        activity(**options)(lambda: None)


def test_transactional_is_for_async_bodies() -> None:
    assert book.transactional
    assert not work.transactional
    with pytest.raises(DefinitionError, match="transactional, so it must be `async def`"):

        @activity(transactional=True)
        def sync() -> None: ...


def test_what_is_tuned_may_change_while_work_is_under_way() -> None:
    def program(**options: Any) -> Any:
        @orchestration(name="run")
        async def run(ctx: OrchestrationContext) -> None:
            await work.options(**options)("x")

        return run

    before = program(session="s", priority=1, limit="a", queue_timeout=5, heartbeat_timeout=5)
    history = ScriptedHistory(Registry(before, work), before)
    history.turn()
    history.replay(Registry(program(session="s"), work))
    with pytest.raises(NondeterminismError, match=r"the session of `.*#1` changed"):
        history.replay(Registry(program(session="t"), work))


# ------------------------------------------------------------------ starts, priority


def test_options_of_starts() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        first = child.options(
            parent_close="abandon", priority=5, limit="k", timeout=60, attributes={"team": "a"}
        )
        first()
        first.options(attributes=None, limit=None, priority=None)()
        child()
        child.options(parent_close=ParentClose.TERMINATE).start_detached()
        ctx.schedule_orchestration(first, "other")
        await ctx.wait_event("end")

    history = ScriptedHistory(Registry(run, child), run)
    history.turn()
    minute, abandon = timedelta(seconds=60), ParentClose.ABANDON
    starts = [each for each in history.actions() if isinstance(each, StartChild | StartDetached)]
    full = StartOptions(abandon, 5, "k", minute, JsonText('{"team":"a"}'))
    assert [each.options for each in starts] == [
        full,
        StartOptions(abandon, 0, None, minute),
        None,
        StartOptions(ParentClose.TERMINATE),
        full,
    ]
    history.replay()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"parent_close": "kill"}, "it can be 'cancel', 'terminate', 'abandon'"),
        ({"attributes": {"x": [1]}}, "attribute 'x' is a list; it can be a string"),
        ({"attributes": {"": 1}}, "attribute '' cannot be"),
        ({"timeout": 0}, "timeout is 0.0 s"),
        ({"priority": -101}, "priority is -101"),
    ],
)
def test_start_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        child.options(**options)


def test_activities_and_children_inherit_the_priority() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext, again: bool = False) -> int:
        work("a")
        work.options(priority=0)("b")
        work.options(session="s")("c")
        child()
        child.options(priority=-3)()
        child.start_detached()
        if not again:
            await ctx.continue_as_new(again=True)
        return ctx.priority

    started = StartedBody("run", None, JsonText("{}"), priority=7)
    history = ScriptedHistory(Registry(run, work, child), run, started=started)
    history.turn()
    assert [each.options for each in scheduled(history)] == [
        ActivityOptions(priority=7),
        None,
        ActivityOptions("s", 7),
    ]
    starts = [each for each in history.actions() if isinstance(each, StartChild | StartDetached)]
    assert [each.options for each in starts] == [
        StartOptions(priority=7),
        StartOptions(priority=-3),
        StartOptions(priority=7),
    ]
    history.replay()
    following = history.follow()
    following.turn()
    assert output(following) == 7


# -------------------------------------------------------------------------- sessions


def test_sessions_have_ids_of_their_own() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext, again: bool = False) -> list[str]:
        async with ctx.session() as one, ctx.session() as two:
            await embed.options(session=one)("x")
        async with ctx.session("model") as named:
            await ctx.schedule_activity_on_session(embed, named, "y")
        await ctx.schedule_activity_on_session("far", named, {"x": 1})
        if not again:
            await ctx.continue_as_new(again=True)
        return [one, two, named, ctx.session("x" * 250).id]

    history = ScriptedHistory(Registry(run, embed), run, cached=False)
    history.turn()
    for operation in ("0:1", "0:2", "0:3"):
        history.complete(operation, "")
        history.turn()
    first = [each.options and each.options.session for each in scheduled(history)]
    assert first[1:] == ["scripted/model"] * 2
    history.replay()
    following = history.follow()
    following.turn()
    for operation in ("0:1", "0:2", "0:3"):
        following.complete(operation, "")
        following.turn()
    one, two, named, long = output(following)
    assert named == "scripted/model"
    assert len({one, two, first[0]}) == 3
    assert len(long) <= 253


def test_a_session_that_cannot_be() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        ctx.session("")

    ending = ScriptedHistory(Registry(run), run).turn().ending
    assert ending is not None
    assert ending.failure is not None
    assert "session '' cannot be: it has 0 bytes" in ending.failure.message


# ------------------------------------------------------------- trying again, in code


@orchestration
async def persistent(ctx: OrchestrationContext, attempts: int = 3, linear: bool = False) -> str:
    policy = Retry.linear(SECOND, attempts) if linear else Retry.fixed(SECOND, attempts)
    tried = ctx.schedule_activity_with_retry(work.options(retry=Retry(9)), policy, "x")
    try:
        return await tried
    except ActivityError as error:
        return f"gave up: {error}"


def test_each_attempt_is_a_call_and_each_wait_a_timer() -> None:
    history = ScriptedHistory(Registry(persistent, work), persistent, 3, linear=True, cached=False)
    history.turn()
    history.fail("0.0:1", "first")
    history.turn()
    history.fire("0.0:2")
    history.turn()
    history.fail("0.0:3", "second")
    history.turn()
    history.fire("0.0:4")
    history.turn()
    history.complete("0.0:5", "done")
    history.turn()
    assert output(history) == "done"
    assert [each.retry for each in scheduled(history)] == [None] * 3
    delays = [each.delay for each in history.actions() if isinstance(each, CreateTimer)]
    assert delays == [SECOND, 2 * SECOND]


@pytest.mark.parametrize(
    ("category", "kind", "outcome"),
    [
        (FailureCategory.TIMEOUT, "AttemptTimeout", "a timed-out attempt ends it"),
        (FailureCategory.APPLICATION, "ValueError", "tried again"),
    ],
)
def test_an_attempt_that_timed_out_ends_it(
    category: FailureCategory, kind: str, outcome: str
) -> None:
    """The seed's rule, in Appendix B no. 3."""
    history = ScriptedHistory(Registry(persistent, work), persistent)
    history.turn()
    history.fail("0.0:1", "slow", kind=kind, category=category)
    ended = history.turn().ending is not None
    assert ended == (outcome != "tried again")
    history.replay()


def test_the_last_failure_is_the_outcome() -> None:
    history = ScriptedHistory(Registry(persistent, work), persistent, 2)
    history.turn()
    history.fail("0.0:1", "first")
    history.turn()
    history.fire("0.0:2")
    history.turn()
    history.fail("0.0:3", "second")
    history.turn()
    assert output(history) == "gave up: activity 'work' failed: ValueError: second"


def test_what_is_not_retried_and_no_wait_makes_no_timer() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        policy = Retry.fixed(timedelta(0), 5, not_on=("KeyError",), total=timedelta(hours=1))
        try:
            await ctx.schedule_activity_with_retry_on_session(
                "far", policy, "s", {"x": 1}, timeout=timedelta(minutes=1)
            )
        except ActivityError as error:
            return error.failure.type if error.failure else ""
        return ""

    history = ScriptedHistory(Registry(run), run)
    history.turn()
    history.fail("0.0:1")
    history.turn()
    history.fail("0.0:2", kind="KeyError")
    history.turn()
    assert output(history) == "KeyError"
    assert not any(isinstance(each, CreateTimer) for each in history.actions())
    assert [each.options for each in scheduled(history)] == [ActivityOptions("s")] * 2
    assert history.decided[-1].ending is not None
    assert history.decided[-1].ending.outcome is Outcome.COMPLETED
