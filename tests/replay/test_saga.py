"""What a saga takes back, when, and what is left if that fails."""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from perdure import ActivityError, OrchestrationContext, Registry, activity, orchestration
from perdure.errors import ForbiddenCallError, PayloadError
from perdure.model.actions import CreateTimer, ScheduleActivity, WaitEvent
from perdure.model.records import Ending, Outcome
from perdure.testing.scripted import ScriptedHistory

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from perdure.replay.saga import Saga


@activity
def book(what: str) -> str:
    return what


@activity
def cancel(booking: str, *, fee: int = 0) -> str:
    return booking


@activity
def charge(amount: int) -> str:
    return str(amount)


@orchestration
async def refund(ctx: OrchestrationContext, amount: int) -> None:
    return None


type Body = Callable[[OrchestrationContext], Coroutine[Any, Any, Any]]


class Script:
    """Runs a body; every activity succeeds but those whose input is named as failing."""

    def __init__(self, body: Body, *failing: str) -> None:
        definition = orchestration(name="run")(body)
        registry = Registry(definition, refund, book, cancel, charge)
        self.history = ScriptedHistory(registry, definition)
        self.failing = failing
        self.calls: list[str] = []

    def answer(self, action: Any) -> None:
        if isinstance(action, ScheduleActivity):
            call = f"{action.name}{action.input}"
            self.calls.append(call)
            if any(sign in call for sign in self.failing):
                self.history.fail(action.operation, f"no {action.name}")
            else:
                self.history.complete(action.operation, action.name)
        elif type(action).__name__ == "StartChild":
            self.calls.append(f"{action.name}{action.input}")
            self.history.complete_child(action.operation)
        elif isinstance(action, CreateTimer):
            self.history.fire(action.operation)

    def end(self) -> Ending:
        ending = self.history.drive(self.answer).ending
        assert ending is not None
        self.history.replay()
        return ending


async def trip(ctx: OrchestrationContext) -> str:
    async with ctx.saga() as saga:
        room = await book("room")
        saga.compensate(cancel, room)
        seat = await book("seat")
        saga.compensate(cancel, seat, fee=5)
        saga.compensate(refund, 7)
        await charge(10)
    return "booked"


ROOM, SEAT, BACK = (
    'cancel{"booking":"book"}',
    'cancel{"booking":"book","fee":5}',
    'refund{"amount":7}',
)
STEPS = ['book{"what":"room"}', 'book{"what":"seat"}', 'charge{"amount":10}']


def test_what_ends_well_stays() -> None:
    script = Script(trip)
    assert script.end().output == '"booked"'
    assert script.calls == STEPS


def test_a_failure_takes_the_steps_back_the_last_first() -> None:
    script = Script(trip, "charge")
    ending = script.end()
    assert script.calls == [*STEPS, BACK, SEAT, ROOM]
    assert ending.failure is not None
    assert ending.failure.type == "ActivityError"
    assert "no charge" in ending.failure.message


def test_only_what_was_done_is_taken_back() -> None:
    script = Script(trip, "seat")
    script.end()
    assert script.calls == [*STEPS[:2], ROOM]


def test_a_compensation_shows_the_line_that_asked_for_it() -> None:
    script = Script(trip, "charge")
    script.end()
    lines = [a.line for a in script.history.actions() if isinstance(a, ScheduleActivity)]
    first = trip.__code__.co_firstlineno
    assert lines[-2:] == [f"replay/test_saga.py:{first + n}" for n in (5, 3)]


def test_failures_of_compensations_stand_beside_what_came_first() -> None:
    found = list[BaseException]()

    async def body(ctx: OrchestrationContext) -> None:
        try:
            await trip(ctx)
        except* ActivityError as group:
            if not ctx.is_replaying:
                found.extend(group.exceptions)
            raise

    script = Script(body, "charge", "fee")
    ending = script.end()
    assert script.calls == [*STEPS, BACK, SEAT, ROOM]
    assert ["charge" in str(error) for error in found] == [True, False]
    assert ending.failure is not None
    assert ending.failure.type == "ExceptionGroup"
    assert "1 compensation failed after this" in ending.failure.message


def test_a_cancelled_run_takes_back_and_is_cancelled() -> None:
    async def body(ctx: OrchestrationContext) -> None:
        async with ctx.saga() as saga:
            saga.compensate(cancel, await book("room"))
            await ctx.wait_event("never")

    script = Script(body)
    history = script.history
    history.turn()
    history.complete("0:1", "room")
    history.turn()
    history.cancel("enough")
    (_, undo) = history.turn().actions
    assert isinstance(undo, ScheduleActivity)
    assert undo.name == "cancel"
    history.cancel("really")
    assert history.turn().ending is None
    history.complete(undo.operation, "room")
    ending = history.turn().ending
    assert ending is not None
    assert ending.outcome is Outcome.CANCELLED
    history.replay()


def test_a_cancelled_run_whose_compensation_fails_has_failed() -> None:
    async def body(ctx: OrchestrationContext) -> None:
        async with ctx.saga() as saga:
            saga.compensate(cancel, "room")
            await ctx.wait_event("never")

    script = Script(body, "cancel")
    script.history.turn()
    script.history.cancel("enough")
    ending = script.end()
    assert ending.outcome is Outcome.FAILED
    assert ending.failure is not None
    assert ending.failure.type == "BaseExceptionGroup"
    assert "no cancel" in ending.failure.message


