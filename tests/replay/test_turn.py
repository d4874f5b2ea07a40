"""What a turn decides, message by message."""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from perdure import ActivityError, OrchestrationContext, Registry, Retry, activity, orchestration
from perdure.errors import (
    ApplicationError,
    HistoryLimitError,
    NondeterminismError,
    OrchestrationCancelledError,
    OrchestrationError,
    OrchestrationTerminatedError,
    OrchestrationTimedOutError,
    PayloadError,
    SpinningTurnError,
)
from perdure.model.actions import (
    CancelActivity,
    CancelTimer,
    CreateTimer,
    ScheduleActivity,
    SetCustomStatus,
    StartChild,
    StartDetached,
)
from perdure.model.failure import FailureCategory
from perdure.model.ids import JsonText, OperationId
from perdure.model.records import (
    Ending,
    Outcome,
    StartedBody,
)
from perdure.replay.turn import Limits
from perdure.testing.scripted import ScriptedHistory


@activity
def hello(name: str) -> str:
    return f"hello {name}"


@activity(tag="gpu", retry=Retry(max_attempts=5), timeout=60)
async def embed(text: str, *, size: int = 3) -> list[float]:
    return [float(len(text))] * size


@orchestration
async def greet(ctx: OrchestrationContext, name: str) -> str:
    return await hello(name)


def test_one_activity() -> None:
    history = ScriptedHistory(Registry(greet, hello), greet, "bob")
    first = history.turn()
    (action,) = first.actions
    assert isinstance(action, ScheduleActivity)
    assert (action.operation, action.name, action.input) == ("0:1", "hello", '{"name":"bob"}')
    assert (action.tag, action.retry, action.timeout) == ("", None, None)
    assert action.line.startswith("replay/test_turn.py:")
    assert first.ending is None
    history.complete("0:1", "hello bob")
    last = history.turn()
    assert last.ending == Ending(Outcome.COMPLETED, JsonText('"hello bob"'))
    assert last.version == "1.0.0"
    history.replay()


def test_options_travel_with_the_action() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        await asyncio.gather(
            embed("a"),
            embed.options(tag="io", retry=None, timeout=timedelta(minutes=2))("b", size=1),
        )

    history = ScriptedHistory(Registry(run, embed), run)
    first, second = history.turn().actions
    assert isinstance(first, ScheduleActivity)
    assert isinstance(second, ScheduleActivity)
    assert (first.tag, first.retry) == ("gpu", Retry(max_attempts=5))
    assert first.timeout == timedelta(seconds=60)
    assert (second.tag, second.retry, second.timeout) == ("io", None, timedelta(seconds=120))
    assert second.input == '{"text":"b","size":1}'
    history.replay()


def test_an_activity_is_scheduled_when_it_is_called() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        first, second = hello("a"), hello("b")
        return await second + await first

    history = ScriptedHistory(Registry(run, hello), run)
    assert [type(action) for action in history.turn().actions] == [ScheduleActivity] * 2
    history.complete("0:2", "B")
    assert history.turn().ending is None
    history.complete("0:1", "A")
    assert history.turn().ending == Ending(Outcome.COMPLETED, JsonText('"BA"'))


def test_failures_of_activities_are_raised_where_they_are_awaited() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        try:
            return await hello("x")
        except ActivityError as error:
            return f"{error.failure and error.failure.type}|{error}"

    history = ScriptedHistory(Registry(run, hello), run)
    history.turn()
    history.fail("0:1", "no such name", kind="LookupError")
    ending = history.turn().ending
    assert ending is not None
    assert ending.output == "\"LookupError|activity 'hello' failed: LookupError: no such name\""


