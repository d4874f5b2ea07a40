"""The verbs of executors of activities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure.providers.postgres.base import Base
from perdure.providers.postgres.listen import News
from perdure.providers.postgres.rows import (
    Sorted,
    lease_row,
    leased_activity,
    result_row,
    until,
)
from perdure.providers.work import FetchedActivities, FinishOutcome, Renewed, RenewOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from perdure.model.ids import ExecutorId
    from perdure.providers.work import (
        AbandonActivity,
        ActivityLease,
        ActivityProgress,
        ActivityResult,
        FetchActivities,
        SessionTerms,
    )

__all__ = ["ActivityVerbs"]


class ActivityVerbs(Base):
    """Fetch, finish, renew, abandon activities."""

    async def fetch_activities(self, request: FetchActivities) -> FetchedActivities:
        """Lease due activities and count an attempt on each."""
        sessions = request.sessions
        rows = await self._call(
            "fetch_activities",
            self._calls.fetch_activities,
            request.executor,
            request.token,
            list(dict.fromkeys(request.tags)),
            None if request.names is None else list(request.names),
            request.limit,
            request.lease,
            None if sessions is None else sessions.limit,
            None if sessions is None else sessions.lease,
            self._now(),
        )
        last = rows[-1]
        lines: list[str] = last["input"].split("\n") if last["input"] else []
        if last["attempt"]:
            lines.append("t")
        self._board.post(lines)
        now = last["queued"]
        return FetchedActivities(
            activities=tuple(
                leased_activity(row, request.token) for row in sorted(rows[:-1], key=_urgency)
            ),
            next_due=until(now, last["next_due"]),
            now=now,
        )

    async def finish_activities(self, results: Sequence[ActivityResult]) -> Sequence[FinishOutcome]:
        """Record results and wake their instances. Idempotent by lease."""
        if not results:
            return []
        batch = Sorted(results, key=_activity_order)
        rows, told = await self._call_telling(
            "finish_activities",
            (self._calls.finish_activities, self._calls.finish_activities_telling),
            News(("t",), len(results)),
            [result_row(result) for result in batch.items],
            self._now(),
        )
        answer = rows[0]
        if answer["is_due"] and not told:
            self._board.post(("t",), items=len(results))
        return batch.restore(
            [FinishOutcome.RECORDED if code else FinishOutcome.LOST for code in answer["outcomes"]]
        )

    async def renew_activities(
        self, leases: Sequence[ActivityLease], lease: timedelta
    ) -> Sequence[Renewed]:
        """Extend leases to `lease` from now; tells which are cancelled or lost."""
        if not leases:
            return []
        batch = Sorted(leases, key=_lease_order)
        rows = await self._call(
            "renew_activities",
            self._calls.renew_activities,
            [lease_row(each) for each in batch.items],
            lease,
            self._now(),
        )
        return batch.restore([_renewed(row["is_held"], row["reason"]) for row in rows])

    async def abandon_activities(self, activities: Sequence[AbandonActivity]) -> None:
        """Hand activities back; leases that are over are ignored."""
        if not activities:
            return
        batch = sorted(activities, key=lambda each: _lease_order(each.lease))
        rows = await self._call(
            "abandon_activities",
            self._calls.abandon_activities,
            [lease_row(each.lease) for each in batch],
            [each.delay for each in batch],
            [each.count_attempt for each in batch],
            self._now(),
        )
        self._post_admitted(rows[0][0])

    async def record_progress(self, progress: Sequence[ActivityProgress]) -> Sequence[Renewed]:
        """Keep what attempts tell of themselves; tells which are cancelled or lost."""
        if not progress:
            return []
        batch = Sorted(progress, key=lambda each: _lease_order(each.lease))
        rows = await self._call(
            "record_progress",
            self._calls.record_progress,
            [lease_row(each.lease) for each in batch.items],
            [each.details for each in batch.items],
            self._now(),
        )
        return batch.restore([_renewed(row["is_held"], row["reason"]) for row in rows])

    # ------------------------------------------------------------------------- sessions

    async def renew_sessions(self, executor: ExecutorId, terms: SessionTerms) -> Sequence[str]:
        """Keep the sessions of this executor that are in use; return those it now owns."""
        rows = await self._call(
            "renew_sessions",
            self._calls.renew_sessions,
            executor,
            terms.lease,
            terms.idle,
            self._now(),
        )
        answer = rows[0]
        self._post_admitted(answer["tags"])
        return list(answer["sessions"])

    async def release_sessions(self, executor: ExecutorId) -> None:
        """Own no session any more: others may take them at once."""
        rows = await self._call(
            "release_sessions", self._calls.release_sessions, executor, self._now()
        )
        self._post_admitted(rows[0][0])

    def _post_admitted(self, tags: Sequence[str]) -> None:
        """Tell of activities that others may take now."""
        self._board.post([f"a{tag}" for tag in tags])


def _urgency(row: Any) -> tuple[int, datetime]:
    options = row["options"]
    return (0 if options is None else -options["priority"], row["queued"])


def _lease_order(lease: ActivityLease) -> tuple[str, int, str]:
    return (lease.instance, lease.execution, lease.operation)


def _activity_order(result: ActivityResult) -> tuple[str, int, str]:
    return _lease_order(result.lease)


def _renewed(is_held: bool, reason: str | None) -> Renewed:
    if not is_held:
        return Renewed(RenewOutcome.LOST)
    if reason is not None:
        return Renewed(RenewOutcome.CANCELLED, reason)
    return Renewed(RenewOutcome.HELD)
