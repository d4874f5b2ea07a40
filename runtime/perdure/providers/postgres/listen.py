"""Hints between processes: one connection that listens, one that tells.

A hint says "look now"; nothing depends on it. A busy process tells hints after the commit that
caused them, on a connection of its own, and those that gather while one batch is on its way make up
the next; it hands them to its own listeners at once. A process that does one small thing at a time
tells them with the commit itself: that is a transaction and a round trip less for whoever waits.
(A notification takes a lock while it commits, so that no two commits go to disk together: where
nothing else commits, nobody minds.)

Every kind has a channel of its own, and a process listens to those that it reads: of the hints of
a step of a chain each process then hears one instead of all, and the others are not woken.

News of a large batch are told at most every few milliseconds: who makes large batches is busy, and
so are those who would hear. A burst of starts then tells half as often, and makes larger batches.

A payload is lines: the letter of the kind, then a tag or an id where there is one. Ids and tags
hold no control characters. It is cut below the 8,000 bytes that Postgres takes.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from perdure.errors import ProviderError
from perdure.model.ids import InstanceId
from perdure.providers.work import (
    ActivitiesHint,
    AnsweredHint,
    CancelHint,
    ChangedHint,
    FinishedHint,
    QuestionsHint,
    ResyncHint,
    TurnsHint,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Sequence

    from perdure.providers.postgres.calls import Calls
    from perdure.providers.postgres.connections import Connection, Target
    from perdure.providers.work import Hint

__all__ = ["HintBoard", "News", "channels_of"]

_log = logging.getLogger(__name__)

_PAYLOAD_BYTES_MAX = 7900
_LINES_KEPT_MAX = 20_000
_BACKOFF_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)
_LOST = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the driver lost track of a connection that broke in a call
    OSError,
)
_CLOSE_SECONDS_MAX = 2.0
_BUSY_FROM = 8
"""Items of a call from which on its news can wait for a moment."""
_BUSY_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class News:
    """What a call is going to have changed, known before it is made."""

    lines: Sequence[str]
    items: int
    """Of the call."""
    pause: float = 0.0
    """Seconds since news were told with a commit, below which these are not."""


_LETTERS: dict[type[Hint], str] = {
    TurnsHint: "t",
    ActivitiesHint: "a",
    CancelHint: "c",
    FinishedHint: "f",
    ChangedHint: "w",
    QuestionsHint: "q",
    AnsweredHint: "n",
}
_RESYNC = "r"


def channels_of(schema: str) -> dict[str, str]:
    """Names of the channels of a schema, by the letter of the kind of hint."""
    digest = hashlib.md5(schema.encode(), usedforsecurity=False).hexdigest()
    return {letter: f"perdure_{digest}_{letter}" for letter in _LETTERS.values()}


class HintBoard:
    """What this process tells and hears; `start` before use, `close` after."""

    def __init__(self, target: Target, calls: Calls, schema: str, *, listen: bool) -> None:
        self._target = target
        self._calls = calls
        self._channels = channels_of(schema)
        self._is_listening_wanted = listen
        self._pending: dict[str, None] = {}
        self._has_pending = asyncio.Event()
        self._is_urgent = asyncio.Event()
        self._is_told = asyncio.Event()
        self._listeners: set[_Listener] = set()
        self._listeners_changed = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._teller_pid = 0
        self._within_at = float("-inf")
        self._is_closed = False

    def post(self, lines: Iterable[str], *, items: int = 1) -> None:
        """Tell everybody the news of a call with so many items; returns at once."""
        fresh = list(lines)
        if not fresh or self._is_closed:
            return
        for listener in self._listeners:
            listener.add(fresh)
        if len(self._pending) < _LINES_KEPT_MAX:
            self._pending.update(dict.fromkeys(fresh))
        self._has_pending.set()
        if items < _BUSY_FROM:
            self._is_urgent.set()
        self._is_told.clear()
        self._supervise("tell", self._tell_forever)

    def within(self, news: News) -> tuple[Sequence[str], Sequence[str]] | None:
        """Channels and payloads to tell with the commit itself; None: post the news after it."""
        now = asyncio.get_running_loop().time()
        if (
            not news.lines
            or news.items >= _BUSY_FROM
            or self._pending
            or not self._is_listening_wanted  # our own listeners would not hear
            or now - self._within_at < news.pause
        ):
            return None
        self._within_at = now
        return self.payloads(news.lines)

    def check(self) -> None:
        """Raise what ended a background task, if one has ended by itself."""
        for name, task in self._tasks.items():
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise ProviderError(
                    "hints", f"the task to {name} has died: {error!r}", retryable=False
                ) from error

    async def hints(self, kinds: Collection[type[Hint]] | None = None) -> AsyncIterator[Hint]:
        """Yield hints of these kinds (None: all) until the board closes."""
        listener = _Listener(_LETTERS.values() if kinds is None else [_LETTERS[k] for k in kinds])
        self._listeners.add(listener)
        self._listeners_changed.set()
        try:
            if self._is_listening_wanted:
                self._supervise("listen", self._listen_forever)
            while not self._is_closed:
                await listener.wait()
                self.check()
                for hint in _hints_of(listener.take()):
                    yield hint
        finally:
            self._listeners.discard(listener)

    async def close(self) -> None:
        """End the tasks and all iterators, once what was posted is told.

        Else a process that lives for one call, such as a command, would leave its work to be
        found by polling.
        """
        self._is_closed = True
        if "tell" in self._tasks:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS_MAX):
                    await self._is_told.wait()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listener in self._listeners:
            listener.wake()

    def _supervise(self, name: str, run: Callable[[], Coroutine[None, None, None]]) -> None:
        task = self._tasks.get(name)
        if task is None:
            task = asyncio.create_task(run(), name=f"perdure hints: {name}")
            task.add_done_callback(self._on_end)
            self._tasks[name] = task

    def _on_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        _log.error("%s has ended", task.get_name(), exc_info=task.exception())
        for listener in self._listeners:
            listener.wake()

    # ------------------------------------------------------------------------- telling

    async def _tell_forever(self) -> None:
        failures = 0
        told_at = float("-inf")
        connection: Connection | None = None
        try:
            while True:
                await self._has_pending.wait()
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(told_at + _BUSY_SECONDS):
                        await self._is_urgent.wait()
                told_at = asyncio.get_running_loop().time()
                self._has_pending.clear()
                self._is_urgent.clear()
                lines, self._pending = list(self._pending), {}
                try:
                    if connection is None or connection.is_closed():
                        connection = await self._target.connect()
                        self._teller_pid = connection.get_server_pid()
                    await self._target.fetch(
                        connection, self._calls.send_hints, self.payloads(lines)
                    )
                    failures = 0
                    if not self._pending:
                        self._is_told.set()
                except _LOST as error:
                    # Lost hints are found by polling; the next ones try again.
                    _log.warning("hints were not sent: %s", error)
                    await _drop(connection)
                    connection = None
                    await asyncio.sleep(_BACKOFF_SECONDS[min(failures, 4)])
                    failures += 1
        finally:
            await _drop(connection)

    # ----------------------------------------------------------------------- listening

    async def _listen_forever(self) -> None:
        failures = 0
        while True:
            connection: Connection | None = None
            try:
                connection = await self._target.connect()
                lost = asyncio.Event()
                connection.add_termination_listener(_setter(lost, self._listeners_changed))
                heard: set[str] = set()
                while not lost.is_set():
                    self._listeners_changed.clear()
                    wanted = {letter for each in self._listeners for letter in each.letters}
                    for letter in sorted(wanted - heard):
                        await connection.add_listener(self._channels[letter], self._hear)
                    failures = 0
                    if wanted - heard:
                        self._offer([_RESYNC])  # whatever was told before we listened
                    heard |= wanted
                    await self._listeners_changed.wait()
                _log.warning("the connection for hints was lost")
            except _LOST as error:
                _log.warning("hints cannot be heard: %s", error)
            finally:
                await _drop(connection)
            await asyncio.sleep(_BACKOFF_SECONDS[min(failures, 4)])
            failures += 1

    def _hear(self, _connection: object, pid: int, _channel: str, payload: object) -> None:
        if pid != self._teller_pid:
            self._offer(str(payload).split("\n"))

    def payloads(self, lines: Iterable[str]) -> tuple[Sequence[str], Sequence[str]]:
        """Channels, and what to tell on each, for these news."""
        by_letter: dict[str, list[str]] = {}
        for line in lines:
            by_letter.setdefault(line[0], []).append(line)
        payloads = {letter: _cut(each) for letter, each in by_letter.items()}
        channels = [self._channels[letter] for letter, each in payloads.items() for _ in each]
        return channels, [payload for each in payloads.values() for payload in each]

    def _offer(self, lines: Sequence[str]) -> None:
        for listener in self._listeners:
            listener.add(lines)


class _Listener:
    """What one reader has not read yet, each line once."""

    __slots__ = ("_lines", "_ready", "letters")

    def __init__(self, letters: Iterable[str]) -> None:
        self.letters = frozenset(letters)
        self._lines: dict[str, None] = {}
        self._ready = asyncio.Event()

    def add(self, lines: Sequence[str]) -> None:
        letters = self.letters
        lines = [line for line in lines if line[:1] in letters or line == _RESYNC]
        if not lines:
            return
        if len(self._lines) + len(lines) > _LINES_KEPT_MAX:
            self._lines = {_RESYNC: None}
        else:
            self._lines.update(dict.fromkeys(lines))
        self._ready.set()

    def wake(self) -> None:
        self._ready.set()

    async def wait(self) -> None:
        await self._ready.wait()

    def take(self) -> Sequence[str]:
        lines, self._lines = list(self._lines), {}
        self._ready.clear()
        return lines


def _setter(*events: asyncio.Event) -> Callable[[object], None]:
    def on_end(_connection: object) -> None:
        for event in events:
            event.set()

    return on_end


async def _drop(connection: Connection | None) -> None:
    if connection is not None and not connection.is_closed():
        with suppress(*_LOST, TimeoutError):
            await connection.close(timeout=_CLOSE_SECONDS_MAX)


def _hints_of(lines: Iterable[str]) -> Sequence[Hint]:
    by_letter: dict[str, list[str]] = {}
    for line in lines:
        by_letter.setdefault(line[:1], []).append(line[1:])
    # A letter that is not there is of a release to come, or somebody else's.
    return [_READERS[letter](rest) for letter, rest in by_letter.items() if letter in _READERS]


def _ids(lines: Sequence[str]) -> frozenset[InstanceId]:
    return frozenset(InstanceId(line) for line in lines)


_READERS: dict[str, Callable[[Sequence[str]], Hint]] = {
    "t": lambda _: TurnsHint(),
    "a": lambda rest: ActivitiesHint(frozenset(rest)),
    "c": lambda rest: CancelHint(_ids(rest)),
    "f": lambda rest: FinishedHint(_ids(rest)),
    "w": lambda _: ChangedHint(),
    "q": lambda _: QuestionsHint(),
    "n": lambda rest: AnsweredHint(_ids(rest)),
    _RESYNC: lambda _: ResyncHint(),
}


def _cut(lines: Iterable[str]) -> Sequence[str]:
    payloads: list[str] = []
    chunk: list[str] = []
    size = 0
    for line in lines:
        length = len(line.encode()) + 1
        if chunk and size + length > _PAYLOAD_BYTES_MAX:
            payloads.append("\n".join(chunk))
            chunk, size = [], 0
        chunk.append(line)
        size += length
    if chunk:
        payloads.append("\n".join(chunk))
    return payloads
