"""Queries: asked through storage, answered by whoever has the code, recorded nowhere."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from perdure.model.ids import ExecutorId, InstanceId, JsonText
from perdure.providers.administering import Answer, OpenQuestion, Question
from perdure.providers.work import (
    AnsweredHint,
    CodeId,
    Control,
    ControlVerb,
    EnqueueOutcome,
    QuestionsHint,
    UpdateAnswer,
)
from perdure.testing.conformance.registry import check
from perdure.testing.conformance.world import LEASE, MOMENT, NAME, VERSION, World, boom

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from perdure.providers.work import Hint

ACCEPTED = EnqueueOutcome.ACCEPTED
WITHIN = timedelta(minutes=1)
HINT_SECONDS_MAX = 10


def question(
    instance: str, number: int | str = 1, *, name: str = "progress", within: timedelta = WITHIN
) -> Question:
    """Make a question."""
    return Question(f"q{number}", InstanceId(instance), name, JsonText('{"x":1}'), within)


async def ask(w: World, *questions: Question) -> Sequence[EnqueueOutcome]:
    """Ask."""
    return list(await w.provider.ask(questions))


async def given(
    w: World,
    *,
    code: Sequence[tuple[str, str]] = ((NAME, VERSION),),
    limit: int = 100,
    lease: timedelta = LEASE,
) -> Sequence[OpenQuestion]:
    """Fetch questions."""
    codes = [CodeId(*each) for each in code]
    return list(await w.provider.fetch_questions(ExecutorId(1), codes, limit, lease))


@check()
async def a_question_is_given_out_and_answered(w: World) -> None:
    await w.start("a")
    await w.advance_turn()
    before = await w.kinds("a")
    assert await ask(w, question("a")) == [ACCEPTED]
    (opened,) = await given(w)
    assert (opened.question.id, opened.question.instance) == ("q1", "a")
    assert (opened.question.name, opened.question.input) == ("progress", '{"x":1}')
    assert WITHIN - MOMENT <= opened.question.within <= WITHIN
    assert (opened.execution, opened.orchestration, opened.version) == (1, NAME, VERSION)
    assert await w.answers("a", "q1") == [None]
    await w.provider.answer([Answer("q1", JsonText("7"))])
    assert await w.answers("a", "q0", "q1") == [None, Answer("q1", JsonText("7"))]
    assert await given(w) == []
    assert await w.kinds("a") == before, "nothing of it is recorded"
    assert await w.turns() == (), "and it wakes nobody"


@check()
async def a_question_may_fail(w: World) -> None:
    await w.start("a")
    await ask(w, question("a"))
    await given(w)
    await w.provider.answer([Answer("q1", failure=boom())])
    assert await w.answers("a", "q1") == [Answer("q1", failure=boom())]


@check()
async def who_is_not_there_cannot_be_asked_and_who_has_ended_can(w: World) -> None:
    await w.send(w.event("awaited"))
    await w.start("done", "ended")
    for turn in await w.turns():
        if turn.instance == "done":
            await w.end(turn)
    await w.provider.control([Control(InstanceId("ended"), ControlVerb.TERMINATE)])
    outcomes = await ask(
        w, question("nobody", 1), question("done", 2), question("awaited", 3), question("ended", 4)
    )
    assert outcomes == [EnqueueOutcome.FINISHED, ACCEPTED, EnqueueOutcome.FINISHED, ACCEPTED]
    assert {each.question.instance for each in await given(w)} == {"done", "ended"}


@check()
async def a_question_asked_again_adds_nothing(w: World) -> None:
    await w.start("a")
    assert await ask(w, question("a"), question("a")) == [ACCEPTED, ACCEPTED]
    assert len(await given(w)) == 1
    await w.provider.answer([Answer("q1", JsonText("1"))])
    assert await ask(w, question("a")) == [ACCEPTED]
    assert await given(w) == []
    await w.provider.answer([Answer("q1", JsonText("2"))])
    assert await w.answers("a", "q1") == [Answer("q1", JsonText("1"))], "the first answer holds"


@check()
async def only_who_has_the_code_is_given_a_question(w: World) -> None:
    await w.start("a")
    await w.advance_turn()
    await w.start("fresh", name="else")
    await ask(w, question("a", 1), question("fresh", 2))
    assert await given(w, code=[(NAME, "9.0.0"), ("other", VERSION)]) == []
    assert await given(w, code=[]) == []
    assert [each.question.id for each in await given(w, code=[("else", "3.0.0")])] == ["q2"]
    assert [each.question.id for each in await given(w)] == ["q1"]


@check()
async def a_question_follows_its_instance_to_other_code(w: World) -> None:
    await w.start("a")
    await w.advance_turn()
    await ask(w, question("a"))
    await w.send(w.event("a"))
    await w.advance_turn(**w.again(name="else", version="2.0.0"))
    assert await given(w) == []
    (opened,) = await given(w, code=[("else", "2.0.0")])
    assert (opened.execution, opened.orchestration, opened.version) == (2, "else", "2.0.0")


@check()
async def replayers_share_questions_oldest_first_and_none_twice(w: World) -> None:
    await w.start("a", "b")
    for number in range(10):
        await ask(w, question("ab"[number % 2], number))
    assert [each.question.id for each in await given(w, limit=3)] == ["q0", "q1", "q2"]
    async with w.storage.open() as other:
        second = w.with_provider(other)
        batches = await asyncio.gather(given(w, limit=4), given(second, limit=4))
        rest = await given(w)
    ids = sorted(each.question.id for batch in (*batches, rest) for each in batch)
    assert ids == [f"q{number}" for number in range(3, 10)]


@check()
async def a_question_lost_with_its_replayer_comes_back_but_not_for_ever(w: World) -> None:
    await w.start("a")
    await ask(w, question("a", within=timedelta(hours=1)))
    for _ in range(3):
        assert len(await given(w)) == 1
        w.advance(LEASE - MOMENT)
        assert await given(w) == []
        w.advance(MOMENT)
    assert await given(w) == [], "it probably kills who answers"
    await w.provider.answer([Answer("q1", JsonText("1"))])
    assert await w.answers("a", "q1") == [Answer("q1", JsonText("1"))], "late is not too late"


@check()
async def a_question_is_forgotten_in_time(w: World) -> None:
    await w.start("a")
    await ask(w, question("a", 1), question("a", 2), question("a", 3, within=WITHIN * 9))
    await given(w, limit=1)
    await w.provider.answer([Answer("q2", JsonText("2"))])
    w.advance(WITHIN + LEASE)
    assert [each.question.id for each in await given(w)] == ["q3"]
    await w.provider.answer([Answer("q1", JsonText("1"))])
    assert await w.answers("a", "q1") == [None]
    await w.provider.sweep()
    assert await w.answers("a", "q1", "q2") == [None, None]
    assert await ask(w, question("a", 1)) == [ACCEPTED], "its id is free again"


@check()
async def an_instance_takes_so_many_questions_and_no_more(w: World) -> None:
    await w.start("a", "b")
    many = [question("a", number) for number in range(1000)]
    assert set(await ask(w, *many)) == {ACCEPTED}
    assert await ask(w, question("a", "x"), question("a", 1), question("b", "y")) == [
        EnqueueOutcome.FULL,
        ACCEPTED,
        ACCEPTED,
    ]


@check()
async def asking_and_answering_is_told(w: World) -> None:
    await w.start("a")
    async with w.storage.open() as other:
        stream = cast("AsyncGenerator[Hint]", other.hints([QuestionsHint, AnsweredHint]))
        async with aclosing(stream) as hints:
            await anext(hints)  # the first says that it listens
            await ask(w, question("a"))
            await _until(hints, QuestionsHint())
            await given(w)
            await w.provider.answer([Answer("q1", JsonText("1"))])
            await _until(hints, AnsweredHint(frozenset({InstanceId("a")})))
            await w.send(w.update("a"))
            await w.advance_turn(answers=[UpdateAnswer("u1", result=JsonText("1"))])
            await _until(hints, AnsweredHint(frozenset({InstanceId("a")})))


async def _until(hints: AsyncGenerator[Hint], wanted: Hint) -> None:
    async with asyncio.timeout(HINT_SECONDS_MAX):
        while await anext(hints) != wanted:
            pass
