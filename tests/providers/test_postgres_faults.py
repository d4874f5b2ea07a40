"""What goes wrong around the provider: killed backends, a restart, lost connections."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import asyncpg
import pytest

from perdure.errors import ConfigurationError, PayloadError, PerdureError, ProviderError
from perdure.model.ids import ExecutorId, InstanceId, JsonText, LeaseToken, OperationId
from perdure.model.records import RecordKind
from perdure.providers.postgres import PostgresProvider, migrate
from perdure.providers.postgres.errors import (
    ends_connection,
    is_transient_conflict,
    translate,
)
from perdure.providers.work import (
    CodeId,
    CommitOutcome,
    EnqueueOutcome,
    FetchTurns,
    Message,
    NewActivity,
    NewInstance,
    NewTimer,
    ResyncHint,
    TurnCommit,
    TurnsHint,
)
from perdure.testing.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from perdure.providers.postgres.connections import Connection
    from perdure.providers.work import Hint, LeasedTurn

LEASE = timedelta(seconds=60)
A = InstanceId("a")
B = InstanceId("b")
WAIT_SECONDS_MAX = 20


def start(instance: InstanceId) -> Message:
    return Message(
        instance,
        RecordKind.STARTED,
        body=JsonText('{"name":"n","input":{}}'),
        start=NewInstance("n", None),
        token=LeaseToken(5),
    )


async def fetch_turn(provider: PostgresProvider) -> LeasedTurn:
    request = FetchTurns(ExecutorId(1), LeaseToken(9), 1, LEASE, [CodeId("n", "1.0.0")])
    (turn,) = (await provider.fetch_turns(request)).turns
    return turn


def commit_of(turn: LeasedTurn) -> TurnCommit:
    new = NewActivity(OperationId("0:1"), "act", "", JsonText("{}"), None, None)
    return TurnCommit(
        turn.instance,
        1,
        turn.token,
        turn.upto,
        "1.0.0",
        JsonText("{}"),
        activities=(new,),
        timers=(NewTimer(OperationId("0:2"), turn.now),),
        messages=(start(B),),
    )


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def wait_for_lock(admin: Connection) -> int:
    """Process number of the backend that waits for a lock, once one does."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            pid = await admin.fetchval(
                "select pid from pg_stat_activity where wait_event_type = 'Lock' "
                "and application_name = 'perdure' and datname = current_database()"
            )
            if pid is not None:
                return int(pid)
            await asyncio.sleep(0.01)  # may sleep: asks again, until its time is over


# Each lock stops a commit at another place: before its first write, between its writes, and
# before its last. The advisory trick would need our own hooks in SQL; a lock on a table does not.
STOPS = {
    "before the TURN record": "event",
    "before the activities": "activity",
    "before the timers": "timer",
    "before the child": "instance",
}


@pytest.mark.parametrize("stop", STOPS)
async def test_a_commit_killed_in_the_middle_leaves_nothing(migrated_url: str, stop: str) -> None:
    async with (
        PostgresProvider(migrated_url) as provider,
        connected(migrated_url) as admin,
        connected(migrated_url) as blocker,
    ):
        await provider.enqueue([start(A)])
        turn = await fetch_turn(provider)
        commit = commit_of(turn)
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute(f"lock table perdure.{STOPS[stop]} in share mode")
        committing = asyncio.create_task(provider.commit_turns([commit]))
        pid = await wait_for_lock(admin)
        await admin.execute("select pg_terminate_backend($1)", pid)
        with pytest.raises(ProviderError) as raised:
            await committing
        assert raised.value.retryable
        await transaction.rollback()

        assert [record.kind for record in await provider.read_history(A)] == [RecordKind.STARTED]
        assert list(await provider.read_activities([A])) == []
        assert list(await provider.read_instances([B])) == [None]
        assert await admin.fetchval("select count(*) from perdure.timer") == 0
        assert list(await provider.commit_turns([commit])) == [CommitOutcome.COMMITTED]
        assert list(await provider.commit_turns([commit])) == [CommitOutcome.COMMITTED]
        assert len(await provider.read_history(A)) == 2


async def test_a_caller_that_gives_up_can_ask_again(migrated_url: str) -> None:
    async with (
        PostgresProvider(migrated_url) as provider,
        connected(migrated_url) as admin,
        connected(migrated_url) as blocker,
    ):
        await provider.enqueue([start(A)])
        commit = commit_of(await fetch_turn(provider))
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("lock table perdure.timer in share mode")
        committing = asyncio.create_task(provider.commit_turns([commit]))
        await wait_for_lock(admin)
        committing.cancel()
        await asyncio.wait([committing])
        await transaction.rollback()
        assert list(await provider.commit_turns([commit])) == [CommitOutcome.COMMITTED]
        assert len(await provider.read_history(A)) == 2


async def test_a_restart_of_the_server_is_survived() -> None:
    with EmbeddedPostgres(settings={"fsync": "off"}) as server:
        await migrate(server.url)
        async with PostgresProvider(server.url) as provider:
            stream = cast("AsyncGenerator[Hint]", provider.hints())
            async with aclosing(stream) as hints:
                await _until(hints, ResyncHint())
                assert list(await provider.enqueue([start(A)])) == [EnqueueOutcome.ACCEPTED]
                await asyncio.to_thread(server.stop)
                with pytest.raises(ProviderError) as raised:
                    await provider.ping()
                assert raised.value.retryable
                await asyncio.to_thread(server.start)
                await provider.ping()
                assert (await fetch_turn(provider)).instance == A
                await _until(hints, ResyncHint())


