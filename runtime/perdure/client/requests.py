"""Asking a running instance: queries, which change nothing, and updates, which are recorded."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta
from typing import Any, overload

from perdure.client.answers import Answers
from perdure.client.base import ClientBase
from perdure.client.handle import PATIENCE
from perdure.client.instance_ids import checked_event_name, stored_instance_id
from perdure.errors import (
    InboxFullError,
    InstanceFinishedError,
    InstanceNotFoundError,
    QueryError,
    ResultTimeoutError,
    UpdateError,
)
from perdure.model.codec import decode, encode, json_string
from perdure.model.ids import InstanceId, JsonText
from perdure.model.records import RecordKind
from perdure.providers.administering import Answer, Question
from perdure.providers.work import EnqueueOutcome, Message

__all__ = ["Requests"]


class Requests(ClientBase):
    """The verbs that an instance's own code answers."""

    _answers_of: Answers | None = None

    async def close(self) -> None:
        """Stop waiting for answers too."""
        if self._answers_of is not None:
            await self._answers_of.close()
        await super().close()

    @property
    def _answers(self) -> Answers:
        if self._answers_of is None:
            self._answers_of = Answers(self._provider.read_answers, self._provider.hints)
        return self._answers_of

    # ------------------------------------------------------------------ queries

    @overload
    async def query[R](
        self, instance_id: str, name: str, /, *, result_type: type[R],
        timeout: timedelta | float = PATIENCE, **arguments: object,
    ) -> R: ...  # fmt: skip
    @overload
    async def query(
        self, instance_id: str, name: str, /, *, timeout: timedelta | float = PATIENCE,
        **arguments: object,
    ) -> Any: ...  # fmt: skip
    async def query(
        self,
        instance_id: str,
        name: str,
        /,
        *,
        result_type: Any = object,
        timeout: timedelta | float = PATIENCE,
        **arguments: object,
    ) -> Any:
        """Ask a handler of an instance for something it knows; the instance does not notice.

        It is answered by any replayer that has the instance's code, for one that has ended too.

        Raises:
            QueryError: There is no such handler, or it raised.
            InstanceNotFoundError: There is no such instance.
            ResultTimeoutError: Nobody answered within `timeout`: no replayer has its code.
            PayloadError: The answer does not fit `result_type`.
        """
        instance = stored_instance_id(instance_id)
        within = timeout if isinstance(timeout, timedelta) else timedelta(seconds=timeout)
        question = Question(
            secrets.token_hex(16),
            instance,
            checked_event_name(name, "Query name"),
            encode(arguments, what=f"the arguments of query {name!r}"),
            within,
        )
        outcome = (await self._persist(lambda: self._provider.ask([question])))[0]
        if outcome is EnqueueOutcome.FINISHED:
            raise InstanceNotFoundError(f"No instance has id {instance_id!r}")
        if outcome is EnqueueOutcome.FULL:
            raise InboxFullError(f"Instance {instance_id!r} is asked too much; ask again later")
        try:
            async with asyncio.timeout(within.total_seconds()):
                answer = await self._answers.of(instance, question.id)
        except TimeoutError as error:
            raise ResultTimeoutError(
                f"Query {name!r} of instance {instance_id!r} was not answered within "
                f"{within.total_seconds():g} s: see whether a replayer with its code runs"
            ) from error
        if answer.failure is not None:
            why = f"{answer.failure.type}: {answer.failure.message}"
            raise QueryError(f"Query {name!r} of instance {instance_id!r}: {why}", answer.failure)
        return decode(answer.result, result_type, what=f"the answer to query {name!r}")

    # ------------------------------------------------------------------ updates

    @overload
    async def update[R](
        self, instance_id: str, name: str, /, *, result_type: type[R],
        update_id: str | None = None, timeout: timedelta | float | None = PATIENCE,
        **arguments: object,
    ) -> R: ...  # fmt: skip
    @overload
    async def update(
        self, instance_id: str, name: str, /, *, update_id: str | None = None,
        timeout: timedelta | float | None = PATIENCE, **arguments: object,
    ) -> Any: ...  # fmt: skip
    async def update(
        self,
        instance_id: str,
        name: str,
        /,
        *,
        result_type: Any = object,
        update_id: str | None = None,
        timeout: timedelta | float | None = PATIENCE,
        **arguments: object,
    ) -> Any:
        """Ask a handler of an instance to do something, and wait for its answer.

        The request is in the history before this waits, and is answered once: asking again with
        the same `update_id` waits for the same answer.

        Raises:
            UpdateError: The handler, or its validator, refused or failed, or there is none.
            InstanceFinishedError: The instance has ended without an answer.
            InstanceNotFoundError: There is no such instance.
            InboxFullError: Too many messages wait for it; nothing was recorded.
            ResultTimeoutError: No answer came within `timeout`; it may come yet
                (`update_result`).
            PayloadError: The answer does not fit `result_type`.
        """
        instance = stored_instance_id(instance_id)
        update = (
            secrets.token_hex(16)
            if update_id is None
            else checked_event_name(update_id, "Update id")
        )
        arguments_text = encode(arguments, what=f"the arguments of update {name!r}")
        await self._request(
            instance, checked_event_name(name, "Update name"), update, arguments_text
        )
        return await self.update_result(
            instance_id, update, result_type=result_type, timeout=timeout, name=name
        )

    async def update_result(
        self,
        instance_id: str,
        update_id: str,
        *,
        result_type: Any = object,
        timeout: timedelta | float | None = PATIENCE,
        name: str = "",
    ) -> Any:
        """Wait for the answer to an update that was requested before; raises like `update`."""
        instance = stored_instance_id(instance_id)
        what = f"Update {name or update_id!r} of instance {instance_id!r}"
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        try:
            async with asyncio.timeout(seconds):
                answer = await self._answer_or_end(instance, update_id, what)
        except TimeoutError as error:
            known = "it is recorded and will be" if name else "if it was asked for, it will be"
            raise ResultTimeoutError(
                f"{what} was not answered in time; {known}: wait for it with "
                f"update_result({instance_id!r}, {update_id!r})"
            ) from error
        if answer.failure is not None:
            why = f"{answer.failure.type}: {answer.failure.message}"
            raise UpdateError(f"{what}: {why}", answer.failure)
        return decode(answer.result, result_type, what=f"the answer to {what}")

    async def _request(
        self, instance: InstanceId, name: str, update: str, arguments: JsonText
    ) -> None:
        outcome = await self._messages.submit(
            Message(
                instance,
                RecordKind.UPDATE_REQUESTED,
                ref=update,
                body=JsonText(f'{{"name":{json_string(name)},"input":{arguments}}}'),
                token=self._token(),
            )
        )
        match outcome:
            case EnqueueOutcome.FULL:
                raise InboxFullError(
                    f"Instance {instance!r} has too many unread messages; update {name!r} was not "
                    "taken: ask again when the instance has caught up"
                )
            case EnqueueOutcome.FINISHED:
                earlier = await self._persist(
                    lambda: self._provider.read_answers(instance, [update])
                )
                if earlier[0] is None:
                    raise InstanceFinishedError(
                        f"Instance {instance!r} has ended; update {name!r} was not taken"
                    )
            case EnqueueOutcome.ACCEPTED | EnqueueOutcome.KEPT | EnqueueOutcome.EXISTS:
                return

    async def _answer_or_end(self, instance: InstanceId, update: str, what: str) -> Answer:
        """Wait for the answer; an instance that ends without one never gives it."""
        answered = asyncio.ensure_future(self._answers.of(instance, update))
        ended = asyncio.ensure_future(self._waiting.ended(instance))
        try:
            await asyncio.wait({answered, ended}, return_when=asyncio.FIRST_COMPLETED)
            if answered.done():
                return answered.result()
            await ended
            last = await self._persist(lambda: self._provider.read_answers(instance, [update]))
            if last[0] is None:
                raise InstanceFinishedError(f"{what} was not answered before the instance ended")
            return last[0]
        finally:
            for future in (answered, ended):
                future.cancel()
            await asyncio.gather(answered, ended, return_exceptions=True)
