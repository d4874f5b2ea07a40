"""Behind a pooler that lends connections by the transaction, as pgbouncer does.

The pooler here is our own, and harsher than any: it has two connections for everybody, and gives
each transaction the one that was idle longest. Nothing that lives longer than a transaction is safe
with it: no prepared statement, no setting, no LISTEN.
"""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from perdure.errors import ConfigurationError
from perdure.providers.opening import open_provider
from perdure.providers.postgres import PostgresProvider
from perdure.testing.conformance import CHECKS, Check

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from perdure.testing.conformance import ManualClock, Storage

LENT_MAX = 2

type Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Pooler:
    """Logs every client in on a connection of its own, then lends what it has."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: asyncio.Queue[Ends] = asyncio.Queue()
        self._open = 0
        self.lent = 0

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while not self._idle.empty():
            await _hang_up(self._idle.get_nowait())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(asyncio.IncompleteReadError, OSError):
            await self._log_in((reader, writer))
            while True:
                await self._lend((reader, writer))
        await _hang_up((reader, writer))

    async def _log_in(self, client: Ends) -> None:
        server = await asyncio.open_connection(*self._upstream)
        for _ in range(2):  # the question for TLS, and the start: without a letter
            length = await client[0].readexactly(4)
            server[1].write(length + await client[0].readexactly(_size(length) - 4))
            if _ == 0:
                client[1].write(await server[0].readexactly(1))
        upward = asyncio.ensure_future(_pass_messages(client[0], server[1]))
        try:
            while (kind := await _pass_message(server[0], client[1]))[0] != b"Z":
                pass
        finally:
            upward.cancel()
            await asyncio.gather(upward, return_exceptions=True)
        del kind
        if self._open < LENT_MAX:
            self._open += 1
            self._idle.put_nowait(server)
        else:
            await _hang_up(server)

    async def _lend(self, client: Ends) -> None:
        """Pass one transaction on: until as many answers as questions, and none of it open."""
        first = await _read_message(client[0])
        if first[0] == b"X":
            raise asyncio.IncompleteReadError(b"", None)
        server = await self._idle.get()
        self.lent += 1
        asked = int(first[0] in {b"S", b"Q"})
        server[1].write(b"".join(first))
        is_open = True
        question: asyncio.Future[tuple[bytes, bytes, bytes]] | None = None
        answer: asyncio.Future[tuple[bytes, bytes]] | None = None
        try:
            while asked or is_open:
                question = question or asyncio.ensure_future(_read_message(client[0]))
                answer = answer or asyncio.ensure_future(_pass_message(server[0], client[1]))
                both: list[asyncio.Future[Any]] = [question, answer]
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if answer.done():
                    kind, body = answer.result()
                    answer = None
                    if kind == b"Z":
                        asked -= 1
                        is_open = body != b"I"
                elif question.done():
                    message = question.result()
                    question = None
                    asked += message[0] in {b"S", b"Q"}
                    server[1].write(b"".join(message))
        finally:
            for each in (question, answer):
                if each is not None:
                    each.cancel()
                    await asyncio.gather(each, return_exceptions=True)
        self._idle.put_nowait(server)


def _size(length: bytes) -> int:
    return int(struct.unpack("!i", length)[0])


async def _read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], head[1:], await reader.readexactly(_size(head[1:]) - 4)


async def _pass_message(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> tuple[bytes, bytes]:
    kind, length, body = await _read_message(reader)
    writer.write(kind + length + body)
    await writer.drain()
    return kind, body


async def _pass_messages(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await _pass_message(reader, writer)


async def _hang_up(ends: Ends) -> None:
    ends[1].close()
    with suppress(OSError):
        await ends[1].wait_closed()


class PooledStorage:
    """The storage of a check, all of whose providers go through the pooler."""

    def __init__(self, clock: ManualClock, url: str) -> None:
        self.clock = clock
        self.url = url

    @asynccontextmanager
    async def open(self, *, inbox_limit: int = 10_000) -> AsyncIterator[PostgresProvider]:
        async with PostgresProvider(
            self.url, clock=self.clock, inbox_limit=inbox_limit, listen=False, prepare=False
        ) as provider:
            yield provider


@asynccontextmanager
async def pooled(url: str) -> AsyncIterator[tuple[Pooler, str]]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    pooler = Pooler(parts.hostname, parts.port)
    port = await pooler.start()
    try:
        yield pooler, url.replace(f":{parts.port}/", f":{port}/")
    finally:
        await pooler.stop()


# All that needs no hint of another process, of the areas where calls meet.
CHOSEN = [
    check
    for check in CHECKS
    if check.area in {"turns", "messages", "executions"}
    or check.name
    in {
        "deleting_against_results_messages_and_renewals_loses_no_other",
        "results_from_many_executors_at_once_all_count",
        "replayers_share_questions_oldest_first_and_none_twice",
        "a_key_is_set_and_set_again",
    }
]


@pytest.mark.parametrize("check", CHOSEN, ids=lambda check: f"{check.area}.{check.name}")
async def test_conformance_behind_a_pooler(
    check: Check, storage: Storage, migrated_url: str
) -> None:
    async with pooled(migrated_url) as (pooler, url):
        await check.against(PooledStorage(storage.clock, url))
        assert pooler.lent > 0


async def test_callers_swap_connections_all_the_time_and_notice_nothing(
    storage: Storage, migrated_url: str
) -> None:
    async with pooled(migrated_url) as (pooler, url):
        stores = PooledStorage(storage.clock, url)
        async with stores.open() as one, stores.open() as two, stores.open() as three:
            for _ in range(10):
                answers = await asyncio.gather(
                    *(each.read_backlog() for each in (one, two, three)),
                    *(each.read_executors() for each in (one, two, three)),
                    *(each.ping() for each in (one, two, three)),
                )
                assert answers == [[]] * 6 + [None] * 3
        assert pooler.lent >= 90


async def test_a_url_names_the_pooler(migrated_url: str) -> None:
    async with pooled(migrated_url) as (pooler, url):
        async with open_provider(f"{url}?application_name=odd&pooler=transaction") as provider:
            assert list(await provider.read_backlog()) == []
        assert pooler.lent > 0


def test_another_pooler_is_none() -> None:
    with pytest.raises(ConfigurationError, match="pooler=session; expected pooler=transaction"):
        open_provider("postgresql://u:p@h/d?pooler=session")