@pytest.mark.parametrize(
    "category",
    [FailureCategory.CONFIGURATION, FailureCategory.INFRASTRUCTURE, FailureCategory.POISON],
)
def test_what_user_code_cannot_mend_ends_the_run(category: FailureCategory) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        try:
            return await hello("x")
        except BaseException:  # noqa: BLE001  not even this sees it
            return "seen"

    history = ScriptedHistory(Registry(run, hello), run)
    history.turn()
    history.fail("0:1", "not registered", category=category)
    ending = history.turn().ending
    assert ending is not None
    assert ending.outcome is Outcome.FAILED
    assert ending.failure is not None
    assert (ending.failure.category, ending.failure.message) == (category, "not registered")
    history.replay()


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        (FailureCategory.APPLICATION, OrchestrationError),
        (FailureCategory.POISON, OrchestrationError),
        (FailureCategory.CANCELLED, OrchestrationCancelledError),
        (FailureCategory.TERMINATED, OrchestrationTerminatedError),
        (FailureCategory.TIMEOUT, OrchestrationTimedOutError),
    ],
)
def test_children_end_in_exceptions_of_their_kind(
    category: FailureCategory, expected: type[OrchestrationError]
) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        try:
            return await greet("x")
        except OrchestrationError as error:
            return type(error).__name__

    history = ScriptedHistory(Registry(run, greet), run, instance="parent")
    (action,) = history.turn().actions
    assert isinstance(action, StartChild)
    assert (action.name, action.version, action.instance) == ("greet", None, "parent::1/0:1")
    history.fail_child("0:1", category)
    assert history.turn().ending == Ending(Outcome.COMPLETED, JsonText(f'"{expected.__name__}"'))


def test_a_child_with_an_id_and_a_version_and_a_detached_start() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> list[str]:
        child = greet.options(instance_id="mine", version="1.0.0")("x")
        detached = greet.start_detached("y")
        other = ctx.schedule_orchestration("greet", "other", {"name": "z"})
        return [await child, detached, other]

    history = ScriptedHistory(Registry(run, greet), run, instance="p")
    child, detached, other = history.turn().actions
    assert isinstance(child, StartChild)
    assert (child.instance, child.version) == ("mine", "1.0.0")
    assert isinstance(detached, StartDetached)
    assert (detached.instance, detached.input) == ("p::1/0:2", '{"name":"y"}')
    assert isinstance(other, StartDetached)
    assert (other.instance, other.operation) == ("other", "0:3")
    history.complete_child("0:1", "hi")
    assert history.turn().ending == Ending(Outcome.COMPLETED, JsonText('["hi","p::1/0:2","other"]'))
    history.replay()


def test_an_uncaught_exception_fails_the_run_with_its_causes() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        try:
            await hello("x")
        except ActivityError as error:
            raise ApplicationError(
                "order refused", details={"order": 7}, retryable=False, type="Refused"
            ) from error

    history = ScriptedHistory(Registry(run, hello), run)
    history.turn()
    history.fail("0:1", "boom")
    ending = history.turn().ending
    assert ending is not None
    failure = ending.failure
    assert failure is not None
    assert (failure.type, failure.message, failure.retryable) == ("Refused", "order refused", False)
    assert failure.details == '{"order":7}'
    assert failure.traceback is not None
    assert "test_turn.py" in failure.traceback
    assert failure.cause is not None
    assert failure.cause.type == "ActivityError"
    assert failure.cause.cause is not None
    assert failure.cause.cause.message == "boom"
    history.replay()


def test_an_exception_group_is_flattened() -> None:
    async def refuse(error: Exception) -> None:
        raise error

    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(refuse(ValueError("one")))
            group.create_task(refuse(KeyError("two")))

    history = ScriptedHistory(Registry(run), run)
    ending = history.turn().ending
    assert ending is not None
    failure = ending.failure
    assert failure is not None
    assert failure.type == "ExceptionGroup"
    assert "ValueError: one; KeyError: 'two'" in failure.message
    assert failure.cause is not None
    assert failure.cause.type == "ValueError"
    assert failure.cause.cause is not None
    assert failure.cause.cause.type == "KeyError"


def test_timers_are_durable() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> float:
        before = ctx.now()
        await asyncio.sleep(90)
        return (ctx.now() - before).total_seconds()

    history = ScriptedHistory(Registry(run), run)
    (timer,) = history.turn().actions
    assert isinstance(timer, CreateTimer)
    assert timer.delay == timedelta(seconds=90)
    assert timer.fire_at == history.now + timedelta(seconds=90)
    history.fire("0:1")
    result = history.turn()
    assert result.ending == Ending(Outcome.COMPLETED, JsonText("90.0"))
    assert result.actions == ()
    history.replay()


