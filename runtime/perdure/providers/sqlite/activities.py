"""Activities: the queue by tag, leases, results, progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure.model.codec import encode_failure
from perdure.model.records import RecordKind
from perdure.providers.sqlite.gates import look
from perdure.providers.sqlite.messages import answer_to
from perdure.providers.sqlite.rows import later, leased_activity, moment, until
from perdure.providers.sqlite.sessions import claim, end_sessions, use_session
from perdure.providers.sqlite.statements import statements
from perdure.providers.work import (
    ActivityCompleted,
    ActivityDeferred,
    ActivityDiscarded,
    ActivityFailed,
    ActivityRetried,
    FetchedActivities,
    FinishOutcome,
    Renewed,
    RenewOutcome,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from perdure.providers.sqlite.transaction import Transaction
    from perdure.providers.work import (
        AbandonActivity,
        ActivityLease,
        ActivityProgress,
        ActivityResult,
        FetchActivities,
        LeasedActivity,
    )

__all__ = [
    "abandon_activities",
    "fetch_activities",
    "finish_activities",
    "record_progress",
    "renew_activities",
]

_SQL = statements("activities")
_LOST = Renewed(RenewOutcome.LOST)
_HELD = Renewed(RenewOutcome.HELD)

# ------------------------------------------------------------------------------- fetching


def _order(work: LeasedActivity) -> tuple[int, datetime]:
    """Put the most urgent first, then what has waited longest, whatever became of it meanwhile."""
    return (0 if work.options is None else -work.options.priority, work.queued_at)


class _Fetch:
    """One fetch: what may be taken, and what was."""

    def __init__(self, tx: Transaction, request: FetchActivities) -> None:
        self.tx = tx
        self.request = request
        self.tags = frozenset(request.tags)
        self.names = None if request.names is None else frozenset(request.names)
        self.mine: set[str] = set()
        if request.sessions is not None:
            end_sessions(tx)
            owned = tx.execute(_SQL["owned"], (request.executor, tx.now)).fetchall()
            self.mine.update(row[0] for row in owned)
        self.kinds = [
            (kind, priority, in_session)
            for tag in dict.fromkeys(request.tags)
            for kind, name, in_session, priority in tx.execute(_SQL["kinds"], (tag,)).fetchall()
            if (self.names is None or name in self.names)
            and (not in_session or request.sessions is not None)
        ]

    def candidates(self) -> Sequence[tuple[int, int, int, str | None]]:
        """Find what is due, the first first: negated priority, due, key, session."""
        while True:
            found: list[tuple[int, int, int, str | None]] = []
            gone: list[tuple[int, str | None]] = []
            self._look_into_queues(found, gone)
            self._look_into_sessions(found, gone)
            for key, limit_key in gone:
                self.tx.execute(_SQL["delete"], (key,))
                if limit_key is not None:
                    self.tx.gates[limit_key] = None
            if not gone:
                found.sort(key=lambda each: each[:3])
                return found

    def _look_into_queues(
        self, found: list[tuple[int, int, int, str | None]], gone: list[tuple[int, str | None]]
    ) -> None:
        tx, query = self.tx, _SQL["due"]
        for kind, priority, _ in self.kinds:
            rows = tx.execute(query, (kind, tx.now, self.request.limit)).fetchall()
            for due, key, session, is_cancelled, limit_key in rows:
                if is_cancelled:  # and its lease has ended: nobody is at it any more
                    gone.append((key, limit_key))
                else:
                    found.append((-priority, due, key, session))

    def _look_into_sessions(
        self, found: list[tuple[int, int, int, str | None]], gone: list[tuple[int, str | None]]
    ) -> None:
        tx, names = self.tx, self.names
        for session in self.mine:
            rows = tx.execute(_SQL["due_in_session"], (session, tx.now)).fetchall()
            for due, key, priority, is_cancelled, limit_key, tag, name in rows:
                if is_cancelled:
                    gone.append((key, limit_key))
                elif tag in self.tags and (names is None or name in names):
                    found.append((-priority, due, key, session))

    def take(self) -> Sequence[LeasedActivity]:
        """Lease up to the limit."""
        tx, request, terms = self.tx, self.request, self.request.sessions
        taken: list[LeasedActivity] = []
        end = later(tx.now, request.lease)
        if request.limit <= 0:
            return taken
        for _, _, key, session in self.candidates():
            if session is not None:
                if session not in self.mine:
                    if terms is None or len(self.mine) >= terms.limit:
                        continue
                    claim(tx, session, request.executor, terms)
                    self.mine.add(session)
                use_session(tx, session)
            (row,) = tx.execute(_SQL["lease"], (request.token, end, tx.now, key)).fetchall()
            taken.append(leased_activity(row, request.token))
            if len(taken) == request.limit:
                break
        taken.sort(key=_order)
        return taken

    def next_due(self) -> int | None:
        """Say when more may be due."""
        tx, terms = self.tx, self.request.sessions
        found: list[int | None] = [tx.execute(_SQL["next_look"]).fetchone()[0]]
        may_claim = terms is not None and len(self.mine) < terms.limit
        for kind, _, in_session in self.kinds:
            if not in_session or may_claim:
                row = tx.execute(_SQL["next_due"], (kind, tx.now)).fetchone()
                found.append(None if row is None else row[0])
        found += [
            tx.execute(_SQL["next_due_in_session"], (session, tx.now)).fetchone()[0]
            for session in self.mine
        ]
        if may_claim:
            found.append(tx.execute(_SQL["next_end"], (self.request.executor,)).fetchone()[0])
        return min((due for due in found if due is not None), default=None)


def fetch_activities(tx: Transaction, request: FetchActivities) -> FetchedActivities:
    """Lease due activities, the greatest priority and then the oldest first."""
    look(tx)
    fetch = _Fetch(tx, request)
    taken = fetch.take()
    next_due = tx.now if len(taken) == request.limit else fetch.next_due()
    return FetchedActivities(tuple(taken), until(tx.now, next_due), moment(tx.now))


# ------------------------------------------------------------------------------ finishing


def _leased(tx: Transaction, lease: ActivityLease) -> tuple[Any, ...] | None:
    """Find what is leased: key, reason of its cancellation, session, limit, tag, attempt."""
    row: tuple[Any, ...] | None = tx.execute(
        _SQL["leased"],
        (lease.instance, lease.execution, lease.operation, lease.token, tx.now),
    ).fetchone()
    return row


def finish_activities(
    tx: Transaction, results: Sequence[ActivityResult]
) -> Sequence[FinishOutcome]:
    """Record results and wake their instances."""
    return [_finish(tx, result) for result in results]


def _finish(tx: Transaction, result: ActivityResult) -> FinishOutcome:
    lease, end = result.lease, result.end
    row = _leased(tx, lease)
    if row is None:
        return _finished_before(tx, result)
    key, cancel_reason, session, limit_key, tag, _ = row
    if session is not None:
        use_session(tx, session)
    if cancel_reason is not None and not isinstance(end, ActivityDiscarded):
        _drop(tx, key, limit_key)
        return FinishOutcome.LOST
    match end:
        case ActivityRetried(delay=delay, failure=failure):
            due = later(tx.now, delay)
            tx.execute(_SQL["retry"], (lease.token, encode_failure(failure), due, key))
            if due <= tx.now:
                tx.tell(f"a{tag}")
        case ActivityDeferred(within=within):
            tx.execute(_SQL["defer"], (later(tx.now, within), key))
        case ActivityDiscarded():
            _drop(tx, key, limit_key)
        case ActivityCompleted(result=text):
            _drop(tx, key, limit_key)
            _record(tx, lease, RecordKind.ACTIVITY_COMPLETED, text)
        case ActivityFailed(failure=failure):
            _drop(tx, key, limit_key)
            _record(tx, lease, RecordKind.ACTIVITY_FAILED, encode_failure(failure))
    return FinishOutcome.RECORDED


def _record(tx: Transaction, lease: ActivityLease, kind: RecordKind, body: str) -> None:
    awaiting = (lease.instance, lease.execution, lease.operation)
    answer_to(tx, awaiting, kind, body, lease.token)


def _finished_before(tx: Transaction, result: ActivityResult) -> FinishOutcome:
    """Say whether an earlier try, whose answer was lost, has recorded this."""
    lease = result.lease
    which = (lease.instance, lease.execution, lease.operation, lease.token)
    is_retry = isinstance(result.end, ActivityRetried)
    for query in ("was_retried", "was_recorded") if is_retry else ("was_recorded",):
        if tx.execute(_SQL[query], which).fetchone() is not None:
            return FinishOutcome.RECORDED
    return FinishOutcome.LOST


def _drop(tx: Transaction, key: int, limit_key: str | None) -> None:
    tx.execute(_SQL["delete"], (key,))
    if limit_key is not None:
        tx.gates[limit_key] = None


# ------------------------------------------------------------------ renewing and the like


def renew_activities(
    tx: Transaction, leases: Sequence[ActivityLease], lease: timedelta
) -> Sequence[Renewed]:
    """Extend leases; that of a cancelled one too, so that nobody takes what is being stopped."""
    end = later(tx.now, lease)
    renewed: list[Renewed] = []
    for each in leases:
        row = _leased(tx, each)
        if row is not None:
            tx.execute(_SQL["extend"], (end, row[0]))
            if row[2] is not None:
                use_session(tx, row[2])
        renewed.append(_renewed(row))
    return renewed


def record_progress(tx: Transaction, progress: Sequence[ActivityProgress]) -> Sequence[Renewed]:
    """Keep what attempts tell of themselves."""
    renewed: list[Renewed] = []
    for each in progress:
        row = _leased(tx, each.lease)
        if row is not None:
            tx.execute(_SQL["progress"], (each.details, row[0]))
        renewed.append(_renewed(row))
    return renewed


def _renewed(row: tuple[Any, ...] | None) -> Renewed:
    if row is None:
        return _LOST
    reason = row[1]
    return _HELD if reason is None else Renewed(RenewOutcome.CANCELLED, reason)


def abandon_activities(tx: Transaction, activities: Sequence[AbandonActivity]) -> None:
    """Hand activities back; leases that are over are ignored, what was cancelled goes."""
    for each in activities:
        row = _leased(tx, each.lease)
        if row is None:
            continue
        key, cancel_reason, _, limit_key, tag, attempt = row
        if cancel_reason is not None:
            _drop(tx, key, limit_key)
            continue
        due = later(tx.now, each.delay)
        counted = attempt if each.count_attempt else max(attempt - 1, 0)
        tx.execute(_SQL["hand_back"], (counted, due, key))
        if due <= tx.now:
            tx.tell(f"a{tag}")
