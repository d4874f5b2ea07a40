"""A changed program is told what changed, with both lines."""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from perdure import OrchestrationContext, Registry, Retry, activity, orchestration
from perdure.errors import NondeterminismError, NotRegisteredError
from perdure.testing.scripted import ScriptedHistory

if TYPE_CHECKING:
    from collections.abc import Callable

    from perdure import OrchestrationDef


@activity
def reserve(item: str) -> str:
    return item


@activity
def charge(item: str) -> str:
    return item


@activity
def ship(item: str) -> str:
    return item


def recorded(definition: OrchestrationDef[[], Any]) -> ScriptedHistory:
    """Run with every call answered at once, in order."""
    history = ScriptedHistory(Registry(definition, reserve, charge, ship), definition)

    def answer(action: Any) -> None:
        kind = type(action).__name__
        if kind == "ScheduleActivity":
            history.complete(action.operation, action.name)
        elif kind == "CreateTimer":
            history.fire(action.operation)
        elif kind == "WaitEvent":
            history.raise_event(action.name, "data")
        elif kind == "StartChild":
            history.complete_child(action.operation, "child")

    history.drive(answer)
    history.replay()
    return history


def replayed(history: ScriptedHistory, definition: OrchestrationDef[[], Any]) -> str:
    """Replay with other code of the same name; return what it was told."""
    with pytest.raises(NondeterminismError) as caught:
        history.replay(Registry(definition, reserve, charge, ship))
    message = str(caught.value)
    assert message.startswith("instance 'scripted', ")
    assert "register the change as a new version" in message
    return message


def call(name: str) -> str:
    return f'activity \'{name}\' with input {{"item":"book"}}'


def line_of(function: Callable[..., Any], offset: int) -> str:
    return f"replay/test_compare.py:{function.__code__.co_firstlineno + offset}"


@orchestration(name="shop")
async def one_after_another(ctx: OrchestrationContext) -> None:
    await reserve("book")
    await charge("book")
    await ship("book")


@orchestration(name="shop")
async def all_at_once(ctx: OrchestrationContext) -> None:
    calls = [reserve("book")]
    calls.append(charge("book"))
    calls.append(ship("book"))
    await asyncio.gather(*calls)


def test_renamed() -> None:
    @orchestration(name="shop")
    async def changed(ctx: OrchestrationContext) -> None:
        await reserve("book")
        await charge.options()("book")
        await ctx.schedule_activity("dispatch", {"item": "book"})

    message = replayed(recorded(one_after_another), changed)
    assert (
        "operation 0:3: `ship#1` was renamed to 'dispatch', or `dispatch#1` inserted before it"
        in message
    )
    assert f"history has {call('ship')} at {line_of(one_after_another.fn, 4)}" in message
    assert f"the code asked for {call('dispatch')} at {line_of(changed.fn, 4)}" in message


def test_changed_arguments() -> None:
    @orchestration(name="shop")
    async def changed(ctx: OrchestrationContext) -> None:
        await reserve("book")
        await charge.options(tag="pay")("pen")

    message = replayed(recorded(one_after_another), changed)
    assert "operation 0:2: the input and the tag of `charge#1` changed" in message
    assert line_of(one_after_another.fn, 3) in message
    assert line_of(changed.fn, 3) in message


@pytest.mark.parametrize("before", [one_after_another, all_at_once], ids=["one", "all"])
def test_removed(before: OrchestrationDef[[], Any]) -> None:
    @orchestration(name="shop")
    async def changed(ctx: OrchestrationContext) -> None:
        calls = [reserve("book")]
        if before is one_after_another:
            await calls.pop()
        calls.append(ship("book"))
        await asyncio.gather(*calls)

    message = replayed(recorded(before), changed)
    assert "operation 0:2: `charge#1` was removed, or moved behind `ship#1`" in message
    assert f"history has {call('charge')} at {line_of(before.fn, 3)}" in message
    assert f"the code asked for {call('ship')} at {line_of(changed.fn, 5)}" in message


def test_removed_at_the_end() -> None:
    @orchestration(name="shop")
    async def changed(ctx: OrchestrationContext) -> None:
        await reserve("book")
        await charge("book")

    message = replayed(recorded(one_after_another), changed)
    assert "operation 0:3: `ship#1` was removed: history has activity 'ship'" in message
    assert line_of(one_after_another.fn, 4) in message


def test_inserted() -> None:
    @orchestration(name="shop")
    async def changed(ctx: OrchestrationContext) -> None:
        calls = [reserve("book")]
        calls.append(ctx.schedule_activity("audit", result_type=str))
        calls.append(charge("book"))
        calls.append(ship("book"))
        await asyncio.gather(*calls)

    message = replayed(recorded(all_at_once), changed)
    assert "operation 0:2: `audit#1` was inserted before `charge#1`: history has" in message
    assert f"history has {call('charge')} at {line_of(all_at_once.fn, 3)}" in message
    assert (
        f"the code asked for activity 'audit' with input {{}} at {line_of(changed.fn, 3)}"
        in message
    )


def test_inserted_one_after_another() -> None:
    @orchestration(name="shop")
    async def changed(ctx: OrchestrationContext) -> None:
        await reserve("book")
        await asyncio.sleep(5)
        await charge("book")

    message = replayed(recorded(one_after_another), changed)
    assert "operation 0:2: `timer#1` was inserted before `charge#1`, or put in its place" in message
    assert f"the code asked for timer with delay 0:00:05 at {line_of(changed.fn, 3)}" in message


