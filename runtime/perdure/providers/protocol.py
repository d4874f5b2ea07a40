"""What may be asked of storage, and its promises, each stated once.

The provider stores; it never invents ids and never interprets what user code meant.

Promises that hold for every verb:

* Items of a list succeed or fail alone; outcomes are in the order of the items.
* A lease is an (instance or activity, token) pair and a time. It is checked under a row lock at
  commit, finish, renew and abandon. A lease that is over is useless, even if nobody took the work.
* Time is the database's; a caller's clock is never trusted.
* A verb that raised `ProviderError(retryable=True)` may have happened; asking again with the same
  tokens is safe and tells.
* Fetching never returns nothing because it lost a race while other work is due.
* The cost of a verb depends on its items, not on the length of a history, the size of the
  backlog, or the number of instances that are finished, sleeping, or waiting for other code or
  another tag.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import timedelta
from typing import Protocol, Self

from perdure.model.ids import ExecutorId, InstanceId
from perdure.model.records import Record
from perdure.providers.administration import (
    AdminProvider,
    KeyProvider,
    QuestionProvider,
    SessionProvider,
    TransactionProvider,
)
from perdure.providers.reading import (
    Changes,
    ExecutorInfo,
    InstanceInfo,
    InstancePage,
    ListInstances,
    LiveExecutor,
    OpenActivity,
    TagBacklog,
)
from perdure.providers.work import (
    AbandonActivity,
    AbandonTurn,
    ActivityLease,
    ActivityResult,
    CommitOutcome,
    Control,
    ControlOutcome,
    EnqueueOutcome,
    FetchActivities,
    FetchedActivities,
    FetchedTurns,
    FetchTurns,
    FinishOutcome,
    Hint,
    Message,
    Renewed,
    TurnCommit,
    TurnLease,
)


class ClientProvider(Protocol):
    """What a client needs: send, steer, read."""

    async def enqueue(self, messages: Sequence[Message]) -> Sequence[EnqueueOutcome]:
        """Add messages to histories; a start creates its instance."""
        ...

    async def control(self, commands: Sequence[Control]) -> Sequence[ControlOutcome]:
        """Suspend, resume or terminate, without running user code."""
        ...

    async def read_instances(
        self, instances: Sequence[InstanceId]
    ) -> Sequence[InstanceInfo | None]:
        """Read instances; None where there is none."""
        ...

    async def list_instances(self, query: ListInstances) -> InstancePage:
        """List instances, newest first."""
        ...

    async def read_history(
        self, instance: InstanceId, *, execution: int | None = None, after: int = 0, limit: int = 0
    ) -> Sequence[Record]:
        """Read records in order: of one execution or all; `limit` 0 means all."""
        ...

    async def read_activities(self, instances: Sequence[InstanceId]) -> Sequence[OpenActivity]:
        """Read the activities of these instances that wait or run."""
        ...

    async def read_backlog(self) -> Sequence[TagBacklog]:
        """Count what waits, by tag."""
        ...

    async def read_executors(self) -> Sequence[LiveExecutor]:
        """Read the executors that announced themselves within the last minute."""
        ...

    async def read_changes(self, cursor: int, limit: int) -> Changes:
        """Read the change feed after `cursor` (0: from the start of what is kept)."""
        ...

    def hints(self, kinds: Collection[type[Hint]] | None = None) -> AsyncIterator[Hint]:
        """Yield hints of these kinds (None: all), and every `ResyncHint`, until closed.

        One may be missed, doubled or wrong: polling is the truth.
        """
        ...


class TurnProvider(Protocol):
    """What a replay process needs."""

    async def fetch_turns(self, request: FetchTurns) -> FetchedTurns:
        """Lease due instances; fires timers that are due."""
        ...

    async def commit_turns(self, commits: Sequence[TurnCommit]) -> Sequence[CommitOutcome]:
        """Apply turns. Idempotent by (instance, token)."""
        ...

    async def renew_turns(self, leases: Sequence[TurnLease], lease: timedelta) -> Sequence[Renewed]:
        """Extend leases to `lease` from now."""
        ...

    async def abandon_turns(self, turns: Sequence[AbandonTurn]) -> None:
        """Give turns back undone; leases that are over are ignored."""
        ...

    async def read_history(
        self, instance: InstanceId, *, execution: int | None = None, after: int = 0, limit: int = 0
    ) -> Sequence[Record]:
        """Read records in order (for a history that the cache has dropped)."""
        ...


class ActivityProvider(Protocol):
    """What an executor of activities needs."""

    async def fetch_activities(self, request: FetchActivities) -> FetchedActivities:
        """Lease due activities and count an attempt on each."""
        ...

    async def finish_activities(self, results: Sequence[ActivityResult]) -> Sequence[FinishOutcome]:
        """Record results and wake their instances. Idempotent by lease."""
        ...

    async def renew_activities(
        self, leases: Sequence[ActivityLease], lease: timedelta
    ) -> Sequence[Renewed]:
        """Extend leases to `lease` from now, shorten none; tells which are cancelled or lost."""
        ...

    async def abandon_activities(self, activities: Sequence[AbandonActivity]) -> None:
        """Hand activities back; leases that are over are ignored."""
        ...


class Provider(
    ClientProvider,
    TurnProvider,
    ActivityProvider,
    AdminProvider,
    KeyProvider,
    QuestionProvider,
    SessionProvider,
    TransactionProvider,
    Protocol,
):
    """Everything."""

    async def announce(self, info: ExecutorInfo) -> None:
        """Tell of this process; forgotten a minute after the last time."""
        ...

    async def withdraw(self, executor: ExecutorId) -> None:
        """Forget this process at once."""
        ...

    async def ping(self) -> None:
        """Raise `ProviderError` if storage cannot be reached or lacks its schema."""
        ...

    async def __aenter__(self) -> Self:
        """Connect."""
        ...

    async def __aexit__(self, *exc_info: object) -> None:
        """Disconnect; hints end."""
        ...
