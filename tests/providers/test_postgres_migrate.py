from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from perdure.errors import ConfigurationError, ProviderError
from perdure.providers.postgres import PostgresProvider, migrate, status

if TYPE_CHECKING:
    from collections.abc import Sequence

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
