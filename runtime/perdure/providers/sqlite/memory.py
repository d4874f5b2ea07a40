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
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from perdure.errors import ProviderError
from perdure.providers.sqlite.board import Board
from perdure.providers.sqlite.errors import translate
from perdure.providers.sqlite.gates import settle
from perdure.providers.sqlite.schema import connect, prepare
from perdure.providers.sqlite.statements import statements
from perdure.providers.sqlite.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

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
        self._open: Transaction | None = None
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def connection(self) -> sqlite3.Connection:
        """What holds the tables: for a simulation, which looks at them past the verbs."""
        return self._connection

    async def open(self) -> None:
        """Nothing is to be opened."""

    async def close(self) -> None:
        """Nothing is to be closed: others may go on with it."""

    async def write[T](
        self, verb: str, terms: Terms, act: Callable[[Transaction], T], *, durable: bool = True
    ) -> T:
        """Do something in a transaction of its own."""
        del durable  # nothing is
        while isinstance(done := self._run(verb, terms, act), asyncio.Future):
            await self._wait(done, verb, terms)
        result, lines = done
        self.board.post(lines)
        return result

    read = write

    def _run[T](
        self, verb: str, terms: Terms, act: Callable[[Transaction], T]
    ) -> tuple[T, Iterable[str]] | asyncio.Future[None]:
        """Return the result with its news, or what to wait for before trying again."""
        with self._lock:
            if self._open is not None:
                return self._line_up()
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
            return result, tx.lines

    def _take(self, verb: str, terms: Terms) -> Transaction | asyncio.Future[None]:
        """Open the transaction that holds all others up, or return what to wait for."""
        with self._lock:
            if self._open is not None:
                return self._line_up()
            self._open = self._begin(verb, terms)
            return self._open

    @asynccontextmanager
    async def transaction(
        self, verb: str, terms: Terms
    ) -> AsyncGenerator[tuple[sqlite3.Connection, Transaction]]:
        """Hold a transaction open; commits at the end, and rolls back after an error.

        All other calls wait meanwhile: there is one connection.
        """
        while isinstance(tx := self._take(verb, terms), asyncio.Future):
            await self._wait(tx, verb, terms)
        try:
            yield self._connection, tx
            if tx.is_wanted:
                self._commit(verb, tx)
        finally:
            self._undo()
            with self._lock:
                self._open = None
                waiting, self._waiting = self._waiting, []
            _wake(waiting)
        if tx.is_wanted:
            self.board.post(tx.lines)

    def owns(self, connection: sqlite3.Connection) -> bool:
        """Say whether this is the store's connection."""
        return connection is self._connection

    def tell_within(self, tx: Transaction) -> None:
        """Tell the news of what was sent within the open transaction when that commits."""
        if self._open is not None:
            self._open.lines.update(tx.lines)

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

    async def _wait(self, turn: asyncio.Future[None], verb: str, terms: Terms) -> None:
        try:
            async with asyncio.timeout(terms.busy_seconds):
                await turn
        except TimeoutError:
            raise ProviderError(
                verb,
                f"{self.name}: a transaction has been open for {terms.busy_seconds:g} s; keep "
                "transactions short, and wait for nothing inside of them",
                retryable=True,
            ) from None

    def _line_up(self) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future


def _wake(waiting: Iterable[asyncio.Future[None]]) -> None:
    for future in waiting:
        loop = future.get_loop()
        if loop is asyncio.get_running_loop():
            _release(future)
        else:
            with suppress(RuntimeError):  # that loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(_release, future)


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
