"""What a file has beside the conformance suite: other processes, crashes, and disks that fail."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import aclosing, closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from perdure.errors import ConfigurationError, ProviderError
from perdure.model.codec import encode_started
from perdure.model.ids import UNTAGGED, ExecutorId, InstanceId, JsonText, LeaseToken, OperationId
from perdure.model.records import Ending, Outcome, RecordKind, StartedBody  # noqa: F401  for processes
from perdure.providers.administering import Question
from perdure.providers.reading import InstanceStatus
from perdure.providers.sqlite import MemoryStore, SqliteProvider
from perdure.providers.work import (
    ActivityCompleted,
    ActivityLease,
    ActivityResult,
    CodeId,
    EnqueueOutcome,
    FetchActivities,
    FetchTurns,
    FinishedHint,
    FinishOutcome,
    LeasedActivity,
    Message,
    NewActivity,
    NewInstance,
    TurnCommit,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence
    from pathlib import Path

    from perdure.providers.work import Hint, LeasedTurn

LEASE = timedelta(seconds=30)
_tokens = iter(range(1, 1 << 30))


def start(instance: str) -> Message:
    return Message(
        InstanceId(instance),
        RecordKind.STARTED,
        body=encode_started(StartedBody("orchestrate", None, JsonText("{}"))),
        start=NewInstance("orchestrate", None),
        token=LeaseToken(next(_tokens)),
    )


def event(instance: str) -> Message:
    return Message(
        InstanceId(instance), RecordKind.EVENT_RAISED, ref="e", token=LeaseToken(next(_tokens))
    )


async def turns(provider: SqliteProvider) -> tuple[LeasedTurn, ...]:
    code = [CodeId("orchestrate", "1.0.0")]
    request = FetchTurns(ExecutorId(1), LeaseToken(next(_tokens)), 100, LEASE, code)
    return (await provider.fetch_turns(request)).turns


async def work(provider: SqliteProvider) -> LeasedActivity:
    request = FetchActivities(ExecutorId(1), LeaseToken(next(_tokens)), (UNTAGGED,), 1, LEASE)
    (found,) = (await provider.fetch_activities(request)).activities
    return found


def decided(turn: LeasedTurn, **decisions: Any) -> TurnCommit:
    body = JsonText("{}")
    return TurnCommit(
        turn.instance, turn.execution, turn.token, turn.upto, "1.0.0", body, **decisions
    )


def activity(operation: str) -> NewActivity:
    return NewActivity(OperationId(operation), "act", UNTAGGED, JsonText("{}"), None, None)


def result_of(found: LeasedActivity) -> ActivityResult:
    lease = ActivityLease(found.instance, found.execution, found.operation, found.token)
    return ActivityResult(lease, ActivityCompleted(JsonText('"done"')))


# ------------------------------------------------------------------------------- processes

_HEAD = "import asyncio, itertools, sys\nfrom tests.providers.test_sqlite_files import *\n"


def process(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _HEAD + textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for each in started:
        each.kill()
        each.communicate()


_COMMITTING = """
    async def main():
        async with SqliteProvider(sys.argv[1]) as provider:
            for number in itertools.count():
                await provider.enqueue([start(f"i{number}-{each}") for each in range(5)])
                commits = [
                    decided(turn, activities=tuple(activity(f"0:{n}") for n in range(4)),
                            messages=(start(f"child-of-{turn.instance}"),))
                    for turn in await turns(provider) if not turn.instance.startswith("child")
                ]
                await provider.commit_turns(commits)
                print(*(commit.instance for commit in commits), flush=True)

    asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 3, 10])
async def test_what_was_committed_outlives_a_kill_and_nothing_is_half_done(
    tmp_path: Path, processes: list[subprocess.Popen[str]], lines: int
) -> None:
    path = tmp_path / "perdure.db"
    running = process(_COMMITTING, path)
    processes.append(running)
    assert running.stdout is not None
    told = [running.stdout.readline() for _ in range(lines)]
    running.send_signal(signal.SIGKILL)
    told += running.communicate()[0].splitlines()
    committed = {InstanceId(each) for line in told[:-1] for each in line.split()}
    async with SqliteProvider(path) as provider:
        everything = (await provider.list_instances(query(limit=100_000))).instances
        assert {each.instance for each in everything} >= committed
        for info in everything:
            if info.instance.startswith("child"):
                continue
            kinds = [record.kind for record in await provider.read_history(info.instance)]
            activities = await provider.read_activities([info.instance])
            (child,) = await provider.read_instances([InstanceId(f"child-of-{info.instance}")])
            if info.status is InstanceStatus.PENDING:
                assert info.instance not in committed
                assert (kinds, len(activities), child) == ([RecordKind.STARTED], 0, None)
            else:
                assert kinds == [RecordKind.STARTED, RecordKind.TURN]
                assert len(activities) == 4
                assert child is not None
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)


