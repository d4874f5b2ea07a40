"""Transactions in which an activity's body writes, beside the end of the attempt."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from perdure.errors import ConfigurationError
from perdure.providers.sqlite.activities import finish_activities
from perdure.providers.sqlite.base import HELD, Base
from perdure.providers.sqlite.errors import translate
from perdure.providers.sqlite.gates import settle
from perdure.providers.sqlite.messages import enqueue
from perdure.providers.sqlite.transaction import Transaction
from perdure.providers.work import FinishOutcome

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from perdure.providers.work import ActivityLease, ActivityResult, EnqueueOutcome, Message

__all__ = ["SqliteTransaction", "TransactionVerbs"]


class SqliteTransaction:
    """An open transaction, in the file (or the memory) that the histories are in."""

    def __init__(self, connection: sqlite3.Connection, tx: Transaction, name: str) -> None:
        self._connection = connection
        self._tx = tx
        self._name = name
        self.is_recorded = False

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection to write with; commit and rollback are not yours to call."""
        return self._connection

    def was_lost(self, error: Exception) -> bool:
        """Say no: there is no server that could go away."""
        del error
        return False

    async def finish(self, result: ActivityResult) -> FinishOutcome:
        """Record the result and wake the instance in this very transaction."""
        self._tx.look_at_the_clock()
        try:
            (outcome,) = finish_activities(self._tx, [result])
        except sqlite3.Error as error:
            raise translate("finish_activities", error, self._name) from error
        self.is_recorded = outcome is FinishOutcome.RECORDED
        return outcome


def _is_in_transaction(connection: sqlite3.Connection) -> bool:
    try:
        return connection.in_transaction
    except sqlite3.ProgrammingError:  # it is closed
        return False


class TransactionVerbs(Base):
    """Write together with others in one transaction."""

    @asynccontextmanager
    async def transaction(self, lease: ActivityLease) -> AsyncGenerator[SqliteTransaction]:
        """Open a transaction for one attempt; nobody else can write meanwhile.

        Leaving it without an error commits if `finish` said `RECORDED`, else rolls back. Within
        it other verbs raise an error that is not retryable: they would wait for it.
        """
        del lease  # `finish` names it
        store = self._store
        async with store.transaction("transaction", self._terms) as (connection, tx):
            opened = SqliteTransaction(connection, tx, store.name)
            before = HELD.get()
            HELD.set((store.board, asyncio.current_task()))
            try:
                yield opened
            finally:
                HELD.set(before)  # not `reset`: who leaves may be another task than who entered
            tx.is_wanted = opened.is_recorded

    async def enqueue_within(
        self, connection: object, messages: Sequence[Message]
    ) -> Sequence[EnqueueOutcome]:
        """Send with the caller's connection: it is done if the caller's transaction commits.

        Raises:
            ConfigurationError: that connection is of another driver, or not in a transaction.
        """
        if not isinstance(connection, sqlite3.Connection):
            raise ConfigurationError(
                "enqueue_within: give a connection of the module sqlite3, not "
                f"{type(connection).__qualname__}"
            )
        store = self._store
        if not _is_in_transaction(connection):
            raise ConfigurationError(
                "enqueue_within: the connection is in no transaction; execute BEGIN IMMEDIATE first"
            )
        if not store.owns(connection):
            raise ConfigurationError(
                f"enqueue_within: the connection is not of {store.name}; open the same file, or "
                "use the connection that `transaction` gives"
            )

        def execute(sql: str, parameters: Sequence[object] = (), /) -> sqlite3.Cursor:
            cursor = connection.cursor()
            cursor.row_factory = None  # the caller may have set another
            return cursor.execute(sql, parameters)

        try:
            tx = Transaction(execute, self._terms)
            outcomes = enqueue(tx, messages)
            settle(tx)
            store.tell_within(tx)
        except sqlite3.Error as error:
            raise translate("enqueue", error, store.name) from error
        return outcomes
