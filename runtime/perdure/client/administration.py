"""Administration: what storage holds, and how to get rid of it, limit it, carry it elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Unpack

from perdure.client.archives import read_archives, write_archive
from perdure.client.base import ClientBase
from perdure.client.instance_ids import checked_event_name, stored_instance_id
from perdure.client.queries import Where, aware, listing
from perdure.errors import CallerError, InstanceNotFoundError, InstanceUnfinishedError
from perdure.providers.administering import (
    Archive,
    Deleted,
    DeleteOutcome,
    ExecutionInfo,
    ImportOutcome,
    InstanceSize,
    Limit,
    LimitState,
    Prune,
    Pruned,
    Retire,
    Retired,
    Totals,
)
from perdure.providers.reading import InstanceInfo, InstanceStatus, ListInstances

__all__ = ["Administration"]

_RETIRE_BATCH = 100
_PRUNE_BATCH = 200
_TREE_PAGE = 500


class Administration(ClientBase):
    """The verbs of whoever runs the system."""

    # ------------------------------------------------------------------ looking

    async def executions(self, instance_id: str) -> Sequence[ExecutionInfo]:
        """Read the executions that are kept, oldest first; raises `InstanceNotFoundError`."""
        instance = stored_instance_id(instance_id)
        found = await self._persist(lambda: self._provider.read_executions(instance))
        if not found:
            raise InstanceNotFoundError(f"No instance has id {instance_id!r}")
        return found

    async def size(self, instance_id: str) -> InstanceSize:
        """Measure an instance: records, bytes, unread messages, keys."""
        instance = stored_instance_id(instance_id)
        found = (await self._persist(lambda: self._provider.read_sizes([instance])))[0]
        if found is None:
            raise InstanceNotFoundError(f"No instance has id {instance_id!r}")
        return found

    async def totals(self) -> Totals:
        """Count what is stored, due and waiting."""
        return await self._persist(self._provider.read_totals)

    async def tree(self, instance_id: str) -> Sequence[InstanceInfo]:
        """Read an instance and everything beneath it, parents before children."""
        instance = stored_instance_id(instance_id)
        found = (await self._read([instance]))[0]
        if found is None:
            raise InstanceNotFoundError(f"No instance has id {instance_id!r}")
        tree = [found]
        for info in tree:  # grows as children are found
            after: str | None = None
            while True:
                query = ListInstances(limit=_TREE_PAGE, after=after, parent=info.instance)
                page = await self._persist(lambda q=query: self._provider.list_instances(q))  # type: ignore[misc]  # bound now
                tree.extend(page.instances)
                after = page.next
                if after is None:
                    break
        return tree

    # ------------------------------------------------------------------ getting rid

    async def delete(self, instance_id: str, *, force: bool = False) -> Deleted:
        """Delete an instance and everything beneath it.

        Args:
            instance_id: Of a root; a child goes with its root alone.
            force: Running ones too: their code is not asked, their activities' results refused.

        Raises:
            InstanceNotFoundError: There is no such instance.
            InstanceUnfinishedError: Something of it runs, and `force` is false.
            CallerError: It is a child.
        """
        instance = stored_instance_id(instance_id)
        found = (
            await self._persist(lambda: self._provider.delete_instances([instance], force=force))
        )[0]
        match found.outcome:
            case DeleteOutcome.DELETED:
                return found
            case DeleteOutcome.NOT_FOUND:
                raise InstanceNotFoundError(f"No instance has id {instance_id!r}")
            case DeleteOutcome.RUNNING:
                running = ", ".join(repr(one) for one in found.running) or "it"
                raise InstanceUnfinishedError(
                    f"Instance {instance_id!r} is not deleted: {running} has not ended. Cancel or "
                    "terminate it first, or delete with force=True"
                )
            case DeleteOutcome.IS_CHILD:
                raise CallerError(
                    f"Instance {instance_id!r} is the child of another and goes with it alone: "
                    "delete the root of its tree"
                )

    async def retire(
        self,
        *,
        older_than: timedelta | None = None,
        finished_before: datetime | None = None,
        name: str | None = None,
        tenant: str | None = None,
        statuses: Sequence[InstanceStatus] = (),
        limit: int = 10_000,
    ) -> Retired:
        """Delete finished roots with their trees, oldest first, in batches; at most `limit` roots.

        Raises:
            CallerError: neither `older_than` nor `finished_before` is given, or one cannot be.
        """
        if older_than is None and finished_before is None:
            raise CallerError("Say what may go: older_than=, or finished_before=")
        if older_than is not None and older_than < timedelta(0):
            raise CallerError(f"older_than is {older_than}; it cannot be negative")
        aware("finished_before", finished_before)
        roots = instances = records = 0
        while roots < limit:
            batch = min(_RETIRE_BATCH, limit - roots)
            request = Retire(
                limit=batch, finished_before=finished_before, older_than=older_than,
                tenant=tenant, name=name, statuses=statuses,
            )  # fmt: skip
            went = await self._persist(lambda r=request: self._provider.retire(r))  # type: ignore[misc]  # bound now
            roots, instances = roots + went.roots, instances + went.instances
            records += went.records
            if went.roots < batch:
                break
        return Retired(roots, instances, records)

    async def prune(
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
        request = Prune(stored_instance_id(instance_id), keep_last, finished_before)
        found = (await self._persist(lambda: self._provider.prune([request])))[0]
        if found.executions is None:
            raise InstanceNotFoundError(f"No instance has id {instance_id!r}")
        return found

    async def prune_many(
        self,
        *,
        keep_last: int | None = None,
        executions_finished_before: datetime | None = None,
        **where: Unpack[Where],
    ) -> Pruned:
        """`prune` all instances that meet the conditions, in batches; return the sums."""
        executions = records = 0
        after: str | None = None
        while True:
            query = listing(where, limit=_PRUNE_BATCH, after=after)
            page = await self._persist(lambda q=query: self._provider.list_instances(q))  # type: ignore[misc]  # bound now
            requests = [
                Prune(info.instance, keep_last, executions_finished_before)
                for info in page.instances
                if info.execution > 1
            ]
            for found in await self._persist(lambda r=requests: self._provider.prune(r)):  # type: ignore[misc]  # bound now
                executions += found.executions or 0
                records += found.records or 0
            after = page.next
            if after is None:
                return Pruned(executions, records)

    # ------------------------------------------------------------------ limits

    async def set_limit(
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
        checked_event_name(key, "Key of a limit")
        if concurrency is None and rate is None:
            raise CallerError(f"Limit {key!r} limits nothing: give concurrency= or rate=")
        _check_count(key, "concurrency", concurrency, 0)
        _check_count(key, "rate", rate, 1)
        if period <= timedelta(0):
            raise CallerError(f"Limit {key!r}: period is {period}; it must be longer than nothing")
        limit = Limit(key, concurrency, rate, period)
        await self._persist(lambda: self._provider.set_limits([limit]))

    async def drop_limit(self, key: str) -> None:
        """Lift a limit; what waits for it goes."""
        checked_event_name(key, "Key of a limit")
        await self._persist(lambda: self._provider.drop_limits([key]))

    async def limits(self) -> Sequence[LimitState]:
        """Read all limits and how far they are used."""
        return await self._persist(self._provider.read_limits)

    # ------------------------------------------------------------------ carrying elsewhere

    async def archive(self, instance_id: str) -> Archive:
        """Read an instance with its whole history; raises `InstanceNotFoundError`."""
        instance = stored_instance_id(instance_id)
        info = (await self._read([instance]))[0]
        if info is None:
            raise InstanceNotFoundError(f"No instance has id {instance_id!r}")
        records = await self._persist(lambda: self._provider.read_history(instance))
        keys = await self._persist(lambda: self._provider.read_keys([instance]))
        return Archive(info, tuple(records), tuple(keys[0]))

    async def export(self, instance_ids: Iterable[str]) -> AsyncIterator[str]:
        """Yield the lines (JSON, without line ends) of instances with their whole histories."""
        for instance_id in instance_ids:
            for line in write_archive(await self.archive(instance_id)):
                yield line

    async def bring_in(self, lines: Iterable[str]) -> dict[str, ImportOutcome]:
        """Add the instances of such lines, which must have ended; return what became of each.

        Raises:
            PayloadError: a line cannot be read; what stands before it was added.
        """
        outcomes: dict[str, ImportOutcome] = {}
        for archive in read_archives(lines):
            if not archive.info.status.is_terminal:
                outcomes[archive.info.instance] = ImportOutcome.UNFINISHED
                continue
            found = await self._persist(lambda a=archive: self._provider.bring_in([a]))  # type: ignore[misc]  # bound now
            outcomes[archive.info.instance] = found[0]
        return outcomes


def _check_count(key: str, what: str, number: object, least: int) -> None:
    if number is not None and (not isinstance(number, int) or number < least):
        raise CallerError(
            f"Limit {key!r}: {what} is {number!r}; it must be a whole number of at least {least}"
        )
