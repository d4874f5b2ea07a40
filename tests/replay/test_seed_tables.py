"""Row by row: the seed's kinds of events and decisions, and what must be equal on replay."""

# ruff: noqa: ARG001, ARG005  every orchestration takes a context

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest

from perdure import OrchestrationContext, Registry, activity, orchestration
from perdure.errors import NondeterminismError
from perdure.model import actions as a
from perdure.model import events as e
from perdure.model.failure import FailureCategory
from perdure.testing.scripted import ScriptedHistory

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS: dict[str, type[e.Event]] = {
    "OrchestrationStarted": e.OrchestrationStarted,
    "OrchestrationCompleted": e.OrchestrationCompleted,
    "OrchestrationFailed": e.OrchestrationFailed,
    "OrchestrationContinuedAsNew": e.OrchestrationContinuedAsNew,
    "OrchestrationCancelRequested": e.OrchestrationCancelRequested,
    "ActivityScheduled": e.ActivityScheduled,
    "ActivityCompleted": e.ActivityCompleted,
    "ActivityFailed": e.ActivityFailed,
    "ActivityCancelRequested": e.ActivityCancelRequested,
    "TimerCreated": e.TimerCreated,
    "TimerFired": e.TimerFired,
    "ExternalSubscribed": e.NextEventSubscribed,
    "ExternalEvent": e.EventRaised,
    "ExternalSubscribedCancelled": e.EventSubscriptionCancelled,
    "QueueSubscribed": e.QueueSubscribed,
    "QueueEventDelivered": e.EventQueued,
    "QueueSubscriptionCancelled": e.EventSubscriptionCancelled,
    "SubOrchestrationScheduled": e.SubOrchestrationScheduled,
    "SubOrchestrationCompleted": e.SubOrchestrationCompleted,
    "SubOrchestrationFailed": e.SubOrchestrationFailed,
    "SubOrchestrationCancelRequested": e.SubOrchestrationCancelRequested,
    "OrchestrationChained": e.OrchestrationChained,
    "CustomStatusUpdated": e.CustomStatusUpdated,
    "KeyValueSet": e.KeyValueSet,
    "KeyValueCleared": e.KeyValueCleared,
    "KeyValuesCleared": e.KeyValuesCleared,
}
"""Its 26 kinds, and ours."""

DECISIONS: dict[str, type[Any]] = {
    "CallActivity": a.ScheduleActivity,
    "CreateTimer": a.CreateTimer,
    "WaitExternal": a.WaitNext,
    "DequeueEvent": a.DequeueEvent,
    "StartSubOrchestration": a.StartChild,
    "StartOrchestrationDetached": a.StartDetached,
    "ContinueAsNew": a.ContinueAsNew,
    "UpdateCustomStatus": a.SetCustomStatus,
    "SetKeyValue": a.SetKey,
    "ClearKeyValue": a.ClearKey,
    "ClearKeyValues": a.ClearKeys,
}


def test_every_kind_of_event_and_decision_is_there() -> None:
    assert len(EVENTS) == 26
    assert all(issubclass(kind, e.Event) for kind in EVENTS.values())
    assert len(DECISIONS) == 11
    assert set(DECISIONS.values()) <= set(get_args(a.Action.__value__))


ERRORS: dict[str, FailureCategory] = {
    "Infrastructure": FailureCategory.INFRASTRUCTURE,
    "Configuration": FailureCategory.CONFIGURATION,
    "Application": FailureCategory.APPLICATION,
    "Poison": FailureCategory.POISON,
}


def test_every_kind_of_error_is_there() -> None:
    """Beside them: time-outs, cancellations and terminations, which the seed calls application."""
    beyond = {FailureCategory.TIMEOUT, FailureCategory.CANCELLED, FailureCategory.TERMINATED}
    assert {*ERRORS.values(), *beyond} == set(FailureCategory)


# -------------------------------------------------------------- what must be equal


@activity
def work(what: str) -> str:
    return what


@activity
def other(what: str) -> str:
    return what


@orchestration
async def child(ctx: OrchestrationContext, what: str) -> None: ...


@orchestration
async def cousin(ctx: OrchestrationContext, what: str) -> None: ...


type Call = Callable[[OrchestrationContext], object]


def nothing(_ctx: OrchestrationContext) -> None: ...


def twice(ctx: OrchestrationContext) -> None:
    for _ in range(2):
        work("x")


