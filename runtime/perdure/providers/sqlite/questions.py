"""Queries, the answers to queries and updates, and what instances keep for others to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure.model.codec import decode_failure, encode_failure
from perdure.model.ids import InstanceId
from perdure.model.records import KeyValue
from perdure.providers.administering import Answer, OpenQuestion, Question
from perdure.providers.sqlite.rows import later, moment, time_span
from perdure.providers.sqlite.statements import statements
from perdure.providers.work import EnqueueOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from perdure.providers.sqlite.transaction import Transaction
    from perdure.providers.work import CodeId

__all__ = ["answer", "ask", "fetch_questions", "read_answers", "read_keys"]

_SQL = statements("questions")
_OPEN_MAX = 1000
"""Questions to one instance at once; who asks more is told that it is full."""
_ATTEMPTS_MAX = 3
"""How often one is given out: the third replayer that it took along was the last."""


def ask(tx: Transaction, questions: Sequence[Question]) -> Sequence[EnqueueOutcome]:
    """Ask; a question is found by the code that can answer it."""
    return [_ask(tx, question) for question in questions]


def _ask(tx: Transaction, question: Question) -> EnqueueOutcome:
    instance = question.instance
    code = tx.execute(_SQL["code"], (instance,)).fetchone()
    if code is None:
        return EnqueueOutcome.FINISHED
    if tx.execute(_SQL["is_asked"], (instance, question.id)).fetchone() is None:
        if tx.execute(_SQL["count"], (instance, _OPEN_MAX)).fetchone()[0] >= _OPEN_MAX:
            return EnqueueOutcome.FULL
        name, version, _ = code
        expires = later(tx.now, question.within)
        row = (instance, question.id, name, version, tx.now, expires, tx.now)
        tx.execute(_SQL["ask"], (*row, question.name, question.input))
        tx.tell("q")
    return EnqueueOutcome.ACCEPTED


def fetch_questions(
    tx: Transaction, code: Sequence[CodeId], limit: int, lease: timedelta
) -> Sequence[OpenQuestion]:
    """Give out questions that this code can answer, oldest first."""
    codes = dict.fromkeys((each.name, version) for each in code for version in ("", each.version))
    due: list[tuple[Any, ...]] = []
    for name, version in codes:
        due += tx.execute(_SQL["due"], (name, version, tx.now, tx.now, limit)).fetchall()
    due.sort()
    given: list[OpenQuestion] = []
    for row in due[:limit]:
        _, place, instance, key, name, data, expires, attempt, *was = row
        code_name, code_version, execution = tx.execute(_SQL["code"], (instance,)).fetchone()
        if [code_name, code_version] != was:
            # The instance has gone on with other code since it was asked.
            tx.execute(_SQL["move"], (code_name, code_version, place))
            if (code_name, code_version) not in codes:
                tx.tell("q")
                continue
        again = None if attempt + 1 >= _ATTEMPTS_MAX else later(tx.now, lease)
        tx.execute(_SQL["give"], (again, place))
        left = time_span(expires - tx.now)
        if left is None:
            raise AssertionError  # a number of microseconds is a span
        question = Question(key, InstanceId(instance), name, data, left)
        given.append(OpenQuestion(question, execution, code_name, code_version or None))
    return given


def answer(tx: Transaction, answers: Sequence[Answer]) -> None:
    """Answer questions; the first answer holds."""
    for each in answers:
        failure = None if each.failure is None else encode_failure(each.failure)
        values = (each.result, failure, each.id, tx.now)
        for (instance,) in tx.execute(_SQL["answer"], values).fetchall():
            tx.tell(f"n{instance}")


def read_answers(
    tx: Transaction, instance: InstanceId, ids: Sequence[str]
) -> Sequence[Answer | None]:
    """Read answers to questions and updates."""
    return [_read_answer(tx, instance, each) for each in ids]


def _read_answer(tx: Transaction, instance: InstanceId, key: str) -> Answer | None:
    for result, failure in tx.execute(_SQL["answers"], (instance, key)).fetchall():
        if failure is not None:
            return Answer(key, result, decode_failure(failure))
        if result is not None:
            return Answer(key, result)
    return None


def read_keys(
    tx: Transaction, instances: Sequence[InstanceId], key: str | None
) -> Sequence[Sequence[KeyValue]]:
    """Read key-value maps, or one key of each."""
    found: list[Sequence[KeyValue]] = []
    for instance in instances:
        if key is None:
            rows = tx.execute(_SQL["keys"], (instance,))
        else:
            rows = tx.execute(_SQL["key"], (instance, key))
        found.append([KeyValue(name, value, moment(updated)) for name, value, updated in rows])
    return found
