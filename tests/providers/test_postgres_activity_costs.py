"""What few activities ask for costs those who do not nothing, and does not add up.

Cost is counted in pages touched, as in `test_postgres_flatness`, before and behind a large backlog
of what a fetch has nothing to do with: activities parked by a limit, leased, to come, of other
priorities' names, of sessions that others own.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import pytest

from perdure.model.ids import ExecutorId, InstanceId, JsonText, LeaseToken, OperationId
from perdure.model.options import ActivityOptions
from perdure.model.records import RecordKind
from perdure.providers.administering import Limit
from perdure.providers.postgres import PostgresProvider
from perdure.providers.work import (
    ActivityCompleted,
    ActivityLease,
    ActivityProgress,
    ActivityResult,
    CodeId,
    FetchActivities,
    FetchTurns,
    LeasedActivity,
    Message,
    NewActivity,
    NewInstance,
    SessionTerms,
    TurnCommit,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from perdure.providers.postgres.connections import Connections

LEASE = timedelta(seconds=60)
TERMS = SessionTerms(limit=20, lease=timedelta(minutes=5), idle=timedelta(minutes=5))
TEXT = JsonText("{}")
ME = ExecutorId(1)
GROWTH_MAX = 1.5
SLACK_PAGES = 60

BACKLOG = """
insert into perdure.gate (limit_key, concurrency, period, running) values ('full', 7, '1 s', 7);

insert into perdure.instance (id, name, status, created)
select 'old' || n, 'mine', 0, clock_timestamp() from generate_series(1, 20000) n;
insert into perdure.live (instance, name, version, next_seq, position, due)
select 'old' || n, 'mine', '1.0.0', 3, 1, 'infinity' from generate_series(1, 20000) n;

insert into perdure.activity (
  instance, execution, op, tag, name, input, queued, priority, due, limit_key
)
select 'old' || n, 1, 'parked', 'mine', 'act', '{}', clock_timestamp(), n % 3, 'infinity', 'full'
  from generate_series(1, 20000) n;
delete from perdure.gate_news;

insert into perdure.activity (
  instance, execution, op, tag, name, input, queued, priority, due, lease, start_by
)
select 'old' || n, 1, 'leased', 'mine', 'act', '{}', clock_timestamp(), n % 3,
       clock_timestamp() + interval '1 hour', 77, null
  from generate_series(1, 20000) n
union all
select 'old' || n, 1, 'later', 'mine', 'act', '{}', clock_timestamp(), n % 3,
       clock_timestamp() + interval '2 hours', 0, clock_timestamp() + interval '3 hours'
  from generate_series(1, 20000) n;

insert into perdure.session (id, owner, lease_until, active)
select 's' || n, 1000 + n % 50, clock_timestamp() + interval '1 hour', clock_timestamp()
  from generate_series(1, 20000) n;
insert into perdure.activity (
  instance, execution, op, tag, name, input, queued, due, session, is_offered
)
select 'old' || n, 1, 'theirs', 'mine', 'act', '{}', clock_timestamp(),
       clock_timestamp() - interval '1 hour', 's' || n, false
  from generate_series(1, 20000) n;
"""


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


@pytest.fixture
async def connection(migrated_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    opened = await asyncpg.connect(migrated_url)
    yield opened
    await opened.close()


async def schedule(provider: PostgresProvider, instance: str, *activities: NewActivity) -> None:
    start = NewInstance("mine", None)
    message = Message(InstanceId(instance), RecordKind.STARTED, body=TEXT, start=start)
    await provider.enqueue([message])
    request = FetchTurns(ME, LeaseToken(1), 10, LEASE, [CodeId("mine", "1.0.0")])
    for turn in (await provider.fetch_turns(request)).turns:
        new = activities if turn.instance == instance else ()
        await provider.commit_turns(
            [TurnCommit(turn.instance, 1, turn.token, turn.upto, "1.0.0", TEXT, new)]
        )


def activity(operation: str, options: ActivityOptions | None = None) -> NewActivity:
    return NewActivity(OperationId(operation), "act", "mine", TEXT, None, None, options)


async def fetch(
    provider: PostgresProvider, sessions: SessionTerms | None = None
) -> Sequence[LeasedActivity]:
    request = FetchActivities(ME, LeaseToken(2), ["mine"], 10, LEASE, sessions=sessions)
    return (await provider.fetch_activities(request)).activities


async def finish(provider: PostgresProvider, *works: LeasedActivity) -> None:
    leases = [ActivityLease(each.instance, 1, each.operation, each.token) for each in works]
    await provider.record_progress([ActivityProgress(lease, TEXT) for lease in leases])
    await provider.renew_activities(leases, LEASE)
    end = ActivityCompleted(TEXT)
    await provider.finish_activities([ActivityResult(lease, end) for lease in leases])


async def one_round(provider: PostgresProvider, name: str) -> None:
    """One activity of each sort, from its start to its end."""
    await schedule(provider, f"plain {name}", activity("0:1"))
    (work,) = await fetch(provider)
    await finish(provider, work)
    rich = ActivityOptions(f"session {name}", 3, "mine", LEASE, LEASE)
    await schedule(provider, f"rich {name}", activity("0:1", rich), activity("0:2"))
    works = await fetch(provider, TERMS)
    assert len(works) == 2
    await finish(provider, *works)
    await fetch(provider, TERMS)
    await provider.renew_sessions(ME, TERMS)
    await provider.release_sessions(ME)
    request = FetchTurns(ME, LeaseToken(1), 10, LEASE, [CodeId("mine", "1.0.0")])
    await provider.fetch_turns(request)


@pytest.mark.parametrize("is_analyzed", [False, True], ids=["stale statistics", "analyzed"])
async def test_what_waits_leased_or_is_others_costs_nothing(
    migrated_url: str, connection: asyncpg.Connection[asyncpg.Record], is_analyzed: bool
) -> None:
    provider = PostgresProvider(migrated_url)
    counting = Counting(connection)
    provider._connections = cast("Connections", counting)
    await provider.set_limits([Limit("mine", concurrency=5)])
    await one_round(provider, "warm")
    await one_round(provider, "before")
    before = dict(counting.pages)
    await connection.execute("analyze")
    await connection.execute(BACKLOG)
    if is_analyzed:
        await connection.execute("analyze")
    await one_round(provider, "filling")
    await one_round(provider, "after")
    await provider.__aexit__()
    grown = {
        verb: (before[verb], pages)
        for verb, pages in counting.pages.items()
        if pages > before[verb] * GROWTH_MAX + SLACK_PAGES
    }
    assert grown == {}, f"pages touched before and after: {grown}"


async def test_each_activity_of_anothers_session_is_looked_at_once(
    migrated_url: str, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    provider = PostgresProvider(migrated_url)
    counting = Counting(connection)
    provider._connections = cast("Connections", counting)
    await one_round(provider, "warm")
    await connection.execute(BACKLOG)
    await connection.execute("update perdure.activity set is_offered = true")
    await fetch(provider, TERMS)
    first = counting.pages["fetch_activities"]
    for _ in range(25):  # a thousand at a time
        await fetch(provider, TERMS)
    assert counting.pages["fetch_activities"] < first / 10
    await provider.__aexit__()
