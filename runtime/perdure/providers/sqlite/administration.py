"""The verbs of administration, queries, sessions: what there is beside the hot path.

What may take long goes in parts, each a transaction of its own, so that nobody waits for long.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from perdure.providers.administering import Pruned, Retired
from perdure.providers.sqlite import activities as activity_verbs
from perdure.providers.sqlite import administering, deleting, gates, messages
from perdure.providers.sqlite import questions as question_verbs
from perdure.providers.sqlite import sessions as session_verbs
from perdure.providers.sqlite.base import Base

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from perdure.model.ids import ExecutorId, InstanceId
    from perdure.model.records import KeyValue
    from perdure.providers.administering import (
        Answer,
        Archive,
        Deleted,
        ExecutionInfo,
        ImportOutcome,
        InstanceSize,
        Limit,
        LimitState,
        OpenQuestion,
        Prune,
        Question,
        Retire,
        Swept,
        Totals,
    )
    from perdure.providers.work import (
        ActivityProgress,
        CodeId,
        EnqueueOutcome,
        Renewed,
        SessionTerms,
    )

__all__ = ["AdministrationVerbs"]

_ROOTS_AT_ONCE = 50
_ENDS_AT_ONCE = 1000
_EXECUTIONS_AT_ONCE = 100


class AdministrationVerbs(Base):
    """Everything of `AdminProvider`, `KeyProvider`, `QuestionProvider` and `SessionProvider`."""

    # ----------------------------------------------------------------------------- counting

    async def read_executions(self, instance: InstanceId) -> Sequence[ExecutionInfo]:
        """Read the executions of an instance that are kept, oldest first; empty: no such one."""
        act = partial(administering.read_executions, instance=instance)
        return await self._read("read_executions", act)

    async def read_sizes(self, instances: Sequence[InstanceId]) -> Sequence[InstanceSize | None]:
        """Measure instances; None where there is none."""
        act = partial(administering.read_sizes, instances=instances)
        return await self._read("read_sizes", act)

    async def read_totals(self) -> Totals:
        """Count everything."""
        return await self._read("read_totals", administering.read_totals)

    # ----------------------------------------------------------------------------- deleting

    async def delete_instances(
        self, instances: Sequence[InstanceId], *, force: bool = False
    ) -> Sequence[Deleted]:
        """Delete roots with everything beneath them, each tree in one transaction."""
        return [
            await self._write(
                "delete_instances", partial(deleting.delete, instance=instance, force=force)
            )
            for instance in instances
        ]

    async def retire(self, request: Retire) -> Retired:
        """Delete finished trees, oldest end first, some at a time."""
        roots = instances = records = 0
        after: tuple[int, str] | None = (-1, "")
        while after is not None and roots < request.limit:
            limits = (min(request.limit - roots, _ROOTS_AT_ONCE), _ENDS_AT_ONCE)
            act = partial(deleting.retire, request=request, after=after, limits=limits)
            part = await self._write("retire", act)
            roots += part.roots
            instances += part.instances
            records += part.records
            after = part.after
        return Retired(roots, instances, records)

    async def prune(self, requests: Sequence[Prune]) -> Sequence[Pruned]:
        """Delete records of old executions, some at a time."""
        return [await self._prune(request) for request in requests]

    async def _prune(self, request: Prune) -> Pruned:
        executions = records = 0
        while True:
            act = partial(administering.prune, request=request, limit=_EXECUTIONS_AT_ONCE)
            part = await self._write("prune", act)
            if part.executions is None or part.records is None:
                return part
            executions += part.executions
            records += part.records
            if part.executions < _EXECUTIONS_AT_ONCE:
                return Pruned(executions, records)

    async def sweep(self, limit: int = 1000) -> Swept:
        """Delete what has had its time, at most so many of each sort."""
        return await self._write("sweep", partial(messages.sweep, limit=limit))

    async def bring_in(self, archives: Sequence[Archive]) -> Sequence[ImportOutcome]:
        """Add finished instances with their histories, as they were elsewhere."""
        return [
            await self._write("bring_in", partial(administering.bring_in, archive=archive))
            for archive in archives
        ]

    # ------------------------------------------------------------------------------- limits

    async def set_limits(self, limits: Sequence[Limit]) -> None:
        """Set limits, or change them; what waits is admitted if there is room now.

        Raises:
            ConfigurationError: a number that cannot be.
        """
        for limit in limits:
            gates.check(limit)
        if limits:
            await self._write("set_limits", partial(gates.set_limits, limits=limits))

    async def drop_limits(self, keys: Sequence[str]) -> None:
        """Lift limits; everything that waits for them is admitted."""
        if keys:
            await self._write("drop_limits", partial(gates.drop_limits, keys=keys))

    async def read_limits(self) -> Sequence[LimitState]:
        """Read all limits, by key."""
        return await self._write("read_limits", gates.read_limits, durable=False)

    # ----------------------------------------------------------------------- keys, questions

    async def read_keys(
        self, instances: Sequence[InstanceId], key: str | None = None
    ) -> Sequence[Sequence[KeyValue]]:
        """Read the key-value maps of instances, or one key of each; by key."""
        act = partial(question_verbs.read_keys, instances=instances, key=key)
        return await self._read("read_keys", act)

    async def ask(self, questions: Sequence[Question]) -> Sequence[EnqueueOutcome]:
        """Ask; `ACCEPTED`, `FULL`, or `FINISHED` where there is no such instance at all."""
        act = partial(question_verbs.ask, questions=questions)
        return await self._write("ask", act, durable=False)

    async def fetch_questions(
        self, executor: ExecutorId, code: Sequence[CodeId], limit: int, lease: timedelta
    ) -> Sequence[OpenQuestion]:
        """Take questions that this code can answer, oldest first; they come back after `lease`."""
        del executor  # nothing is kept with who asks: the answer needs no lease
        act = partial(question_verbs.fetch_questions, code=code, limit=limit, lease=lease)
        return await self._write("fetch_questions", act, durable=False)

    async def answer(self, answers: Sequence[Answer]) -> None:
        """Answer questions; what is answered or forgotten already is ignored."""
        if answers:
            act = partial(question_verbs.answer, answers=answers)
            await self._write("answer", act, durable=False)

    async def read_answers(
        self, instance: InstanceId, ids: Sequence[str]
    ) -> Sequence[Answer | None]:
        """Read answers of an instance: to questions, and to updates (kept as long as it is)."""
        act = partial(question_verbs.read_answers, instance=instance, ids=ids)
        return await self._read("read_answers", act)

    # ------------------------------------------------------------------- sessions, progress

    async def renew_sessions(self, executor: ExecutorId, terms: SessionTerms) -> Sequence[str]:
        """Keep the sessions of this executor that are in use; return those it now owns."""
        act = partial(session_verbs.renew_sessions, executor=executor, terms=terms)
        return await self._write("renew_sessions", act, durable=False)

    async def release_sessions(self, executor: ExecutorId) -> None:
        """Own no session any more: others may take them at once."""
        act = partial(session_verbs.release_sessions, executor=executor)
        await self._write("release_sessions", act, durable=False)

    async def record_progress(self, progress: Sequence[ActivityProgress]) -> Sequence[Renewed]:
        """Keep what attempts tell of themselves; tells which are cancelled or lost."""
        if not progress:
            return []
        act = partial(activity_verbs.record_progress, progress=progress)
        return await self._write("record_progress", act, durable=False)
