"""The rest of what storage can do: administration, queries, progress, transactions.

The promises of `perdure.providers.protocol` hold here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Protocol

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
    Pruned,
    Question,
    Retire,
    Retired,
    Swept,
    Totals,
)
from perdure.providers.reading import InstanceStatus, ListInstances
from perdure.providers.work import (
    ActivityLease,
    ActivityProgress,
    ActivityResult,
    CodeId,
    EnqueueOutcome,
    FinishOutcome,
    Message,
    Renewed,
    SessionTerms,
)


class AdminProvider(Protocol):
    """Counting, deleting, pruning, limiting, bringing in."""

    async def read_executions(self, instance: InstanceId) -> Sequence[ExecutionInfo]:
        """Read the executions of an instance that are kept, oldest first; empty: no such one."""
        ...

    async def read_sizes(self, instances: Sequence[InstanceId]) -> Sequence[InstanceSize | None]:
        """Measure instances; None where there is none."""
        ...

    async def count_instances(self, query: ListInstances) -> Mapping[InstanceStatus, int]:
        """Count by status what `list_instances` would list on all its pages; zeros left out."""
        ...

    async def read_totals(self) -> Totals:
        """Count everything."""
        ...

    async def delete_instances(
        self, instances: Sequence[InstanceId], *, force: bool = False
    ) -> Sequence[Deleted]:
        """Delete roots with everything beneath them; `force`: running ones too.

        A turn or an activity in flight finds its lease lost, and brings nothing back.
        """
        ...

    async def retire(self, request: Retire) -> Retired:
        """Delete finished trees, a bounded number at once."""
        ...

    async def prune(self, requests: Sequence[Prune]) -> Sequence[Pruned]:
        """Delete records of old executions."""
        ...

    async def set_limits(self, limits: Sequence[Limit]) -> None:
        """Set limits, or change them; what waits is admitted if there is room now."""
        ...

    async def drop_limits(self, keys: Sequence[str]) -> None:
        """Lift limits; everything that waits for them is admitted."""
        ...

    async def read_limits(self) -> Sequence[LimitState]:
        """Read all limits, by key."""
        ...

    async def sweep(self, limit: int = 1000) -> Swept:
        """Delete what has had its time, at most so many of each sort.

        Announcing does so too, a little at a time: where replayers run, nobody needs to ask.
        """
        ...

    async def bring_in(self, archives: Sequence[Archive]) -> Sequence[ImportOutcome]:
        """Add finished instances with their histories, as they were elsewhere."""
        ...


class KeyProvider(Protocol):
    """Reading what instances keep for others to read."""

    async def read_keys(
        self, instances: Sequence[InstanceId], key: str | None = None
    ) -> Sequence[Sequence[KeyValue]]:
        """Read the key-value maps of instances, or one key of each; by key.

        Empty for an instance that there is not: absence is no error.
        """
        ...


class QuestionProvider(Protocol):
    """Queries and the answers to updates.

    A query is asked through storage, answered by any replayer that has the code, and forgotten.
    """

    async def ask(self, questions: Sequence[Question]) -> Sequence[EnqueueOutcome]:
        """Ask; `ACCEPTED`, or `FINISHED` where there is no such instance at all.

        An instance that has ended can be asked: it answers from its last state.
        """
        ...

    async def fetch_questions(
        self, executor: ExecutorId, code: Sequence[CodeId], limit: int, lease: timedelta
    ) -> Sequence[OpenQuestion]:
        """Take questions that this code can answer, oldest first; they come back after `lease`."""
        ...

    async def answer(self, answers: Sequence[Answer]) -> None:
        """Answer questions; what is answered or forgotten already is ignored."""
        ...

    async def read_answers(
        self, instance: InstanceId, ids: Sequence[str]
    ) -> Sequence[Answer | None]:
        """Read answers of an instance: to questions, and to updates (kept as long as it is)."""
        ...


class SessionProvider(Protocol):
    """Sessions, progress."""

    async def renew_sessions(self, executor: ExecutorId, terms: SessionTerms) -> Sequence[str]:
        """Keep the sessions of this executor that are in use; return those it now owns."""
        ...

    async def release_sessions(self, executor: ExecutorId) -> None:
        """Own no session any more: others may take them at once."""
        ...

    async def record_progress(self, progress: Sequence[ActivityProgress]) -> Sequence[Renewed]:
        """Keep what attempts tell of themselves; tells which are cancelled or lost.

        The lease is not extended.
        """
        ...


class ActivityTransaction(Protocol):
    """A transaction of the same database in which an activity's body writes."""

    @property
    def connection(self) -> object:
        """The driver's own connection (`asyncpg.Connection`, `sqlite3.Connection`)."""
        ...

    def was_lost(self, error: Exception) -> bool:
        """Tell whether a body that raised `error` did so because storage went away beneath it."""
        ...

    async def finish(self, result: ActivityResult) -> FinishOutcome:
        """Record the result and wake the instance in this very transaction."""
        ...


class TransactionProvider(Protocol):
    """Writing together with others in one transaction."""

    def transaction(self, lease: ActivityLease) -> AbstractAsyncContextManager[ActivityTransaction]:
        """Open a transaction for one attempt.

        Leaving it without an error commits if `finish` said `RECORDED`, else rolls back.
        Raises `ProviderError` when leaving if it is unknown whether the commit happened:
        finishing again with the same lease tells.
        """
        ...

    async def enqueue_within(
        self, connection: object, messages: Sequence[Message]
    ) -> Sequence[EnqueueOutcome]:
        """Send with the caller's connection: it is done if the caller's transaction commits.

        Raises:
            ConfigurationError: that connection is of another driver, or not in a transaction.
        """
        ...
