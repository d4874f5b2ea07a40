"""Three ways to wait for what comes in by name, and what becomes of what nobody takes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from perdure import OrchestrationContext, Registry, activity, orchestration
from perdure.errors import DefinitionError, HistoryLimitError, PayloadError
from perdure.model.actions import CancelWait, CreateTimer, DequeueEvent, WaitEvent, WaitNext
from perdure.model.codec import decode
from perdure.model.ids import JsonText
from perdure.model.limits import Limits
from perdure.model.records import CarriedEvent, Ending, Outcome, RecordKind
from perdure.model.turns import decode_turn
from perdure.testing.scripted import ScriptedHistory


@activity
def work(what: str) -> str:
    return what


@dataclass(frozen=True)
class Order:
    id: int


def output(history: ScriptedHistory) -> Any:
    ending = history.decided[-1].ending
    assert ending is not None
    assert ending.failure is None, ending.failure
    history.replay()
    return decode(ending.output, object)


def unread(history: ScriptedHistory) -> tuple[tuple[str, ...], tuple[str, ...]]:
    body = decode_turn(history.decided[-1].body)
    return body.unread, body.unread_queued


@pytest.fixture(params=[True, False], ids=["live", "cold"])
def cached(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# ---------------------------------------------------------------------- queues


@orchestration
async def drain(ctx: OrchestrationContext, count: int) -> list[int]:
    queue = ctx.queue("orders", Order)
    return [(await queue.get()).id for _ in range(count)]


def test_a_queue_is_first_in_first_out_from_before_the_start(cached: bool) -> None:
    history = ScriptedHistory(Registry(drain), drain, 3, cached=cached)
    history.enqueue_event("orders", Order(1))
    history.enqueue_event("orders", Order(2))
    result = history.turn()
    assert [type(each) for each in result.actions] == [DequeueEvent] * 3
    history.enqueue_event("orders", Order(3))
    history.turn()
    assert output(history) == [1, 2, 3]
    assert unread(history) == ((), ())


def test_a_queue_is_walked_without_end(cached: bool) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> list[str]:
        found: list[str] = []
        async for word in ctx.queue("words", str):
            found.append(word)
            if word == "end":
                break
        return found

    history = ScriptedHistory(Registry(run), run, cached=cached)
    for word in ("a", "b", "end", "after"):
        history.enqueue_event("words", word)
        if history.decided == [] or history.decided[-1].ending is None:
            history.turn()
    assert output(history) == ["a", "b", "end"]


def test_queues_and_events_of_one_name_are_different_things(cached: bool) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> list[Any]:
        return [await ctx.dequeue_event("x", int), await ctx.wait_event("x", str)]

    history = ScriptedHistory(Registry(run), run, cached=cached)
    history.raise_event("x", "raised")
    history.turn()
    history.enqueue_event("x", 7)
    history.turn()
    assert output(history) == [7, "raised"]


def test_several_queues_are_independent(cached: bool) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> list[Any]:
        return list(await asyncio.gather(ctx.queue("a", int).get(), ctx.queue("b", int).get()))

    history = ScriptedHistory(Registry(run), run, cached=cached)
    history.turn()
    history.enqueue_event("b", 2)
    history.turn()
    history.enqueue_event("a", 1)
    history.turn()
    assert output(history) == [1, 2]


def test_a_dequeue_that_lost_a_race_takes_nothing(cached: bool) -> None:
    """The seed's fourth worked example, and a message in the batch of the timer."""

    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        try:
            async with asyncio.timeout(5):
                return str(await ctx.dequeue_event("q", str))
        except TimeoutError:
            return "second " + await ctx.dequeue_event("q", str)

    history = ScriptedHistory(Registry(run), run, cached=cached)
    history.turn()
    timer = next(a for a in history.actions() if isinstance(a, CreateTimer))
    history.fire(timer.operation)
    history.enqueue_event("q", "A")
    result = history.turn()
    assert any(isinstance(each, CancelWait) for each in result.actions)
    assert output(history) == "second A"


def test_a_message_that_does_not_fit_is_the_codes_to_handle() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> Any:
        inbox = ctx.queue("orders", Order)
        try:
            await inbox.get()
        except PayloadError as error:
            return [str(error), (await inbox.get()).id]

    history = ScriptedHistory(Registry(run), run)
    history.enqueue_event("orders", "no order")
    history.enqueue_event("orders", Order(2))
    history.turn()
    message, following = output(history)
    assert "a message of queue 'orders' does not read as Order" in message
    assert following == 2


def test_names_that_cannot_be() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> list[str]:
        found = list[str]()
        for call in (ctx.queue, ctx.dequeue_event, ctx.schedule_wait, ctx.wait_event):
            with pytest.raises(DefinitionError) as caught:
                call("")
            found.append(str(caught.value))
        return found

    history = ScriptedHistory(Registry(run), run)
    history.turn()
    kinds = [text.partition(" ")[0] for text in output(history)]
    assert kinds == ["queue", "queue", "event", "event"]


# -------------------------------------------------------------------- positional


def test_an_event_raised_before_a_positional_wait_is_not_given_to_it(cached: bool) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> list[Any]:
        await work("first")
        first = await ctx.schedule_wait("go", int)
        return [first, await ctx.wait_event("go", int)]

    history = ScriptedHistory(Registry(run, work), run, cached=cached)
    history.raise_event("go", 1)
    history.turn()
    history.complete("0:1", "")
    assert [type(each) for each in history.turn().actions] == [WaitNext]
    history.raise_event("go", 2)
    result = history.turn()
    assert [type(each) for each in result.actions] == [WaitEvent]
    assert output(history) == [2, 1]