def query(**wanted: Any) -> Any:
    from perdure.providers.reading import ListInstances  # noqa: PLC0415  for the processes too

    return ListInstances(**wanted)


_REPLAYING = """
    async def main():
        async with SqliteProvider(sys.argv[1]) as provider:
            print("ready", flush=True)
            count = 0
            while count < int(sys.argv[2]):
                found = await turns(provider)
                ending = Ending(Outcome.COMPLETED, JsonText('"by another"'))
                commits = [decided(turn, ending=ending) for turn in found]
                await provider.commit_turns(commits)
                count += len(commits)
                await asyncio.sleep(0.001)

    asyncio.run(main())
"""


async def test_another_process_works_on_the_same_file_and_its_hints_are_heard(
    tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    path = tmp_path / "perdure.db"
    async with SqliteProvider(path) as provider:
        running = process(_REPLAYING, path, 40)
        processes.append(running)
        assert running.stdout is not None
        assert (await asyncio.to_thread(running.stdout.readline)).strip() == "ready"
        stream = cast("AsyncGenerator[Hint]", provider.hints([FinishedHint]))
        async with aclosing(stream) as hints, asyncio.timeout(30):
            await anext(hints)
            for number in range(40):
                await provider.enqueue([start(f"i{number}")])
            finished: set[str] = set()
            while len(finished) < 40:
                hint = await anext(hints)
                assert isinstance(hint, FinishedHint)
                finished |= hint.instances
        (info,) = await provider.read_instances([InstanceId("i7")])
        assert info is not None
        assert info.output == '"by another"'


async def test_many_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "perdure.db"
    providers = [SqliteProvider(path) for _ in range(6)]
    await asyncio.gather(*(each.__aenter__() for each in providers))
    await asyncio.gather(*(each.enqueue([start(f"i{n}")]) for n, each in enumerate(providers)))
    assert len((await providers[0].list_instances(query())).instances) == 6
    await asyncio.gather(*(each.__aexit__(None, None, None) for each in providers))
    left = await asyncio.to_thread(os.listdir, tmp_path)
    assert left == ["perdure.db"], "and leave no more"


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "perdure.db"
    async with SqliteProvider(path) as provider:
        await provider.enqueue([start("a")])
        (turn,) = await turns(provider)
        await provider.commit_turns([decided(turn, activities=(activity("0:1"),))])
        found = await work(provider)
    async with SqliteProvider(path) as provider:
        assert await provider.finish_activities([result_of(found)]) == [FinishOutcome.RECORDED]
        (turn,) = await turns(provider)
        assert turn.held
        assert [record.body for record in turn.records] == ['"done"']


async def test_old_news_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "perdure.db"
    async with SqliteProvider(path) as provider:
        await provider.enqueue([start("a"), start("b")])
        for number in range(1600):
            to, within = InstanceId("ab"[number % 2]), timedelta(minutes=1)
            await provider.ask([Question(f"q{number}", to, "state", JsonText("{}"), within)])
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("select count(*) from perdure_news").fetchone()
    assert 1000 <= count <= 1500


async def test_memory_may_be_named_as_sqlite_names_it() -> None:
    async with SqliteProvider(":memory:") as one, SqliteProvider(":memory:") as two:
        await one.enqueue([start("a")])
        assert await two.read_instances([InstanceId("a")]) == [None]


# ---------------------------------------------------------------------- what can go wrong


async def test_a_file_in_a_folder_that_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "perdure.db"
    with pytest.raises(ProviderError, match="the folder must exist") as caught:
        await SqliteProvider(path).__aenter__()
    assert not caught.value.retryable
    assert str(path) in str(caught.value)


async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("what I wanted to remember\n" * 400)
    with pytest.raises(ProviderError, match="no SQLite database; name another") as caught:
        await SqliteProvider(path).__aenter__()
    assert not caught.value.retryable


async def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "perdure.db"
    async with SqliteProvider(path) as provider:
        await provider.enqueue([start(f"i{number}") for number in range(200)])
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + bytes(len(whole) - 8192))
    with pytest.raises(ProviderError, match=r"damaged; restore a copy") as caught:
        async with SqliteProvider(path) as provider:
            await provider.enqueue([start("new")])
    assert not caught.value.retryable


