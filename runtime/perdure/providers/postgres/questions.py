"""Queries, and the answers to queries and updates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure.model.codec import decode_failure, encode_failure
from perdure.model.ids import InstanceId
from perdure.providers.administering import Answer, OpenQuestion, Question
from perdure.providers.postgres.base import Base
from perdure.providers.postgres.rows import code_arrays
from perdure.providers.work import EnqueueOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from perdure.model.ids import ExecutorId
    from perdure.providers.work import CodeId

__all__ = ["QuestionVerbs"]

_OPEN_MAX = 1000
"""Questions to one instance that are open at once; who asks more is told that it is full."""
_ATTEMPTS_MAX = 3
"""How often one is given out: the third replayer that it took along was the last."""

_ASKED = {
    1: EnqueueOutcome.ACCEPTED,
    4: EnqueueOutcome.FINISHED,
    5: EnqueueOutcome.FULL,
}


class QuestionVerbs(Base):
    """Ask, fetch, answer, read answers."""

    async def ask(self, questions: Sequence[Question]) -> Sequence[EnqueueOutcome]:
        """Ask; `ACCEPTED`, `FULL`, or `FINISHED` where there is no such instance at all."""
        if not questions:
            return []
        rows = await self._call(
            "ask",
            self._calls.ask,
            [each.instance for each in questions],
            [each.id for each in questions],
            [each.name for each in questions],
            [each.input for each in questions],
            [each.within for each in questions],
            _OPEN_MAX,
            self._now(),
        )
        outcomes = [_ASKED[code] for code in rows[0][0]]
        if EnqueueOutcome.ACCEPTED in outcomes:
            self._board.post(("q",), items=len(questions))
        return outcomes

    async def fetch_questions(
        self, executor: ExecutorId, code: Sequence[CodeId], limit: int, lease: timedelta
    ) -> Sequence[OpenQuestion]:
        """Take questions that this code can answer, oldest first; they come back after `lease`."""
        del executor  # nothing is kept with who asks: the answer needs no lease
        names, versions = code_arrays(code)
        rows = await self._call(
            "fetch_questions",
            self._calls.fetch_questions,
            names,
            versions,
            limit,
            lease,
            _ATTEMPTS_MAX,
            self._now(),
        )
        return [_open_question(row) for row in rows]

    async def answer(self, answers: Sequence[Answer]) -> None:
        """Answer questions; what is answered or forgotten already is ignored."""
        if not answers:
            return
        batch = sorted(answers, key=lambda answer: answer.id)
        rows = await self._call(
            "answer",
            self._calls.give_answers,
            [each.id for each in batch],
            [each.result for each in batch],
            [None if each.failure is None else encode_failure(each.failure) for each in batch],
            self._now(),
        )
        self._board.post([f"n{instance}" for instance in rows[0][0]], items=len(batch))

    async def read_answers(
        self, instance: InstanceId, ids: Sequence[str]
    ) -> Sequence[Answer | None]:
        """Read answers of an instance: to questions, and to updates (kept as long as it is)."""
        if not ids:
            return []
        rows = await self._call("read_answers", self._calls.read_answers, instance, list(ids))
        found = {row["id"]: _answer(row) for row in rows}
        return [found.get(each) for each in ids]


def _answer(row: Any) -> Answer:
    failure = row["failure"]
    return Answer(row["id"], row["result"], None if failure is None else decode_failure(failure))


def _open_question(row: Any) -> OpenQuestion:
    question = Question(
        id=row["id"],
        instance=InstanceId(row["instance"]),
        name=row["name"],
        input=row["input"],
        within=row["left"],
    )
    return OpenQuestion(question, row["execution"], row["code_name"], row["code_version"])
