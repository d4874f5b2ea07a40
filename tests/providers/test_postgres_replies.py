"""A call whose reply is lost may have happened: asking again is safe, and tells.

A proxy in front of Postgres lets a call through, waits until the server has committed it, and cuts
the connection instead of passing the answer on.
"""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import pytest

from perdure.errors import ProviderError
from perdure.model.ids import ExecutorId, InstanceId, JsonText, LeaseToken
from perdure.model.records import Ending, Outcome, RecordKind
from perdure.providers.administering import (
    Answer,
    Archive,
    DeleteOutcome,
    ImportOutcome,
    Limit,
    Prune,
    Question,
    Retire,
)
from perdure.providers.postgres import PostgresProvider
from perdure.providers.reading import ExecutorInfo, InstanceStatus, Role
from perdure.providers.work import (
    AbandonActivity,
    AbandonTurn,
    ActivityCompleted,
    ActivityProgress,
    ActivityResult,
    CodeId,
    CommitOutcome,
    Control,
    ControlOutcome,
    ControlVerb,
    EnqueueOutcome,
    FinishOutcome,
    KeyWrite,
    SessionTerms,
    TurnLease,
    UpdateAnswer,
)
from perdure.testing.conformance import World
from perdure.testing.conformance.world import LEASE, NAME, VERSION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from perdure.testing.conformance import Storage

CODE = [CodeId(NAME, VERSION)]
A = InstanceId("a")


