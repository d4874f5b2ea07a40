"""Counting, deleting, pruning, bringing in.

What may take long goes in parts, each a transaction of its own: retention deletes some trees at a
time, pruning some executions. A tree that is deleted by name goes in one transaction, whatever its
size: half a tree is no use to anybody.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perdure.model.codec import encode_failure
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import InstanceId
from perdure.providers.administering import (
    Deleted,
    DeleteOutcome,
    ExecutionInfo,
    ImportOutcome,
    InstanceSize,
    Pruned,
    Retired,
    Swept,
    Totals,
)
from perdure.providers.postgres.base import Base
from perdure.providers.postgres.rows import CODES, ENDED, PHASES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.providers.administering import Archive, Prune, Retire

__all__ = ["AdministrationVerbs"]

_ROOTS_AT_ONCE = 50
_ENDS_AT_ONCE = 1000
_EXECUTIONS_AT_ONCE = 100
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)

_OUTCOMES = {code: outcome for outcome, code in ENDED.items()}
_DELETED = {
    0: DeleteOutcome.NOT_FOUND,
    1: DeleteOutcome.DELETED,
    2: DeleteOutcome.RUNNING,
    3: DeleteOutcome.IS_CHILD,
}
_DELETED_FAILURE = encode_failure(
    Failure(
        category=FailureCategory.TERMINATED,
        type="Terminated",
        message="deleted",
        retryable=False,
    )
)


class AdministrationVerbs(Base):
    """Everything of `AdminProvider` but limits."""

    async def read_executions(self, instance: InstanceId) -> Sequence[ExecutionInfo]:
        """Read the executions of an instance that are kept, oldest first; empty: no such one."""
        rows = await self._call("read_executions", self._calls.read_executions, instance)
        return [
            ExecutionInfo(
                execution=row["execution"],
                outcome=None if row["outcome"] is None else _OUTCOMES[row["outcome"]],
                version=row["version"],
                started_at=row["started"],
                finished_at=row["finished"],
                records=row["records"],
            )
            for row in rows
        ]

    async def read_sizes(self, instances: Sequence[InstanceId]) -> Sequence[InstanceSize | None]:
        """Measure instances; None where there is none."""
        if not instances:
            return []
        ids = list(dict.fromkeys(instances))
        rows = await self._call("read_sizes", self._calls.read_sizes, ids)
        found = {
            row["id"]: InstanceSize(
                records=row["records"],
                bytes=row["bytes"],
                unread=row["unread"],
                keys=row["keys"],
                key_bytes=row["key_bytes"],
            )
            for row in rows
        }
        return [found.get(each) for each in instances]

    async def read_totals(self) -> Totals:
        """Count everything; more than a hundred thousand records are estimated."""
        rows = await self._call("read_totals", self._calls.read_totals, self._now())
        found: dict[str, int] = {row["name"]: row["n"] for row in rows}
        return Totals(
            instances={
                PHASES[int(name.removeprefix("phase "))]: count
                for name, count in found.items()
                if name.startswith("phase ")
            },
            records=found["records"],
            due_turns=found["due_turns"],
            waiting_activities=found["waiting_activities"],
            leased_activities=found["leased_activities"],
            timers=found["timers"],
            early_messages=found["early_messages"],
            tallies={
                name.removeprefix("tally "): count
                for name, count in found.items()
                if name.startswith("tally ")
            },
        )

    async def delete_instances(
        self, instances: Sequence[InstanceId], *, force: bool = False
    ) -> Sequence[Deleted]:
        """Delete roots with everything beneath them, each tree in one transaction."""
        return [await self._delete(each, force=force) for each in instances]

    async def _delete(self, instance: InstanceId, *, force: bool) -> Deleted:
        rows = await self._call(
            "delete_instances",
            self._calls.delete_instances,
            instance,
            force,
            _DELETED_FAILURE,
            self._now(),
        )
        row = rows[0]
        self._post_gone(row, [f"f{each}" for each in row["finished"]])
        return Deleted(
            outcome=_DELETED[row["outcome"]],
            instances=row["instances"],
            executions=row["executions"],
            records=row["records"],
            messages=row["messages"],
            running=tuple(InstanceId(each) for each in row["running"]),
        )

    def _post_gone(self, row: Any, lines: list[str]) -> None:
        lines.extend(f"c{each}" for each in row.get("cancelled") or ())
        if row["is_changed"]:
            lines.append("w")
        self._board.post(lines)

    async def retire(self, request: Retire) -> Retired:
        """Delete finished trees, oldest end first, some at a time."""
        roots = instances = records = 0
        at, last = _BEGINNING, ""
        while roots < request.limit:
            rows = await self._call(
                "retire",
                self._calls.retire,
                min(request.limit - roots, _ROOTS_AT_ONCE),
                _ENDS_AT_ONCE,
                request.finished_before,
                request.older_than,
                request.tenant,
                request.name,
                [CODES[status] for status in request.statuses] or None,
                at,
                last,
                self._now(),
            )
            row = rows[0]
            self._post_gone(row, [])
            roots += row["roots"]
            instances += row["instances"]
            records += row["records"]
            if row["is_last"]:
                break
            at, last = row["last_at"], row["last_id"]
        return Retired(roots, instances, records)

    async def prune(self, requests: Sequence[Prune]) -> Sequence[Pruned]:
        """Delete records of old executions, some at a time."""
        return [await self._prune(each) for each in requests]

    async def _prune(self, request: Prune) -> Pruned:
        executions = records = 0
        while True:
            rows = await self._call(
                "prune",
                self._calls.prune,
                request.instance,
                max(request.keep_last or 1, 1),
                request.finished_before,
                _EXECUTIONS_AT_ONCE,
            )
            row = rows[0]
            if row["executions"] is None:
                return Pruned(executions or None, records or None)
            executions += row["executions"]
            records += row["records"]
            if row["executions"] < _EXECUTIONS_AT_ONCE:
                return Pruned(executions, records)

    async def bring_in(self, archives: Sequence[Archive]) -> Sequence[ImportOutcome]:
        """Add finished instances with their histories, each in one transaction."""
        return [await self._bring_in(each) for each in archives]

    async def _bring_in(self, archive: Archive) -> ImportOutcome:
        info = archive.info
        if not info.status.is_terminal or info.finished_at is None:
            return ImportOutcome.UNFINISHED
        head = (
            *(info.instance, info.tenant, info.name, info.version, info.parent),
            *(CODES[info.status], info.created_at, info.finished_at, info.execution),
            *(info.history_length, info.cancel_requested, info.custom_status_version),
            *(info.attributes, info.custom_status, info.output),
            None if info.failure is None else encode_failure(info.failure),
        )
        rows = await self._call(
            "bring_in",
            self._calls.bring_in,
            head,
            [(r.seq, r.execution, int(r.kind), r.ref, r.body, r.at) for r in archive.records],
            [(k.key, k.value, k.updated_at) for k in archive.keys],
        )
        return ImportOutcome.IMPORTED if rows[0][0] == 1 else ImportOutcome.EXISTS

    async def sweep(self, limit: int = 1000) -> Swept:
        """Delete what has had its time, at most so many of each sort."""
        row = (await self._call("sweep", self._calls.sweep, limit, self._now()))[0]
        return Swept(row["messages"], row["questions"], row["executors"])
