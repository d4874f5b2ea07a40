"""Edits in flight: old runs go on by the old branch, fresh ones take the new."""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from perdure import OrchestrationContext, Registry, activity, orchestration
from perdure.errors import DefinitionError, ForbiddenCallError, NondeterminismError
from perdure.model.actions import ContinueAsNew, MarkPatch, ScheduleActivity, WaitEvent
from perdure.model.events import events_of
from perdure.testing.scripted import ScriptedHistory

if TYPE_CHECKING:
    from perdure import OrchestrationDef


@activity
def mail(text: str) -> str:
    return text


@activity
def letter(text: str) -> str:
    return text


ACTIVITIES = (mail, letter)


@orchestration(name="notify")
async def before(ctx: OrchestrationContext) -> str:
    await ctx.wait_event("go")
    return await letter("x")


@orchestration(name="notify")
async def edited(ctx: OrchestrationContext) -> str:
    await ctx.wait_event("go")
    if ctx.patched("by-mail"):
        return await mail("x")
    return await letter("x")


@orchestration(name="notify")
async def deprecating(ctx: OrchestrationContext) -> str:
    await ctx.wait_event("go")
    ctx.deprecate_patch("by-mail")
    return await mail("x")


@orchestration(name="notify")
async def after(ctx: OrchestrationContext) -> str:
    await ctx.wait_event("go")
    return await mail("x")


def start(definition: OrchestrationDef[[], str]) -> ScriptedHistory:
    return ScriptedHistory(Registry(definition, *ACTIVITIES), definition)


def change(history: ScriptedHistory, definition: OrchestrationDef[[], str]) -> None:
    """Let a process with other code go on."""
    history.close()
    history.registry = Registry(definition, *ACTIVITIES)


def finish(history: ScriptedHistory) -> list[str]:
    """Go on until the end; return the activities of the whole execution."""

    def answer(action: Any) -> None:
        if isinstance(action, ScheduleActivity):
            history.complete(action.operation, action.name)
        elif isinstance(action, WaitEvent):
            history.raise_event(action.name)

    history.drive(answer)
    history.replay()
    return [each.name for each in history.actions() if isinstance(each, ScheduleActivity)]


def marks(history: ScriptedHistory) -> list[tuple[str, bool]]:
    return [(m.patch, m.deprecated) for m in history.actions() if isinstance(m, MarkPatch)]


def test_a_fresh_run_takes_the_patch_and_says_so() -> None:
    history = start(edited)
    assert finish(history) == ["mail"]
    assert marks(history) == [("by-mail", False)]
    (event,) = [e for e in events_of(history.records) if e.kind == "PatchTaken"]
    assert event.event_id == 4  # started, subscribed, raised
    mark = next(each for each in history.actions() if isinstance(each, MarkPatch))
    line = edited.fn.__code__.co_firstlineno + 3
    assert mark.line == f"replay/test_patches.py:{line}"


def test_a_run_that_passed_the_point_goes_on_as_before() -> None:
    history = start(before)
    history.turn()
    history.raise_event("go")
    history.turn()
    change(history, edited)
    history.complete("0:2", "sent")
    assert history.turn().ending is not None
    history.replay(Registry(before, *ACTIVITIES))
    history.replay(Registry(edited, *ACTIVITIES))
    assert marks(history) == []


def test_a_run_that_has_not_reached_the_point_takes_the_patch() -> None:
    history = start(before)
    history.turn()
    change(history, edited)
    history.raise_event("go")
    assert finish(history) == ["mail"]
    assert marks(history) == [("by-mail", False)]


@pytest.mark.parametrize("cached", [True, False])
def test_the_first_answer_holds_for_the_execution(*, cached: bool) -> None:
    @orchestration(name="loop")
    async def old(ctx: OrchestrationContext) -> str:
        for number in range(3):
            await letter(str(number))
        return ""

    @orchestration(name="loop")
    async def new(ctx: OrchestrationContext) -> str:
        for number in range(3):
            await (mail if ctx.patched("by-mail") else letter)(str(number))
        return ""

    history = ScriptedHistory(Registry(old, *ACTIVITIES), old, cached=cached)
    history.turn()
    change(history, new)
    history.complete("0:1", "sent")
    assert finish(history) == ["letter"] * 3
    assert marks(history) == []
    fresh = ScriptedHistory(Registry(new, *ACTIVITIES), new, cached=cached)
    assert finish(fresh) == ["mail"] * 3
    assert marks(fresh) == [("by-mail", False)]