SAME: list[tuple[str, Call, Call]] = [
    ("activity, name", lambda ctx: work("x"), lambda ctx: other("x")),
    ("activity, input", lambda ctx: work("x"), lambda ctx: work("y")),
    (
        "activity, session",
        lambda ctx: work.options(session="s")("x"),
        lambda ctx: work.options(session="t")("x"),
    ),
    ("activity, tag", lambda ctx: work("x"), lambda ctx: work.options(tag="t")("x")),
    ("timer, kind", lambda ctx: ctx.schedule_timer(1), lambda ctx: work("x")),
    ("timer, duration", lambda ctx: ctx.schedule_timer(1), lambda ctx: ctx.schedule_timer(2)),
    ("event, name", lambda ctx: ctx.wait_event("a"), lambda ctx: ctx.wait_event("b")),
    ("event, sort", lambda ctx: ctx.wait_event("a"), lambda ctx: ctx.schedule_wait("a")),
    ("wait, name", lambda ctx: ctx.schedule_wait("a"), lambda ctx: ctx.schedule_wait("b")),
    ("queue, name", lambda ctx: ctx.dequeue_event("a"), lambda ctx: ctx.dequeue_event("b")),
    ("queue, sort", lambda ctx: ctx.dequeue_event("a"), lambda ctx: ctx.wait_event("a")),
    ("child, name", lambda ctx: child("x"), lambda ctx: cousin("x")),
    ("child, input", lambda ctx: child("x"), lambda ctx: child("y")),
    ("child, id", lambda ctx: child("x"), lambda ctx: child.options(instance_id="i")("x")),
    (
        "child, version",
        lambda ctx: child("x"),
        lambda ctx: child.options(version="2.0.0")("x"),
    ),
    ("detached, name", lambda ctx: child.start_detached("x"), lambda c: cousin.start_detached("x")),
    ("detached, input", lambda ctx: child.start_detached("x"), lambda c: child.start_detached("y")),
    (
        "detached, id",
        lambda ctx: child.options(instance_id="i").start_detached("x"),
        lambda ctx: child.options(instance_id="j").start_detached("x"),
    ),
    (
        "status, text",
        lambda ctx: ctx.set_custom_status("a"),
        lambda ctx: ctx.set_custom_status("b"),
    ),
    ("status, kind", lambda ctx: ctx.set_custom_status("a"), lambda ctx: work("x")),
    ("key, key", lambda ctx: ctx.set_kv_value("a", 1), lambda ctx: ctx.set_kv_value("b", 1)),
    ("key, value", lambda ctx: ctx.set_kv_value("a", 1), lambda ctx: ctx.set_kv_value("a", 2)),
    ("key, missing", lambda ctx: ctx.set_kv_value("a", 1), nothing),
    ("cleared, key", lambda ctx: ctx.clear_kv_value("k"), lambda ctx: ctx.clear_kv_value("l")),
    ("cleared, all", lambda ctx: ctx.clear_all_kv_values(), lambda ctx: ctx.clear_kv_value("k")),
    (
        "other instance's key",
        lambda ctx: ctx.kv_of("i").get("a"),
        lambda ctx: ctx.kv_of("i").get("b"),
    ),
    (
        "other instance",
        lambda ctx: ctx.kv_of("i").get("a"),
        lambda ctx: ctx.kv_of("j").get("a"),
    ),
    ("attributes", lambda ctx: ctx.set_attributes(x=1), lambda ctx: ctx.set_attributes(x=2)),
    ("step", lambda ctx: ctx.step(repr, 1), lambda ctx: ctx.step(str, 1)),
    ("a call less", twice, lambda ctx: work("x")),
    ("a call more", lambda ctx: work("x"), twice),
    ("a drop less", lambda ctx: work("x").cancel(), lambda ctx: work("x")),
    ("a drop more", lambda ctx: work("x"), lambda ctx: work("x").cancel()),
]


def program(call: Call) -> Any:
    @orchestration(name="run")
    async def run(ctx: OrchestrationContext) -> None:
        ctx.kv["k"] = ctx.kv["l"] = 0
        call(ctx)
        await ctx.wait_event("end")

    return run


@pytest.mark.parametrize(("before", "after"), [row[1:] for row in SAME], ids=[r[0] for r in SAME])
def test_what_the_code_decides_otherwise_is_found(before: Call, after: Call) -> None:
    code = (work, other, child, cousin)
    old, new = program(before), program(after)
    history = ScriptedHistory(Registry(old, *code), old)
    history.turn()
    history.replay()
    with pytest.raises(NondeterminismError) as caught:
        history.replay(Registry(new, *code))
    story = str(caught.value)
    assert "instance 'scripted', operation 0:" in story
    assert "test_seed_tables.py:" in story or "the cancellation of" in story


def test_an_answer_of_the_wrong_kind_is_found() -> None:
    """Its rules (d) and (e): the completion's kind differs from what was asked for."""
    history = ScriptedHistory(
        Registry(program(lambda ctx: child("x")), child), program(lambda ctx: child("x"))
    )
    history.turn()
    history.complete("0:3", "x")
    with pytest.raises(NondeterminismError, match="history has ACTIVITY_COMPLETED, but the code"):
        history.turn()
