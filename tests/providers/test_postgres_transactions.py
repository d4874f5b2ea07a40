"""Writing beside the user's own rows, exactly once, whatever fails; and sending from plain SQL."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest

from perdure.errors import ConfigurationError, ProviderError
from perdure.model.codec import decode_started
from perdure.model.ids import UNTAGGED, ExecutorId, InstanceId, JsonText, LeaseToken, OperationId
from perdure.model.records import RecordKind
from perdure.providers.postgres import PostgresProvider
from perdure.providers.work import (
    ActivityCompleted,
    ActivityLease,
    ActivityResult,
    CodeId,
    FetchActivities,
    FetchTurns,
    FinishOutcome,
    Message,
    NewActivity,
    NewInstance,
    TurnCommit,
    TurnsHint,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from perdure.model.records import Record
    from perdure.providers.postgres.connections import Connection

LEASE = timedelta(seconds=30)
A = InstanceId("a")


@pytest.fixture
async def provider(migrated_url: str) -> AsyncIterator[PostgresProvider]:
    async with PostgresProvider(migrated_url) as opened:
        yield opened


@pytest.fixture
async def user(migrated_url: str) -> AsyncIterator[Connection]:
    """A connection of the user's own, with a table of his own."""
    connection = await asyncpg.connect(migrated_url)
    await connection.execute("create table public.account (id int primary key, cents int)")
    await connection.execute("insert into public.account values (1, 0)")
    yield connection
    await connection.close()


async def lease(provider: PostgresProvider) -> ActivityLease:
    """Lease the one activity of instance `a`."""
    start = NewInstance("n", None)
    await provider.enqueue([Message(A, RecordKind.STARTED, body=JsonText("{}"), start=start)])
    (turn,) = (await provider.fetch_turns(fetch())).turns
    new = NewActivity(OperationId("0:1"), "pay", UNTAGGED, JsonText("{}"), None, None)
    await provider.commit_turns(
        [TurnCommit(A, 1, turn.token, turn.upto, "1.0.0", JsonText("{}"), (new,))]
    )
    request = FetchActivities(ExecutorId(1), LeaseToken(9), [UNTAGGED], 1, LEASE)
    (work,) = (await provider.fetch_activities(request)).activities
    return ActivityLease(work.instance, work.execution, work.operation, work.token)


def fetch() -> FetchTurns:
    return FetchTurns(ExecutorId(1), LeaseToken(1), 10, LEASE, [CodeId("n", "1.0.0")])


async def run(
    provider: PostgresProvider,
    held: ActivityLease,
    body: Callable[[Connection], Awaitable[None]],
    after: Callable[[Connection], Awaitable[None]] | None = None,
) -> None:
    """Run a body and record its result; `after` happens between that and the commit."""
    async with provider.transaction(held) as transaction:
        await body(transaction.connection)
        await transaction.finish(done(held))
        if after is not None:
            await after(transaction.connection)


def done(held: ActivityLease) -> ActivityResult:
    return ActivityResult(held, ActivityCompleted(JsonText("1")))


PAY = "update public.account set cents = cents + 100 where id = 1"
BALANCE = "select cents from public.account where id = 1"


async def test_a_row_and_the_result_are_written_together(
    provider: PostgresProvider, user: Connection
) -> None:
    held = await lease(provider)
    async with provider.transaction(held) as transaction:
        await transaction.connection.execute(PAY)
        assert await transaction.finish(done(held)) is FinishOutcome.RECORDED
        assert await user.fetchval(BALANCE) == 0, "not before the commit"
    assert await user.fetchval(BALANCE) == 100
    (turn,) = (await provider.fetch_turns(fetch())).turns
    assert [record.kind for record in turn.records] == [RecordKind.ACTIVITY_COMPLETED]


async def test_a_zombies_row_goes_with_its_result(
    provider: PostgresProvider, user: Connection
) -> None:
    held = await lease(provider)
    async with provider.transaction(held) as transaction:
        await transaction.connection.execute(PAY)
        await transaction.finish(done(held))
    other = ActivityLease(held.instance, held.execution, held.operation, LeaseToken(8))
    async with provider.transaction(other) as transaction:
        await transaction.connection.execute(PAY)
        assert await transaction.finish(done(other)) is FinishOutcome.LOST
    assert await user.fetchval(BALANCE) == 100


async def test_a_broken_transaction_leaves_nothing_and_says_so(
    provider: PostgresProvider, user: Connection
) -> None:
    held = await lease(provider)

    async def body(connection: Connection) -> None:
        await connection.execute(PAY)
        with pytest.raises(asyncpg.UndefinedTableError):
            await connection.execute("select * from nowhere")

    with pytest.raises(ProviderError, match="finish_activities"):
        await run(provider, held, body)
    assert await user.fetchval(BALANCE) == 0
    assert list(await provider.finish_activities([done(held)])) == [FinishOutcome.RECORDED]


