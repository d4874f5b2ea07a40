"""Reading: instances, lists, histories, queues, executors, the change feed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from perdure.errors import CallerError
from perdure.model.codec import decode, encode
from perdure.model.ids import InstanceId, OperationId
from perdure.providers.reading import (
    Changes,
    ExecutorInfo,
    InstancePage,
    LiveExecutor,
    OpenActivity,
    TagBacklog,
)
from perdure.providers.sqlite.messages import sweep
from perdure.providers.sqlite.rows import (
    PHASES,
    instance_of,
    micros,
    moment,
    record_of,
    time_span,
)
from perdure.providers.sqlite.statements import statements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perdure.model.ids import ExecutorId
    from perdure.model.records import Record
    from perdure.providers.reading import InstanceInfo, InstanceStatus, ListInstances
    from perdure.providers.sqlite.transaction import Transaction

_SQL = statements("reading")
_MESSAGE_SQL = statements("messages")
_BY_ID = f"{_SQL['instance']} {_SQL['of_all']} {_SQL['by_id']}"
_CODES = {status: code for code, status in PHASES.items()}
_MINUTE = 60_000_000
_END = 1 << 62
_TERMINAL_FROM = 5
_SWEPT_WITH_NEWS = 100


def ping(tx: Transaction) -> None:
    """Touch the tables."""
    tx.execute(_SQL["version"]).fetchone()


def read_instances(
    tx: Transaction, instances: Sequence[InstanceId]
) -> Sequence[InstanceInfo | None]:
    """Read instances; None where there is none."""
    rows = [tx.execute(_BY_ID, (instance,)).fetchone() for instance in instances]
    return [None if row is None else instance_of(row) for row in rows]


def list_instances(tx: Transaction, query: ListInstances) -> InstancePage:
    """List instances, newest first."""
    where, values = _narrowed(query)
    after = _read_cursor(query.after)
    statement = f"{_SQL['instance']} {where} and {_SQL['by_page']} {_SQL['newest_first']}"
    rows = tx.execute(statement, (*values, *after, query.limit + 1)).fetchall()
    instances = tuple(instance_of(row) for row in rows[: query.limit])
    if len(rows) <= query.limit or not instances:
        return InstancePage(instances, None)
    last = instances[-1]
    return InstancePage(instances, f"{last.created_at.isoformat()} {last.instance}")


def count_instances(tx: Transaction, query: ListInstances) -> Mapping[InstanceStatus, int]:
    """Count by status what a list would show on all its pages."""
    where, values = _narrowed(query)
    statement = f"{_SQL['count']} {where} {_SQL['by_code']}"
    return {PHASES[phase]: count for phase, count in tx.execute(statement, values)}


def _narrowed(query: ListInstances) -> tuple[str, Sequence[object]]:
    """Put together from where and on what conditions: only those that were asked for."""

    def time(at: datetime | None) -> int | None:
        return None if at is None else micros(at)

    phases = [_CODES[status] for status in query.statuses]
    wanted = {
        "by_tenant": query.tenant,
        "by_name": query.name,
        "by_parent": query.parent,
        "by_version": query.version,
        "by_created_after": time(query.created_after),
        "by_created_before": time(query.created_before),
        "by_finished_after": time(query.finished_after),
        "by_finished_before": time(query.finished_before),
        "by_attributes": query.attributes,
        "by_phase": encode(phases) if phases else None,
        "by_prefix": query.prefix,
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    conditions = [_SQL[name] for name in ("by_any", *given)]
    if query.roots:
        conditions.append(_SQL["by_root"])
    is_unfinished = bool(phases) and max(phases) < _TERMINAL_FROM
    source = _SQL["of_unfinished" if is_unfinished else "of_all"]
    return f"{source} {' and '.join(conditions)}", list(given.values())


def _read_cursor(cursor: str | None) -> tuple[int, str]:
    if cursor is None:
        return _END, ""
    created, _, instance = cursor.partition(" ")
    try:
        return micros(datetime.fromisoformat(created)), instance
    except (ValueError, TypeError):
        raise CallerError(
            f"{cursor!r} is no cursor: pass `InstancePage.next` of the page before"
        ) from None


def read_history(
    tx: Transaction, instance: str, execution: int | None, after: int, limit: int
) -> Sequence[Record]:
    """Read records in order."""
    most = limit or -1
    if execution is None:
        rows = tx.execute(_SQL["history"], (instance, after, most))
    else:
        rows = tx.execute(_SQL["history_of_execution"], (instance, after, execution, most))
    return [record_of(row) for row in rows]


def read_activities(tx: Transaction, instances: Sequence[InstanceId]) -> Sequence[OpenActivity]:
    """Read the activities of these instances that wait or run."""
    found: list[OpenActivity] = []
    for each in instances:
        for row in tx.execute(_SQL["activities"], (tx.now, each)):
            instance, op, name, tag, attempt, failures, leased, due, queued, failure = row[:10]
            details, session, priority, limit, awaits = row[10:]
            found.append(
                OpenActivity(
                    instance=InstanceId(instance),
                    operation=OperationId(op),
                    name=name,
                    tag=tag,
                    attempt=attempt,
                    failures=failures,
                    leased=bool(leased),
                    due_at=moment(queued if due is None else due),
                    queued_at=moment(queued),
                    last_failure=failure,
                    details=details,
                    session=session,
                    priority=priority,
                    limit=limit,
                    awaits_limit=bool(awaits),
                )
            )
    return found


def read_backlog(tx: Transaction) -> Sequence[TagBacklog]:
    """Count what waits, by tag."""
    return [
        TagBacklog(tag=tag, ready=ready, leased=leased, oldest_age=time_span(oldest))
        for tag, ready, leased, oldest in tx.execute(_SQL["backlog"], (tx.now,))
    ]


def read_changes(tx: Transaction, cursor: int, limit: int) -> Changes:
    """Read the change feed after `cursor`."""
    rows = tx.execute(_SQL["changes"], (cursor, limit)).fetchall()
    return Changes(
        cursor=rows[-1][0] if rows else cursor,
        instances=tuple(InstanceId(instance) for _, instance in rows),
    )


# ------------------------------------------------------------------------------ executors


def announce(tx: Transaction, info: ExecutorInfo) -> None:
    """Tell of a process; and sweep a little."""
    row = (info.executor, tx.now, encode(info, ExecutorInfo))
    tx.execute(_MESSAGE_SQL["announce"], row)
    sweep(tx, _SWEPT_WITH_NEWS)


def withdraw(tx: Transaction, executor: ExecutorId) -> None:
    """Forget a process."""
    tx.execute(_MESSAGE_SQL["withdraw"], (executor,))


def read_executors(tx: Transaction) -> Sequence[LiveExecutor]:
    """Read the executors that announced themselves within the last minute."""
    rows = tx.execute(_SQL["executors"], (tx.now - _MINUTE,)).fetchall()
    live = [LiveExecutor(decode(info, ExecutorInfo), moment(seen)) for _, seen, info in rows]
    return sorted(live, key=lambda each: (each.info.role, each.info.name, each.info.executor))
