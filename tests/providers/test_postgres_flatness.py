"""The cost of a call does not grow with what it has nothing to do with.

Cost is counted in pages touched, which EXPLAIN tells and no other load on the machine changes.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import pytest

from perdure.model.ids import ExecutorId, InstanceId, JsonText, LeaseToken, OperationId
from perdure.model.records import Ending, Outcome, ParentClose, RecordKind, StartedBody
from perdure.providers.administering import Answer, Prune, Question, Retire
from perdure.providers.postgres import PostgresProvider
from perdure.providers.reading import ListInstances
from perdure.providers.work import (
    ActivityCompleted,
    ActivityLease,
    ActivityResult,
    CodeId,
    FetchActivities,
    FetchTurns,
    KeyWrite,
    Message,
    NewActivity,
    NewInstance,
    TurnCommit,
    TurnLease,
    UpdateAnswer,
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

insert into perdure.ended (at, status, instance)
select i.finished, 5, i.id from perdure.instance i where i.id like 'done%';

insert into perdure.key_value (instance, key, value, updated)
select 'done' || n, 'k' || k, '1', clock_timestamp()
  from generate_series(1, {finished}) n, generate_series(1, 3) k;

insert into perdure.answer (instance, id, result)
select 'done' || n, 'u' || k, '1' from generate_series(1, {finished}) n, generate_series(1, 2) k;

insert into perdure.execution (instance, execution, first_seq, last_seq, started, finished)
select 'sleeping' || n, k, k, k, clock_timestamp(), clock_timestamp()
  from generate_series(1, {sleeping}) n, generate_series(1, 2) k;

insert into perdure.question (
  instance, id, code_name, code_version, name, input, asked, due, expires
)
select 'codeless' || n, 'q' || n, 'gone', '', 'h', '{{}}', clock_timestamp(), clock_timestamp(),
       clock_timestamp() + interval '1 hour'
  from generate_series(1, {codeless}) n;

insert into perdure.early_message (instance, expires, kind)
select 'nobody' || n, clock_timestamp() + interval '1 day', 5 from generate_series(1, {codeless}) n;
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
        found = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        # The dearest call of each verb.
        self.pages[operation] = max(self.pages.get(operation, 0), found)
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


async def one_life_in_full(provider: PostgresProvider, instance: InstanceId) -> None:
    """Do once whatever else there is to do with an instance, and delete it."""
    code = [CodeId("mine", "1.0.0")]
    start = Message(
        instance,
        RecordKind.STARTED,
        body=TEXT,
        start=NewInstance("mine", None, tenant="team", attributes=JsonText('{"only":1}')),
    )
    await provider.enqueue([start])
    update = Message(instance, RecordKind.UPDATE_REQUESTED, ref="u", body=TEXT)
    queued = Message(instance, RecordKind.EVENT_QUEUED, ref="q", token=LeaseToken(9))
    await provider.enqueue([update, queued])
    await provider.ask([Question(f"{instance}?", instance, "h", TEXT, LEASE)])
    (opened,) = await provider.fetch_questions(ExecutorId(1), code, 10, LEASE)
    await provider.answer([Answer(opened.question.id, TEXT)])
    await provider.read_answers(instance, [opened.question.id, "u"])
    request = FetchTurns(ExecutorId(1), LeaseToken(1), 10, LEASE, code)
    (turn,) = (await provider.fetch_turns(request)).turns
    child = InstanceId(f"{instance}.child")
    link = NewInstance("mine", "7.0.0", parent=instance, parent_close=ParentClose.TERMINATE)
    again = TurnCommit(
        *(instance, 1, turn.token, turn.upto, "1.0.0", TEXT),
        messages=(Message(child, RecordKind.STARTED, body=TEXT, start=link),),
        keys=(KeyWrite("k", TEXT),),
        attributes=JsonText('{"more":2}'),
        answers=(UpdateAnswer("u", TEXT),),
        ending=Ending(Outcome.CONTINUED_AS_NEW),
        next_execution=StartedBody("mine", None, TEXT),
    )
    await provider.commit_turns([again])
    await provider.read_keys([instance])
    await provider.read_executions(instance)
    await provider.read_sizes([instance])
    for query in (
        ListInstances(limit=5, tenant="team"),
        ListInstances(limit=5, attributes=JsonText('{"only":1}')),
        ListInstances(limit=5, parent=instance),
        ListInstances(limit=5, prefix=instance),
    ):
        await provider.list_instances(query)
        await provider.count_instances(query)
    await provider.prune([Prune(instance)])
    (turn,) = (await provider.fetch_turns(request)).turns
    ends = TurnCommit(
        *(instance, 2, turn.token, turn.upto, "1.0.0", TEXT),
        clear_keys=True,
        terminate=(child,),
        ending=Ending(Outcome.COMPLETED, TEXT),
    )
    await provider.commit_turns([ends])
    await provider.sweep()
    early = Message(InstanceId(f"{instance}.early"), RecordKind.EVENT_RAISED, ref="e")
    await provider.enqueue([early])
    await provider.delete_instances([instance])
    await provider.retire(Retire(1, finished_before=datetime(2000, 1, 1, tzinfo=UTC)))


LIVES = {"a life": one_life, "a life in full": one_life_in_full}


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("is_analyzed", [False, True], ids=["stale statistics", "analyzed"])
async def test_no_call_grows_with_what_waits_or_has_ended(
    migrated_url: str, is_analyzed: bool, life: str
) -> None:
    live = LIVES[life]
    connection = await asyncpg.connect(migrated_url)
    try:
        provider = PostgresProvider(migrated_url)
        counting = Counting(connection)
        provider._connections = cast("Connections", counting)
        await live(provider, InstanceId("warm"))
        counting.pages.clear()
        await live(provider, InstanceId("before"))
        before = dict(counting.pages)
        counting.pages.clear()
        # Learned while the tables were nearly empty: the worst that statistics can be.
        await connection.execute("analyze")
        await connection.execute(BACKLOG.format(**LARGE))
        if is_analyzed:
            await connection.execute("analyze")
        await live(provider, InstanceId("filling"))
        counting.pages.clear()
        await live(provider, InstanceId("after"))
        await provider.__aexit__()
        grown = {
            verb: (before[verb], pages)
            for verb, pages in counting.pages.items()
            if pages > before[verb] * GROWTH_MAX + SLACK_PAGES
        }
        assert grown == {}, f"pages touched before and after: {grown}"
    finally:
        await connection.close()