def test_a_timeout_that_strikes_while_taking_back_waits_for_it() -> None:
    seen = list[str]()

    async def slowly() -> None:
        await asyncio.sleep(5)  # may sleep: it is a durable timer
        await cancel("slow")

    async def body(ctx: OrchestrationContext) -> str:
        try:
            async with asyncio.timeout(3), ctx.saga() as saga:
                saga.compensate(slowly)
                message = "no"
                raise ValueError(message)
        except TimeoutError as error:
            context = error.__cause__ and error.__cause__.__context__
            return type(context).__name__

    script = Script(body)
    assert script.end().output == '"ValueError"'
    assert script.calls == ['cancel{"booking":"slow"}']
    assert seen == []


def test_sagas_nest() -> None:
    async def body(ctx: OrchestrationContext) -> None:
        async with ctx.saga() as outer:
            outer.compensate(cancel, "outer")
            async with ctx.saga() as inner:
                inner.compensate(cancel, "inner")
                await charge(1)

    script = Script(body, "charge", "inner")
    script.end()
    assert script.calls[1:] == ['cancel{"booking":"inner"}', 'cancel{"booking":"outer"}']


def test_nothing_is_taken_back_beyond_the_point_of_no_return() -> None:
    async def body(ctx: OrchestrationContext) -> None:
        async with ctx.saga() as saga:
            saga.compensate(cancel, "a")
            saga.forget()
            saga.compensate(cancel, "b")
            await charge(1)

    script = Script(body, "charge")
    script.end()
    assert script.calls[1:] == ['cancel{"booking":"b"}']


def test_a_dropped_execution_takes_nothing_back() -> None:
    async def body(ctx: OrchestrationContext) -> None:
        async with ctx.saga() as saga:
            saga.compensate(cancel, "a")
            await ctx.wait_event("never")

    script = Script(body)
    (wait,) = script.history.turn().actions
    assert isinstance(wait, WaitEvent)
    script.history.close()
    assert len(script.history.actions()) == 1
    script.history.cancel()
    (_, undo) = script.history.turn().actions
    assert isinstance(undo, ScheduleActivity)


def test_nothing_is_taken_back_by_continuing_as_new() -> None:
    async def body(ctx: OrchestrationContext) -> None:
        async with ctx.saga() as saga:
            saga.compensate(cancel, "a")
            await ctx.continue_as_new()

    result = Script(body).history.turn()
    assert result.ending == Ending(Outcome.CONTINUED_AS_NEW)
    assert [type(action).__name__ for action in result.actions] == ["ContinueAsNew"]


def test_a_group_waits_for_what_its_members_take_back() -> None:
    async def member(ctx: OrchestrationContext) -> None:
        async with ctx.saga() as saga:
            saga.compensate(cancel, await book("room"))
            await ctx.wait_event("never")

    async def body(ctx: OrchestrationContext) -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(member(ctx))
                await asyncio.sleep(1)
                await charge(1)
        except* ActivityError:
            pass
        return await book("instead")

    script = Script(body, "charge")
    assert script.end().output == '"book"'
    assert script.calls[-2:] == ['cancel{"booking":"book"}', 'book{"what":"instead"}']


def test_compensations_may_be_sagas_themselves() -> None:
    async def undo(ctx: OrchestrationContext) -> None:
        async with ctx.saga() as saga:
            saga.compensate(cancel, "deep")
            await charge(2)

    async def body(ctx: OrchestrationContext) -> None:
        async with ctx.saga() as saga:
            saga.compensate(undo, ctx)
            await charge(1)

    script = Script(body, "charge")
    ending = script.end()
    assert script.calls[1:] == ['charge{"amount":2}', 'cancel{"booking":"deep"}']
    assert ending.failure is not None
    assert "1 compensation failed" in ending.failure.message


def test_wrong_arguments_are_told_when_they_are_given() -> None:
    async def body(ctx: OrchestrationContext) -> None:
        async with ctx.saga() as saga:
            with pytest.raises(PayloadError, match="argument 'booking' of activity 'cancel'"):
                saga.compensate(cancel, 5)  # type: ignore[arg-type]  # wrong on purpose
            with pytest.raises(TypeError, match="lacks the argument 'booking'"):
                saga.compensate(cancel)  # type: ignore[call-arg]  # wrong on purpose
            with pytest.raises(TypeError, match="it is called only when needed"):
                saga.compensate(book("a"))  # type: ignore[arg-type]  # wrong on purpose

    assert Script(body).end().outcome is Outcome.COMPLETED


def test_a_compensation_that_gives_nothing_to_await_is_told_of() -> None:
    async def body(ctx: OrchestrationContext) -> None:
        async with ctx.saga() as saga:
            saga.compensate(cancel, "a")
            saga.compensate(str, 5)  # type: ignore[arg-type]  # wrong on purpose
            raise ValueError

    script = Script(body)
    failure = script.end().failure
    assert failure is not None
    assert "test_saga.py" in failure.message
    assert "gave nothing to await" in failure.message
    assert script.calls == ['cancel{"booking":"a"}']


def test_a_saga_is_used_in_its_scope() -> None:
    async def body(ctx: OrchestrationContext) -> None:
        saga: Saga = ctx.saga()
        with pytest.raises(ForbiddenCallError, match="outside of its scope"):
            saga.compensate(cancel, "a")
        async with saga:
            with pytest.raises(ForbiddenCallError, match="open already"):
                await saga.__aenter__()
        with pytest.raises(ForbiddenCallError, match="outside of its scope"):
            saga.compensate(cancel, "a")

    assert Script(body).end().outcome is Outcome.COMPLETED
