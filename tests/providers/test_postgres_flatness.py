"""The cost of a call does not grow with what it has nothing to do with.

Cost is counted in pages touched, which EXPLAIN tells and no other load on the machine changes.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import pytest

from perdure.model.ids import ExecutorId, InstanceId, JsonText, LeaseToken, OperationId
from perdure.model.records import Ending, Outcome, RecordKind
from perdure.providers.postgres import PostgresProvider
from perdure.providers.reading import ListInstances
from perdure.providers.work import (
    ActivityCompleted,
    ActivityLease,
    ActivityResult,
    CodeId,
    FetchActivities,
    FetchTurns,
    Message,
    NewActivity,
    NewInstance,
    TurnCommit,
    TurnLease,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.providers.postgres.connections import Connections

LEASE = timedelta(seconds=60)
TEXT = JsonText("{}")
GROWTH_MAX = 1.5
SLACK_PAGES = 40

BACKLOG = """
insert into perdure.instance (id, name, status, created, finished)
select 'done' || n, 'mine', 5, clock_timestamp(), clock_timestamp()
  from generate_series(1, {finished}) n;

insert into perdure.event (instance, seq, execution, kind, at)
select 'done' || n, s, 1, 20, clock_timestamp()
  from generate_series(1, {finished}) n, generate_series(1, 3) s;

insert into perdure.instance (id, name, status, created)
select 'sleeping' || n, 'mine', 0, clock_timestamp() from generate_series(1, {sleeping}) n
union all
select 'codeless' || n, 'gone', 0, clock_timestamp() from generate_series(1, {codeless}) n;

insert into perdure.live (instance, name, version, next_seq, position, due)
select 'sleeping' || n, 'mine', '1.0.0', 3, 1, 'infinity' from generate_series(1, {sleeping}) n
union all
select 'codeless' || n, 'gone', '', 2, 0, clock_timestamp() - interval '1 hour'
  from generate_series(1, {codeless}) n;

insert into perdure.timer (instance, execution, op, due)
select 'sleeping' || 1 + n % {sleeping}, 1, '0:' || n, clock_timestamp() + interval '1 day'
  from generate_series(1, {timers}) n;

insert into perdure.activity (instance, execution, op, tag, name, input, queued, due)
select 'sleeping' || 1 + n % {sleeping}, 1, '1:' || n, 'other', 'act', '{{}}',
       clock_timestamp(), clock_timestamp() - interval '1 hour'
  from generate_series(1, {activities}) n;
"""

LARGE = {
    "finished": 20_000,
    "sleeping": 20_000,
    "codeless": 10_000,
    "timers": 100_000,
    "activities": 100_000,
}


class Counting:
    """Stands in for the provider's connections: explains every call, then makes it."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection
        self.pages: dict[str, int] = {}

    async def call(self, operation: str, query: str, *args: object) -> Sequence[Any]:
        answer = ""
        for _ in range(2):  # the first time also reads catalogs
            transaction = self._connection.transaction()
            await transaction.start()
            answer = await self._connection.fetchval(
                f"explain (analyze, buffers, format json) {query}", *args
            )
            await transaction.rollback()
        plan = json.loads(answer)[0]["Plan"]
        self.pages[operation] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        return await self._connection.fetch(query, *args)

    async def close(self) -> None:
        pass


async def one_life(provider: PostgresProvider, instance: InstanceId) -> None:
    """Take an instance from its start to its end, by way of one activity."""
    start = Message(
        instance, RecordKind.STARTED, body=TEXT, start=NewInstance("mine", None, watched=True)
    )
    await provider.enqueue([start])
    request = FetchTurns(ExecutorId(1), LeaseToken(1), 10, LEASE, [CodeId("mine", "1.0.0")])
    (turn,) = (await provider.fetch_turns(request)).turns
    await provider.renew_turns([TurnLease(instance, turn.token)], LEASE)
    new = NewActivity(OperationId("0:1"), "act", "mine", TEXT, None, None)
    going = TurnCommit(instance, 1, turn.token, turn.upto, "1.0.0", TEXT, activities=(new,))
    await provider.commit_turns([going])
    fetch = FetchActivities(ExecutorId(1), LeaseToken(2), ["mine"], 10, LEASE)
    (work,) = (await provider.fetch_activities(fetch)).activities
    lease = ActivityLease(instance, 1, work.operation, work.token)
    await provider.renew_activities([lease], LEASE)
    await provider.finish_activities([ActivityResult(lease, ActivityCompleted(TEXT))])
    event = Message(instance, RecordKind.EVENT_RAISED, ref="e", token=LeaseToken(3))
    await provider.enqueue([event])
    (turn,) = (await provider.fetch_turns(request)).turns
    ending = Ending(Outcome.COMPLETED, TEXT)
    await provider.commit_turns(
        [TurnCommit(instance, 1, turn.token, turn.upto, "1.0.0", TEXT, ending=ending)]
    )
    await provider.fetch_turns(request)
    await provider.read_instances([instance])
    await provider.read_changes(0, 10)
    await provider.list_instances(ListInstances(limit=5))


@pytest.mark.parametrize("is_analyzed", [False, True], ids=["stale statistics", "analyzed"])
async def test_no_call_grows_with_what_waits_or_has_ended(
    migrated_url: str, is_analyzed: bool
) -> None:
    connection = await asyncpg.connect(migrated_url)
    try:
        provider = PostgresProvider(migrated_url)
        counting = Counting(connection)
        provider._connections = cast("Connections", counting)
        await one_life(provider, InstanceId("warm"))
        await one_life(provider, InstanceId("before"))
        before = dict(counting.pages)
        # Learned while the tables were nearly empty: the worst that statistics can be.
        await connection.execute("analyze")
        await connection.execute(BACKLOG.format(**LARGE))
        if is_analyzed:
            await connection.execute("analyze")
        await one_life(provider, InstanceId("filling"))
        await one_life(provider, InstanceId("after"))
        await provider.__aexit__()
        grown = {
            verb: (before[verb], pages)
            for verb, pages in counting.pages.items()
            if pages > before[verb] * GROWTH_MAX + SLACK_PAGES
        }
        assert grown == {}, f"pages touched before and after: {grown}"
    finally:
        await connection.close()
