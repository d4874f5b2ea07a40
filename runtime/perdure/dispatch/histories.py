"""Reading histories that did not come along with a fetch.

Page by page: no single call of storage is long, whatever the history is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from perdure.dispatch.storage import Storage
from perdure.model.ids import InstanceId
from perdure.model.records import Record

__all__ = ["read_rest"]

_PAGE_RECORDS = 2_000


async def read_rest(
    storage: Storage,
    instance: InstanceId,
    execution: int,
    begun: Sequence[Record] = (),
    *,
    after: int = 0,
    upto: int | None = None,
) -> list[Record]:
    """Read the records of one execution that come after those that there are; return both.

    Args:
        storage: Whom to ask, however long it stays away.
        instance: Whose history.
        execution: Which of its executions.
        begun: What there is, in order.
        after: Where nothing is there: from which sequence number on.
        upto: The last record that is wanted; None: all.

    Raises:
        ProviderError: storage refuses.
    """
    records = [*begun]
    last = records[-1].seq if records else after
    while upto is None or last < upto:
        page = await storage.persist(
            "read_history",
            partial(
                storage.provider.read_history,
                instance,
                execution=execution,
                after=last,
                limit=_PAGE_RECORDS,
            ),
        )
        records += page
        if len(page) < _PAGE_RECORDS:
            break
        last = page[-1].seq
    return records if upto is None else [record for record in records if record.seq <= upto]
