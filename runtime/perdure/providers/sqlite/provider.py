"""The provider on SQLite: every verb is one transaction."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from perdure.providers.sqlite import activities as activity_verbs
from perdure.providers.sqlite import commits as commit_verbs
from perdure.providers.sqlite import messages as message_verbs
from perdure.providers.sqlite import reading as reading_verbs
from perdure.providers.sqlite import steering as steering_verbs
from perdure.providers.sqlite import turns as turn_verbs
from perdure.providers.sqlite.administration import AdministrationVerbs
from perdure.providers.sqlite.transactions import TransactionVerbs
from perdure.providers.work import FetchedActivities, FetchedTurns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from perdure.model.ids import ExecutorId, InstanceId
    from perdure.model.records import Record
    from perdure.providers.reading import (
        Changes,
        ExecutorInfo,
        InstanceInfo,
        InstancePage,
        InstanceStatus,
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
        FetchTurns,
        FinishOutcome,
        Message,
        Renewed,
        TurnCommit,
        TurnLease,
    )

__all__ = ["SqliteProvider"]


class SqliteProvider(AdministrationVerbs, TransactionVerbs):
    """Storage in one SQLite file, or in memory.

    Args:
        store: The path of a file, which is made if it is not there, or a `MemoryStore`, which
            several providers may share; `":memory:"` is a new one.
        clock: What is taken for the time; the machine's clock by default.
        inbox_limit: How many unread messages from outside an instance may have.
        keep_early: How long messages wait for an instance that is not there yet.
        busy_seconds: How long to wait while somebody else writes to the file.
    """

    # -------------------------------------------------------------------- sending, steering

    async def enqueue(self, messages: Sequence[Message]) -> Sequence[EnqueueOutcome]:
        """Add messages to histories; a start creates its instance."""
        if not messages:
            return []
        return await self._write("enqueue", partial(message_verbs.enqueue, messages=messages))

    async def control(self, commands: Sequence[Control]) -> Sequence[ControlOutcome]:
        """Suspend, resume or terminate, without running user code."""
        if not commands:
            return []
        return await self._write("control", partial(steering_verbs.control, commands=commands))

    async def announce(self, info: ExecutorInfo) -> None:
        """Tell of this process; forgotten a minute after the last time."""
        await self._write("announce", partial(reading_verbs.announce, info=info), durable=False)

    async def withdraw(self, executor: ExecutorId) -> None:
        """Forget this process at once."""
        await self._write(
            "withdraw", partial(reading_verbs.withdraw, executor=executor), durable=False
        )

    # -------------------------------------------------------------------------------- turns

    async def fetch_turns(self, request: FetchTurns) -> FetchedTurns:
        """Lease due instances; fires timers that are due."""
        act = partial(turn_verbs.fetch_turns, request=request)
        return await self._write("fetch_turns", act, durable=False)

    async def commit_turns(self, commits: Sequence[TurnCommit]) -> Sequence[CommitOutcome]:
        """Apply turns. Idempotent by (instance, token)."""
        if not commits:
            return []
        return await self._write(
            "commit_turns", partial(commit_verbs.commit_turns, commits=commits)
        )

    async def renew_turns(self, leases: Sequence[TurnLease], lease: timedelta) -> Sequence[Renewed]:
        """Extend leases to `lease` from now."""
        if not leases:
            return []
        act = partial(turn_verbs.renew_turns, leases=leases, lease=lease)
        return await self._write("renew_turns", act, durable=False)

    async def abandon_turns(self, turns: Sequence[AbandonTurn]) -> None:
        """Give turns back undone; leases that are over are ignored."""
        if turns:
            await self._write("abandon_turns", partial(turn_verbs.abandon_turns, turns=turns))

    # --------------------------------------------------------------------------- activities

    async def fetch_activities(self, request: FetchActivities) -> FetchedActivities:
        """Lease due activities and count an attempt on each."""
        act = partial(activity_verbs.fetch_activities, request=request)
        return await self._write("fetch_activities", act, durable=False)

    async def finish_activities(self, results: Sequence[ActivityResult]) -> Sequence[FinishOutcome]:
        """Record results and wake their instances. Idempotent by lease."""
        if not results:
            return []
        act = partial(activity_verbs.finish_activities, results=results)
        return await self._write("finish_activities", act)

    async def renew_activities(
        self, leases: Sequence[ActivityLease], lease: timedelta
    ) -> Sequence[Renewed]:
        """Extend leases to `lease` from now; tells which are cancelled or lost."""
        if not leases:
            return []
        act = partial(activity_verbs.renew_activities, leases=leases, lease=lease)
        return await self._write("renew_activities", act, durable=False)

    async def abandon_activities(self, activities: Sequence[AbandonActivity]) -> None:
        """Hand activities back; leases that are over are ignored."""
        if activities:
            act = partial(activity_verbs.abandon_activities, activities=activities)
            await self._write("abandon_activities", act, durable=False)

    # ------------------------------------------------------------------------------ reading

    async def read_instances(
        self, instances: Sequence[InstanceId]
    ) -> Sequence[InstanceInfo | None]:
        """Read instances; None where there is none."""
        if not instances:
            return []
        act = partial(reading_verbs.read_instances, instances=instances)
        return await self._read("read_instances", act)

    async def list_instances(self, query: ListInstances) -> InstancePage:
        """List instances, newest first."""
        return await self._read(
            "list_instances", partial(reading_verbs.list_instances, query=query)
        )

    async def read_history(
        self, instance: InstanceId, *, execution: int | None = None, after: int = 0, limit: int = 0
    ) -> Sequence[Record]:
        """Read records in order: of one execution or all; `limit` 0 means all."""
        act = partial(
            reading_verbs.read_history,
            instance=instance,
            execution=execution,
            after=after,
            limit=limit,
        )
        return await self._read("read_history", act)

    async def read_activities(self, instances: Sequence[InstanceId]) -> Sequence[OpenActivity]:
        """Read the activities of these instances that wait or run."""
        act = partial(reading_verbs.read_activities, instances=instances)
        return await self._read("read_activities", act)

    async def read_backlog(self) -> Sequence[TagBacklog]:
        """Count what waits, by tag."""
        return await self._read("read_backlog", reading_verbs.read_backlog)

    async def read_executors(self) -> Sequence[LiveExecutor]:
        """Read the executors that announced themselves within the last minute."""
        return await self._read("read_executors", reading_verbs.read_executors)

    async def read_changes(self, cursor: int, limit: int) -> Changes:
        """Read the change feed after `cursor` (0: from the start of what is kept)."""
        act = partial(reading_verbs.read_changes, cursor=cursor, limit=limit)
        return await self._read("read_changes", act)

    async def count_instances(self, query: ListInstances) -> Mapping[InstanceStatus, int]:
        """Count by status what `list_instances` would list on all its pages; zeros left out."""
        return await self._read(
            "count_instances", partial(reading_verbs.count_instances, query=query)
        )
