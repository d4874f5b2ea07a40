"""What goes wrong around the provider: killed backends, a restart, lost connections."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import asyncpg
import pytest

from perdure.errors import ConfigurationError, PayloadError, PerdureError, ProviderError
from perdure.model.ids import ExecutorId, InstanceId, JsonText, LeaseToken, OperationId
from perdure.model.records import Ending, Outcome, RecordKind, StartedBody
from perdure.providers.patience import Patience
from perdure.providers.postgres import PostgresProvider, migrate
from perdure.providers.postgres.errors import (
    ends_connection,
    is_transient_conflict,
    translate,
)
from perdure.providers.reading import InstanceStatus
from perdure.providers.work import (
    AbandonTurn,
    CodeId,
    CommitOutcome,
    CustomStatus,
    EnqueueOutcome,
    FetchTurns,
    KeyWrite,
    Message,
    NewActivity,
    NewInstance,
    NewTimer,
    ResyncHint,
    TurnCommit,
    TurnsHint,
    UpdateAnswer,
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
        custom_status=CustomStatus(JsonText("1")),
        keys=(KeyWrite("k", JsonText("1")),),
        attributes=JsonText('{"x":1}'),
        answers=(UpdateAnswer("u", JsonText("1")),),
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
    "before the keys": "key_value",
    "before the answers": "answer",
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
        assert list(await provider.read_keys([A])) == [[]]
        assert list(await provider.read_answers(A, ["u"])) == [None]
        (info,) = await provider.read_instances([A])
        assert info is not None
        assert (info.custom_status, info.custom_status_version, info.attributes) == (None, 0, None)
        assert await admin.fetchval("select count(*) from perdure.timer") == 0
        assert list(await provider.commit_turns([commit])) == [CommitOutcome.COMMITTED]
        assert list(await provider.commit_turns([commit])) == [CommitOutcome.COMMITTED]
        assert len(await provider.read_history(A)) == 2


ENDS = {
    "ended": Ending(Outcome.COMPLETED, JsonText("1")),
    "execution": Ending(Outcome.CONTINUED_AS_NEW),
}


@pytest.mark.parametrize("stop", ENDS)
async def test_an_end_killed_in_the_middle_leaves_it_running(migrated_url: str, stop: str) -> None:
    async with (
        PostgresProvider(migrated_url) as provider,
        connected(migrated_url) as admin,
        connected(migrated_url) as blocker,
    ):
        await provider.enqueue([start(A)])
        turn = await fetch_turn(provider)
        following = StartedBody("n", None, JsonText("{}")) if stop == "execution" else None
        commit = replace(commit_of(turn), ending=ENDS[stop], next_execution=following)
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute(f"lock table perdure.{stop} in share mode")
        committing = asyncio.create_task(provider.commit_turns([commit]))
        await admin.execute("select pg_terminate_backend($1)", await wait_for_lock(admin))
        with pytest.raises(ProviderError):
            await committing
        await transaction.rollback()
        (info,) = await provider.read_instances([A])
        assert info is not None
        assert (info.status, info.execution) == (InstanceStatus.PENDING, 1)
        assert list(await provider.commit_turns([commit])) == [CommitOutcome.COMMITTED]
        (info,) = await provider.read_instances([A])
        assert info is not None
        assert info.status.is_terminal is (stop == "ended")
        assert info.execution == (1 if stop == "ended" else 2)


async def test_a_commit_that_waits_longer_than_its_lease_counts_once(migrated_url: str) -> None:
    async with (
        PostgresProvider(migrated_url) as provider,
        PostgresProvider(migrated_url) as other,
        connected(migrated_url) as admin,
        connected(migrated_url) as blocker,
    ):
        await provider.enqueue([start(A)])
        request = FetchTurns(
            *(ExecutorId(1), LeaseToken(9), 1, timedelta(milliseconds=500)), [CodeId("n", "1.0.0")]
        )
        (turn,) = (await provider.fetch_turns(request)).turns
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("select from perdure.live where instance = 'a' for update")
        committing = asyncio.create_task(provider.commit_turns([commit_of(turn)]))
        await wait_for_lock(admin)
        await admin.execute(  # until the lease is over, by the clock that judges it
            "select pg_sleep_until(lease_until) from perdure.live where instance = 'a'"
        )
        late = replace(request, token=LeaseToken(10), limit=9)
        assert (await other.fetch_turns(late)).turns == (), "what is locked is passed by"
        await transaction.rollback()
        (outcome,) = await committing
        written = [r for r in await provider.read_history(A) if r.kind is RecordKind.TURN]
        assert (outcome is CommitOutcome.COMMITTED) == (len(written) == 1)
        assert list(await other.commit_turns([commit_of(turn)])) == [outcome]


async def test_a_record_of_a_kind_to_come_is_left_to_who_knows_it(migrated_url: str) -> None:
    async with PostgresProvider(migrated_url) as provider, connected(migrated_url) as admin:
        await provider.enqueue([start(A)])
        await provider.enqueue([start(B)])
        await admin.execute("update perdure.event set kind = 15 where instance = 'a'")
        request = FetchTurns(ExecutorId(1), LeaseToken(9), 9, LEASE, [CodeId("n", "1.0.0")])
        fetched = await provider.fetch_turns(request)
        assert [turn.instance for turn in fetched.turns] == [B]
        with pytest.raises(ProviderError, match="kind 15") as raised:
            await provider.read_history(A)
        assert not raised.value.retryable
        lease = await admin.fetchval("select lease from perdure.live where instance = 'a'")
        assert lease == 0, "a newer replayer may take it"


async def test_a_server_without_a_connection_left_is_waited_for() -> None:
    settings = {"fsync": "off", "max_connections": "8", "superuser_reserved_connections": "0"}
    with EmbeddedPostgres(settings=settings) as server:
        await migrate(server.url)
        async with PostgresProvider(server.url, connections=30) as provider:
            names = [InstanceId(f"i{number}") for number in range(60)]
            outcomes = await asyncio.gather(*(provider.enqueue([start(name)]) for name in names))
            assert outcomes == [[EnqueueOutcome.ACCEPTED]] * 60, "fewer connections will do"
        async with AsyncExitStack() as hogs:
            with suppress(asyncpg.TooManyConnectionsError):
                async with asyncio.timeout(WAIT_SECONDS_MAX):
                    while True:
                        await hogs.enter_async_context(connected(server.url))
            late = PostgresProvider(server.url)
            with pytest.raises(ProviderError, match="53300") as raised:
                await late.ping()
            assert raised.value.retryable
            await hogs.aclose()
            await Patience(total=timedelta(seconds=WAIT_SECONDS_MAX)).persist(late.ping)
            await late.__aexit__()


async def test_a_callers_clock_is_never_asked(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PostgresProvider(migrated_url) as provider:
        await provider.enqueue([start(A)])
        with monkeypatch.context() as patch:
            patch.setattr("time.time", lambda: 0.0)
            turn = await fetch_turn(provider)
            assert turn.now.year > 2000
            assert list(await provider.commit_turns([commit_of(turn)])) == [CommitOutcome.COMMITTED]
        records = await provider.read_history(A)
        assert [record.at for record in records] == sorted(record.at for record in records)


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
                turn = await fetch_turn(provider)
                await provider.abandon_turns([AbandonTurn(A, turn.token)])
                await asyncio.to_thread(server.stop)
                with pytest.raises(ProviderError) as raised:
                    await provider.ping()
                assert raised.value.retryable
                await asyncio.to_thread(server.start)
                await provider.ping()
                turn = await fetch_turn(provider)
                assert (turn.instance, turn.attempt) == (A, 2), "attempts are counted on disk"
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


# One of every class that Postgres has, and each that an answer depends on.
STATES = [
    ("01000", False),
    ("02000", False),
    ("03000", False),
    ("08000", True),
    ("08001", True),
    ("08003", True),
    ("08004", True),
    ("08006", True),
    ("08P01", True),
    ("09000", False),
    ("0A000", False),
    ("0B000", False),
    ("0F000", False),
    ("0L000", False),
    ("0P000", False),
    ("0Z000", False),
    ("20000", False),
    ("21000", False),
    ("22000", False),
    ("22P02", False),
    ("23000", False),
    ("23505", False),
    ("24000", False),
    ("25000", False),
    ("25001", False),
    ("25006", True),
    ("25P02", False),
    ("26000", False),
    ("27000", False),
    ("28000", False),
    ("28P01", False),
    ("2B000", False),
    ("2D000", False),
    ("2F000", False),
    ("34000", False),
    ("38000", False),
    ("39000", False),
    ("3B000", False),
    ("3D000", False),
    ("3F000", True),
    ("40000", True),
    ("40001", True),
    ("40002", True),
    ("40003", True),
    ("40P01", True),
    ("42000", False),
    ("42501", False),
    ("42601", False),
    ("42704", True),
    ("42883", True),
    ("42P01", True),
    ("44000", False),
    ("53000", True),
    ("53100", True),
    ("53200", True),
    ("53300", True),
    ("53400", True),
    ("54000", False),
    ("55000", False),
    ("55006", False),
    ("55P03", True),
    ("57000", True),
    ("57014", True),
    ("57P01", True),
    ("57P02", True),
    ("57P03", True),
    ("57P04", True),
    ("57P05", True),
    ("58000", True),
    ("58030", True),
    ("58P01", True),
    ("72000", False),
    ("F0000", False),
    ("HV000", False),
    ("P0000", False),
    ("P0001", False),
    ("XX000", False),
    ("XX001", False),
    ("XX002", False),
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


def test_a_url_that_is_none_is_not_waited_for() -> None:
    with pytest.raises(ConfigurationError, match="the database URL cannot be") as raised:
        PostgresProvider("mysql://u:secret@localhost/db")
    assert "secret" not in str(raised.value)
