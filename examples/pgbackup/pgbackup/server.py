"""The Postgres server that is backed up: what it holds, `pg_dump`, and `pg_restore`.

Where it is and who asks comes from libpq's environment (`PGHOST`, `PGPORT`, `PGUSER`,
`PGPASSWORD`, ...), which the pool takes from a Secret: no password is ever an argument, so none
gets into a history. The programs of Postgres read the same variables.
"""

import asyncio
import gzip
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg

from .volume import CHUNK_BYTES

SCRATCH = "pgbackup_scratch_"
_STDERR_BYTES_MAX = 16 << 10
_END_SECONDS = 3
_SETTINGS = {
    "application_name": "pgbackup",
    "idle_in_transaction_session_timeout": "0",  # the snapshot must live until pg_dump has it
}

_DATABASES = """
select datname from pg_database
where datallowconn and not datistemplate and not starts_with(datname, $1)
order by datname
"""

# What pg_dump dumps rows of: plain tables and partitions, but not those of an extension.
_TABLES = """
select format('%I.%I', n.nspname, c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r'
  and n.nspname <> 'information_schema' and not starts_with(n.nspname, 'pg_')
  and not exists (select from pg_depend d
                  where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by 1
"""

# A copy of the new database's own properties: text compares and sorts there as it did here.
_CREATE_LIKE = """
select format('create database %I template template0 encoding %L lc_collate %L lc_ctype %L',
              $1::text, pg_encoding_to_char(encoding), datcollate, datctype)
from pg_database where datname = $2
"""


async def databases() -> list[str]:
    """All databases but templates and our own scratch ones."""
    async with _connected("postgres") as connection:
        return [row[0] for row in await connection.fetch(_DATABASES, SCRATCH)]


async def version() -> str:
    async with _connected("postgres") as connection:
        found: str = await connection.fetchval("show server_version")
        return found


async def dump(database: str, to: Path) -> dict[str, int]:
    """Write a dump, and return the rows of each table *as the dump has them*.

    Both look at one snapshot, so the counts are right whatever others write meanwhile.
    """
    async with (
        _connected(database) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        snapshot = await connection.fetchval("select pg_export_snapshot()")
        counted = await _count(connection)
        await _run(
            *("pg_dump", "--format=custom", "--compress=0", f"--snapshot={snapshot}"),
            *(f"--file={to}", f"--dbname={_conninfo(database)}"),
        )
        return counted


async def restore(packed: Path, into: str) -> None:
    """Restore a gzipped dump, streaming. What belongs to others than the rows stays out."""
    await _run(
        *("pg_restore", "--exit-on-error", "--no-owner", "--no-privileges", "--no-tablespaces"),
        *("--no-publications", "--no-subscriptions", f"--dbname={_conninfo(into)}"),
        feed=packed,
    )


async def count(database: str) -> dict[str, int]:
    async with _connected(database) as connection:
        return await _count(connection)


@asynccontextmanager
async def scratch_database(name: str, like: str) -> AsyncGenerator[None]:
    """An empty database for the block, dropped however the block ends."""
    async with _connected("postgres") as connection:
        create = await connection.fetchval(_CREATE_LIKE, name, like)
        if create is None:
            raise LookupError(f"database {like!r} is not there any more")
        await connection.execute(create)
    try:
        yield
    finally:
        await drop(name)


async def scratch_databases(prefix: str = SCRATCH) -> list[str]:
    async with _connected("postgres") as connection:
        find = "select datname from pg_database where starts_with(datname, $1)"
        return [row[0] for row in await connection.fetch(find, prefix)]


async def drop(name: str) -> None:
    """Drop one of our scratch databases, whoever is connected."""
    assert name.startswith(SCRATCH), name  # noqa: S101  the last line of defence
    async with _connected("postgres") as connection:
        quoted = await connection.fetchval("select quote_ident($1)", name)
        await connection.execute(f"drop database if exists {quoted} with (force)")


async def _count(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, int]:
    tables = [row[0] for row in await connection.fetch(_TABLES)]
    return {
        table: await connection.fetchval(f"select count(*) from only {table}")  # noqa: S608  quoted by format
        for table in tables
    }


@asynccontextmanager
async def _connected(database: str) -> AsyncGenerator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database=database, server_settings=_SETTINGS)
    try:
        yield connection
    finally:
        with suppress(asyncpg.PostgresError, OSError):
            await connection.close()


def _conninfo(database: str) -> str:
    """Spelled out, because a bare name with `=` in it would be read as a connection string."""
    quoted = database.replace("\\", r"\\").replace("'", r"\'")
    return f"dbname='{quoted}'"


async def _run(*command: str, feed: Path | None = None) -> None:
    """Run a program to its end; it does not outlive us, however we end."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL if feed is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.TaskGroup() as group:
            complaint = group.create_task(_tail(process.stderr))
            if feed is not None:
                group.create_task(_feed(feed, process.stdin))
            status = group.create_task(process.wait())
    finally:
        if process.returncode is None:
            await _end(process)
    if status.result() != 0:
        raise RuntimeError(f"{command[0]} ended with {status.result()}: {complaint.result()}")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask first: Postgres' programs then cancel what they had asked of the server."""
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _END_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


async def _feed(packed: Path, pipe: asyncio.StreamWriter | None) -> None:
    assert pipe is not None  # noqa: S101  we asked for a pipe
    with gzip.open(packed) as data, suppress(BrokenPipeError, ConnectionResetError):
        # A program that gives up closes the pipe; why is in its status and its complaint.
        while chunk := await asyncio.to_thread(data.read, CHUNK_BYTES):
            pipe.write(chunk)
            await pipe.drain()
    pipe.close()


async def _tail(stream: asyncio.StreamReader | None) -> str:
    """Read all there is and keep its end."""
    assert stream is not None  # noqa: S101  we asked for a pipe
    kept = b""
    while chunk := await stream.read(_STDERR_BYTES_MAX):
        kept = (kept + chunk)[-_STDERR_BYTES_MAX:]
    return kept.decode(errors="replace").strip()
