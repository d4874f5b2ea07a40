"""Transactions of a user's own, in which storage writes too.

An activity's body writes with the connection of `transaction`, and the result goes with its writes:
both are there or neither. Whoever has a transaction open already sends with `enqueue_within`.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from perdure.errors import ConfigurationError
from perdure.providers.postgres.base import Base
from perdure.providers.postgres.errors import ends_connection, is_transient_conflict, translate
from perdure.providers.postgres.messages import ENQUEUED
from perdure.providers.postgres.rows import Sorted, message_row, result_row
from perdure.providers.work import FinishOutcome

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
    from datetime import datetime
    from typing import Any, TypeGuard

    from perdure.providers.postgres.calls import Calls
    from perdure.providers.postgres.connections import Connection
    from perdure.providers.work import ActivityLease, ActivityResult, EnqueueOutcome, Message

__all__ = ["PostgresTransaction", "TransactionVerbs"]

_CONFLICT_TRIES_MAX = 4
_FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


class PostgresTransaction:
    """An open transaction, in the database that the histories are in."""

    def __init__(self, connection: Connection, calls: Calls, now: datetime | None) -> None:
        self._connection = connection
        self._calls = calls
        self._now = now
        self.is_recorded = False
        self.is_due = False

    @property
    def connection(self) -> Connection:
        """The connection to write with; commit and rollback are not yours to call."""
        return self._connection

    def was_lost(self, error: Exception) -> bool:
        """Tell whether the server has hung up, or is about to."""
        if isinstance(error, asyncpg.PostgresError) and ends_connection(error):
            return True
        return isinstance(error, asyncpg.InternalClientError) or self._connection.is_closed()

    async def finish(self, result: ActivityResult) -> FinishOutcome:
        """Record the result and wake the instance in this very transaction.

        From here on the instance is locked until the end of the transaction: do it last.
        """
        (answer,) = await _translating(
            "finish_activities",
            lambda: self._connection.fetch(
                self._calls.finish_activities, [result_row(result)], self._now
            ),
        )
        self.is_recorded = bool(answer["outcomes"][0])
        self.is_due = bool(answer["is_due"])
        return FinishOutcome.RECORDED if self.is_recorded else FinishOutcome.LOST


class TransactionVerbs(Base):
    """Write together with others in one transaction."""

    @asynccontextmanager
    async def transaction(self, lease: ActivityLease) -> AsyncGenerator[PostgresTransaction]:
        """Open a transaction for one attempt, on a connection of its own.

        Leaving it without an error commits if `finish` said `RECORDED`, else rolls back. Raises
        `ProviderError` when leaving if it is unknown whether the commit happened.

        The connection is closed afterwards: what a body sets for its session ends with it.
        """
        del lease  # `finish` names it
        self._board.check()
        connection = await _translating("transaction", self._connections.connect)
        try:
            opened = PostgresTransaction(connection, self._calls, self._now())
            inner = connection.transaction()
            await _translating("transaction", inner.start)
            yield opened
            if opened.is_recorded:
                await _translating("commit", inner.commit)
                if opened.is_due:
                    self._board.post(("t",))
        finally:
            # What was not committed is rolled back by the server when we hang up.
            connection.terminate()

    async def enqueue_within(
        self, connection: object, messages: Sequence[Message]
    ) -> Sequence[EnqueueOutcome]:
        """Send with the caller's connection: it is done if the caller's transaction commits.

        Raises:
            ConfigurationError: that connection is of another driver, or not in a transaction.
        """
        if not _is_ours(connection):
            raise ConfigurationError(
                "enqueue_within: give a connection of asyncpg, not "
                f"{type(connection).__module__}.{type(connection).__qualname__}; with another "
                "driver call start_orchestration_v1, raise_event_v1 or enqueue_event_v1 in SQL"
            )
        if not _is_in_transaction(connection):
            raise ConfigurationError(
                "enqueue_within: the connection is in no transaction; send inside of "
                "`async with connection.transaction()`, or use `enqueue`"
            )
        if not messages:
            return []
        batch = Sorted(messages, key=lambda message: message.instance)
        args = (
            [message_row(message) for message in batch.items],
            self._keep_early,
            self._inbox_limit,
            self._now(),
            # What is told within a transaction is told when it commits.
            *self._board.payloads(("t", "w")),
        )
        rows = await self._send_within(connection, args)
        return batch.restore([ENQUEUED[code] for code in rows[0][0]])

    async def _send_within(self, connection: Connection, args: Sequence[object]) -> Sequence[Any]:
        for attempt in range(1, _CONFLICT_TRIES_MAX + 1):
            try:
                async with connection.transaction():  # a savepoint: an error spoils no more
                    return await connection.fetch(self._calls.enqueue_telling, *args)
            except _FAILURES as error:
                if attempt < _CONFLICT_TRIES_MAX and is_transient_conflict(error):
                    continue
                raise translate("enqueue", error) from error
        raise AssertionError  # the loop returns or raises


def _is_ours(connection: object) -> TypeGuard[Connection]:
    return isinstance(connection, asyncpg.Connection | PoolConnectionProxy)


def _is_in_transaction(connection: Connection) -> bool:
    try:
        return not connection.is_closed() and connection.is_in_transaction()
    except asyncpg.InterfaceError:  # it went back to its pool
        return False


async def _translating[T](operation: str, call: Callable[[], Awaitable[T]]) -> T:
    try:
        return await call()
    except _FAILURES as error:
        raise translate(operation, error) from error
