"""What a run may use: judged when it is decided, and by the record ever after."""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import Any

import pytest

from perdure import OrchestrationContext, Registry, activity, orchestration
from perdure.errors import DefinitionError, HistoryLimitError, PayloadError, SpinningTurnError
from perdure.model.actions import RefuseCall, ScheduleActivity
from perdure.model.codec import PAYLOAD_BYTES_MAX, decode
from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.model.limits import Limits
from perdure.model.records import Ending, Outcome, ParentLink, StartedBody
from perdure.testing.scripted import ScriptedHistory


@activity
def work(what: str) -> str:
    return what


@orchestration
async def child(ctx: OrchestrationContext, what: str = "") -> None: ...


@orchestration
async def greedy(ctx: OrchestrationContext, what: str, catch: bool) -> str:
    long = "x" * 50
    try:
        match what:
            case "custom status":
                ctx.status = long
            case "attributes":
                ctx.set_attributes(a=long[:30], b=long[:30])
            case "key":
                ctx.kv["k"] = long
            case "activity":
                work(long)
            case "orchestration":
                child(long)
            case "detached":
                child.start_detached(long)
            case _:
                await ctx.continue_as_new(long, catch=True)
    except PayloadError as error:
        if not catch:
            raise
        return str(error) + await work("caught")
    return "not refused"


SMALL = Limits(payload_bytes=40, custom_status_bytes=40, attribute_bytes=40, value_bytes=40)
CALLS = ["custom status", "attributes", "key", "activity", "orchestration", "detached", "continue"]


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("cached", [True, False], ids=["live", "cold"])
def test_a_refusal_names_the_limit_and_is_replayed_under_any(what: str, cached: bool) -> None:
    registry = Registry(greedy, work, child)
    history = ScriptedHistory(registry, greedy, what, catch=True, limits=SMALL, cached=cached)
    result = history.turn()
    refusal, call = result.actions
    assert isinstance(refusal, RefuseCall)
    assert (refusal.operation, refusal.line != "") == ("0:1", True)
    assert isinstance(call, ScheduleActivity)
    assert call.operation == "0:2"
    history.complete("0:2", "")
    last = history.turn()
    assert last.ending is not None
    message = decode(last.ending.output, str)
    if what in ("activity", "orchestration", "detached", "continue"):
        assert "52 of them in 'what'" in message
    assert "limit is 40" in message
    assert "bytes" in message
    history.replay()  # with the usual limits, under which nothing would be refused

    generous = ScriptedHistory(registry, greedy, what, catch=True)
    assert not any(isinstance(each, RefuseCall) for each in generous.turn().actions)
    tight = ScriptedHistory(registry, greedy, what, catch=True, limits=SMALL, cached=False)
    tight.records = generous.records
    tight.open().repeat(generous.records)  # and what was not refused never is


@pytest.mark.parametrize("what", CALLS)
def test_a_child_that_goes_beyond_a_limit_tells_its_parent(what: str) -> None:
    """The seed cleared the failed turn's messages, that to the parent among them: it hung."""
    link = ParentLink(InstanceId("parent"), 1, OperationId("0:1"))
    started = StartedBody(
        "greedy", None, JsonText(f'{{"what":"{what}","catch":false}}'), parent=link
    )
    registry = Registry(greedy, work, child)
    history = ScriptedHistory(registry, greedy, started=started, limits=SMALL)
    result = history.turn()
    assert result.parent == link
    assert result.ending is not None
    assert result.ending.outcome is Outcome.FAILED
    assert result.ending.failure is not None
    assert result.ending.failure.type == "PayloadError"
    assert "limit is 40" in result.ending.failure.message
    history.replay()


def test_limits_come_with_the_registry_unless_the_replayer_sets_others() -> None:
    registry = Registry(greedy, work, child, limits=SMALL)
    history = ScriptedHistory(registry, greedy, "key", catch=False)
    assert isinstance(history.turn().actions[0], RefuseCall)
    history = ScriptedHistory(registry, greedy, "key", catch=False, limits=Limits())
    assert history.turn().ending == Ending(Outcome.COMPLETED, JsonText('"not refused"'))


def test_a_merged_registry_keeps_limits_and_refuses_two() -> None:
    limited = Registry(greedy, work, child, limits=SMALL)
    assert Registry(work).merge(limited).limits == SMALL
    assert Registry(work, limits=SMALL).merge(Registry(child)).limits == SMALL
    with pytest.raises(DefinitionError, match="two registries set different limits"):
        Registry(limits=Limits(keys=1)).merge(limited)


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_limits_that_leave_no_room_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"Limits\.{name} is 0; it must be at least 1"):
        Limits(**{name: 0})


def test_payloads_have_an_end_whatever_is_set() -> None:
    with pytest.raises(ValueError, match="it can be at most"):
        Limits(payload_bytes=PAYLOAD_BYTES_MAX + 1)


# ----------------------------------------------------------------- what parks the run


@orchestration
async def wide(ctx: OrchestrationContext, width: int) -> None:
    for number in range(width):
        work(str(number))
    await ctx.wait_event("end")


def test_a_turn_that_asks_for_too_much_parks_the_run() -> None:
    history = ScriptedHistory(Registry(wide, work), wide, 10, limits=Limits(actions_per_turn=10))
    with pytest.raises(SpinningTurnError, match=r"more than 10 things.*Limits\.actions_per_turn"):
        history.turn()
    history = ScriptedHistory(Registry(wide, work), wide, 10, limits=Limits(actions_per_turn=11))
    assert len(history.turn().actions) == 11
    lowered = ScriptedHistory(
        Registry(wide, work), wide, 10, limits=Limits(actions_per_turn=1), cached=False
    )
    lowered.records = history.records
    lowered.raise_event("other")
    assert lowered.turn().ending is None, "what is recorded is not judged again"


@orchestration
async def counting(ctx: OrchestrationContext) -> Any:
    seen: list[int] = []
    while True:
        await ctx.wait_event("tick")
        seen.append(ctx.history_length)


def test_warnings_and_gauges_at_half_and_at_four_fifths(caplog: pytest.LogCaptureFixture) -> None:
    history = ScriptedHistory(Registry(counting), counting, limits=Limits(history_records=20))
    fractions: list[float] = []
    with caplog.at_level(logging.WARNING, "perdure.orchestration"):
        for _ in range(10):
            history.raise_event("tick")
            result = history.turn()
            fractions.append(result.history_fraction)
            assert result.history_records == len(history.records)
        history.raise_event("tick")
        with pytest.raises(HistoryLimitError, match="the limit is 20"):
            history.turn()
    assert fractions == [pytest.approx(n / 20) for n in range(3, 22, 2)]
    told = [record.getMessage() for record in caplog.records]
    assert [text[:46] for text in told] == [
        "the history has reached 50 % of its limit of 2",
        "the history has reached 80 % of its limit of 2",
    ]
    assert all("instance_id" in record.__dict__ for record in caplog.records)