async def test_a_lost_connection_for_hints_comes_back_and_says_so(migrated_url: str) -> None:
    async with (
        PostgresProvider(migrated_url) as provider,
        PostgresProvider(migrated_url) as other,
        connected(migrated_url) as admin,
    ):
        stream = cast("AsyncGenerator[Hint]", provider.hints())
        async with aclosing(stream) as hints:
            await _until(hints, ResyncHint())
            killed = await admin.fetch(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where query ilike 'listen%' and datname = current_database()"
            )
            assert len(killed) == 1
            await _until(hints, ResyncHint())
            await other.enqueue([start(A)])
            await _until(hints, TurnsHint())


async def test_without_listening_hints_of_others_are_not_heard_and_calls_work(
    migrated_url: str,
) -> None:
    async with (
        PostgresProvider(migrated_url, listen=False, prepare=False) as provider,
        connected(migrated_url) as admin,
    ):
        stream = cast("AsyncGenerator[Hint]", provider.hints())
        waiting = asyncio.create_task(_until(stream, TurnsHint()))
        for number in range(3):
            await provider.enqueue([start(InstanceId(f"i{number}"))])
        await waiting
        await stream.aclose()
        assert not await admin.fetch(
            "select from pg_stat_activity "
            "where query ilike 'listen%' and datname = current_database()"
        )
        assert (await fetch_turn(provider)).instance == "i0"


async def test_hints_of_a_large_batch_all_arrive(migrated_url: str) -> None:
    names = [InstanceId(f"{'long ' * 20}{number}") for number in range(500)]
    async with (
        PostgresProvider(migrated_url) as provider,
        PostgresProvider(migrated_url) as other,
    ):
        stream = cast("AsyncGenerator[Hint]", other.hints())
        async with aclosing(stream) as hints:
            await _until(hints, ResyncHint())
            provider._board.post([f"f{name}" for name in names])
            missing = set(names)
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                while missing:
                    hint = await anext(hints)
                    missing -= getattr(hint, "instances", frozenset())


async def _until(hints: AsyncGenerator[Hint], wanted: Hint) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while await anext(hints) != wanted:
            pass


async def test_a_dead_background_task_surfaces(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PostgresProvider(migrated_url) as provider:
        stream = cast("AsyncGenerator[Hint]", provider.hints())
        monkeypatch.setattr(provider._board, "_channels", {})  # no names of channels
        with pytest.raises(ProviderError, match="listen has died"):
            await anext(stream)
        with pytest.raises(ProviderError, match="listen has died"):
            await provider.ping()


async def test_no_server_is_retryable() -> None:
    with pytest.raises(ProviderError) as raised:
        await PostgresProvider("postgresql://u:p@127.0.0.1:1/db").__aenter__()
    assert raised.value.retryable


async def test_a_wrong_password_is_not_retryable(postgres_server: EmbeddedPostgres) -> None:
    url = postgres_server.url_of("postgres", password="wrong")
    with pytest.raises(ProviderError) as raised:
        await PostgresProvider(url).__aenter__()
    assert not raised.value.retryable


async def test_text_that_cannot_be_stored_is_refused_and_the_provider_goes_on(
    migrated_url: str,
) -> None:
    async with PostgresProvider(migrated_url, connections=1) as provider:
        for odd in ("nul\0", "half \ud800"):
            with pytest.raises(PerdureError) as raised:
                await provider.enqueue([start(InstanceId(odd))])
            assert not getattr(raised.value, "retryable", False)
        await provider.ping()


STATES = [
    ("40001", True),
    ("40P01", True),
    ("53300", True),
    ("57P01", True),
    ("57P03", True),
    ("57014", True),
    ("08006", True),
    ("25006", True),
    ("55P03", True),
    ("58030", True),
    ("42883", True),
    ("42P01", True),
    ("42501", False),
    ("23505", False),
    ("22P02", False),
    ("28P01", False),
    ("XX000", False),
    ("0A000", False),
]


@pytest.mark.parametrize(("state", "retryable"), STATES)
def test_every_state_is_sorted_on_purpose(state: str, retryable: bool) -> None:
    error = asyncpg.PostgresError.new({"C": state, "M": "said the server"})
    said = translate("verb", error)
    assert isinstance(said, ProviderError)
    assert said.retryable is retryable
    assert str(said).startswith("verb: ")
    assert is_transient_conflict(error) is (state in {"40001", "40P01"})


@pytest.mark.parametrize("state", ["22021", "22P05"])
def test_text_that_postgres_refuses_is_the_authors(state: str) -> None:
    said = translate("verb", asyncpg.PostgresError.new({"C": state, "M": "no"}))
    assert isinstance(said, PayloadError)


@pytest.mark.parametrize(("severity", "ends"), [("FATAL", True), ("PANIC", True), ("ERROR", False)])
def test_a_connection_that_the_server_ends_is_not_used_again(severity: str, ends: bool) -> None:
    error = asyncpg.PostgresError.new({"C": "57P01", "M": "shutting down", "V": severity})
    assert ends_connection(error) is ends


def test_a_driver_that_lost_track_of_a_connection_is_asked_again_on_another() -> None:
    said = translate("verb", asyncpg.InternalClientError("cannot switch to state 12"))
    assert isinstance(said, ProviderError)
    assert said.retryable


async def test_a_url_that_is_none_is_not_waited_for() -> None:
    provider = PostgresProvider("mysql://u:secret@localhost/db")
    with pytest.raises(ConfigurationError, match="the database URL cannot be") as raised:
        async with provider:
            await provider.ping()
    assert "secret" not in str(raised.value)
