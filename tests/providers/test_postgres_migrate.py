from __future__ import annotations

import asyncio
import itertools
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from perdure.errors import ConfigurationError, ProviderError
from perdure.model.ids import ExecutorId, InstanceId, JsonText, LeaseToken, OperationId
from perdure.model.records import Ending, Outcome, RecordKind
from perdure.providers.postgres import PostgresProvider, check, migrate, status
from perdure.providers.work import (
    ActivityCompleted,
    ActivityLease,
    ActivityResult,
    CodeId,
    CommitOutcome,
    FetchActivities,
    FetchTurns,
    FinishOutcome,
    Message,
    NewActivity,
    NewInstance,
    TurnCommit,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ODD_SCHEMAS = ["Odd-Name", 'with "quotes" and spaces', "select", "ünï", "x" * 63]


async def fetch(url: str, query: str, *args: object) -> Sequence[Any]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(query, *args)
    finally:
        await connection.close()


async def test_migrating_twice_changes_nothing_the_second_time(database_url: str) -> None:
    first = await migrate(database_url)
    assert first.applied == ("0001_tables",)
    assert "commit_turns" in first.replaced
    second = await migrate(database_url)
    assert (second.version, second.applied, second.replaced) == (first.version, (), ())
    assert (await status(database_url)).is_current


async def test_status_of_an_empty_database_tells_what_is_missing(database_url: str) -> None:
    found = await status(database_url)
    assert (found.version, found.pending) == (0, ("0001_tables",))
    assert not found.is_current
    assert not await fetch(database_url, "select from pg_namespace where nspname = 'perdure'")


async def test_concurrent_migrators_do_the_work_once(database_url: str) -> None:
    reports = await asyncio.gather(*(migrate(database_url) for _ in range(6)))
    assert sorted(len(report.applied) for report in reports) == [0, 0, 0, 0, 0, 1]
    assert (await status(database_url)).is_current


@pytest.mark.parametrize("schema", ODD_SCHEMAS)
async def test_any_name_does_for_a_schema(database_url: str, schema: str) -> None:
    await migrate(database_url, schema=schema)
    assert (await status(database_url, schema=schema)).is_current
    async with PostgresProvider(database_url, schema=schema) as provider:
        await provider.read_backlog()


async def test_two_schemas_in_one_database_keep_apart(database_url: str) -> None:
    await asyncio.gather(migrate(database_url, schema="one"), migrate(database_url, schema="two"))
    tables = await fetch(
        database_url,
        "select schemaname, count(*) as n from pg_tables where schemaname in ('one', 'two') "
        "group by 1 order by 1",
    )
    assert [row["schemaname"] for row in tables] == ["one", "two"]
    assert tables[0]["n"] == tables[1]["n"] > 5


async def test_functions_stay_tied_to_their_schema_whatever_the_callers_path(
    database_url: str,
) -> None:
    await migrate(database_url)
    unbound = await fetch(
        database_url,
        "select proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace "
        "where n.nspname = 'perdure' and not exists ("
        "  select from unnest(p.proconfig) c where c = 'search_path=perdure, pg_temp')",
    )
    assert unbound == []


async def test_a_newer_schema_is_refused_and_left_alone(database_url: str) -> None:
    await migrate(database_url)
    await fetch(
        database_url, "insert into perdure.migration (number, name) values (9999, '9999_future')"
    )
    with pytest.raises(ConfigurationError, match="9999"):
        await migrate(database_url)
    assert (await status(database_url)).version == 9999


async def test_a_function_is_replaced_when_its_text_has_changed(database_url: str) -> None:
    await migrate(database_url)
    await fetch(database_url, "update perdure.function_text set digest = 'old' where name = 'ping'")
    assert (await status(database_url)).changed == ("ping",)
    assert (await migrate(database_url)).replaced == ("ping",)


async def test_a_failed_migration_leaves_nothing_behind(database_url: str) -> None:
    # A table of ours that is there already stops the first migration in the middle.
    await fetch(database_url, "create schema perdure")
    await fetch(database_url, "create table perdure.timer (x int)")
    with pytest.raises(ProviderError, match="timer"):
        await migrate(database_url)
    left = await fetch(database_url, "select tablename from pg_tables where schemaname = 'perdure'")
    assert [row["tablename"] for row in left] == ["timer"]


async def test_a_provider_without_its_schema_says_what_to_do(database_url: str) -> None:
    with pytest.raises(ProviderError, match="perdure db migrate") as raised:
        await PostgresProvider(database_url).__aenter__()
    assert raised.value.retryable, "somebody may be migrating this very moment"


async def test_migrating_under_a_live_provider_does_not_disturb_it(database_url: str) -> None:
    await migrate(database_url)
    async with PostgresProvider(database_url, connections=1) as provider:
        await provider.read_backlog()
        await fetch(database_url, "update perdure.function_text set digest = 'old'")
        await migrate(database_url)
        await provider.read_backlog()
        await provider.ping()


async def test_every_function_is_named_with_its_version(database_url: str) -> None:
    await migrate(database_url)
    odd = await fetch(
        database_url,
        "select proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace "
        "where n.nspname = 'perdure' and proname !~ '_v[0-9]+$'",
    )
    assert odd == []


async def test_every_primary_key_of_instances_starts_with_the_instance(database_url: str) -> None:
    await migrate(database_url)
    rows = await fetch(
        database_url,
        "select c.relname, a.attname from pg_index i "
        "join pg_class c on c.oid = i.indrelid "
        "join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'perdure' "
        "join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0] "
        "where i.indisprimary",
    )
    first = {row["relname"]: row["attname"] for row in rows}
    of_instances = {"live", "event", "activity", "timer", "early_message", "change"}
    assert {first[table] for table in of_instances} == {"instance"}
    assert first["instance"] == "id"


# ----------------------------------------------------------------------------------- drift


@pytest.mark.parametrize("schema", ["perdure", 'with "quotes" and spaces', "select"])
async def test_a_schema_that_was_just_made_has_not_drifted(database_url: str, schema: str) -> None:
    await migrate(database_url, schema=schema)
    drift = await check(database_url, schema=schema)
    assert (drift.missing, drift.unexpected, drift.different) == ((), (), ())
    assert drift.is_clean
    schemas = await fetch(
        database_url, "select nspname from pg_namespace where nspname like 'perdure_check%'"
    )
    assert schemas == [], "what it compared with is gone"


async def test_what_somebody_changed_by_hand_is_found(database_url: str) -> None:
    await migrate(database_url)
    for statement in (
        "drop index perdure.timer_due",
        "alter table perdure.live alter column attempt set default 3",
        "alter table perdure.event add column note text",
        "alter table perdure.activity set (fillfactor = 90)",
        "create index by_hand on perdure.event (at)",
        "alter function perdure.ping_v1() volatile",
        "drop function perdure.withdraw_v1(bigint)",
    ):
        await fetch(database_url, statement)
    drift = await check(database_url)
    assert drift.missing == ("function withdraw_v1(p_id bigint)", "index timer_due")
    assert drift.unexpected == ("column event.note", "index by_hand")
    assert drift.different == ("column live.attempt", "function ping_v1()", "table activity")
    assert not drift.is_clean
    assert (await status(database_url)).is_current, "nothing of it was a migration's"


async def test_a_schema_that_is_not_there_lacks_everything(database_url: str) -> None:
    drift = await check(database_url)
    assert len(drift.missing) > 100
    assert (drift.unexpected, drift.different) == ((), ())


# --------------------------------------------------------------- a later release, meanwhile

LATER = """
alter table live add column note text;
alter table event add column region text not null default 'eu';
create index instance_version on instance (version, id);
create table remark (instance text collate "C" not null, id bigint generated always as identity,
  remark text, primary key (instance, id));
create type remark_v1 as (instance text, remark text);
"""
"""What a later release might do: it adds, and takes nothing away."""


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Turn this release into a later one, from when it is called on."""
    module = sys.modules["perdure.providers.postgres.migrate"]
    scripts = module._scripts

    def later_scripts(folder: str) -> Sequence[Any]:
        found = list(scripts(folder))
        if folder == "migrations":
            return [*found, module._Script("0002_later", LATER)]
        return [
            module._Script(each.name, f"-- Later.\n{each.text}") if each.name[0] in "cfs" else each
            for each in found
        ]

    return lambda: monkeypatch.setattr(module, "_scripts", later_scripts)


async def one_life(provider: PostgresProvider, number: int) -> None:
    """Take one instance from its start to its end, by way of one activity."""
    instance = InstanceId(f"i{number}")
    tokens = itertools.count(number * 1000 + 1)
    text = JsonText("{}")
    name = f"n{number}"  # nobody else takes its turns
    request = FetchTurns(
        *(ExecutorId(number), LeaseToken(next(tokens)), 1, timedelta(minutes=1)),
        [CodeId(name, "1.0.0")],
    )
    start = Message(instance, RecordKind.STARTED, body=text, start=NewInstance(name, None))
    await provider.enqueue([start])
    (turn,) = (await provider.fetch_turns(request)).turns
    new = NewActivity(OperationId("0:1"), name, "", text, None, None)
    commit = TurnCommit(instance, 1, turn.token, turn.upto, "1.0.0", text, activities=(new,))
    assert list(await provider.commit_turns([commit])) == [CommitOutcome.COMMITTED]
    fetch_work = FetchActivities(
        *(ExecutorId(number), LeaseToken(next(tokens)), ("",), 1, timedelta(minutes=1)), [name]
    )
    (work,) = (await provider.fetch_activities(fetch_work)).activities
    lease = ActivityLease(instance, 1, work.operation, work.token)
    done = ActivityResult(lease, ActivityCompleted(text))
    assert list(await provider.finish_activities([done])) == [FinishOutcome.RECORDED]
    (turn,) = (await provider.fetch_turns(request)).turns
    end = TurnCommit(
        *(instance, 1, turn.token, turn.upto, "1.0.0", text), ending=Ending(Outcome.COMPLETED, text)
    )
    assert list(await provider.commit_turns([end])) == [CommitOutcome.COMMITTED]
    assert len(await provider.read_history(instance)) == 4


async def test_processes_work_on_while_a_later_release_migrates(
    database_url: str, later: Callable[[], None]
) -> None:
    await migrate(database_url)
    numbers = itertools.count(1)
    lived = 0
    is_over = asyncio.Event()

    async def works(provider: PostgresProvider) -> None:
        nonlocal lived
        while not is_over.is_set():
            await one_life(provider, next(numbers))
            lived += 1

    async with PostgresProvider(database_url) as one, PostgresProvider(database_url) as two:
        working = [asyncio.create_task(works(each)) for each in (one, one, two)]

        async def goes_on() -> None:
            before = lived
            async with asyncio.timeout(30):
                while lived < before + 6:
                    for task in working:
                        assert not task.done(), task
                    await asyncio.sleep(0.01)  # may sleep: asks again, until its time is over

        await goes_on()
        later()
        report = await migrate(database_url)
        assert report.applied == ("0002_later",)
        assert "commit_turns" in report.replaced
        await goes_on()
        is_over.set()
        await asyncio.gather(*working)
        async with PostgresProvider(database_url) as young:
            await one_life(young, next(numbers))


async def test_a_migrated_schema_is_like_one_made_anew(
    database_url: str, later: Callable[[], None]
) -> None:
    await migrate(database_url)
    later()
    assert not (await check(database_url)).is_clean
    assert (await migrate(database_url)).applied == ("0002_later",)
    drift = await check(database_url)
    assert (drift.missing, drift.unexpected, drift.different) == ((), (), ())


async def test_a_migration_waits_for_whoever_reads_and_holds_nobody_up(
    database_url: str, later: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(database_url)
    module = sys.modules["perdure.providers.postgres.migrate"]
    monkeypatch.setattr(module, "_LOCK_SECONDS", 1)
    reader = await asyncpg.connect(database_url)
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetch("select from perdure.event")  # keeps its lock until the transaction ends
    later()
    migration = asyncio.create_task(migrate(database_url))
    async with PostgresProvider(database_url, call_seconds=20) as provider:
        for number in range(1, 6):
            await one_life(provider, number)
        assert not migration.done()
        await transaction.rollback()
        await reader.close()
        assert (await migration).applied == ("0002_later",)
        await one_life(provider, 7)
