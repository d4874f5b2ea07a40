"""A store in a file: one thread that writes, one that reads, and other processes beside them.

SQLite lets one connection write at a time, so a process has one thread that does. What comes while
a transaction is on its way to the disk goes into the next one, each item under a savepoint of its
own: the wait for the disk is shared as it is with a server, and a bad item harms nobody else.

The file is in WAL mode: readers hold nobody up. What must not be lost waits for the disk; leases,
which nobody misses after a power cut, do not.
"""

from __future__ import annotations

import asyncio
import os
import queue
import secrets
import sqlite3
import threading
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from perdure.errors import ProviderError
from perdure.providers.sqlite.board import RESYNC, Board
from perdure.providers.sqlite.errors import translate
from perdure.providers.sqlite.gates import settle
from perdure.providers.sqlite.schema import connect, prepare, use_wal
from perdure.providers.sqlite.statements import statements
from perdure.providers.sqlite.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

    from perdure.providers.sqlite.transaction import Execute, Terms

__all__ = ["FileStore", "Watch"]

_SQL = statements("schema_steps")
_MESSAGE_SQL = statements("messages")
_BATCH_MAX = 200
_NEWS_SWEPT_EVERY = 500
_MARK = secrets.randbits(60)

_boards: WeakValueDictionary[str, Board] = WeakValueDictionary()
_boards_lock = threading.Lock()


def _writer() -> int:
    """Who writes lines of news: this process, and after a fork another."""
    return _MARK ^ os.getpid()


def _board_of(path: str) -> Board:
    """Find the board that all providers of this process share for one file."""
    with _boards_lock:
        board = _boards.get(path)
        if board is None:
            board = _boards[path] = Board()
        return board


@dataclass(slots=True, eq=False)
class _Item:
    """One call, on its way to a thread and back."""

    verb: str
    act: Callable[[Transaction], Any]
    terms: Terms
    is_durable: bool
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class _Lane:
    """A thread with a connection of its own that takes calls, all that wait at once."""

    def __init__(self, name: str, run: Callable[[Sequence[_Item]], None]) -> None:
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._run = run
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def call(
        self, verb: str, act: Callable[[Transaction], Any], terms: Terms, *, is_durable: bool
    ) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._queue.put(_Item(verb, act, terms, is_durable, loop, future))
        return await future

    def stop(self) -> None:
        """End the thread when what waits is done."""
        self._queue.put(None)

    def join(self) -> None:
        self._thread.join()

    def _work(self) -> None:
        is_over = False
        while not is_over:
            batch: list[_Item] = []
            item = self._queue.get()
            while item is not None:
                batch.append(item)
                if len(batch) == _BATCH_MAX:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            else:
                is_over = True
            if batch:
                self._run(batch)
                _deliver(batch)


def _deliver(batch: Sequence[_Item]) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[_Item]] = {}
    for item in batch:
        loops.setdefault(item.loop, []).append(item)
    for loop, items in loops.items():
        with suppress(RuntimeError):  # that loop is closed, and nobody waits any more
            loop.call_soon_threadsafe(_resolve, items)


def _resolve(items: Sequence[_Item]) -> None:
    for item in items:
        if item.future.done():
            continue
        if item.error is None:
            item.future.set_result(item.result)
        else:
            item.future.set_exception(item.error)