def test_timer_beats_event_then_a_second_wait(cached: bool) -> None:
    """The seed's first worked example: what comes between the waits is delivered to neither."""

    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        index, _ = await ctx.select2(ctx.schedule_timer(1), ctx.schedule_wait("go", str))
        assert index == 0
        await work("between")
        return await ctx.schedule_wait("go", str)

    history = ScriptedHistory(Registry(run, work), run, cached=cached)
    history.turn()
    history.fire("0:1")
    assert any(isinstance(each, CancelWait) for each in history.turn().actions)
    history.raise_event("go", "nobody waits")
    history.turn()
    history.complete("0:3", "")
    history.turn()
    history.raise_event("go", "second")
    history.turn()
    assert output(history) == "second"
    assert unread(history) == (("go",), ())


def test_two_raises_one_positional_wait(cached: bool) -> None:
    """The second example: the second raise is kept, but not for a wait that was opened later."""

    @orchestration
    async def run(ctx: OrchestrationContext) -> list[str]:
        first = await ctx.schedule_wait("go", str)
        return [first, await ctx.schedule_wait("go", str)]

    history = ScriptedHistory(Registry(run), run, cached=cached)
    history.turn()
    history.raise_event("go", "1")
    history.turn()
    history.raise_event("go", "2")
    history.turn()
    assert output(history) == ["1", "2"]

    history = ScriptedHistory(Registry(run), run, cached=cached)
    history.turn()
    history.raise_event("go", "1")
    history.raise_event("go", "2")
    history.turn()
    assert output(history) == ["1", "2"], "the code ran to its next wait between the two"


def test_two_positional_waits_are_served_in_the_order_they_were_opened(cached: bool) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> list[str]:
        first, second = ctx.schedule_wait("go", str), ctx.schedule_wait("go", str)
        return [await second, await first]

    history = ScriptedHistory(Registry(run), run, cached=cached)
    assert [type(each) for each in history.turn().actions] == [WaitNext] * 2
    history.raise_event("go", "1")
    history.raise_event("go", "2")
    history.turn()
    assert output(history) == ["2", "1"]


def test_both_sorts_of_waits_stand_in_one_line(cached: bool) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> list[str]:
        waits = [ctx.schedule_wait, ctx.wait_event, ctx.schedule_wait]
        return await asyncio.gather(*(wait("go", str) for wait in waits))

    history = ScriptedHistory(Registry(run), run, cached=cached)
    history.turn()
    for word in ("1", "2", "3"):
        history.raise_event("go", word)
        history.turn()
    assert output(history) == ["1", "2", "3"]


# ---------------------------------------------------------- continue-as-new, the end


@orchestration
async def rounds(ctx: OrchestrationContext, number: int) -> list[Any]:
    if number == 0:
        await ctx.wait_event("go")
        await ctx.continue_as_new(1)
    return [await ctx.queue("q", int).get(), await ctx.wait_event("e", str)]


def test_continue_as_new_carries_what_nobody_read_in_order(cached: bool) -> None:
    history = ScriptedHistory(Registry(rounds), rounds, 0, cached=cached)
    history.enqueue_event("q", 1)
    history.turn()
    history.raise_event("e", "x")
    history.raise_event("go")
    history.enqueue_event("q", 2)
    result = history.turn()
    assert result.ending == Ending(Outcome.CONTINUED_AS_NEW)
    assert result.next_execution is not None
    assert result.next_execution.carried == (
        CarriedEvent("q", JsonText("1"), queued=True),
        CarriedEvent("e", JsonText('"x"')),
        CarriedEvent("q", JsonText("2"), queued=True),
    )
    assert unread(history) == ((), ())
    following = history.follow()
    following.turn()
    assert output(following) == [1, "x"]
    assert unread(following) == ((), ("q",))


def test_what_nobody_read_is_listed_at_the_end_whatever_the_end(cached: bool) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        await ctx.wait_event("go")
        raise ValueError("no")

    history = ScriptedHistory(Registry(run), run, cached=cached)
    history.enqueue_event("q", 1)
    history.raise_event("e")
    history.turn()
    history.raise_event("go")
    history.enqueue_event("q", 2)
    history.raise_event("go")
    result = history.turn()
    assert result.ending is not None
    assert result.ending.outcome is Outcome.FAILED
    assert unread(history) == (("e", "go"), ("q", "q"))


def test_a_continue_as_new_that_would_carry_too_much_parks_the_run() -> None:
    limits = Limits(carried_events=2)
    history = ScriptedHistory(Registry(rounds), rounds, 0, limits=limits)
    for number in range(3):
        history.enqueue_event("q", number)
    history.turn()
    history.raise_event("go")
    with pytest.raises(HistoryLimitError, match=r"with 3 unread events; the limit is 2\. Read"):
        history.turn()
    more = ScriptedHistory(Registry(rounds), rounds, 0, limits=Limits(carried_events=3))
    more.records = history.records
    assert more.turn().ending == Ending(Outcome.CONTINUED_AS_NEW)


def test_nothing_is_lost_among_many_messages(cached: bool) -> None:
    history = ScriptedHistory(Registry(drain), drain, 60, cached=cached)
    numbers = list(range(60))
    for number in numbers:
        history.enqueue_event("orders", Order(number))
        if number % 7 == 0:
            history.turn()
    if history.decided[-1].ending is None:
        history.turn()
    assert output(history) == numbers
    queued = [each for each in history.records if each.kind is RecordKind.EVENT_QUEUED]
    assert len(queued) == len(numbers)
