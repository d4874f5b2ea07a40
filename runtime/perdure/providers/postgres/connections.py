"""A few connections to Postgres, opened when needed and kept.

Not the driver's pool: that one spends a round trip to clean a connection whenever it comes back.
Ours never carry state from call to call (every setting is local to a function), so they come back
as they are. The one used last goes out first: its caches are warm, and the others can idle.

A server that has no connection left for us is no reason to fail while we have some: whoever finds
none waits for one of ours.

Behind a pooler that lends connections by the transaction, nothing may outlive a transaction, not
even the statement that was just parsed: each call is then wrapped in one, at the price of two
round trips.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING

import asyncpg

from perdure.providers.postgres.errors import (
    ends_connection,
    is_transient_conflict,
    translate,
)
from perdure.providers.postgres.prepared import PreparedConnection

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Connection", "Connections", "Target"]

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

_CONFLICT_TRIES_MAX = 8
_CONFLICT_SECONDS = 0.002
_FULL_SECONDS = 0.1
_CLOSE_SECONDS_MAX = 2.0


class Target:
    """Where to connect to, and how."""

    def __init__(
        self, url: str, *, application_name: str, call_seconds: float, prepare: bool
    ) -> None:
        self._url = url
        self._application_name = application_name
        self._call_seconds = call_seconds
        self._prepares = prepare

    async def connect(self) -> Connection:
        """Open one connection."""
        return await asyncpg.connect(
            self._url,
            connection_class=PreparedConnection,
            timeout=self._call_seconds,
            command_timeout=self._call_seconds,
            statement_cache_size=100 if self._prepares else 0,
            server_settings={"application_name": self._application_name},
        )

    async def fetch(
        self, connection: Connection, query: str, args: Sequence[object]
    ) -> Sequence[asyncpg.Record]:
        """Run one statement in a transaction of its own."""
        if self._prepares and isinstance(connection, PreparedConnection):
            return await connection.run(query, args)
        async with connection.transaction():
            return await connection.fetch(query, *args)


class Connections:
    """At most `limit` connections; whoever finds none free waits."""

    def __init__(self, target: Target, limit: int) -> None:
        self._target = target
        self._idle: list[Connection] = []
        self._free = asyncio.Semaphore(limit)
        self._lent = 0
        self._opening = 0
        self._returned = asyncio.Event()
        self._is_closed = False

    async def call(self, operation: str, query: str, *args: object) -> Sequence[asyncpg.Record]:
        """Run one statement in a transaction of its own; raises what `translate` says."""
        async with self._free:
            for attempt in range(1, _CONFLICT_TRIES_MAX + 1):
                try:
                    return await self._run(query, args)
                except Exception as error:
                    if attempt < _CONFLICT_TRIES_MAX and is_transient_conflict(error):
                        await _step_aside(attempt)
                        continue
                    raise translate(operation, error) from error
        raise AssertionError  # the loop returns or raises

    async def _run(self, query: str, args: Sequence[object]) -> Sequence[asyncpg.Record]:
        connection = await self._take()
        self._lent += 1
        try:
            rows = await self._target.fetch(connection, query, args)
        except asyncpg.PostgresError as error:
            if ends_connection(error):
                connection.terminate()
            else:
                self._give_back(connection)
            raise
        except BaseException:
            # Cancelled, cut off, or misunderstood: nobody knows what it would answer next.
            connection.terminate()
            raise
        else:
            self._give_back(connection)
        finally:
            self._lent -= 1
            self._returned.set()
        return rows

    async def _take(self) -> Connection:
        while True:
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
            self._opening += 1
            try:
                return await self._target.connect()
            except asyncpg.TooManyConnectionsError:
                if not (self._lent or self._opening > 1 or self._idle):
                    raise
            finally:
                self._opening -= 1
            self._returned.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_FULL_SECONDS):
                    await self._returned.wait()

    def _give_back(self, connection: Connection) -> None:
        if self._is_closed:
            connection.terminate()
        elif not connection.is_closed():
            self._idle.append(connection)

    async def connect(self) -> Connection:
        """Open a connection that is the caller's own, and not one of ours."""
        return await self._target.connect()

    async def close(self) -> None:
        """Close what is idle; what is in use closes when it comes back."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            with suppress(OSError, asyncio.TimeoutError, asyncpg.PostgresError):
                await connection.close(timeout=_CLOSE_SECONDS_MAX)


async def _step_aside(attempt: int) -> None:
    """Let the other go first; two that met twice wait for times of their own."""
    if attempt > 1:
        longest = _CONFLICT_SECONDS * 2.0**attempt
        await asyncio.sleep(random.random() * longest)  # noqa: S311  no secret
