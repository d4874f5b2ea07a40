"""Values to rows and rows to values; nothing here talks to Postgres.

A row is a tuple in the order of the composite type it is sent as (`sql/migrations`), or what the
driver made of a result. Lists are sent sorted by instance, because functions lock in the order in
which they are told; `Sorted` puts the answers back into the order of the question.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from perdure.model.codec import (
    decode,
    decode_failure,
    encode,
    encode_failure,
    encode_started,
)
from perdure.model.ids import JsonText
from perdure.model.policy import Retry
from perdure.model.records import Outcome, Record, RecordKind
from perdure.providers.reading import InstanceInfo, InstanceStatus
from perdure.providers.work import (
    ActivityCompleted,
    ActivityDiscarded,
    ActivityFailed,
    ActivityRetried,
    Block,
    LeasedActivity,
    LeasedTurn,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from perdure.model.ids import LeaseToken
    from perdure.model.records import Ending
    from perdure.providers.work import (
        ActivityLease,
        ActivityResult,
        Message,
        NewActivity,
        TurnCommit,
    )

__all__ = [
    "ENDED",
    "PHASES",
    "Sorted",
    "TurnRows",
    "instance_of",
    "lease_row",
    "leased_activity",
    "leased_turns",
    "message_row",
    "record_of",
    "result_row",
    "turn_rows",
]

ENDED = {
    Outcome.CONTINUED_AS_NEW: 1,
    Outcome.COMPLETED: 5,
    Outcome.FAILED: 6,
    Outcome.CANCELLED: 7,
    Outcome.TERMINATED: 8,
    Outcome.TIMED_OUT: 9,
}

PHASES = {
    0: InstanceStatus.PENDING,
    1: InstanceStatus.RUNNING,
    2: InstanceStatus.SUSPENDED,
    3: InstanceStatus.BLOCKED,
    5: InstanceStatus.COMPLETED,
    6: InstanceStatus.FAILED,
    7: InstanceStatus.CANCELLED,
    8: InstanceStatus.TERMINATED,
    9: InstanceStatus.TIMED_OUT,
}

_NO_TAGS: frozenset[str] = frozenset()
_KINDS = {int(kind): kind for kind in RecordKind}


class Sorted[T]:
    """Items in the order of their keys, remembering where each was."""

    __slots__ = ("items", "places")

    def __init__(self, items: Sequence[T], key: Callable[[T], Any]) -> None:
        if len(items) == 1:
            self.items: Sequence[T] = items
            self.places: Sequence[int] = (0,)
        else:
            order = sorted(range(len(items)), key=lambda place: key(items[place]))
            self.items = [items[place] for place in order]
            self.places = order

    def restore[R](self, answers: Iterable[R]) -> list[R]:
        """Put one answer for each item into the order in which the items came."""
        given = list(answers)
        restored = given[:]
        for place, answer in zip(self.places, given, strict=True):
            restored[place] = answer
        return restored


# ------------------------------------------------------------------------------- sending


def message_row(message: Message, turn: int | None = None) -> tuple[object, ...]:
    """Make a `message_v1`."""
    start = message.start
    if start is None:
        return (
            *(turn, message.instance, int(message.kind), message.ref, message.body),
            *(message.execution, message.token, None, None, None, message.parent, None),
        )
    return (
        *(turn, message.instance, int(message.kind), message.ref, message.body),
        *(message.execution, message.token, start.name, start.version, start.tenant),
        *(start.parent, start.watched),
    )


class TurnRows:
    """A batch of commits, taken apart into the arguments of `commit_turns`."""

    __slots__ = (
        "activities",
        "cancels",
        "ended",
        "locks",
        "messages",
        "tags",
        "timer_cancels",
        "timers",
        "turns",
    )

    def __init__(self) -> None:
        self.locks: list[str] | None = None
        self.turns: list[tuple[object, ...]] = []
        self.activities: list[tuple[object, ...]] = []
        self.cancels: list[tuple[object, ...]] = []
        self.timers: list[tuple[object, ...]] = []
        self.timer_cancels: list[tuple[object, ...]] = []
        self.messages: list[tuple[object, ...]] = []
        self.tags: list[frozenset[str]] = []
        self.ended: list[bool] = []


def turn_rows(commits: Sequence[TurnCommit]) -> TurnRows:
    """Take apart commits, which are sorted by instance."""
    rows = TurnRows()
    touched: set[str] = set()
    for turn, commit in enumerate(commits, 1):
        key = (turn, commit.instance, commit.execution)
        rows.turns.append(_turn_row(commit))
        if commit.activities:
            rows.activities.extend(_activity_row(key, new) for new in commit.activities)
            rows.tags.append(frozenset(new.tag for new in commit.activities))
        else:
            rows.tags.append(_NO_TAGS)
        if commit.cancel_activities:
            rows.cancels.extend((*key, *cancel) for cancel in commit.cancel_activities)
        if commit.timers:
            rows.timers.extend((*key, timer.operation, timer.fire_at) for timer in commit.timers)
        if commit.cancel_timers:
            rows.timer_cancels.extend((*key, each, None) for each in commit.cancel_timers)
        if commit.messages:
            rows.messages.extend(message_row(message, turn) for message in commit.messages)
            touched.update(message.instance for message in commit.messages)
        ending = commit.ending
        rows.ended.append(ending is not None and ending.outcome is not Outcome.CONTINUED_AS_NEW)
    if touched:
        rows.messages.sort(key=itemgetter(1))
        touched.update(commit.instance for commit in commits)
        rows.locks = sorted(touched)
    return rows


def _activity_row(key: tuple[int, str, int], new: NewActivity) -> tuple[object, ...]:
    retry = None if new.retry is None else _retry_text(new.retry)
    return (*key, new.operation, new.name, new.tag, new.input, retry, new.timeout)


def _turn_row(commit: TurnCommit) -> tuple[object, ...]:
    ending, status, following = commit.ending, commit.custom_status, commit.next_execution
    return (
        *(commit.instance, commit.execution, commit.token, commit.upto, commit.version),
        commit.body,
        *_ending_columns(ending),
        *((False, None) if status is None else (True, status.value)),
        *(
            (None, None, None)
            if following is None
            else (following.name, following.version, encode_started(following))
        ),
    )


def _ending_columns(ending: Ending | None) -> tuple[int, JsonText | None, JsonText | None]:
    if ending is None:
        return (0, None, None)
    failure = None if ending.failure is None else encode_failure(ending.failure)
    return (ENDED[ending.outcome], ending.output, failure)


def lease_row(lease: ActivityLease) -> tuple[object, ...]:
    """Make a `lease_v1`."""
    return (lease.instance, lease.execution, lease.operation, lease.token)


def result_row(result: ActivityResult) -> tuple[object, ...]:
    """Make a `result_v1`."""
    key = lease_row(result.lease)
    match result.end:
        case ActivityCompleted(result=text):
            return (*key, int(RecordKind.ACTIVITY_COMPLETED), text, None)
        case ActivityFailed(failure=failure):
            return (*key, int(RecordKind.ACTIVITY_FAILED), encode_failure(failure), None)
        case ActivityRetried(delay=delay, failure=failure):
            return (*key, 0, encode_failure(failure), delay)
        case ActivityDiscarded():
            return (*key, -1, None, None)


@lru_cache(maxsize=1024)
def _retry_text(retry: Retry) -> str:
    return encode(retry, Retry)


# ------------------------------------------------------------------------------- reading


@lru_cache(maxsize=1024)
def _retry_of(text: str | None) -> Retry | None:
    return None if text is None else decode(JsonText(text), Retry)


def record_of(row: Any) -> Record:
    """Read a record."""
    seq, execution, kind, ref, body, at = row
    return Record(seq, execution, _KINDS[kind], ref, body, at)


def leased_turns(rows: Sequence[Any], token: LeaseToken, now: datetime) -> tuple[LeasedTurn, ...]:
    """Read turns that were leased: rows come one for each record, those of a turn together."""
    turns: list[LeasedTurn] = []
    records: list[Record] = []
    head: tuple[Any, ...] = ()
    seen: str | None = None
    for row in rows:
        if row[0] != seen:
            if head:
                turns.append(_leased_turn(head, token, records, now))
            head, seen, records = row[:7], row[0], []
        seq, kind, at, ref, body = row[7:12]
        if seq is not None:
            records.append(Record(seq, head[1], _KINDS[kind], ref, body, at))
    if head:
        turns.append(_leased_turn(head, token, records, now))
    return tuple(turns)


def _leased_turn(
    head: tuple[Any, ...], token: LeaseToken, records: Sequence[Record], now: datetime
) -> LeasedTurn:
    instance, execution, name, version, attempt, upto, held = head
    return LeasedTurn(
        *(instance, execution, name, version, token, attempt, upto, held, tuple(records), now)
    )


def leased_activity(row: Any, token: LeaseToken) -> LeasedActivity:
    """Read an activity that was leased."""
    instance, execution, op, name, tag, data, retry, timeout, attempt, failures, queued, _ = row
    return LeasedActivity(
        *(instance, execution, op, token, name, tag, data, _retry_of(retry), timeout),
        *(attempt, failures, queued),
    )


def instance_of(row: Any) -> InstanceInfo:
    """Read an instance."""
    # Apart by place: by name took as long as all the rest of reading a result.
    instance, tenant, name, version, execution, phase, created, finished, parent = row[:9]
    output, failure, custom_status, custom_version, block_reason, block_message = row[9:15]
    length, cancelled = row[15:]
    return InstanceInfo(
        *(instance, tenant, name, version, execution, PHASES[phase], created, finished, parent),
        output,
        None if failure is None else decode_failure(failure),
        custom_status,
        custom_version,
        None if block_reason is None else Block(block_reason, block_message or ""),
        length,
        cancelled,
    )


def until(now: datetime, due: datetime | None) -> timedelta | None:
    """Time from `now` to `due`; never negative."""
    return None if due is None else max(due - now, timedelta(0))
