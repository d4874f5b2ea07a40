"""duroxide's twins for types, ids and versions do what the one method does."""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from perdure import OrchestrationContext, Registry, activity, orchestration
from perdure.errors import DefinitionError
from perdure.model.actions import ScheduleActivity, StartChild, StartDetached
from perdure.testing.scripted import ScriptedHistory

if TYPE_CHECKING:
    from collections.abc import Callable


@activity
def work(what: str) -> str:
    return what


@orchestration
async def child(ctx: OrchestrationContext, what: str) -> str:
    return what


type Call = Callable[[OrchestrationContext], object]


def decided(call: Call) -> Any:
    @orchestration(name="run")
    async def run(ctx: OrchestrationContext) -> None:
        call(ctx)
        await ctx.wait_event("end")

    history = ScriptedHistory(Registry(run, work, child), run)
    return history.turn().actions[0]


@pytest.mark.parametrize(
    ("call", "version", "instance"),
    [
        (lambda ctx: ctx.schedule_sub_orchestration_with_id(child, "c", "x"), None, "c"),
        (
            lambda ctx: ctx.schedule_sub_orchestration_with_id_typed("child", "c", {"what": "x"}),
            None,
            "c",
        ),
        (
            lambda ctx: ctx.schedule_sub_orchestration_versioned(child, "1.0.0", "x"),
            "1.0.0",
            "scripted::1/0:1",
        ),
        (
            lambda ctx: ctx.schedule_sub_orchestration_versioned(child, None, what="x"),
            None,
            "scripted::1/0:1",
        ),
        (
            lambda ctx: ctx.schedule_sub_orchestration_versioned_with_id(
                "child", "1.0.0", "c", {"what": "x"}
            ),
            "1.0.0",
            "c",
        ),
    ],
    ids=["id", "id, typed, by name", "version", "latest", "both"],
)
def test_children(call: Call, version: str | None, instance: str) -> None:
    action = decided(call)
    assert isinstance(action, StartChild)
    assert (action.name, action.input) == ("child", '{"what":"x"}')
    assert (action.version, action.instance) == (version, instance)
    assert "test_seed_twins.py:" in action.line


def test_detached() -> None:
    action = decided(
        lambda ctx: ctx.schedule_orchestration_versioned(child, "1.0.0", "d", {"what": "x"})
    )
    assert isinstance(action, StartDetached)
    assert (action.version, action.instance) == ("1.0.0", "d")


def test_typed() -> None:
    action = decided(lambda ctx: ctx.schedule_activity_on_session_typed(work, "s", "x"))
    assert isinstance(action, ScheduleActivity)
    assert action.options is not None
    assert action.options.session == "s"


def test_about_itself() -> None:
    @orchestration(version="2.1.0")
    async def itself(ctx: OrchestrationContext) -> list[object]:
        ctx.trace("warn", "seen")
        return [ctx.execution_id, ctx.orchestration_name, ctx.orchestration_version]

    ending = ScriptedHistory(Registry(itself), itself).turn().ending
    assert ending is not None
    assert ending.output == '[1,"itself","2.1.0"]'


def test_a_level_that_there_is_not() -> None:
    @orchestration
    async def wrong(ctx: OrchestrationContext) -> str:
        with pytest.raises(DefinitionError) as caught:
            ctx.trace("loud", "seen")
        return str(caught.value)

    ending = ScriptedHistory(Registry(wrong), wrong).turn().ending
    assert ending is not None
    assert ending.output == (
        "\"there is no level 'loud' to trace at; there are: DEBUG, INFO, WARN, WARNING, ERROR\""
    )


def test_continue_as_new_at_a_version() -> None:
    @orchestration
    async def again(ctx: OrchestrationContext, n: int) -> None:
        await ctx.continue_as_new_versioned("1.0.0", n + 1)

    turn = ScriptedHistory(Registry(again), again, 1).turn()
    assert turn.next_execution is not None
    assert (turn.next_execution.version, turn.next_execution.input) == ("1.0.0", '{"n":2}')