def test_a_timer_created_and_cancelled_in_one_turn_leaves_nothing() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
        ctx.schedule_timer(5).cancel()
        await hello("x")

    history = ScriptedHistory(Registry(run, hello), run)
    assert [type(action) for action in history.turn().actions] == [ScheduleActivity]


def test_a_timeout_cancels_what_it_was_around() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        try:
            async with asyncio.timeout(60):
                return await hello("slow")
        except TimeoutError:
            return "late"

    history = ScriptedHistory(Registry(run, hello), run)
    history.turn()
    history.fire("0:1")
    result = history.turn()
    assert result.ending == Ending(Outcome.COMPLETED, JsonText('"late"'))
    assert [type(action) for action in result.actions] == [CancelActivity]
    history.replay()


def test_what_arrives_in_time_cancels_the_timer() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        first = await asyncio.wait_for(hello("quick"), 60)
        return first + await hello("again")

    history = ScriptedHistory(Registry(run, hello), run)
    history.turn()
    history.complete("0:1", "q")
    result = history.turn()
    assert [type(action) for action in result.actions] == [CancelTimer, ScheduleActivity]


def test_history_decides_a_race_even_when_both_arrive_in_one_turn() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        index, value = await ctx.select2(hello("x"), ctx.schedule_timer(5))
        return f"{index} {value}"

    for order, expected in ((("0:1", "0:2"), '"0 won"'), (("0:2", "0:1"), '"1 None"')):
        history = ScriptedHistory(Registry(run, hello), run)
        history.turn()
        for operation in order:
            if operation == "0:1":
                history.complete(operation, "won")
            else:
                history.fire(operation)
        assert history.turn().ending == Ending(Outcome.COMPLETED, JsonText(expected))
        history.replay()


def test_custom_status() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> list[Any]:
        seen = [ctx.status]
        ctx.set_custom_status({"step": 1})
        seen.append(ctx.get_custom_status())
        del ctx.status
        seen.append(ctx.status)
        return seen

    result = ScriptedHistory(Registry(run), run).turn()
    assert [
        (each.operation, each.value) for each in result.actions if isinstance(each, SetCustomStatus)
    ] == [("0:1", '{"step":1}'), ("0:2", None)]
    assert result.ending == Ending(Outcome.COMPLETED, JsonText('[null,{"step":1},null]'))


def test_identity_time_and_chance_are_the_same_on_replay() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> list[Any]:
        values = [ctx.instance_id, ctx.execution, ctx.uuid4(), ctx.new_guid(), ctx.uuid4()]
        values += [ctx.random().random(), ctx.random().random(), ctx.utc_now(), ctx.history_length]
        await hello(str(values))
        return values

    history = ScriptedHistory(Registry(run, hello), run)
    history.turn()
    history.complete("0:1", "ok")
    ending = history.turn().ending
    assert ending is not None
    history.replay()
    other = ScriptedHistory(Registry(run, hello), run, instance="other")
    ours, theirs = history.actions()[0], other.turn().actions[0]
    assert isinstance(ours, ScheduleActivity)
    assert isinstance(theirs, ScheduleActivity)
    assert ours.input != theirs.input


def test_time_does_not_run_backwards() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> bool:
        before = ctx.now()
        await hello("x")
        return ctx.now() >= before

    history = ScriptedHistory(Registry(run, hello), run)
    history.turn()
    history.complete("0:1", "x")
    history.wait(timedelta(hours=-1))
    assert history.turn().ending == Ending(Outcome.COMPLETED, JsonText("true"))
    history.replay()


def test_arguments_that_do_not_fit_fail_the_run_at_once() -> None:
    started = StartedBody("greet", None, JsonText('{"nome":"bob"}'))
    history = ScriptedHistory(Registry(greet, hello), greet, started=started)
    ending = history.turn().ending
    assert ending is not None
    assert ending.failure is not None
    assert ending.failure.category is FailureCategory.CONFIGURATION
    assert "no parameter 'nome'; it has 'name'" in ending.failure.message


