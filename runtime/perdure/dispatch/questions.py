"""Answering questions: what a running instance says of itself, read and never written.

A question is answered from the state after the last committed turn. Most find their execution in
the cache of whoever took that turn; any other replayer opens it from its history, answers, and
throws it away. Either way storage is asked first what the history has that is not known here, for
another process may have taken a turn since.

Turns come first. Questions are answered in the thread of the turns, between their slices; an
execution that is about to take a turn is out of the cache, and is opened a second time for the
question. A handler that does not come to rest is ended like a turn that does not.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from perdure.dispatch.cache import ExecutionCache
from perdure.dispatch.histories import read_rest
from perdure.dispatch.storage import Alarm, Storage
from perdure.dispatch.turn_thread import TurnRunner
from perdure.errors import AuthorError, ProviderError, SpinningTurnError
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import ExecutorId, JsonText
from perdure.model.records import Record, RecordKind
from perdure.providers.administering import Answer, OpenQuestion
from perdure.providers.work import CodeId
from perdure.replay.turn import LiveExecution
from perdure.telemetry import Metrics

__all__ = ["Questions"]

_LOG = logging.getLogger("perdure.questions")
_AT_ONCE = 16
_LEASE = timedelta(seconds=30)
_FIRST_TURN_WITHIN = timedelta(seconds=20)
_FIRST_TURN_STEP = 0.1

type Opener = Callable[[OpenQuestion, Sequence[Record]], LiveExecution]


class Questions:
    """Answers questions that the code of this process can answer.

    Args:
        storage: Where the questions are, and the histories.
        executor: Who asks for them.
        thread: Where turns run.
        cache: The executions of those turns.
        opener: Prepares an execution from its whole history.
        poll: How long a lost hint can delay an answer.
        dice: For waits.
        metrics: Where to count.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        executor: ExecutorId,
        thread: TurnRunner,
        cache: ExecutionCache,
        opener: Opener,
        poll: timedelta,
        dice: random.Random,
        metrics: Metrics,
    ) -> None:
        self._storage = storage
        self._executor = executor
        self._thread = thread
        self._cache = cache
        self._open = opener
        self._alarm = Alarm(poll, dice)
        self._metrics = metrics

    def ring(self) -> None:
        """Look now."""
        self._alarm.ring()

    async def run(self, code: Sequence[CodeId], stop: asyncio.Event) -> None:
        """Answer until stopped; what was fetched by then is answered, if it can be now."""
        fetch = self._storage.provider.fetch_questions
        open_: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                free = _AT_ONCE - len(open_)
                self._alarm.before_fetch()
                found = await self._storage.insist(
                    "fetch_questions", partial(fetch, self._executor, code, free, _LEASE), stop
                )
                fetched = found or ()
                self._alarm.after_fetch(len(fetched), None)
                for question in fetched:
                    task = group.create_task(self._settle(question, stop))
                    open_.add(task)
                    task.add_done_callback(open_.discard)
                while len(open_) == _AT_ONCE:
                    await asyncio.wait(open_, return_when=asyncio.FIRST_COMPLETED)
                if len(fetched) < free and not stop.is_set():
                    await self._alarm.sleep()

    async def _settle(self, asked: OpenQuestion, stop: asyncio.Event) -> None:
        try:
            found = await self._answer_begun(asked, stop)
            answer = (
                Answer(asked.question.id, failure=found)
                if isinstance(found, Failure)
                else Answer(asked.question.id, result=found)
            )
            await self._storage.persist("answer", partial(self._storage.provider.answer, [answer]))
        except ProviderError as error:
            _LOG.warning(
                "a question was not answered: %s",
                error,
                extra={"instance_id": asked.question.instance},
            )
            return
        outcome = "failed" if isinstance(found, Failure) else "answered"
        self._metrics.count("perdure_questions_total", asked.orchestration, outcome)

    async def _answer_begun(self, asked: OpenQuestion, stop: asyncio.Event) -> JsonText | Failure:
        """Answer; who asks right after the start is answered after the first turn."""
        clock = asyncio.get_running_loop().time
        until = clock() + min(asked.question.within, _FIRST_TURN_WITHIN).total_seconds()
        while True:
            found = await self._answer(asked)
            if found is not _NOT_STARTED or clock() > until or stop.is_set():
                return found
            await asyncio.sleep(_FIRST_TURN_STEP)

    async def _answer(self, asked: OpenQuestion) -> JsonText | Failure:
        instance, execution = asked.question.instance, asked.execution
        live = self._cache.look(instance, execution)
        if live is not None:
            tail = await read_rest(self._storage, instance, execution, after=live.position)
            try:
                answer = await self._thread.run(partial(self._ask_live, asked, live, tail))
            except SpinningTurnError as error:  # the thread was given up, and the execution with it
                live.spoiled = True
                self._cache.abandon(instance, execution, live)
                return _failure(type(error).__name__, str(error))
            if answer is not None:
                return answer
        records = await read_rest(self._storage, instance, execution)
        if not records:
            return _failure("InstanceNotFoundError", "the instance is gone")
        if all(record.kind is not RecordKind.TURN for record in records):
            return _NOT_STARTED
        try:
            return await self._thread.run(partial(self._ask_cold, asked, records))
        except SpinningTurnError as error:
            return _failure(type(error).__name__, str(error))

    # ------------------------------------------------------------------ in the thread

    def _ask_live(
        self, asked: OpenQuestion, live: LiveExecution, tail: Sequence[Record]
    ) -> JsonText | Failure | None:
        """Ask an execution in the cache; None if it is not there any more, or cannot be asked."""
        question = asked.question
        if self._cache.look(question.instance, asked.execution) is not live:
            return None
        answer: JsonText | Failure | None = None
        try:
            answer = self._thread.turn(partial(_ask, live, tail, asked))
        except SpinningTurnError as error:
            live.spoiled = True
            answer = _failure(type(error).__name__, str(error))
        except BaseException:  # noqa: BLE001  whatever it is: a cold one is to say it
            live.spoiled = True
            _LOG.debug("a question found its execution out of order", exc_info=True)
        if live.spoiled:
            self._cache.forget(question.instance, asked.execution, live)
        return answer

    def _ask_cold(self, asked: OpenQuestion, records: Sequence[Record]) -> JsonText | Failure:
        """Open an execution for this question alone."""
        live: LiveExecution | None = None
        try:
            live = self._open(asked, records)
            return self._thread.turn(partial(_ask, live, records, asked))
        except AuthorError as error:
            return _failure(
                type(error).__name__, str(error), category=FailureCategory.CONFIGURATION
            )
        except BaseException as error:  # noqa: BLE001  even an exit is this question's alone
            return _failure(type(error).__name__, str(error))
        finally:
            if live is not None:
                live.close()


def _ask(live: LiveExecution, records: Sequence[Record], asked: OpenQuestion) -> JsonText | Failure:
    live.repeat(records)
    return live.answer_query(asked.question.name, asked.question.input)


def _failure(
    kind: str, message: str, *, category: FailureCategory = FailureCategory.APPLICATION
) -> Failure:
    return Failure(category, kind, message, retryable=False)


_NOT_STARTED = _failure("NotStarted", "the instance has not had its first turn; ask again")
