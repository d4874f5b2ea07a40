"""Doing one thing to many instances, in batches, with a look beforehand."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from perdure.client.queries import Where, listing
from perdure.errors import CallerError, PerdureError
from perdure.model.ids import InstanceId
from perdure.providers.reading import InstanceInfo, InstanceStatus

if TYPE_CHECKING:
    from perdure.client.client import Client

__all__ = ["Bulk", "BulkPreview", "BulkReport"]

BATCH = 200
FAILURES_SHOWN = 20

_UNFINISHED = tuple(status for status in InstanceStatus if not status.is_terminal)
_TERMINAL = tuple(status for status in InstanceStatus if status.is_terminal)


@dataclass(frozen=True, slots=True)
class BulkPreview:
    """What a bulk operation would meet."""

    counts: Mapping[InstanceStatus, int]
    sample: tuple[InstanceInfo, ...]
    """The newest of them."""

    @property
    def total(self) -> int:
        """How many instances."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class BulkReport:
    """What a bulk operation did."""

    done: int
    failed: int
    failures: tuple[tuple[InstanceId, str], ...]
    """The first of them, with what each said."""


class Bulk:
    """Instances that meet conditions, to be steered together; made by `Client.bulk`.

    Each verb touches those that it can mean something for: a cancel those that have not ended, a
    deletion those that have. It reads a batch, acts on it, reads the next; one that fails is
    noted, and the others go on. Instances started meanwhile are not touched: they are newer than
    where it began.
    """

    def __init__(self, client: Client, where: Where, batch: int = BATCH) -> None:
        if batch < 1:
            raise CallerError(f"A batch of {batch} instances cannot be; ask for at least 1")
        self._client = client
        self._where = where
        self._batch = batch

    async def preview(self, *, sample: int = 10) -> BulkPreview:
        """Count the instances, and show the newest."""
        counts = await self._client.count(**self._where)
        page = await self._client.list_page(listing(self._where, limit=max(sample, 1)))
        return BulkPreview(counts, page.instances[:sample])

    async def cancel(
        self, reason: str = "", *, progress: Callable[[int], None] | None = None
    ) -> BulkReport:
        """Ask all that have not ended to cancel."""
        return await self._each(_UNFINISHED, lambda i: self._client.cancel(i, reason), progress)

    async def terminate(
        self, reason: str = "", *, progress: Callable[[int], None] | None = None
    ) -> BulkReport:
        """End all that have not ended."""
        return await self._each(_UNFINISHED, lambda i: self._client.terminate(i, reason), progress)

    async def suspend(
        self, reason: str = "", *, progress: Callable[[int], None] | None = None
    ) -> BulkReport:
        """Suspend all that have not ended."""
        return await self._each(_UNFINISHED, lambda i: self._client.suspend(i, reason), progress)

    async def resume(self, *, progress: Callable[[int], None] | None = None) -> BulkReport:
        """Resume all that are suspended or blocked."""
        parked = (InstanceStatus.SUSPENDED, InstanceStatus.BLOCKED)
        return await self._each(parked, self._client.resume, progress)

    async def raise_event(
        self, name: str, data: object = None, *, progress: Callable[[int], None] | None = None
    ) -> BulkReport:
        """Raise an event to all that have not ended."""
        return await self._each(
            _UNFINISHED, lambda i: self._client.raise_event(i, name, data), progress
        )

    async def delete(self, *, progress: Callable[[int], None] | None = None) -> BulkReport:
        """Delete all roots that have ended, with everything beneath them."""
        where: Where = {**self._where, "roots": True}
        only = Bulk(self._client, where, self._batch)
        return await only._each(_TERMINAL, self._client.delete, progress)

    async def _each(
        self,
        meant: Sequence[InstanceStatus],
        act: Callable[[str], Awaitable[object]],
        progress: Callable[[int], None] | None,
    ) -> BulkReport:
        done, failed = 0, 0
        failures: list[tuple[InstanceId, str]] = []
        async for batch in self._batches(meant):
            results = await asyncio.gather(*(_tried(act, info.instance) for info in batch))
            for info, error in zip(batch, results, strict=True):
                if error is None:
                    done += 1
                    continue
                failed += 1
                if len(failures) < FAILURES_SHOWN:
                    failures.append((info.instance, str(error)))
            if progress is not None:
                progress(done + failed)
        return BulkReport(done, failed, tuple(failures))

    async def _batches(
        self, meant: Sequence[InstanceStatus]
    ) -> AsyncIterator[Sequence[InstanceInfo]]:
        query = listing(self._where, limit=self._batch)
        statuses = [status for status in meant if not query.statuses or status in query.statuses]
        if not statuses:
            asked = ", ".join(Counter(query.statuses))
            raise CallerError(
                f"None of the statuses asked for ({asked}) is one that this can be done to"
            )
        after: str | None = None
        while True:
            page = await self._client.list_page(replace(query, statuses=statuses, after=after))
            if page.instances:
                yield page.instances
            after = page.next
            if after is None:
                return


async def _tried(
    act: Callable[[str], Awaitable[object]], instance: InstanceId
) -> PerdureError | None:
    try:
        await act(instance)
    except PerdureError as error:
        return error
    return None
