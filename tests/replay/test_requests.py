"""Queries look at a run between its turns; updates change it, and are answered by decisions."""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

import asyncio
import gc
import weakref
from dataclasses import dataclass
from typing import Any

import pytest

from perdure import (
    ApplicationError,
    OrchestrationContext,
    Registry,
    activity,
    current,
    orchestration,
)
from perdure.errors import DefinitionError, ForbiddenCallError, NondeterminismError
from perdure.model.actions import AnswerUpdate, ScheduleActivity
from perdure.model.codec import decode
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import JsonText
from perdure.model.records import Outcome
from perdure.testing.scripted import ScriptedHistory


@activity
def price(item: str) -> int:
    return len(item)


@dataclass(frozen=True)
class Line:
    item: str
    count: int = 1


def output(history: ScriptedHistory) -> Any:
    ending = history.decided[-1].ending
    assert ending is not None
    assert ending.failure is None, ending.failure
    history.replay()
    return decode(ending.output, object)


def failed(answer: object) -> Failure:
    assert isinstance(answer, Failure)
    return answer


@pytest.fixture(params=[True, False], ids=["live", "cold"])
def cached(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@orchestration
async def cart(ctx: OrchestrationContext, owner: str) -> dict[str, int]:
    lines: dict[str, int] = {}
    paid = asyncio.Event()

    @ctx.query
    def total() -> int:
        return sum(lines.values())

    @ctx.query(name="line-of")
    def line(item: str, otherwise: int = 0) -> dict[str, Any]:
        return {"owner": current().instance_id, "found": lines.get(item, otherwise)}

    @ctx.update
    async def add(line: Line) -> int:
        lines[line.item] = line.count * await price(line.item)
        return sum(lines.values())

    @add.validator
    def check(line: Line) -> None:
        if line.count < 1:
            raise ApplicationError("count below 1", type="BadCount", details={"count": line.count})

    @ctx.update(name="pay")
    def pay_now() -> None:
        paid.set()

    await paid.wait()
    return lines


REGISTRY = Registry(cart, price)


def test_an_update_runs_as_a_task_and_is_answered_by_a_decision(cached: bool) -> None:
    history = ScriptedHistory(REGISTRY, cart, "bob", cached=cached)
    history.turn()
    history.update("u1", "add", line=Line("apple", 2))
    asked = history.turn()
    (scheduled,) = asked.actions
    assert isinstance(scheduled, ScheduleActivity)
    assert scheduled.operation == "u.0:1"
    history.complete("u.0:1", 5)
    answered = history.turn()
    assert answered.actions == (AnswerUpdate("u1", JsonText("10")),)
    history.update("u2", "pay")
    assert history.turn().ending is not None
    assert history.answers()["u2"] == AnswerUpdate("u2", JsonText("null"))
    assert output(history) == {"apple": 10}


def test_updates_run_beside_each_other(cached: bool) -> None:
    history = ScriptedHistory(REGISTRY, cart, "bob", cached=cached)
    history.update("u1", "add", line=Line("a"))
    history.update("u2", "add", line=Line("b", 3))
    history.turn()
    history.complete("u.1:1", 1)
    history.turn()
    history.complete("u.0:1", 1)
    history.turn()
    assert {name: each.result for name, each in history.answers().items()} == {"u2": "3", "u1": "4"}
    assert history.query("total") == 4
    history.replay()


def test_a_validator_refuses_before_the_handler_runs(cached: bool) -> None:
    history = ScriptedHistory(REGISTRY, cart, "bob", cached=cached)
    history.update("u1", "add", line=Line("a", 0))
    history.turn()
    failure = history.answers()["u1"].failure
    assert failure is not None
    assert (failure.type, failure.message, failure.details) == (
        "BadCount",
        "count below 1",
        '{"count":0}',
    )
    assert not any(isinstance(each, ScheduleActivity) for each in history.actions())
    history.replay()


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("remove", {}, "there is no update 'remove' here; there are: add, pay"),
        ("add", {}, "update 'add' lacks the argument 'line'"),
        ("add", {"line": 5}, "argument of update 'add' does not fit: line: "),
        ("add", {"line": {"item": "a"}, "more": 1}, "update 'add' has no parameter 'more'"),
    ],
)
def test_updates_that_cannot_be_served(name: str, arguments: dict[str, Any], said: str) -> None:
    history = ScriptedHistory(REGISTRY, cart, "bob")
    history.update("u1", name, **arguments)
    assert history.turn().ending is None
    failure = history.answers()["u1"].failure
    assert failure is not None
    assert said in failure.message
    history.replay()


