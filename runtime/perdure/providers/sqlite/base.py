"""What all verbs share: the store, the terms, hints."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from perdure.errors import ProviderError
from perdure.providers.sqlite import reading
from perdure.providers.sqlite.board import RESYNC, Board
from perdure.providers.sqlite.files import FileStore
from perdure.providers.sqlite.memory import MemoryStore
from perdure.providers.sqlite.transaction import Terms, system_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection
    from datetime import datetime
    from pathlib import Path

    from perdure.providers.sqlite.board import Listener
    from perdure.providers.sqlite.files import Watch
    from perdure.providers.sqlite.transaction import Transaction
    from perdure.providers.work import Hint

__all__ = ["HELD", "Base"]

type Held = tuple[Board, asyncio.Task[object] | None]

HELD: ContextVar[Held | None] = ContextVar("perdure_sqlite_held", default=None)
"""Of the open transaction: the board, which stands for its store, and the task that opened it.

The task, because what it starts inherits the variable, and may well work for others.
"""

_MEMORY = ":memory:"
_LOOK_SECONDS_MIN = 0.01
_LOOK_SECONDS_MAX = 0.1


class Base:
    """The part of `SqliteProvider`, whose arguments these are, that its verbs stand on."""

    def __init__(
        self,
        store: MemoryStore | str | Path,
        *,
        clock: Callable[[], datetime] = system_clock,
        inbox_limit: int = 10_000,
        keep_early: timedelta = timedelta(days=7),
        busy_seconds: float = 10.0,
    ) -> None:
        self._terms = Terms(clock, inbox_limit, keep_early, busy_seconds)
        if store == _MEMORY:
            store = MemoryStore()
        self._store: MemoryStore | FileStore = (
            store if isinstance(store, MemoryStore) else FileStore(store, busy_seconds=busy_seconds)
        )
        self._listeners: set[Listener] = set()
        self._is_closed = True
        self._watcher: asyncio.Task[None] | None = None

    async def _write[T](
        self, verb: str, act: Callable[[Transaction], T], *, durable: bool = True
    ) -> T:
        self._check(verb)
        return await self._store.write(verb, self._terms, act, durable=durable)

    async def _read[T](self, verb: str, act: Callable[[Transaction], T]) -> T:
        if isinstance(self._store, MemoryStore):
            self._check(verb)
        return await self._store.read(verb, self._terms, act)

    def _check(self, verb: str) -> None:
        """Refuse what would wait for the transaction that it is called in."""
        if HELD.get() == (self._store.board, asyncio.current_task()):
            raise ProviderError(
                verb,
                f"an open transaction of this very task has {self._store.name} to itself; send "
                "with `enqueue_within` and its connection, or after it",
                retryable=False,
            )

    # --------------------------------------------------------------- opening and closing

    async def __aenter__(self) -> Self:
        """Open; raises `ProviderError` where the file cannot be used."""
        await self._store.open()
        self._is_closed = False
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close; hints end."""
        self._is_closed = True
        for listener in self._listeners:
            listener.close()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher
        await self._store.close()

    async def ping(self) -> None:
        """Raise `ProviderError` if storage cannot be reached or lacks its schema."""
        await self._read("ping", reading.ping)

    # ------------------------------------------------------------------------------ hints

    async def hints(self, kinds: Collection[type[Hint]] | None = None) -> AsyncIterator[Hint]:
        """Yield hints of these kinds (None: all), and `ResyncHint`, until closed."""
        board = self._store.board
        listener = board.listen(kinds)
        listener.add([RESYNC])
        self._listeners.add(listener)
        try:
            if not self._is_closed and self._watcher is None and isinstance(self._store, FileStore):
                self._watcher = asyncio.create_task(
                    self._look(self._store.watch()), name="perdure hints: watch the file"
                )
            while not (self._is_closed or listener.is_closed):
                for hint in await listener.take():
                    yield hint
        finally:
            self._listeners.discard(listener)
            board.leave(listener)

    async def _look(self, watch: Watch) -> None:
        """Look for what other processes write: often while they do, seldom while they rest."""
        pause = _LOOK_SECONDS_MIN
        while True:
            await asyncio.sleep(pause)
            try:
                is_news, lines = watch.look()
            except sqlite3.Error:  # polling goes on, and its failures are told of
                is_news, lines = False, ()
            for listener in self._listeners if lines else ():
                listener.add(lines)
            pause = _LOOK_SECONDS_MIN if is_news else min(pause * 1.5, _LOOK_SECONDS_MAX)
