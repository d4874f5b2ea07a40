"""An instance as documents, table cells and words."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from rich.text import Text

from perdure.cli.output import plain
from perdure.model.failure import Failure
from perdure.model.ids import JsonText
from perdure.providers.reading import InstanceInfo, InstanceStatus, OpenActivity

__all__ = [
    "activity_document",
    "ago",
    "counted",
    "duration",
    "failure_document",
    "failure_line",
    "instance_document",
    "status_text",
    "value_of",
]

_STATUS_STYLES = {
    InstanceStatus.PENDING: "dim",
    InstanceStatus.RUNNING: "cyan",
    InstanceStatus.SUSPENDED: "yellow",
    InstanceStatus.BLOCKED: "bold yellow",
    InstanceStatus.COMPLETED: "green",
    InstanceStatus.FAILED: "bold red",
    InstanceStatus.CANCELLED: "magenta",
    InstanceStatus.TERMINATED: "magenta",
    InstanceStatus.TIMED_OUT: "bold red",
}
_SECOND = 1.0
_MINUTE = 60.0
_HOUR = 3600.0
_DAY = 86400.0


def value_of(text: JsonText | None) -> object:
    """Read a stored value, to be shown or printed as JSON."""
    if text is None:
        return None
    value: object = json.loads(text)
    return value


def status_text(status: InstanceStatus) -> Text:
    """Colour a status by how much it asks for attention."""
    return Text(status.value, style=_STATUS_STYLES[status])


def duration(span: timedelta | float) -> str:
    """Say how long, in the few characters that a table has.

    >>> [duration(seconds) for seconds in (0.004, 1.25, 192, 7500, 356400)]
    ['4ms', '1.2s', '3m12s', '2h05m', '4d03h']
    """
    seconds = span.total_seconds() if isinstance(span, timedelta) else span
    sign = "-" if seconds < 0 else ""
    seconds = abs(seconds)
    if seconds < _SECOND:
        said = f"{seconds * 1000:.0f}ms"
    elif seconds < _MINUTE:
        said = f"{seconds:.1f}s"
    elif seconds < _HOUR:
        said = f"{int(seconds // _MINUTE)}m{int(seconds % _MINUTE):02}s"
    elif seconds < _DAY:
        said = f"{int(seconds // _HOUR)}h{int(seconds % _HOUR // _MINUTE):02}m"
    else:
        said = f"{int(seconds // _DAY)}d{int(seconds % _DAY // _HOUR):02}h"
    return f"{sign}{said}"


def ago(then: datetime, now: datetime | None = None) -> str:
    """Say how long it is since `then`."""
    return duration(max((now or datetime.now(UTC)) - then, timedelta(0)))


def counted(number: int | None, thing: str) -> str:
    """Say how many of a thing.

    >>> counted(1, "record"), counted(2, "record")
    ('1 record', '2 records')
    """
    return f"{number or 0} {thing}{'' if number == 1 else 's'}"


def failure_line(failure: Failure | None, *, width: int | None = None) -> str:
    """Say a failure in one line."""
    if failure is None:
        return ""
    return plain(f"{failure.type}: {failure.message}", width=width)


def failure_document(failure: Failure | None) -> dict[str, object] | None:
    """Write a failure as a document, its causes inside."""
    if failure is None:
        return None
    return {
        "category": failure.category.value,
        "type": failure.type,
        "message": failure.message,
        "retryable": failure.retryable,
        "details": value_of(failure.details),
        "traceback": failure.traceback,
        "cause": failure_document(failure.cause),
    }


def instance_document(info: InstanceInfo) -> dict[str, object]:
    """Write an instance as the document that `-o json` and `-o yaml` print."""
    return {
        "instance": str(info.instance),
        "name": info.name,
        "version": info.version,
        "status": info.status.value,
        "execution": info.execution,
        "createdAt": info.created_at.isoformat(),
        "finishedAt": info.finished_at.isoformat() if info.finished_at else None,
        "parent": info.parent,
        "tenant": info.tenant,
        "output": value_of(info.output),
        "failure": failure_document(info.failure),
        "customStatus": value_of(info.custom_status),
        "block": (
            {"reason": info.block.reason, "message": info.block.message} if info.block else None
        ),
        "historyLength": info.history_length,
        "cancelRequested": info.cancel_requested,
        "attributes": value_of(info.attributes),
        "limit": info.limit,
        "awaitsLimit": info.awaits_limit,
    }


def activity_document(activity: OpenActivity) -> dict[str, object]:
    """Write an activity that waits or runs as a document."""
    return {
        "operation": str(activity.operation),
        "name": activity.name,
        "tag": activity.tag,
        "state": "running" if activity.leased else "waiting",
        "attempt": activity.attempt,
        "failures": activity.failures,
        "queuedAt": activity.queued_at.isoformat(),
        "dueAt": activity.due_at.isoformat(),
        "lastFailure": activity.last_failure,
        "progress": value_of(activity.details),
        "session": activity.session,
        "priority": activity.priority,
        "limit": activity.limit,
        "awaitsLimit": activity.awaits_limit,
    }