def test_a_handler_that_raises_fails_its_update_and_not_the_run(cached: bool) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        @ctx.update
        async def boom() -> None:
            await price("x")
            raise ValueError("no")

        await ctx.wait_event("end")

    history = ScriptedHistory(Registry(run, price), run, cached=cached)
    history.update("u1", "boom")
    history.turn()
    history.fail("u.0:1", "too dear")
    assert history.turn().ending is None
    failure = history.answers()["u1"].failure
    assert failure is not None
    assert failure.type == "ActivityError"
    history.update("u2", "boom")
    history.turn()
    history.complete("u.1:1", 1)
    history.turn()
    failure = history.answers()["u2"].failure
    assert failure is not None
    assert (failure.type, failure.message) == ("ValueError", "no")
    assert failure.traceback is not None
    assert "test_requests.py" in failure.traceback
    history.replay()


def test_an_update_sent_twice_is_served_once() -> None:
    history = ScriptedHistory(REGISTRY, cart, "bob")
    history.update("u1", "pay")
    history.update("u1", "pay")
    history.turn()
    assert [type(each) for each in history.actions()].count(AnswerUpdate) == 1


@orchestration
async def rounds(ctx: OrchestrationContext, number: int) -> list[str]:
    served: list[str] = []

    @ctx.update
    async def note(word: str) -> int:
        if number == 0:
            await ctx.wait_event("never")
        served.append(word)
        return number

    await ctx.wait_event("go")
    if number == 0:
        await ctx.continue_as_new(1)
    return served


def test_unanswered_updates_go_along_and_begin_anew(cached: bool) -> None:
    history = ScriptedHistory(Registry(rounds), rounds, 0, cached=cached)
    history.turn()
    history.update("u1", "note", word="first")
    history.turn()
    history.raise_event("go")
    history.update("u2", "note", word="while it ended")
    result = history.turn()
    assert result.next_execution is not None
    assert [each.update for each in result.next_execution.updates] == ["u1", "u2"]
    assert history.answers() == {}
    history.replay()
    following = history.follow()
    following.turn()
    assert {name: each.result for name, each in following.answers().items()} == {
        "u1": "1",
        "u2": "1",
    }
    following.raise_event("go")
    following.turn()
    assert output(following) == ["first", "while it ended"]


@pytest.mark.parametrize("how", ["end", "cancel", "raise"])
def test_unanswered_updates_are_answered_when_the_run_ends(how: str, cached: bool) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        @ctx.update
        async def forever() -> None:
            await ctx.wait_event("never")

        if await ctx.wait_event("end") == "raise":
            raise ValueError("no")

    history = ScriptedHistory(Registry(run), run, cached=cached)
    history.update("u1", "forever")
    history.turn()
    if how == "cancel":
        history.cancel("enough")
    else:
        history.raise_event("end", how)
    history.update("u2", "forever")
    result = history.turn()
    assert result.ending is not None
    answers = history.answers()
    assert list(answers) == ["u1", "u2"]
    for answer in answers.values():
        assert answer.failure is not None
        assert answer.failure.message == (
            f"the run ended as {result.ending.outcome} before it answered"
        )
    history.replay()


def test_code_can_wait_for_its_updates(cached: bool) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> int:
        quiet = asyncio.Condition()

        @ctx.update
        async def slow() -> int:
            found = await price("x")
            async with quiet:
                quiet.notify_all()
            return found

        await ctx.wait_event("end")
        begun = ctx.unfinished_updates
        async with quiet:
            await quiet.wait_for(lambda: ctx.unfinished_updates < begun + 1)
        return begun

    history = ScriptedHistory(Registry(run, price), run, cached=cached)
    history.update("u1", "slow")
    history.turn()
    history.raise_event("end")
    history.turn()
    if history.decided[-1].ending is None:
        history.complete("u.0:1", 7)
        history.turn()
    assert output(history) == 1


def test_an_answer_that_the_code_no_longer_gives_is_found() -> None:
    def program(answer: int) -> Any:
        @orchestration(name="run")
        async def run(ctx: OrchestrationContext) -> None:
            @ctx.update
            def ask() -> int:
                return answer

            await ctx.wait_event("end")

        return run

    before = program(1)
    history = ScriptedHistory(Registry(before), before)
    history.update("u1", "ask")
    history.turn()
    history.replay()
    with pytest.raises(
        NondeterminismError, match=r"update 'u1': the value of the answer to .* changed"
    ):
        history.replay(Registry(program(2)))


# -------------------------------------------------------------------------- queries


def test_queries_see_the_state_after_the_last_turn(cached: bool) -> None:
    history = ScriptedHistory(REGISTRY, cart, "bob", cached=cached)
    history.turn()
    assert history.query("total") == 0
    history.update("u1", "add", line=Line("a", 3))
    assert history.query("total") == 0, "it has arrived, and no turn has seen it"
    history.turn()
    history.complete("u.0:1", 2)
    history.turn()
    assert history.query("total") == 6
    assert history.query("line-of", item="a") == {"owner": "scripted", "found": 6}
    assert history.query("line-of", item="b", otherwise=-1) == {"owner": "scripted", "found": -1}
    records = len(history.records)
    history.update("u2", "pay")
    assert history.turn().ending is not None
    assert history.query("total") == 6, "also after the end"
    assert len(history.records) == records + 2
    history.replay()