def test_a_result_that_does_not_fit_its_annotation_fails_the_run() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> int:
        return "seven"  # type: ignore[return-value]  # the fault

    ending = ScriptedHistory(Registry(run), run).turn().ending
    assert ending is not None
    assert ending.failure is not None
    assert "the result of orchestration 'run' is declared int, found str" in ending.failure.message


def test_a_recorded_result_that_no_longer_reads_parks_the_run() -> None:
    history = ScriptedHistory(Registry(greet, hello), greet, "bob")
    history.turn()
    history.complete("0:1", 7)
    with pytest.raises(PayloadError, match="operation 0:1: the result of activity 'hello'"):
        history.turn()


def test_a_turn_that_does_not_rest_is_parked() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        while True:  # noqa: ASYNC110  that is the fault
            await asyncio.sleep(0)

    history = ScriptedHistory(Registry(run), run, limits=Limits(callbacks_per_turn=1000))
    with pytest.raises(SpinningTurnError, match=r"does not come to rest \(now at .*test_turn.py"):
        history.turn()


def test_a_history_over_the_limit_is_parked_before_its_code_runs() -> None:
    history = ScriptedHistory(Registry(greet, hello), greet, "x", limits=Limits(history_records=3))
    history.turn()
    for _ in range(3):
        history.raise_event("noise")
    with pytest.raises(HistoryLimitError, match="has 5 records; the limit is 3"):
        history.turn()


@dataclass
class Order:
    id: str
    lines: list[str]
    due: timedelta


def test_by_name_with_result_types() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        order = await ctx.schedule_activity("load", {"id": "o1"}, result_type=Order, tag="io")
        child = ctx.schedule_sub_orchestration("greet", {"name": "x"}, result_type=str)
        found = await child
        last = await ctx.schedule_activity(hello, "y")
        return order.lines[0] + found + last

    history = ScriptedHistory(Registry(run, greet, hello), run)
    (action,) = history.turn().actions
    assert isinstance(action, ScheduleActivity)
    assert (action.name, action.tag, action.input) == ("load", "io", '{"id":"o1"}')
    history.complete("0:1", Order("o1", ["one"], timedelta(days=1)))
    history.turn()
    history.complete_child("0:2", "child")
    history.turn()
    history.complete("0:3", "act")
    assert history.turn().ending == Ending(Outcome.COMPLETED, JsonText('"onechildact"'))


def test_late_and_double_answers_are_passed_over() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        loser = hello("loser")
        winner = await hello("winner")
        loser.cancel("not needed")
        return winner + await hello("third")

    history = ScriptedHistory(Registry(run, hello), run)
    history.turn()
    history.complete("0:2", "w")
    second = history.turn()
    assert CancelActivity(OperationId("0:1"), "not needed") in second.actions
    history.complete("0:1", "late")
    history.complete("0:2", "again")
    assert history.turn().ending is None
    history.complete("0:3", "t")
    assert history.turn().ending == Ending(Outcome.COMPLETED, JsonText('"wt"'))
    history.replay()


def test_an_answer_of_the_wrong_kind_is_nondeterminism() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        await asyncio.sleep(5)

    history = ScriptedHistory(Registry(run), run)
    history.turn()
    history.complete("0:1", "x")
    with pytest.raises(NondeterminismError, match="operation 0:1: history has ACTIVITY_COMPLETED"):
        history.turn()


def test_sys_exit_fails_the_run_and_not_its_process() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        sys.exit(3)

    ending = ScriptedHistory(Registry(run), run).turn().ending
    assert ending is not None
    assert ending.failure is not None
    assert (ending.outcome, ending.failure.type) == (Outcome.FAILED, "SystemExit")


def test_ten_thousand_at_once_are_linear() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext, count: int) -> int:
        return sum(await asyncio.gather(*(one() for _ in range(count))))

    @activity
    def one() -> int:
        return 1

    def callbacks_needed(count: int) -> Limits:
        return Limits(callbacks_per_turn=3 * count + 10)

    for count in (1_000, 10_000):
        history = ScriptedHistory(Registry(run, one), run, count, limits=callbacks_needed(count))
        assert len(history.turn().actions) == count
        for number in range(count):
            history.complete(f"0:{number + 1}", 1)
        assert history.turn().ending == Ending(Outcome.COMPLETED, JsonText(str(count)))