async def test_a_file_of_a_later_release_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "perdure.db"
    async with SqliteProvider(path):
        pass
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("update perdure_schema set version = 99")
    with pytest.raises(ConfigurationError, match=r"perdure\.db has tables of version 99"):
        await SqliteProvider(path).__aenter__()


async def test_who_writes_for_too_long_is_named_and_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "perdure.db"
    async with SqliteProvider(path, busy_seconds=0.05) as provider:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("begin immediate")
            with pytest.raises(ProviderError, match="keep transactions short") as caught:
                await provider.enqueue([start("a")])
            assert caught.value.retryable
            assert await provider.read_instances([InstanceId("a")]) == [None], "reading goes on"
            other.execute("rollback")
        assert await provider.enqueue([start("a")]) == [EnqueueOutcome.ACCEPTED]


_FILLING = """
    import resource, signal

    async def main():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        async with SqliteProvider(sys.argv[1]) as provider:
            await provider.enqueue([start("before")])
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
            accepted, refused = ["before"], None
            for number in range(10_000):
                try:
                    await provider.enqueue([start(f"i{number}"), event(f"i{number}")])
                except ProviderError as error:
                    refused = error
                    break
                accepted.append(f"i{number}")
            assert refused is not None and refused.retryable, refused
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            assert await provider.enqueue([start("after")]) == [EnqueueOutcome.ACCEPTED]
            print(refused)
            print(*accepted, "after", flush=True)

    asyncio.run(main())
"""


async def test_a_full_disk_refuses_and_goes_on_when_there_is_room(
    tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    path = tmp_path / "perdure.db"
    running = process(_FILLING, path)
    processes.append(running)
    said, accepted = (await asyncio.to_thread(running.communicate))[0].splitlines()
    assert "disk" in said
    async with SqliteProvider(path) as provider:
        page = await provider.list_instances(query(limit=100_000))
        assert {each.instance for each in page.instances} == set(accepted.split())
        for each in page.instances:
            records = len(await provider.read_history(each.instance))
            assert records == (1 if each.instance in {"before", "after"} else 2)


def test_a_read_only_file_says_what_to_do(tmp_path: Path) -> None:
    from perdure.providers.sqlite.errors import translate  # noqa: PLC0415  inside of it

    path = tmp_path / "perdure.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table t (x)")
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection,
        pytest.raises(sqlite3.OperationalError) as caught,
    ):
        connection.execute("insert into t values (1)")
    said = translate("enqueue", caught.value, str(path))
    assert isinstance(said, ProviderError)
    assert not said.retryable
    assert "give this user the right to write the file" in str(said)


async def test_a_provider_that_is_closed_says_so(tmp_path: Path) -> None:
    provider = SqliteProvider(tmp_path / "perdure.db")
    async with provider:
        await provider.ping()
    with pytest.raises(ProviderError, match="not open"):
        await provider.ping()


# ------------------------------------------------------------- together with other tables


async def leased(provider: SqliteProvider) -> LeasedActivity:
    await provider.enqueue([start("a")])
    (turn,) = await turns(provider)
    await provider.commit_turns([decided(turn, activities=(activity("0:1"),))])
    return await work(provider)


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> MemoryStore | Path:
    return MemoryStore() if request.param == "memory" else tmp_path / "perdure.db"


@pytest.mark.parametrize("ends", ["recorded", "lost", "raised", "unfinished"])
async def test_an_attempt_writes_beside_its_result_or_not_at_all(
    store: MemoryStore | Path, ends: str
) -> None:
    async with SqliteProvider(store) as provider:
        found = await leased(provider)
        result = result_of(found)
        async with provider.transaction(result.lease) as opened:
            opened.connection.execute("create table orders (id text)")
            result = result_of(found)
            assert await opened.finish(result) is FinishOutcome.RECORDED
        found = await leased_again(provider)
        result = result_of(found)
        if ends == "lost":
            await provider.finish_activities([result])
        try:
            async with provider.transaction(result.lease) as opened:
                opened.connection.execute("insert into orders values ('one')")
                if ends in {"recorded", "lost"}:
                    again = result
                    if ends == "lost":
                        lease = ActivityLease(
                            found.instance, 1, found.operation, LeaseToken(next(_tokens))
                        )
                        again = ActivityResult(lease, result.end)
                    await opened.finish(again)
                if ends == "raised":
                    await opened.finish(result)
                    raise ValueError  # noqa: TRY301  what a body may do
        except ValueError:
            pass
        last = result.lease
        async with provider.transaction(last) as opened:
            rows = opened.connection.execute("select * from orders").fetchall()
        assert rows == ([("one",)] if ends == "recorded" else [])
        kinds = [each.kind for each in await provider.read_history(InstanceId("a"))]
        recorded = 2 if ends in {"recorded", "lost"} else 1
        assert kinds.count(RecordKind.ACTIVITY_COMPLETED) == recorded


