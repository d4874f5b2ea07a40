from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from perdure.model.ids import InstanceId

if TYPE_CHECKING:
    from perdure.providers.postgres import PostgresProvider

PAGE = (Path(__file__).resolve().parents[2] / "docs/transactions.md").read_text()


async def test_the_sql_on_the_page_starts_what_it_says(
    provider: PostgresProvider, database_url: str
) -> None:
    (program,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(program)
    finally:
        await connection.close()
    (found,) = await provider.read_instances([InstanceId("purchase-7")])
    assert found is not None
    assert found.name == "checkout"


async def test_the_page_names_every_function_for_writers_of_sql(
    provider: PostgresProvider, database_url: str
) -> None:
    del provider  # it is there, so the schema is
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(
            "select p.proname as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
            " where n.nspname = 'perdure' and pg_get_functiondef(p.oid) like '%send_one_v1(%'"
            " and p.proname <> 'send_one_v1' and p.prokind = 'f'"
        )
    finally:
        await connection.close()
    assert {row["name"] for row in rows} == set(re.findall(r"^\| `(\w+_v1)\(", PAGE, re.MULTILINE))
