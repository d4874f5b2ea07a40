"""The verbs that read."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from perdure.errors import CallerError
from perdure.model.ids import ExecutorId, InstanceId, OperationId
from perdure.model.records import KeyValue
from perdure.providers.postgres.base import Base
from perdure.providers.postgres.rows import CODES, PHASES, instance_of, record_of
from perdure.providers.reading import (
    Changes,
    ExecutorInfo,
    InstancePage,
    LiveExecutor,
    OpenActivity,
    Role,
    TagBacklog,
)
from perdure.providers.work import CodeId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perdure.model.records import Record
    from perdure.providers.reading import InstanceInfo, InstanceStatus, ListInstances

__all__ = ["ReadingVerbs"]


class ReadingVerbs(Base):
    """Everything that changes nothing."""

    async def read_instances(
        self, instances: Sequence[InstanceId]
    ) -> Sequence[InstanceInfo | None]:
        """Read instances; None where there is none."""
        if not instances:
            return []
        rows = await self._call("read_instances", self._calls.read_instances, list(instances))
        found = {row["id"]: instance_of(row) for row in rows}
        return [found.get(instance) for instance in instances]

    async def read_history(
        self, instance: InstanceId, *, execution: int | None = None, after: int = 0, limit: int = 0
    ) -> Sequence[Record]:
        """Read records in order: of one execution or all; `limit` 0 means all."""
        rows = await self._call(
            "read_history", self._calls.read_history, instance, execution, after, limit
        )
        return [record_of(row) for row in rows]

    async def read_keys(
        self, instances: Sequence[InstanceId], key: str | None = None
    ) -> Sequence[Sequence[KeyValue]]:
        """Read the key-value maps of instances, or one key of each; by key."""
        if not instances:
            return []
        rows = await self._call("read_keys", self._calls.read_keys, list(instances), key)
        found: list[list[KeyValue]] = [[] for _ in instances]
        for row in rows:
            place: int = row["place"]
            found[place - 1].append(KeyValue(row["key"], row["value"], row["updated"]))
        return found

    async def list_instances(self, query: ListInstances) -> InstancePage:
        """List instances, newest first."""
        created, after = _read_cursor(query.after)
        rows = await self._call(
            "list_instances",
            self._calls.list_instances,
            query.limit + 1,
            created,
            after,
            _filter_row(query),
        )
        instances = tuple(instance_of(row) for row in rows[: query.limit])
        if len(rows) <= query.limit or not instances:
            return InstancePage(instances, None)
        last = instances[-1]
        return InstancePage(instances, f"{last.created_at.isoformat()} {last.instance}")

    async def count_instances(self, query: ListInstances) -> Mapping[InstanceStatus, int]:
        """Count by status what `list_instances` would list on all its pages; zeros left out."""
        rows = await self._call("count_instances", self._calls.count_instances, _filter_row(query))
        return {PHASES[row["phase"]]: row["n"] for row in rows}

    async def read_activities(self, instances: Sequence[InstanceId]) -> Sequence[OpenActivity]:
        """Read the activities of these instances that wait or run."""
        if not instances:
            return []
        rows = await self._call(
            "read_activities", self._calls.read_activities, list(instances), self._now()
        )
        return [
            OpenActivity(
                instance=InstanceId(row["instance"]),
                operation=OperationId(row["op"]),
                name=row["name"],
                tag=row["tag"],
                attempt=row["attempt"],
                failures=row["failures"],
                leased=row["leased"],
                due_at=row["due"],
                queued_at=row["queued"],
                last_failure=row["last_failure"],
                details=row["details"],
                session=row["session"],
                priority=row["priority"],
                limit=row["limit_key"],
                awaits_limit=row["awaits_limit"],
            )
            for row in rows
        ]

    async def read_backlog(self) -> Sequence[TagBacklog]:
        """Count what waits, by tag."""
        rows = await self._call("read_backlog", self._calls.read_backlog, self._now())
        return [
            TagBacklog(
                tag=row["tag"],
                ready=row["ready"],
                leased=row["leased"],
                oldest_age=row["oldest"],
            )
            for row in rows
        ]

    async def read_executors(self) -> Sequence[LiveExecutor]:
        """Read the executors that announced themselves within the last minute."""
        rows = await self._call("read_executors", self._calls.read_executors, self._now())
        return [LiveExecutor(info=_executor_of(row), seen_at=row["seen"]) for row in rows]

    async def read_changes(self, cursor: int, limit: int) -> Changes:
        """Read the change feed after `cursor` (0: from the start of what is kept)."""
        rows = await self._call("read_changes", self._calls.read_changes, cursor, limit)
        return Changes(
            cursor=rows[-1]["cursor"] if rows else cursor,
            instances=tuple(InstanceId(row["instance"]) for row in rows),
        )


def _filter_row(query: ListInstances) -> tuple[object, ...]:
    return (
        *(query.tenant, query.name, [CODES[status] for status in query.statuses] or None),
        *(query.prefix, query.parent, query.roots, query.version),
        *(query.created_after, query.created_before),
        *(query.finished_after, query.finished_before, query.attributes),
    )


def _read_cursor(cursor: str | None) -> tuple[datetime | None, str | None]:
    if cursor is None:
        return None, None
    created, _, instance = cursor.partition(" ")
    try:
        return datetime.fromisoformat(created), instance
    except ValueError:
        raise CallerError(
            f"{cursor!r} is no cursor: pass `InstancePage.next` of the page before"
        ) from None


def _executor_of(row: Any) -> ExecutorInfo:
    return ExecutorInfo(
        executor=ExecutorId(row["id"]),
        role=Role(row["role"]),
        name=row["name"],
        build=row["build"],
        tags=tuple(row["tags"]),
        code=tuple(map(CodeId, row["code_names"], row["code_versions"])),
        activities=tuple(row["activities"]),
        slots=row["slots"],
        busy=row["busy"],
        draining=row["draining"],
    )