async def leased_again(provider: SqliteProvider) -> LeasedActivity:
    (turn,) = await turns(provider)
    await provider.commit_turns([decided(turn, activities=(activity("0:2"),))])
    return await work(provider)


async def test_calls_wait_for_an_open_transaction_of_the_store_in_memory() -> None:
    async with SqliteProvider(MemoryStore()) as provider:
        found = await leased(provider)
        result = result_of(found)
        is_open = asyncio.Event()

        async def send() -> Sequence[EnqueueOutcome]:
            await is_open.wait()
            return await provider.enqueue([start("b")])

        sending = asyncio.create_task(send())
        async with provider.transaction(result.lease) as opened:
            is_open.set()
            for _ in range(5):
                await asyncio.sleep(0)
            assert not sending.done()
            await opened.finish(result)
        assert await sending == [EnqueueOutcome.ACCEPTED]


async def test_a_transaction_that_stays_open_holds_nobody_up_for_ever(
    store: MemoryStore | Path,
) -> None:
    async with SqliteProvider(store, busy_seconds=0.05) as provider:
        result = result_of(await leased(provider))
        async with provider.transaction(result.lease) as opened:
            with pytest.raises(ProviderError, match="keep transactions short") as caught:
                await asyncio.create_task(provider.enqueue([start("b")]))
            assert caught.value.retryable
            await opened.finish(result)
        assert await provider.enqueue([start("b")]) == [EnqueueOutcome.ACCEPTED]


async def test_what_would_wait_for_its_own_transaction_is_refused(
    store: MemoryStore | Path,
) -> None:
    async with SqliteProvider(store) as provider:
        result = result_of(await leased(provider))
        async with provider.transaction(result.lease) as opened:
            with pytest.raises(ProviderError, match="enqueue_within") as caught:
                await provider.enqueue([start("b")])
            assert not caught.value.retryable
            await provider.enqueue_within(opened.connection, [start("b")])
            await opened.finish(result)
        assert (await provider.read_instances([InstanceId("b")]))[0] is not None


@pytest.mark.parametrize("commits", [True, False])
async def test_a_message_goes_with_the_callers_own_transaction(
    tmp_path: Path, *, commits: bool
) -> None:
    path = tmp_path / "perdure.db"
    async with SqliteProvider(path) as provider:
        with closing(sqlite3.connect(path, isolation_level=None)) as mine:
            mine.row_factory = sqlite3.Row
            mine.execute("create table if not exists orders (id text)")
            with pytest.raises(ConfigurationError, match="BEGIN IMMEDIATE"):
                await provider.enqueue_within(mine, [start("a")])
            mine.execute("begin immediate")
            mine.execute("insert into orders values ('one')")
            outcomes = await provider.enqueue_within(mine, [start("a"), start("a")])
            assert list(outcomes) == [EnqueueOutcome.ACCEPTED, EnqueueOutcome.EXISTS]
            assert await provider.read_instances([InstanceId("a")]) == [None]
            mine.execute("commit" if commits else "rollback")
        (info,) = await provider.read_instances([InstanceId("a")])
        assert (info is not None) is commits


async def test_a_connection_of_another_file_or_driver_is_refused(
    tmp_path: Path, store: MemoryStore | Path
) -> None:
    async with SqliteProvider(store) as provider:
        with closing(sqlite3.connect(tmp_path / "other.db", isolation_level=None)) as other:
            other.execute("begin immediate")
            with pytest.raises(ConfigurationError, match="is not of"):
                await provider.enqueue_within(other, [start("a")])
            other.execute("rollback")
        with pytest.raises(ConfigurationError, match="not str"):
            await provider.enqueue_within("a connection", [start("a")])


async def test_whoever_sends_with_a_connection_of_their_own_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "perdure.db"
    async with SqliteProvider(path) as provider:
        stream = cast("AsyncGenerator[Hint]", provider.hints())
        async with aclosing(stream) as hints, asyncio.timeout(10):
            await anext(hints)
            with closing(sqlite3.connect(path, isolation_level=None)) as mine:
                mine.execute("begin immediate")
                await provider.enqueue_within(mine, [start("a")])
                mine.execute("commit")
            await anext(hints)