def test_patches_are_told_apart_and_move_no_other_name() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> list[bool]:
        answers = [ctx.patched(name) for name in ("a", "b", "a", "a:1")]
        await mail("x")
        return answers

    history = ScriptedHistory(Registry(run, *ACTIVITIES), run)
    actions = history.turn().actions
    assert marks(history) == [("a", False), ("b", False), ("a:1", False)]
    assert [a.operation for a in actions if isinstance(a, ScheduleActivity)] == ["0:1"]
    history.complete("0:1", "sent")
    ending = history.turn().ending
    assert ending is not None
    assert ending.output == "[true,true,true,true]"
    history.replay()


def test_the_next_execution_asks_again() -> None:
    @orchestration(name="notify")
    async def old(ctx: OrchestrationContext) -> str:
        await letter("x")
        await ctx.wait_event("go")
        await ctx.continue_as_new()

    @orchestration(name="notify")
    async def new(ctx: OrchestrationContext) -> str:
        await (mail if ctx.patched("by-mail") else letter)("x")
        await ctx.wait_event("go")
        await ctx.continue_as_new()

    history = start(old)
    history.turn()
    change(history, new)
    history.complete("0:1", "sent")
    history.raise_event("go")
    result = history.turn()
    assert isinstance(result.actions[-1], ContinueAsNew)
    following = ScriptedHistory(history.registry, new, execution=2, started=result.next_execution)
    (mark, call) = following.turn().actions[:2]
    assert isinstance(mark, MarkPatch)
    assert isinstance(call, ScheduleActivity)
    assert call.name == "mail"


def test_every_step_of_an_edit_can_take_over_from_the_one_before() -> None:
    for one, other in ((edited, deprecating), (deprecating, edited), (deprecating, after)):
        history = start(one)
        history.turn()
        history.raise_event("go")
        history.turn()
        history.replay(Registry(other, *ACTIVITIES))
        change(history, other)
        history.complete("0:2", "sent")
        ending = history.turn().ending
        assert ending is not None
        assert ending.output == '"sent"'


def test_a_deprecated_patch_is_marked_as_such() -> None:
    history = start(deprecating)
    assert finish(history) == ["mail"]
    assert marks(history) == [("by-mail", True)]


def test_a_patch_may_be_deprecated_at_the_top() -> None:
    @orchestration(name="notify")
    async def at_the_top(ctx: OrchestrationContext) -> str:
        ctx.deprecate_patch("by-mail")
        await ctx.wait_event("go")
        return await mail("x")

    history = start(edited)
    finish(history)
    history.replay(Registry(at_the_top, *ACTIVITIES))


def test_code_that_has_not_heard_of_a_patch_may_not_go_on() -> None:
    history = start(edited)
    finish(history)
    for code in (before, after):
        with pytest.raises(NondeterminismError) as caught:
            history.replay(Registry(code, *ACTIVITIES))
        text = str(caught.value)
        assert text.startswith("instance 'scripted': history took the patch 'by-mail' at replay/")
        assert "the code does not ask for it there" in text
        assert "ctx.deprecate_patch('by-mail')" in text


def test_a_patch_that_is_asked_for_earlier_than_it_was_is_told() -> None:
    @orchestration(name="notify")
    async def earlier(ctx: OrchestrationContext) -> str:
        by_mail = ctx.patched("by-mail")
        await ctx.wait_event("go")
        return await (mail if by_mail else letter)("x")

    history = start(edited)
    finish(history)
    with pytest.raises(NondeterminismError, match="asks for it earlier"):
        history.replay(Registry(earlier, *ACTIVITIES))


def test_a_run_from_before_the_patch_is_told_by_its_calls_once_it_is_deprecated() -> None:
    history = start(before)
    finish(history)
    with pytest.raises(NondeterminismError, match="`letter#1` was renamed to 'mail'"):
        history.replay(Registry(deprecating, *ACTIVITIES))


def test_other_differences_are_still_told_beside_a_patch() -> None:
    @orchestration(name="notify")
    async def other(ctx: OrchestrationContext) -> str:
        await ctx.wait_event("go")
        if ctx.patched("by-mail"):
            return await mail("y")
        return await letter("x")

    history = start(edited)
    finish(history)
    with pytest.raises(NondeterminismError, match="the input of `mail#1` changed"):
        history.replay(Registry(other, *ACTIVITIES))


def test_asking_in_a_callback_parks_the_run() -> None:
    @orchestration(name="notify")
    async def run(ctx: OrchestrationContext) -> str:
        asyncio.get_running_loop().call_soon(ctx.patched, "p")
        return await mail("x")

    with pytest.raises(ForbiddenCallError, match="in a callback"):
        start(run).turn()


def test_a_patch_needs_a_name_that_can_be_stored() -> None:
    @orchestration(name="notify")
    async def run(ctx: OrchestrationContext) -> str:
        with pytest.raises(DefinitionError, match="patch name"):
            ctx.patched("")
        return ""

    assert start(run).turn().ending is not None
