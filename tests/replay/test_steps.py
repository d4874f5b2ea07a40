"""Steps run once, within the turn, and are given out from its record ever after."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from perdure import (
    ActivityError,
    ApplicationError,
    OrchestrationContext,
    Registry,
    activity,
    orchestration,
)
from perdure.errors import DefinitionError, NondeterminismError
from perdure.model.actions import RecordStep
from perdure.model.codec import decode
from perdure.model.limits import Limits
from perdure.model.strictness import STRICT
from perdure.testing.scripted import ScriptedHistory

if TYPE_CHECKING:
    from collections.abc import Callable


@activity
def work(what: str) -> str:
    return what


@dataclass(frozen=True)
class Setting:
    name: str
    seen: datetime


calls: list[str] = []


def read_setting(name: str, *, loud: bool = False) -> Setting:
    calls.append(name)
    return Setting(name.upper() if loud else name, datetime.fromtimestamp(time.time()))  # noqa: DTZ006  any


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def output(history: ScriptedHistory) -> Any:
    ending = history.decided[-1].ending
    assert ending is not None
    assert ending.failure is None, ending.failure
    history.replay()
    return decode(ending.output, object)


def test_a_step_runs_once_and_comes_back_typed() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> list[Any]:
        found = ctx.step(read_setting, "colour", loud=True)
        await work("x")
        again = ctx.step(read_setting, "size")
        await work("y")
        return [found.name, type(found.seen).__name__, again.name]

    history = ScriptedHistory(Registry(run, work), run, cached=False, strictness=STRICT)
    (step, _) = history.turn().actions
    assert isinstance(step, RecordStep)
    assert (step.operation, step.name, step.failure) == ("0:1", "read_setting", None)
    assert step.line.startswith("replay/test_steps.py:")
    for operation in ("0:2", "0:4"):
        history.complete(operation, "")
        history.turn()
    assert calls == ["colour", "size"], "every turn replayed all before it"
    assert output(history) == ["COLOUR", "datetime", "size"]


def test_a_step_gives_what_a_replay_can_give() -> None:
    """By way of JSON from the first time on: never a value that the next process would not have."""

    def numbers() -> tuple[int, ...]:
        return (1, 2)

    def untyped():  # type: ignore[no-untyped-def]  # noqa: ANN202  on purpose
        return (1, 2)

    @orchestration
    async def run(ctx: OrchestrationContext) -> list[str]:
        return [type(ctx.step(numbers)).__name__, type(ctx.step(untyped)).__name__]

    history = ScriptedHistory(Registry(run), run)
    history.turn()
    assert output(history) == ["tuple", "list"]


def test_what_a_step_raises_is_recorded_and_raised_alike() -> None:
    def refuse(number: int) -> None:
        calls.append("x")
        raise ApplicationError("no", type="Refused", details={"number": number})

    @orchestration
    async def run(ctx: OrchestrationContext) -> list[Any]:
        try:
            ctx.step(refuse, 7)
        except ActivityError as error:
            await work("x")
            kind, details = (
                (error.failure.type, error.failure.details) if error.failure else ("", "")
            )
            return [str(error), kind, details, error.__cause__]
        return []

    history = ScriptedHistory(Registry(run, work), run, cached=False)
    history.turn()
    history.complete("0:2", "")
    history.turn()
    assert calls == ["x"]
    assert output(history) == ["step 'refuse' failed: Refused: no", "Refused", '{"number":7}', None]


def _awaitable() -> Any:
    async def never() -> None: ...

    return never()


@pytest.mark.parametrize(
    ("fn", "said"),
    [
        (object, "has no JSON form"),
        (_awaitable, "returned an awaitable; a step runs at once: make it an activity"),
        (lambda: "x" * 20, "22 bytes; at most 10"),
        (lambda: work("x"), "called where no orchestration runs"),
    ],
)
def test_results_that_cannot_be_kept(fn: Callable[[], Any], said: str) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        try:
            ctx.step(fn)
        except ActivityError as error:
            return str(error)
        return ""

    history = ScriptedHistory(Registry(run), run, limits=Limits(payload_bytes=10))
    (step,) = history.turn().actions
    assert isinstance(step, RecordStep)
    assert said in output(history)


def test_a_step_may_not_ask_the_run_for_anything() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        try:
            ctx.step(ctx.new_guid)
        except ActivityError as error:
            return str(error)
        return ""

    history = ScriptedHistory(Registry(run), run)
    history.turn()
    assert "may look at the run, and ask it for nothing" in output(history)


def test_async_steps_are_refused() -> None:
    async def later() -> int:
        return 1

    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        with pytest.raises(DefinitionError, match="make it an activity") as caught:
            _ = ctx.step(later)
        return str(caught.value)

    history = ScriptedHistory(Registry(run), run)
    assert history.turn().actions == ()
    assert output(history).startswith("step 'later' is `async def`")


def test_a_step_that_history_does_not_have_never_runs() -> None:
    def step_first(*, fresh: bool) -> Any:
        @orchestration(name="run")
        async def run(ctx: OrchestrationContext) -> None:
            if fresh:
                ctx.step(read_setting, "late")
            await work("x")

        return run

    old, new = step_first(fresh=False), step_first(fresh=True)
    history = ScriptedHistory(Registry(old, work), old)
    history.turn()
    with pytest.raises(NondeterminismError, match=r"0:1: a call was inserted: .* 'read_setting'"):
        history.replay(Registry(new, work))
    assert calls == []
    history = ScriptedHistory(Registry(new, work), new)
    history.turn()
    with pytest.raises(NondeterminismError, match=r"step 'read_setting' at replay/test_steps\.py"):
        history.replay(Registry(old, work))