class Proxy:
    """Passes everything on, until `cut` names what to cut."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.cut: bytes | None = None
        self.cuts = 0

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        server = await asyncio.open_connection(*self._upstream)
        link = Link(self, (reader, writer), server)
        ways = [asyncio.ensure_future(link.up()), asyncio.ensure_future(link.down())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for each in (writer, server[1]):
                each.close()
                with suppress(OSError):
                    await each.wait_closed()


type Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Link:
    """One connection, message by message, and the statement that runs on it."""

    def __init__(self, proxy: Proxy, client: Ends, server: Ends) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._statements: dict[bytes, bytes] = {}
        self._running = b""

    async def up(self) -> None:
        reader, writer = self._client[0], self._server[1]
        for _ in range(2):  # the question for TLS, and the start: without a letter
            length = await reader.readexactly(4)
            writer.write(length + await reader.readexactly(_size(length) - 4))
        while True:
            kind, length, body = await _message(reader)
            if kind == b"P":
                name, text, _ = body.split(b"\0", 2)
                self._statements[name] = text
            elif kind == b"B":
                _, name, _ = body.split(b"\0", 2)
                self._running = self._statements.get(name, b"")
            writer.write(kind + length + body)
            await writer.drain()

    async def down(self) -> None:
        reader, writer = self._server[0], self._client[1]
        # The answer to whether it speaks TLS is a letter alone: it does not.
        writer.write(await reader.readexactly(1))
        while True:
            kind, length, body = await _message(reader)
            needle = self._proxy.cut
            if kind == b"C" and needle is not None and needle in self._running:
                while kind != b"Z":  # it has committed
                    kind, _, _ = await _message(reader)
                self._proxy.cut = None
                self._proxy.cuts += 1
                return
            writer.write(kind + length + body)
            await writer.drain()


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes, bytes]:
    kind, length = await reader.readexactly(1), await reader.readexactly(4)
    return kind, length, await reader.readexactly(_size(length) - 4)


def _size(length: bytes) -> int:
    return int(struct.unpack("!i", length)[0])


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = Proxy(parts.hostname, parts.port)
    port = await proxy.start()
    try:
        yield proxy, url.replace(f":{parts.port}/", f":{port}/")
    finally:
        await proxy.stop()


@dataclass
class Case:
    """One call: what goes before, the call, what asking again must say, and what must be."""

    ready: Callable[[World], Awaitable[Any]]
    call: Callable[[World, Any], Awaitable[Any]]
    again: object
    holds: Callable[[World, Any], Awaitable[bool]]


async def nothing(_w: World) -> None:
    pass


async def leased_turn(w: World) -> Any:
    await w.start("a")
    return await w.turn()


async def leased_work(w: World) -> Any:
    await w.scheduled("a", w.activity())
    return await w.one_work()


async def finished(w: World) -> Any:
    await w.start("a")
    await w.end(await w.turn())


async def continued(w: World) -> Any:
    await w.start("a")
    await w.advance_turn(**w.again())


async def asked(w: World) -> Any:
    await w.start("a")
    await w.provider.ask([a_question()])


async def archived(w: World) -> Any:
    await finished(w)
    archive = Archive(await w.info("a"), tuple(await w.history("a")))
    await w.provider.delete_instances([A])
    return archive


def a_question() -> Question:
    return Question("q", A, "h", JsonText("{}"), timedelta(hours=1))


def a_commit(w: World, turn: Any) -> Any:
    return w.commit_of(
        turn,
        activities=[w.activity()],
        timers=[w.timer("0:2", timedelta(hours=1))],
        messages=[w.starting("b", token=LeaseToken(7))],
        keys=[KeyWrite("k", JsonText("1"))],
        answers=[UpdateAnswer("u1", result=JsonText("1"))],
        attributes=JsonText('{"x":1}'),
    )


async def has(w: World, instance: str, *kinds: RecordKind) -> bool:
    return list(await w.kinds(instance)) == [RecordKind.STARTED, *kinds]


TERMS = SessionTerms(10, LEASE, LEASE * 2)
INFO = ExecutorInfo(ExecutorId(5), Role.REPLAY, "pod", "build")


async def is_committed(w: World, _made: Any) -> bool:
    return (
        await has(w, "a", RecordKind.TURN)
        and await has(w, "b")
        and await w.keys("a") == {"k": "1"}
        and len(await w.work()) == 1
        and (await w.provider.read_totals()).timers == 1
    )


CASES: dict[str, Case] = {
    "enqueue a start": Case(
        nothing,
        lambda w, _: w.send(w.starting("a", token=LeaseToken(1))),
        [EnqueueOutcome.ACCEPTED],
        lambda w, _: has(w, "a"),
    ),
    "enqueue an event": Case(
        lambda w: w.start("a"),
        lambda w, _: w.send(w.event("a", token=LeaseToken(1))),
        [EnqueueOutcome.ACCEPTED],
        lambda w, _: has(w, "a", RecordKind.EVENT_RAISED),
    ),
    "enqueue an update": Case(
        lambda w: w.start("a"),
        lambda w, _: w.send(w.update("a")),
        [EnqueueOutcome.ACCEPTED],
        lambda w, _: has(w, "a", RecordKind.UPDATE_REQUESTED),
    ),
    "control": Case(
        lambda w: w.start("a"),
        lambda w, _: w.provider.control([Control(A, ControlVerb.TERMINATE)]),
        [ControlOutcome.FINISHED],
        lambda w, _: has(w, "a", RecordKind.TERMINATED),
    ),
    "commit_turns": Case(
        leased_turn,
        lambda w, turn: w.provider.commit_turns([a_commit(w, turn)]),
        [CommitOutcome.COMMITTED],
        is_committed,
    ),
    "commit_turns that end": Case(
        leased_turn,
        lambda w, turn: w.provider.commit_turns(
            [w.commit_of(turn, ending=Ending(Outcome.COMPLETED))]
        ),
        [CommitOutcome.COMMITTED],
        lambda w, _: has(w, "a", RecordKind.TURN),
    ),
    "commit_turns that continue": Case(
        leased_turn,
        lambda w, turn: w.provider.commit_turns([w.commit_of(turn, **w.again())]),
        [CommitOutcome.COMMITTED],
        lambda w, _: has(w, "a", RecordKind.TURN, RecordKind.STARTED),
    ),
    "fetch_turns": Case(
        lambda w: w.start("a"),
        lambda w, _: w.turns(),
        (),
        lambda w, _: _comes_back(w, w.turns),
    ),
    "renew_turns": Case(
        leased_turn,
        lambda w, turn: _outcomes(w.provider.renew_turns([TurnLease(A, turn.token)], LEASE)),
        ["held"],
        lambda w, turn: _is(w.commit(turn), CommitOutcome.COMMITTED),
    ),
    "abandon_turns": Case(
        leased_turn,
        lambda w, turn: w.provider.abandon_turns([AbandonTurn(A, turn.token)]),
        None,
        lambda w, _: _attempt(w.turn(), 2),
    ),
    "fetch_activities": Case(
        lambda w: w.scheduled("a", w.activity()),
        lambda w, _: w.work(),
        (),
        lambda w, _: _comes_back(w, w.work),
    ),
    "finish_activities": Case(
        leased_work,
        lambda w, work: w.provider.finish_activities(
            [ActivityResult(w.lease_of(work), ActivityCompleted(JsonText("1")))]
        ),
        [FinishOutcome.RECORDED],
        lambda w, _: has(w, "a", RecordKind.TURN, RecordKind.ACTIVITY_COMPLETED),
    ),
    "renew_activities": Case(
        leased_work,
        lambda w, work: _outcomes(w.provider.renew_activities([w.lease_of(work)], LEASE)),
        ["held"],
        lambda w, work: _is(w.finish(work), FinishOutcome.RECORDED),
    ),
    "abandon_activities": Case(
        leased_work,
        lambda w, work: w.provider.abandon_activities(
            [AbandonActivity(w.lease_of(work), count_attempt=True)]
        ),
        None,
        lambda w, _: _attempt(w.one_work(), 2),
    ),
    "record_progress": Case(
        leased_work,
        lambda w, work: _outcomes(
            cast("Any", w.provider).record_progress(
                [ActivityProgress(w.lease_of(work), JsonText("1"))]
            )
        ),
        ["held"],
        lambda w, work: _is(w.finish(work), FinishOutcome.RECORDED),
    ),
    "announce": Case(
        nothing,
        lambda w, _: w.provider.announce(INFO),
        None,
        lambda w, _: _counts(w.provider.read_executors(), 1),
    ),
    "withdraw": Case(
        lambda w: w.provider.announce(INFO),
        lambda w, _: w.provider.withdraw(ExecutorId(5)),
        None,
        lambda w, _: _counts(w.provider.read_executors(), 0),
    ),
    "renew_sessions": Case(
        nothing,
        lambda w, _: cast("Any", w.provider).renew_sessions(ExecutorId(5), TERMS),
        [],
        lambda w, _: _counts(w.provider.read_executors(), 0),
    ),
    "release_sessions": Case(
        nothing,
        lambda w, _: cast("Any", w.provider).release_sessions(ExecutorId(5)),
        None,
        lambda w, _: _counts(w.provider.read_executors(), 0),
    ),
    "ask": Case(
        lambda w: w.start("a"),
        lambda w, _: w.provider.ask([a_question()]),
        [EnqueueOutcome.ACCEPTED],
        lambda w, _: _counts(w.provider.fetch_questions(ExecutorId(5), CODE, 9, LEASE), 1),
    ),
    "fetch_questions": Case(
        asked,
        lambda w, _: w.provider.fetch_questions(ExecutorId(5), CODE, 9, LEASE),
        [],
        lambda w, _: _comes_back(
            w, lambda: w.provider.fetch_questions(ExecutorId(5), CODE, 9, LEASE)
        ),
    ),
    "answer": Case(
        asked,
        lambda w, _: w.provider.answer([Answer("q", JsonText("1"))]),
        None,
        lambda w, _: _is(w.answers("a", "q"), [Answer("q", JsonText("1"))]),
    ),
    "delete_instances": Case(
        finished,
        lambda w, _: _outcomes(w.provider.delete_instances([A])),
        [DeleteOutcome.NOT_FOUND],
        lambda w, _: _is(w.provider.read_instances([A]), [None]),
    ),
    "retire": Case(
        finished,
        lambda w, _: _roots(w.provider.retire(Retire(10))),
        0,
        lambda w, _: _is(w.provider.read_instances([A]), [None]),
    ),
    "prune": Case(
        continued,
        lambda w, _: _executions(w.provider.prune([Prune(A)])),
        [0],
        lambda w, _: _is(w.kinds("a"), [RecordKind.STARTED]),
    ),
    "bring_in": Case(
        archived,
        lambda w, archive: w.provider.bring_in([archive]),
        [ImportOutcome.EXISTS],
        lambda w, _: has(w, "a", RecordKind.TURN),
    ),
    "set_limits": Case(
        nothing,
        lambda w, _: w.provider.set_limits([Limit("key", concurrency=1)]),
        None,
        lambda w, _: _counts(w.provider.read_limits(), 1),
    ),
    "drop_limits": Case(
        lambda w: w.provider.set_limits([Limit("key", concurrency=1)]),
        lambda w, _: w.provider.drop_limits(["key"]),
        None,
        lambda w, _: _counts(w.provider.read_limits(), 0),
    ),
    "sweep": Case(
        lambda w: w.send(w.event("a")),
        lambda w, _: w.provider.sweep(),
        None,
        lambda w, _: _is(w.provider.read_instances([A]), [None]),
    ),
}


async def _outcomes(call: Awaitable[Sequence[Any]]) -> Sequence[object]:
    return [each.outcome for each in await call]


async def _roots(call: Awaitable[Any]) -> int:
    return int((await call).roots)


async def _executions(call: Awaitable[Sequence[Any]]) -> Sequence[int]:
    return [each.executions for each in await call]


async def _is(call: Awaitable[Any], expected: object) -> bool:
    found = await call
    return (list(found) if isinstance(expected, list) else found) == expected


async def _counts(call: Awaitable[Sequence[Any]], expected: int) -> bool:
    return len(await call) == expected


async def _attempt(call: Awaitable[Any], expected: int) -> bool:
    return bool((await call).attempt == expected)


async def _comes_back(w: World, fetch: Callable[[], Awaitable[Sequence[Any]]]) -> bool:
    """What was given to nobody comes back when its lease is over."""
    before = await fetch()
    w.advance(LEASE)
    return len(before) == 0 and len(await fetch()) == 1


@pytest.mark.parametrize("name", CASES)
async def test_asking_again_after_a_lost_reply_is_safe_and_tells(
    name: str, storage: Storage, migrated_url: str
) -> None:
    case = CASES[name]
    verb = "give_answers" if name == "answer" else name.split(" ", maxsplit=1)[0]
    async with (
        storage.open() as provider,
        proxied(migrated_url) as (proxy, url),
        PostgresProvider(url, clock=storage.clock, listen=False, prepare=True) as cut_off,
    ):
        w = World.of(storage, provider)
        made = await case.ready(w)
        proxy.cut = f"{verb}_v1".encode()
        with pytest.raises(ProviderError) as raised:
            await case.call(w.with_provider(cut_off), made)
        assert raised.value.retryable
        assert proxy.cuts == 1
        said = await case.call(w.with_provider(cut_off), made)
        if name != "sweep":
            assert (list(said) if isinstance(case.again, list) else said) == case.again
        assert await case.holds(w, made)


async def test_every_verb_that_writes_is_among_the_cases() -> None:
    reading = {"read", "list", "count", "hints", "ping", "transaction", "enqueue_within"}
    verbs = {
        name
        for name in dir(PostgresProvider)
        if not name.startswith("_") and not reading & {name, name.split("_")[0]}
    }
    assert verbs == {name.split(" ")[0] for name in CASES}


async def test_a_reply_lost_again_and_again_is_told_in_the_end(
    storage: Storage, migrated_url: str
) -> None:
    async with (
        storage.open() as provider,
        proxied(migrated_url) as (proxy, url),
        PostgresProvider(url, clock=storage.clock, listen=False) as cut_off,
    ):
        w = World.of(storage, provider)
        commit = a_commit(w, await leased_turn(w))
        for _ in range(5):
            proxy.cut = b"commit_turns_v1"
            with pytest.raises(ProviderError):
                await cut_off.commit_turns([commit])
        assert list(await cut_off.commit_turns([commit])) == [CommitOutcome.COMMITTED]
        assert await is_committed(w, None)
        assert (await w.info("a")).status is InstanceStatus.RUNNING