def test_inserted_at_the_end() -> None:
    @orchestration(name="shop")
    async def changed(ctx: OrchestrationContext) -> None:
        await one_after_another.fn(ctx)
        await reserve("second")

    message = replayed(recorded(one_after_another), changed)
    assert "operation 0:4: `reserve#2` was inserted after `ship#1`: the code asked" in message
    assert line_of(changed.fn, 3) in message


def test_reordered() -> None:
    @orchestration(name="shop")
    async def changed(ctx: OrchestrationContext) -> None:
        calls = [reserve("book")]
        calls.append(ship("book"))
        calls.append(charge("book"))
        await asyncio.gather(*calls)

    message = replayed(recorded(all_at_once), changed)
    assert "operation 0:2: calls were reordered: `ship#1` now comes before `charge#1`" in message
    assert line_of(all_at_once.fn, 3) in message
    assert line_of(changed.fn, 3) in message


@orchestration(name="shop")
async def everything(ctx: OrchestrationContext) -> str:
    ctx.set_custom_status("begun")
    await asyncio.sleep(5)
    await ctx.wait_event("go")
    await ctx.schedule_sub_orchestration("child", {"x": 1})
    return "done"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            '"begun"',
            '"started"',
            "operation 0:1: the value of `custom-status#1` changed: history has custom status",
        ),
        (
            "sleep(5)",
            "sleep(6)",
            "operation 0:2: the delay of `timer#1` changed: history has timer with delay 0:00:05",
        ),
        (
            '"go"',
            '"gone"',
            "operation 0:3: `go#1` was renamed to 'gone', or `gone#1` inserted",
        ),
        ('"x": 1', '"x": 2', "operation 0:4: the input of `child#1` changed"),
        (
            '"child", {"x": 1}',
            '"child", {"x": 1}, instance_id="mine"',
            "operation 0:4: the instance of `child#1` changed",
        ),
        (
            '"done"',
            '"over"',
            'history has Completed with "done", the code came to Completed with "over"',
        ),
        (
            'return "done"',
            'raise ValueError("no")',
            'history has Completed with "done", the code came to Failed (ValueError: no)',
        ),
        ("ctx.wait_event", "asyncio.shield(ctx.wait_event", ""),
    ],
)
def test_everything_that_is_seen_outside_is_compared(old: str, new: str, expected: str) -> None:
    source = (
        "async def changed(ctx):\n"
        '    ctx.set_custom_status("begun")\n'
        "    await asyncio.sleep(5)\n"
        '    await ctx.wait_event("go")\n'
        '    await ctx.schedule_sub_orchestration("child", {"x": 1})\n'
        '    return "done"\n'
    )
    assert old in source
    changed_source = source.replace(old, new)
    if "shield" in new:
        changed_source = changed_source.replace('("go")', '("go"))')
    scope: dict[str, Any] = {"asyncio": asyncio}
    exec(compile(changed_source, "/app/changed.py", "exec"), scope)  # noqa: S102  our own text
    changed = orchestration(name="shop")(scope["changed"])
    history = recorded(everything)
    if not expected:
        history.replay(Registry(changed))
    else:
        assert expected in replayed(history, changed)


def test_how_hard_an_activity_is_tried_may_be_tuned() -> None:
    @orchestration(name="shop")
    async def tuned(ctx: OrchestrationContext) -> None:
        await reserve.options(retry=Retry(max_attempts=9), timeout=5)("book")
        await charge("book")
        await ship("book")

    recorded(one_after_another).replay(Registry(tuned, reserve, charge, ship))


def test_other_spelling_of_json_is_no_difference() -> None:
    history = recorded(one_after_another)
    for index, record in enumerate(history.records):
        if record.body is not None and '"input":{' in record.body:
            respelled = record.body.replace('"input":{"item":"book"}', '"input": {"item" : "book"}')
            object.__setattr__(record, "body", respelled)
            history.records[index] = record
    history.replay()


def test_a_version_that_is_gone_is_not_replaced_by_another() -> None:
    history = recorded(one_after_another)

    @orchestration(name="shop", version="2.0.0")
    async def newer(ctx: OrchestrationContext) -> None: ...

    with pytest.raises(
        NotRegisteredError, match=r"version 1\.0\.0 is not registered here.*2\.0\.0"
    ):
        history.replay(Registry(newer))
    history.replay(Registry(newer, one_after_another))


def test_code_that_ends_early_or_late_is_found() -> None:
    @orchestration(name="shop")
    async def early(ctx: OrchestrationContext) -> None:
        await reserve("book")

    message = replayed(recorded(one_after_another), early)
    assert "operation 0:2: `charge#1` was removed: history has activity 'charge'" in message

    @orchestration(name="shop")
    async def late(ctx: OrchestrationContext) -> None:
        await one_after_another.fn(ctx)
        await asyncio.get_running_loop().create_future()

    message = replayed(recorded(one_after_another), late)
    assert "history has Completed with null, the code came to an execution that goes on" in message


def test_tasks_are_told_apart() -> None:
    async def twice(first: str, second: str) -> None:
        await reserve(first)
        await charge(second)

    @orchestration(name="shop")
    async def before(ctx: OrchestrationContext) -> None:
        await asyncio.gather(twice("a", "b"), twice("c", "d"))

    @orchestration(name="shop")
    async def after(ctx: OrchestrationContext) -> None:
        await asyncio.gather(twice("a", "b"), twice("c", "e"))

    assert "operation 0.1:2: the input of `charge#1` changed" in replayed(recorded(before), after)
