"""Values to columns and columns to values.

Times are whole microseconds since 1970 in UTC: they compare as integers and lose nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from perdure.model.codec import decode, decode_failure, encode
from perdure.model.ids import JsonText
from perdure.model.options import ActivityOptions
from perdure.model.policy import Retry
from perdure.model.records import Outcome, Record, RecordKind
from perdure.providers.reading import InstanceInfo, InstanceStatus
from perdure.providers.work import Block, LeasedActivity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perdure.model.ids import LeaseToken

__all__ = [
    "ENDED",
    "FAREST",
    "KINDS",
    "PHASES",
    "instance_of",
    "later",
    "leased_activity",
    "micros",
    "moment",
    "options_of",
    "record_of",
    "retry_text",
    "span",
    "time_span",
    "until",
]

ENDED = {
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

KINDS = {int(kind): kind for kind in RecordKind}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000
_SECOND = 1_000_000


def micros(at: datetime) -> int:
    """Write a time."""
    return span(at - _EPOCH)


def moment(at: int) -> datetime:
    """Read a time."""
    return _EPOCH + timedelta(microseconds=at)


def span(delta: timedelta) -> int:
    """Write a span of time."""
    return delta.days * _DAY + delta.seconds * _SECOND + delta.microseconds


FAREST = micros(datetime.max.replace(tzinfo=UTC))
"""The last time that there is."""


def later(now: int, by: timedelta) -> int:
    """Add, never beyond the end of time."""
    return min(now + span(by), FAREST)


def until(now: int, due: int | None) -> timedelta | None:
    """Time from `now` to `due`; never negative."""
    return None if due is None else timedelta(microseconds=max(due - now, 0))


def time_span(value: int | None) -> timedelta | None:
    """Read a span of time that may be missing."""
    return None if value is None else timedelta(microseconds=value)


@lru_cache(maxsize=1024)
def retry_text(retry: Retry) -> str:
    """Write a retry policy."""
    return encode(retry, Retry)


@lru_cache(maxsize=1024)
def _retry_of(text: str | None) -> Retry | None:
    return None if text is None else decode(JsonText(text), Retry)


def record_of(row: Sequence[Any]) -> Record:
    """Read a record."""
    seq, execution, kind, ref, body, at = row
    return Record(seq, execution, KINDS[kind], ref, body, moment(at))


def options_of(
    session: str | None,
    priority: int,
    limit: str | None,
    queue_timeout: int | None,
    heartbeat_timeout: int | None,
) -> ActivityOptions | None:
    """Read the options of an activity; None if none was given."""
    given = (session, limit, queue_timeout, heartbeat_timeout)
    if not priority and given == (None, None, None, None):
        return None
    return ActivityOptions(
        session, priority, limit, time_span(queue_timeout), time_span(heartbeat_timeout)
    )


def leased_activity(row: Sequence[Any], token: LeaseToken) -> LeasedActivity:
    """Read an activity that was leased."""
    instance, execution, op, name, tag, data, retry, timeout, attempt, failures, queued = row[:11]
    started, details, priority, session, limit, queue_timeout, heartbeat_timeout = row[11:]
    return LeasedActivity(
        *(instance, execution, op, token, name, tag, data, _retry_of(retry), time_span(timeout)),
        *(attempt, failures, moment(queued)),
        options_of(session, priority, limit, queue_timeout, heartbeat_timeout),
        details,
        moment(started),
    )


def instance_of(row: Sequence[Any]) -> InstanceInfo:
    """Read an instance."""
    instance, tenant, name, version, execution, phase, created, finished, parent = row[:9]
    output, failure, custom_status, custom_version, block_reason, block_message = row[9:15]
    length, cancelled, attributes, limit, awaits = row[15:]
    return InstanceInfo(
        *(instance, tenant, name, version, execution, PHASES[phase], moment(created)),
        None if finished is None else moment(finished),
        parent,
        output,
        None if failure is None else decode_failure(failure),
        custom_status,
        custom_version,
        None if block_reason is None else Block(block_reason, block_message or ""),
        length,
        bool(cancelled),
        attributes,
        limit,
        bool(awaits),
    )


def records_of(rows: Iterable[Sequence[Any]]) -> Sequence[Record]:
    """Read records."""
    return [record_of(row) for row in rows]