def test_queries_that_cannot_be_answered() -> None:
    history = ScriptedHistory(REGISTRY, cart, "bob")
    history.turn()
    assert failed(history.query("sum")).message == (
        "there is no query 'sum' here; there are: line-of, total"
    )
    assert "lacks the argument 'item'" in failed(history.query("line-of")).message
    assert failed(history.query("total", x=1)).category is FailureCategory.CONFIGURATION


@pytest.mark.parametrize("what", ["activity", "status", "kv", "event", "uuid", "wake", "task"])
def test_a_query_changes_nothing(what: str) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        gate = asyncio.Event()

        @ctx.query
        def meddle() -> None:
            match what:
                case "activity":
                    price("x")
                case "status":
                    ctx.set_custom_status("x")
                case "kv":
                    ctx.kv["x"] = 1
                case "event":
                    ctx.wait_event("x")
                case "uuid":
                    ctx.uuid4()
                case "wake":
                    gate.set()
                case _:
                    asyncio.get_running_loop().create_task(asyncio.sleep(1))

        await gate.wait()
        return "woken"

    history = ScriptedHistory(Registry(run, price), run)
    history.turn()
    live = history.open()
    live.repeat(history.records)
    answer = live.answer_query("meddle", JsonText("{}"))
    if what in ("wake", "task"):
        assert live.spoiled, "so whoever keeps it throws it away"
    else:
        assert failed(answer).type == "ForbiddenCallError"
        assert "may look at the run, and ask it for nothing" in failed(answer).message
        assert not live.spoiled
    live.close()
    history.raise_event("x")
    assert history.turn().actions == ()


def test_a_validator_may_ask_for_nothing_either() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        @ctx.update
        def ask() -> int:
            return 1

        @ask.validator
        def check() -> None:
            price("x")

        await ctx.wait_event("end")

    history = ScriptedHistory(Registry(run, price), run)
    history.update("u1", "ask")
    history.turn()
    answer = history.answers()["u1"]
    assert answer.failure is not None
    assert answer.failure.type == "ForbiddenCallError"
    history.replay()


@pytest.mark.parametrize("kind", ["query", "validator", "name", "types"])
def test_handlers_that_cannot_be(kind: str) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        async def handler(x: int) -> None: ...

        def update(x: object) -> None: ...

        def define() -> None:
            match kind:
                case "query":
                    ctx.query(handler)
                case "validator":
                    ctx.update(update).validator(handler)
                case "name":
                    ctx.query(name="")(update)
                case _:
                    ctx.update(_takes_anything)

        with pytest.raises(DefinitionError) as caught:
            define()
        return str(caught.value)

    history = ScriptedHistory(Registry(run), run)
    history.turn()
    assert {
        "query": "query 'handler' is `async def`; a query reads and never waits",
        "validator": "the validator of update 'update' is `async def`; it may only look",
        "name": "query name '' cannot be: it has 0 bytes",
        "types": "update '_takes_anything' takes *args",
    }[kind] in output(history)


def _takes_anything(*args: int) -> None: ...


def test_forbidden_calls_of_a_handler_park_the_run() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        @ctx.update
        async def thread() -> None:
            await asyncio.to_thread(print)

        await ctx.wait_event("end")

    history = ScriptedHistory(Registry(run), run)
    history.update("u1", "thread")
    with pytest.raises(ForbiddenCallError, match="threads are not replayed"):
        history.turn()


def test_signatures_are_read_once_and_hold_no_execution() -> None:
    """A handler is an inner function: what it closes over must not outlive its execution."""

    class Big:
        pass

    seen: list[weakref.ref[Big]] = []

    @orchestration
    async def run(ctx: OrchestrationContext, number: int) -> None:
        big = Big()
        seen.append(weakref.ref(big))

        @ctx.query
        def look(of: str) -> str:
            return of + str(type(big)) + str(number)

        @ctx.update
        def change(to: list[int]) -> list[int]:
            return [*to, id(big) * 0 + number]

        await ctx.wait_event("end")

    for number in range(3):
        history = ScriptedHistory(Registry(run), run, number)
        history.update("u1", "change", to=[1])
        history.turn()
        assert history.answers()["u1"].result == f"[1,{number}]"
        assert str(history.query("look", of="x")).endswith(str(number))
        history.close()
        del history
    gc.collect()
    assert [each() for each in seen] == [None] * 3


def test_the_run_may_end_while_a_handler_still_runs() -> None:
    history = ScriptedHistory(REGISTRY, cart, "bob")
    history.update("u1", "add", line=Line("a"))
    history.update("u2", "pay")
    result = history.turn()
    assert result.ending is not None
    assert result.ending.outcome is Outcome.COMPLETED
    assert history.answers()["u1"].failure is not None
    history.replay()