async def test_a_constraint_that_fails_at_the_commit_takes_the_result_along(
    provider: PostgresProvider, user: Connection
) -> None:
    await user.execute(
        "create table public.booking (account int references public.account deferrable "
        "initially deferred)"
    )
    held = await lease(provider)

    async def body(connection: Connection) -> None:
        await connection.execute("insert into public.booking values (77)")

    with pytest.raises(ProviderError, match="commit") as raised:
        await run(provider, held, body)
    assert not raised.value.retryable
    assert (await provider.fetch_turns(fetch())).turns == ()


async def test_a_connection_that_breaks_leaves_nothing(
    provider: PostgresProvider, user: Connection
) -> None:
    held = await lease(provider)

    async def pay(connection: Connection) -> None:
        await connection.execute(PAY)

    async def cut(connection: Connection) -> None:
        await user.execute("select pg_terminate_backend($1, 5000)", connection.get_server_pid())

    with pytest.raises(ProviderError) as raised:
        await run(provider, held, pay, cut)
    assert raised.value.retryable
    assert await user.fetchval(BALANCE) == 0
    assert list(await provider.finish_activities([done(held)])) == [FinishOutcome.RECORDED]


async def test_what_a_body_sets_for_its_session_ends_with_it(provider: PostgresProvider) -> None:
    held = await lease(provider)
    async with provider.transaction(held) as transaction:
        await transaction.connection.execute("set search_path to nowhere; create temp table t ()")
        await transaction.finish(done(held))
    assert len((await provider.fetch_turns(fetch())).turns) == 1
    async with provider.transaction(held) as transaction:
        assert "nowhere" not in await transaction.connection.fetchval("show search_path")
        assert await transaction.connection.fetchval("select to_regclass('pg_temp.t') is null")


# ------------------------------------------------------------------- sending from Python


async def test_a_start_is_there_if_the_users_transaction_is(
    provider: PostgresProvider, user: Connection
) -> None:
    start = Message(
        A, RecordKind.STARTED, body=JsonText("{}"), start=NewInstance("n", None, watched=True)
    )
    transaction = user.transaction()
    await transaction.start()
    await user.execute(PAY)
    await provider.enqueue_within(user, [start])
    await transaction.rollback()
    assert (await provider.fetch_turns(fetch())).turns == ()
    async with user.transaction():
        await user.execute(PAY)
        await provider.enqueue_within(user, [start])
        assert (await provider.fetch_turns(fetch())).turns == ()
    assert [turn.instance for turn in (await provider.fetch_turns(fetch())).turns] == ["a"]
    assert await user.fetchval(BALANCE) == 100


async def test_what_storage_refuses_leaves_the_users_transaction_whole(
    provider: PostgresProvider, user: Connection
) -> None:
    async with user.transaction():
        await user.execute(PAY)
        start = NewInstance("n\0", None)
        broken = Message(A, RecordKind.STARTED, body=JsonText("{}"), start=start)
        with pytest.raises(Exception, match="enqueue"):
            await provider.enqueue_within(user, [broken])
    assert await user.fetchval(BALANCE) == 100


async def test_a_pooled_connection_will_do(provider: PostgresProvider, migrated_url: str) -> None:
    start = Message(A, RecordKind.STARTED, body=JsonText("{}"), start=NewInstance("n", None))
    async with asyncpg.create_pool(migrated_url, min_size=1, max_size=1) as pool:
        async with pool.acquire() as connection, connection.transaction():
            await provider.enqueue_within(connection, [start])
        with pytest.raises(ConfigurationError, match="no transaction"):
            await provider.enqueue_within(connection, [start])
    assert len((await provider.fetch_turns(fetch())).turns) == 1


async def test_another_driver_is_told_what_to_do(provider: PostgresProvider) -> None:
    with (
        closing(sqlite3.connect(":memory:")) as stranger,
        pytest.raises(ConfigurationError, match="start_orchestration_v1"),
    ):
        await provider.enqueue_within(stranger, [])


# ------------------------------------------------------------------------- plain SQL


async def records(provider: PostgresProvider, instance: str) -> list[Record]:
    return list(await provider.read_history(InstanceId(instance)))