class FileStore:
    """One process's way to one file."""

    def __init__(self, path: str | Path, *, busy_seconds: float = 10.0) -> None:
        self.path = os.path.realpath(path)
        self.name = str(path)
        self.board = _board_of(self.path)
        self._busy_seconds = busy_seconds
        self._writing: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None
        self._watching: sqlite3.Connection | None = None
        self._lanes: dict[str, _Lane] = {}
        self._is_to_disk = True

    # -------------------------------------------------------------- opening and closing

    async def open(self) -> None:
        """Open the file, make it if it is not there, and bring its tables to this release."""
        await asyncio.to_thread(self._open)

    def _open(self) -> None:
        try:
            self._writing = self._connect()
            use_wal(self._writing, busy_seconds=self._busy_seconds)
            self._writing.execute(_SQL["to_disk"])
            prepare(self._writing, self.name)
            self._reading = self._connect()
            self._watching = self._connect()
        except Exception as error:
            self._close_connections()
            raise translate("open", error, self.name) from error
        self._lanes = {
            "write": _Lane("perdure sqlite writer", self._write_batch),
            "read": _Lane("perdure sqlite reader", self._read_batch),
        }

    def _connect(self) -> sqlite3.Connection:
        return connect(self.path, busy_seconds=self._busy_seconds)

    async def close(self) -> None:
        """Close the file when what was asked for is done."""
        lanes, self._lanes = self._lanes, {}
        await asyncio.to_thread(self._close, list(lanes.values()))

    def _close(self, lanes: Sequence[_Lane]) -> None:
        for lane in lanes:
            lane.stop()
        for lane in lanes:
            lane.join()
        self._close_connections()

    def _close_connections(self) -> None:
        for connection in (self._watching, self._reading, self._writing):
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()
        self._watching = self._reading = self._writing = None

    # ---------------------------------------------------------------- writing, reading

    async def write[T](
        self, verb: str, terms: Terms, act: Callable[[Transaction], T], *, durable: bool = True
    ) -> T:
        """Do something in a transaction, perhaps together with others."""
        result: T = await self._lane("write", verb).call(verb, act, terms, is_durable=durable)
        return result

    async def read[T](self, verb: str, terms: Terms, act: Callable[[Transaction], T]) -> T:
        """Read something, all of it from one moment."""
        result: T = await self._lane("read", verb).call(verb, act, terms, is_durable=False)
        return result

    def _lane(self, which: str, verb: str) -> _Lane:
        lane = self._lanes.get(which)
        if lane is None:
            raise ProviderError(verb, f"{self.name} is not open, or closed again", retryable=False)
        return lane

    def _write_batch(self, batch: Sequence[_Item]) -> None:
        connection = self._writing
        if connection is None:
            raise AssertionError  # the thread ends before the connection does
        lines: dict[str, None] = {}
        try:
            self._set_to_disk(connection, any(item.is_durable for item in batch))
            connection.execute(_SQL["begin"])
            for item in batch:
                self._write_item(connection, item, lines)
            _tell(connection.execute, lines, _writer())
            connection.execute(_SQL["commit"])
        except BaseException as error:  # noqa: BLE001  it belongs to the callers, who get it
            _undo(connection)
            for item in batch:
                item.error = item.error or translate(item.verb, error, self.name)
            return
        self.board.post(lines)

    def _write_item(
        self, connection: sqlite3.Connection, item: _Item, lines: dict[str, None]
    ) -> None:
        connection.execute(_SQL["savepoint"])
        try:
            tx = Transaction(connection.execute, item.terms)
            item.result = item.act(tx)
            settle(tx)
        except Exception as error:
            item.error = translate(item.verb, error, self.name)
            if not connection.in_transaction:
                raise  # SQLite has given up on all of it
            connection.execute(_SQL["undo"])
        else:
            lines.update(tx.lines)
        connection.execute(_SQL["release"])

    def _set_to_disk(self, connection: sqlite3.Connection, is_to_disk: bool) -> None:
        if is_to_disk is not self._is_to_disk:
            connection.execute(_SQL["to_disk" if is_to_disk else "to_disk_later"])
            self._is_to_disk = is_to_disk

    def _read_batch(self, batch: Sequence[_Item]) -> None:
        connection = self._reading
        if connection is None:
            raise AssertionError  # the thread ends before the connection does
        for item in batch:
            try:
                connection.execute(_SQL["begin_reading"])
                item.result = item.act(Transaction(connection.execute, item.terms))
            except Exception as error:  # noqa: BLE001  it belongs to the caller, who gets it
                item.error = translate(item.verb, error, self.name)
            finally:
                _undo(connection)

    # ------------------------------------------------------- transactions of activities

    @asynccontextmanager
    async def transaction(
        self, verb: str, terms: Terms
    ) -> AsyncGenerator[tuple[sqlite3.Connection, Transaction]]:
        """Hold a transaction open on a connection of its own; commits at the end.

        Nobody else can write to the file meanwhile.
        """
        connection = await asyncio.to_thread(self._begin, verb)
        try:
            tx = Transaction(connection.execute, terms)
            yield connection, tx
            if tx.is_wanted:
                await asyncio.to_thread(self._commit, verb, connection, tx)
        finally:
            _undo(connection)
            connection.close()
        if tx.is_wanted:
            self.board.post(tx.lines)

    def _begin(self, verb: str) -> sqlite3.Connection:
        try:
            connection = self._connect()
            connection.execute(_SQL["to_disk"])
            connection.execute(_SQL["begin"])
        except Exception as error:
            raise translate(verb, error, self.name) from error
        return connection

    def _commit(self, verb: str, connection: sqlite3.Connection, tx: Transaction) -> None:
        try:
            settle(tx)
            _tell(connection.execute, tx.lines, _writer())
            connection.execute(_SQL["commit"])
        except Exception as error:
            raise translate(verb, error, self.name) from error

    def owns(self, connection: sqlite3.Connection) -> bool:
        """Say whether the main file of a connection is ours."""
        cursor = connection.cursor()
        cursor.row_factory = None
        for _, schema, path in cursor.execute(_SQL["files"]).fetchall():
            if schema == "main":
                return bool(path) and os.path.realpath(path) == self.path
        return False

    # -------------------------------------------------------------- news of other processes

    def tell_within(self, tx: Transaction) -> None:
        """Write news into a transaction that somebody else commits: found as if by another process.

        So this process looks for them, too.
        """
        _tell(tx.execute, tx.lines, 0)

    def watch(self) -> Watch:
        """Begin to look for what other processes write."""
        if self._watching is None:
            raise ProviderError("hints", f"{self.name} is not open", retryable=False)
        return Watch(self._watching)


class Watch:
    """Looks, when asked, for what other processes wrote since it looked last."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._version = self._data_version()
        self._last = int(connection.execute(_MESSAGE_SQL["last_news"]).fetchone()[0])

    def _data_version(self) -> int:
        return int(self._connection.execute(_SQL["data_version"]).fetchone()[0])

    def look(self) -> tuple[bool, Sequence[str]]:
        """Say whether anybody wrote, and the lines that are not our own."""
        version = self._data_version()
        if version == self._version:
            return False, ()
        self._version = version
        lines: dict[str, None] = {}
        mine = _writer()
        for number, writer, text in self._connection.execute(_MESSAGE_SQL["news"], (self._last,)):
            if number > self._last + 1:
                lines[RESYNC] = None  # some were forgotten before we looked
            self._last = number
            if writer != mine:
                lines.update(dict.fromkeys(text.split("\n")))
        return True, list(lines)


def _tell(execute: Execute, lines: Iterable[str], writer: int) -> None:
    text = "\n".join(lines)
    if text:
        told = execute(_MESSAGE_SQL["tell"], (writer, text))
        if (told.lastrowid or 0) % _NEWS_SWEPT_EVERY == 0:
            execute(_MESSAGE_SQL["forget_news"])


def _undo(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute(_SQL["rollback"])
