"""The Postgres under measurement: a fresh database for each workload, and its counters.

The server is asked over a connection of our own to another database, so that asking is not
counted. It reports transactions late: a connection tells at most once a second, and for certain
when it closes. So counters are read after a pause and one more instance, and again when all other
connections are closed; what remains is an error of about ten transactions.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from perdure.cli.bench.processes import family_cpu_seconds
from perdure.errors import ConfigurationError
from perdure.testing.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["OWN_SERVER_SETTINGS", "Counters", "Database", "Server", "difference", "own_server"]

OWN_SERVER_SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "max_connections": "100",
    "track_functions": "pl",
    "jit": "off",
}
"""Of the server that `perdure bench` starts itself: durable, with room for the data of a run."""

_REPORTED_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "jit")


@dataclass(frozen=True, slots=True)
class Counters:
    """What a server has counted for one database so far."""

    transactions: int
    statements: int | None
    wal_position: int
    calls: Mapping[str, int]
    cpu_seconds: float | None


def difference(before: Counters, after: Counters) -> Counters:
    """Count what happened between two readings."""
    calls = {
        name: count - before.calls.get(name, 0)
        for name, count in sorted(after.calls.items())
        if count > before.calls.get(name, 0)
    }
    return Counters(
        transactions=after.transactions - before.transactions,
        statements=_minus(after.statements, before.statements),
        wal_position=after.wal_position - before.wal_position,
        calls=calls,
        cpu_seconds=(
            None
            if after.cpu_seconds is None or before.cpu_seconds is None
            else round(after.cpu_seconds - before.cpu_seconds, 2)
        ),
    )


def _minus(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before


@dataclass(frozen=True, slots=True)
class Database:
    """A fresh database, and the way to its counters."""

    url: str
    name: str
    schema: str
    server: Server
    connection: Connection[Record]

    async def checkpoint(self) -> None:
        """Write everything out now, so that it does not happen while measuring."""
        try:
            await self.connection.execute("checkpoint")
        except asyncpg.InsufficientPrivilegeError:  # on somebody else's server: do without
            return

    async def counters(self) -> Counters:
        """Read the counters."""
        transactions: int = await self.connection.fetchval(
            "select xact_commit + xact_rollback from pg_stat_database where datname = $1",
            self.name,
        )
        wal: int = await self.connection.fetchval(
            "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
        )
        pid = self.server.pid
        return Counters(
            transactions=transactions,
            statements=await self._statements(),
            wal_position=wal,
            calls=await self._calls(),
            cpu_seconds=None if pid is None else family_cpu_seconds(pid),
        )

    async def _statements(self) -> int | None:
        if not await self.connection.fetchval(
            "select exists (select from pg_extension where extname = 'pg_stat_statements')"
        ):
            return None
        count: int = await self.connection.fetchval(
            "select coalesce(sum(calls), 0)::bigint from pg_stat_statements s"
            " join pg_database d on d.oid = s.dbid where d.datname = $1 and s.toplevel",
            self.name,
        )
        return count

    async def _calls(self) -> Mapping[str, int]:
        # Functions are counted in their own database, which only a connection to it can read.
        connection = await asyncpg.connect(self.url)
        try:
            rows = await connection.fetch(
                "select funcname, sum(calls)::bigint as calls from pg_stat_user_functions"
                " where schemaname = $1 group by funcname",
                self.schema,
            )
        finally:
            await connection.close()
        return {row["funcname"]: row["calls"] for row in rows}


@dataclass(frozen=True, slots=True)
class Server:
    """A server that may make databases."""

    url: str
    pid: int | None
    """Of its first process; None for a server that is not ours."""

    @asynccontextmanager
    async def fresh_database(self, schema: str) -> AsyncGenerator[Database]:
        """Make an empty database, dropped when the block ends."""
        name = f"perdure_bench_{secrets.token_hex(4)}"
        try:
            connection = await asyncpg.connect(self.url)
        except (OSError, asyncpg.PostgresError) as error:
            raise ConfigurationError(f"No connection to the server to measure: {error}") from error
        try:
            await connection.execute(f'create database "{name}"')
            try:
                yield Database(
                    url=urlunsplit(urlsplit(self.url)._replace(path=f"/{name}")),
                    name=name,
                    schema=schema,
                    server=self,
                    connection=connection,
                )
            finally:
                await connection.execute(f'drop database "{name}" with (force)')
        finally:
            await connection.close()

    async def describe(self) -> tuple[dict[str, str], str]:
        """Read the settings that a figure depends on, and the version."""
        connection = await asyncpg.connect(self.url)
        try:
            settings = {
                name: await connection.fetchval("select current_setting($1)", name)
                for name in _REPORTED_SETTINGS
            }
            version: str = await connection.fetchval("show server_version")
        finally:
            await connection.close()
        return settings, version


@contextmanager
def own_server() -> Generator[Server]:
    """Start a server for the measurement alone."""
    with EmbeddedPostgres(settings=OWN_SERVER_SETTINGS) as postgres:
        yield Server(url=postgres.url, pid=postgres.pid)
