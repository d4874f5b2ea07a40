"""Written by tools/sync_client.py from `perdure.client.administration`; do not edit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Unpack

from perdure.client.queries import Where
from perdure.client.sync.base import SyncBase
from perdure.providers.administering import (
    Archive,
    Deleted,
    ExecutionInfo,
    ImportOutcome,
    InstanceSize,
    LimitState,
    Pruned,
    Retired,
    Totals,
)
from perdure.providers.reading import InstanceInfo, InstanceStatus

__all__ = ["SyncAdministration"]


class SyncAdministration(SyncBase):
    """`perdure.client.administration`, for code without an event loop."""

    def executions(self, instance_id: str) -> Sequence[ExecutionInfo]:
        """Read the executions that are kept, oldest first; raises `InstanceNotFoundError`."""
        return self._runner.run(self._client.executions(instance_id))

    def size(self, instance_id: str) -> InstanceSize:
        """Measure an instance: records, bytes, unread messages, keys."""
        return self._runner.run(self._client.size(instance_id))

    def totals(self) -> Totals:
        """Count what is stored, due and waiting."""
        return self._runner.run(self._client.totals())

    def tree(self, instance_id: str) -> Sequence[InstanceInfo]:
        """Read an instance and everything beneath it, parents before children."""
        return self._runner.run(self._client.tree(instance_id))

    def delete(self, instance_id: str, *, force: bool = False) -> Deleted:
        """Delete an instance and everything beneath it.

        Args:
            instance_id: Of a root; a child goes with its root alone.
            force: Running ones too: their code is not asked, their activities' results refused.

        Raises:
            InstanceNotFoundError: There is no such instance.
            InstanceUnfinishedError: Something of it runs, and `force` is false.
            CallerError: It is a child.
        """
        return self._runner.run(self._client.delete(instance_id, force=force))

    def retire(
        self,
        *,
        older_than: timedelta | None = None,
        finished_before: datetime | None = None,
        name: str | None = None,
        tenant: str | None = None,
        statuses: Sequence[InstanceStatus] = (),
        limit: int = 10000,
    ) -> Retired:
        """Delete finished roots with their trees, oldest first, in batches; at most `limit` roots.

        Raises:
            CallerError: neither `older_than` nor `finished_before` is given, or one cannot be.
        """
        return self._runner.run(
            self._client.retire(
                older_than=older_than,
                finished_before=finished_before,
                name=name,
                tenant=tenant,
                statuses=statuses,
                limit=limit,
            )
        )

    def prune(
        self,
        instance_id: str,
        *,
        keep_last: int | None = None,
        finished_before: datetime | None = None,
    ) -> Pruned:
        """Delete the records of old executions; never of the last one.

        Raises:
            InstanceNotFoundError: There is no such instance.
        """
        return self._runner.run(
            self._client.prune(instance_id, keep_last=keep_last, finished_before=finished_before)
        )

    def prune_many(
        self,
        *,
        keep_last: int | None = None,
        executions_finished_before: datetime | None = None,
        **where: Unpack[Where],
    ) -> Pruned:
        """`prune` all instances that meet the conditions, in batches; return the sums."""
        return self._runner.run(
            self._client.prune_many(
                keep_last=keep_last, executions_finished_before=executions_finished_before, **where
            )
        )

    def set_limit(
        self,
        key: str,
        *,
        concurrency: int | None = None,
        rate: int | None = None,
        period: timedelta = timedelta(seconds=1),
    ) -> None:
        """Limit what carries this key: so many at once, so many in a time; see `Limit`.

        Raises:
            CallerError: neither is given, or one cannot be: a concurrency of 0 is a pause, a rate
                is 1 or more.
        """
        self._runner.run(
            self._client.set_limit(key, concurrency=concurrency, rate=rate, period=period)
        )

    def drop_limit(self, key: str) -> None:
        """Lift a limit; what waits for it goes."""
        self._runner.run(self._client.drop_limit(key))

    def limits(self) -> Sequence[LimitState]:
        """Read all limits and how far they are used."""
        return self._runner.run(self._client.limits())

    def archive(self, instance_id: str) -> Archive:
        """Read an instance with its whole history; raises `InstanceNotFoundError`."""
        return self._runner.run(self._client.archive(instance_id))

    def export(self, instance_ids: Iterable[str]) -> Iterator[str]:
        """Yield the lines (JSON, without line ends) of instances with their whole histories."""
        return self._runner.iterate(self._client.export(instance_ids))

    def bring_in(self, lines: Iterable[str]) -> dict[str, ImportOutcome]:
        """Add the instances of such lines, which must have ended; return what became of each.

        Raises:
            PayloadError: a line cannot be read; what stands before it was added.
        """
        return self._runner.run(self._client.bring_in(lines))
