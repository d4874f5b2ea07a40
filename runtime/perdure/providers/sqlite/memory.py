"""A store in memory: everything in the caller's thread, at once.

No thread and no waiting: what a verb does is done when it returns, so that a simulation on a clock
of its own runs the same way every time. Several providers may share a store, as the processes of a
system share a database.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import weakref
from collections import deque
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from perdure.providers.sqlite.board import Board
from perdure.providers.sqlite.errors import translate
from perdure.providers.sqlite.gates import settle
from perdure.providers.sqlite.schema import connect, prepare
from perdure.providers.sqlite.statements import statements
from perdure.providers.sqlite.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from perdure.providers.sqlite.transaction import Terms

__all__ = ["MemoryStore"]

_SQL = statements("schema_steps")
_BEGIN, _COMMIT, _ROLLBACK = _SQL["begin"], _SQL["commit"], _SQL["rollback"]


class MemoryStore:
    """What several providers of one process may share; gone with the last reference to it."""

    name = "the store in memory"

    def __init__(self) -> None:
        self.board = Board()
        self._connection = connect(":memory:", busy_seconds=0)
        weakref.finalize(self, self._connection.close)
        prepare(self._connection, self.name)
        self._lock = threading.Lock()
        self._is_taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def open(self) -> None:
        """Nothing is to be opened."""

    async def close(self) -> None:
        """Nothing is to be closed: others may go on with it."""

    async def write[T](
        self, verb: str, terms: Terms, act: Callable[[Transaction], T], *, durable: bool = True
    ) -> T:
        """Do something in a transaction of its own."""
        del durable  # nothing is
        while self._is_taken:
            await self._turn()
        with self._lock:
            tx = self._begin(verb, terms)
            try:
                result = act(tx)
                settle(tx)
                self._connection.execute(_COMMIT)
            except BaseException as error:
                self._undo()
                if isinstance(error, Exception):
                    raise translate(verb, error, self.name) from error
                raise
        self.board.post(tx.lines)
        return result

    read = write

    @asynccontextmanager
    async def transaction(
        self, verb: str, terms: Terms
    ) -> AsyncGenerator[tuple[sqlite3.Connection, Transaction]]:
        """Hold a transaction open; commits at the end, and rolls back after an error.

        All other calls wait meanwhile: there is one connection.
        """
        while self._is_taken:
            await self._turn()
        with self._lock:
            tx = self._begin(verb, terms)
            self._is_taken = True
        try:
            yield self._connection, tx
            if tx.is_wanted:
                self._commit(verb, tx)
        finally:
            self._undo()
            self._is_taken = False
            self._wake()
        if tx.is_wanted:
            self.board.post(tx.lines)

    def owns(self, connection: sqlite3.Connection) -> bool:
        """Say whether this is the store's connection."""
        return connection is self._connection

    def _begin(self, verb: str, terms: Terms) -> Transaction:
        try:
            self._connection.execute(_BEGIN)
        except sqlite3.Error as error:
            raise translate(verb, error, self.name) from error
        return Transaction(self._connection.execute, terms)

    def _commit(self, verb: str, tx: Transaction) -> None:
        try:
            settle(tx)
            self._connection.execute(_COMMIT)
        except sqlite3.Error as error:
            raise translate(verb, error, self.name) from error

    def _undo(self) -> None:
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute(_ROLLBACK)

    async def _turn(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for future in waiting:
            loop = future.get_loop()
            if loop is _running_loop():
                _release(future)
            else:
                with suppress(RuntimeError):  # that loop is closed, and nobody waits any more
                    loop.call_soon_threadsafe(_release, future)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