async def test_plain_sql_starts_in_the_users_transaction(
    provider: PostgresProvider, user: Connection
) -> None:
    call = (
        "select perdure.start_orchestration_v1('a', 'n', $1, p_tenant => 'shop', p_priority => 5,"
        " p_attributes => $2)"
    )
    transaction = user.transaction()
    await transaction.start()
    assert await user.fetchval(call, '{"x": 1}', '{"region": "eu"}') == "accepted"
    await transaction.rollback()
    assert await records(provider, "a") == []
    assert await user.fetchval(call, '{"x": 1}', '{"region": "eu"}') == "accepted"
    assert await user.fetchval(call, '{"x": 2}', None) == "exists"
    (started,) = await records(provider, "a")
    assert started.body is not None
    body = decode_started(started.body)
    assert (body.name, body.version, json.loads(body.input), body.priority) == (
        *("n", None, {"x": 1}, 5),
    )
    (info,) = await provider.read_instances([A])
    assert info is not None
    assert (info.tenant, info.name) == ("shop", "n")
    assert info.attributes is not None
    assert json.loads(info.attributes) == {"region": "eu"}
    assert len((await provider.fetch_turns(fetch())).turns) == 1


async def test_a_start_from_sql_again_with_its_token_is_the_same(
    user: Connection,
) -> None:
    call = "select perdure.start_orchestration_v1('a', 'n', p_token => $1)"
    assert [await user.fetchval(call, token) for token in (7, 7, 8)] == [
        *("accepted", "accepted", "exists"),
    ]


async def test_plain_sql_raises_enqueues_and_cancels(
    provider: PostgresProvider, user: Connection
) -> None:
    assert await user.fetchval("select perdure.raise_event_v1('a', 'early', '1')") == "kept"
    await user.fetchval("select perdure.start_orchestration_v1('a', 'n')")
    for token in (1, 1, 2):
        call = "select perdure.raise_event_v1('a', 'paid', '{\"n\": 1}', $1)"
        assert await user.fetchval(call, token) == "accepted"
    assert await user.fetchval("select perdure.enqueue_event_v1('a', 'queue', '2')") == "accepted"
    assert (
        await user.fetchval("select perdure.cancel_instance_v1('a', 'why \"not\"')") == "accepted"
    )
    found = [(r.kind, r.ref, r.body) for r in await records(provider, "a")]
    assert found[1:] == [
        (RecordKind.EVENT_RAISED, "early", "1"),
        (RecordKind.EVENT_RAISED, "paid", '{"n": 1}'),
        (RecordKind.EVENT_RAISED, "paid", '{"n": 1}'),
        (RecordKind.EVENT_QUEUED, "queue", "2"),
        (RecordKind.CANCEL_REQUESTED, None, '"why \\"not\\""'),
    ]


async def test_a_trigger_of_the_users_may_start(
    provider: PostgresProvider, user: Connection
) -> None:
    await user.execute(
        """
        create table public.purchase (id int primary key, amount int);
        create function public.on_purchase() returns trigger language plpgsql as $$
        begin
          perform perdure.start_orchestration_v1(
            'purchase-' || new.id, 'n', jsonb_build_object('amount', new.amount)
          );
          return new;
        end $$;
        create trigger on_purchase after insert on public.purchase
          for each row execute function public.on_purchase();
        insert into public.purchase select n, n * 10 from generate_series(1, 5) n;
        """
    )
    turns = (await provider.fetch_turns(fetch())).turns
    assert sorted(turn.instance for turn in turns) == [f"purchase-{n}" for n in range(1, 6)]


@pytest.mark.parametrize(
    "call",
    [
        "start_orchestration_v1('', 'n')",
        "start_orchestration_v1(null, 'n')",
        "start_orchestration_v1(e'a\\nb', 'n')",
        "start_orchestration_v1(repeat('x', 254), 'n')",
        "start_orchestration_v1('parent::1/0:1', 'n')",
        "start_orchestration_v1('a', '')",
        "start_orchestration_v1('a', 'n', '[1]')",
        "start_orchestration_v1('a', 'n', null)",
        "raise_event_v1('', 'e')",
    ],
)
async def test_what_cannot_be_is_refused_in_sql_too(user: Connection, call: str) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await user.fetchval(f"select perdure.{call}")


async def test_what_plain_sql_started_is_heard_of_at_once(
    provider: PostgresProvider, user: Connection
) -> None:
    is_listening = asyncio.Event()

    async def hear() -> None:
        async for hint in provider.hints({TurnsHint}):
            if isinstance(hint, TurnsHint):
                return
            is_listening.set()  # the first is always to look at everything once

    heard = asyncio.create_task(hear())
    async with asyncio.timeout(15):
        await is_listening.wait()
        await user.fetchval("select perdure.start_orchestration_v1('a', 'n')")
        await heard
