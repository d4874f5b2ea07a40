"""Names, ids, numbers and errors that nobody should have made: told of where they were made."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from perdure import OrchestrationContext, Registry, activity, orchestration
from perdure.model.actions import CancelActivity
from perdure.testing.scripted import ScriptedHistory

if TYPE_CHECKING:
    from collections.abc import Callable

    from perdure.model.failure import Failure


@activity
def hello(name: str) -> str:
    return f"hello {name}"


@activity
def weigh(grams: float, note: Any = None) -> None: ...


@orchestration
async def child(ctx: OrchestrationContext) -> None: ...


def failure_of(code: Callable[[OrchestrationContext], Any]) -> Failure:
    """Run what should fail in its first turn."""

    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        await code(ctx)

    ending = ScriptedHistory(Registry(run, hello, child), run).turn().ending
    assert ending is not None
    assert ending.failure is not None
    return ending.failure


_CALLS: dict[str, Callable[[OrchestrationContext, str], Any]] = {
    "event": lambda ctx, name: ctx.wait_event(name),
    "activity": lambda ctx, name: ctx.schedule_activity(name),
    "child": lambda ctx, name: ctx.schedule_sub_orchestration(name),
    "detached": lambda ctx, name: ctx.schedule_orchestration(name),
    "detached id": lambda ctx, name: ctx.schedule_orchestration(child, name),
    "child id": lambda ctx, name: ctx.schedule_sub_orchestration("child", instance_id=name),
    "child version": lambda ctx, name: ctx.schedule_sub_orchestration("child", version=name),
    "next version": lambda ctx, name: ctx.continue_as_new(version=name),
    "options": lambda _ctx, name: child.options(instance_id=name)(),
}


@pytest.mark.parametrize("name", ["", "a\0b", "a\udc80b", "x" * 254, "a\nb"])
@pytest.mark.parametrize("call", _CALLS.values(), ids=_CALLS)
def test_what_no_storage_could_hold_is_refused_at_the_call(call: Any, name: str) -> None:
    assert failure_of(lambda ctx: call(ctx, name)).type == "DefinitionError"


@pytest.mark.parametrize("tag", ["a\0b", "a\udc80b", "x" * 64, "a,b"])
def test_tags_by_name_are_checked_too(tag: str) -> None:
    failure = failure_of(lambda ctx: ctx.schedule_activity("hello", tag=tag))
    assert failure.message.startswith("activity 'hello': tag ")


def test_a_timer_beyond_the_calendar_is_named() -> None:
    async def waits(ctx: OrchestrationContext) -> None:
        async with asyncio.timeout(1e15):
            await ctx.wait_event("go")

    failure = failure_of(waits)
    assert failure.message.startswith(f"a timer of {1e15} s ends after the year 9999")


@pytest.mark.parametrize("seconds", [float("inf"), 1e15])
def test_an_attempt_that_may_last_for_ever_is_named(seconds: float) -> None:
    failure = failure_of(lambda _ctx: hello.options(timeout=seconds)("x"))
    assert failure.message.startswith(f"activity 'hello': timeout is {seconds} s")


@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
def test_a_nan_among_arguments_is_named_and_not_made_null(number: float) -> None:
    expected = "argument 'grams' of activity 'weigh' holds a NaN or an infinite number"
    assert failure_of(lambda _ctx: weigh(number)).message.startswith(expected)
    expected = "argument 'note' of activity 'weigh' holds a NaN or an infinite number"
    assert failure_of(lambda _ctx: weigh(1.0, [{"a": number}])).message.startswith(expected)


class _UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_that_cannot_be_read_fails_the_run_all_the_same() -> None:
    async def raises(_ctx: OrchestrationContext) -> None:
        raise _UnspeakableError

    assert failure_of(raises).type == "_UnspeakableError"

    async def raises_two(_ctx: OrchestrationContext) -> None:
        raise ExceptionGroup("both", [_UnspeakableError(), ValueError("x")])

    assert "cannot be had); ValueError: x" in failure_of(raises_two).message


def test_a_message_without_end_is_cut() -> None:
    async def raises(_ctx: OrchestrationContext) -> None:
        raise ValueError("x" * 1_000_000)

    message = failure_of(raises).message
    assert len(message) < 20_000
    assert message.endswith("[of 1,000,000 characters]")


def test_the_reason_of_a_cancellation_can_be_stored() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        handle = hello("x")
        await asyncio.sleep(1)
        handle.cancel("odd\0\udc80")
        await ctx.wait_event("go")

    history = ScriptedHistory(Registry(run, hello), run)
    history.turn()
    history.fire("0:2")
    (cancel, _wait) = history.turn().actions
    assert isinstance(cancel, CancelActivity)
    assert cancel.reason == "odd\N{REPLACEMENT CHARACTER}?"
