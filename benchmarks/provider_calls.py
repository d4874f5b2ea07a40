"""What a call of the Postgres provider costs, per item, from one caller.

    python benchmarks/provider_calls.py [URL]

Without a URL it starts the embedded Postgres (fsync on) and throws it away afterwards.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

from perdure.model.codec import encode_started
from perdure.model.ids import (
    UNTAGGED,
    ExecutorId,
    InstanceId,
    JsonText,
    LeaseToken,
    OperationId,
)
from perdure.model.records import Ending, Outcome, RecordKind, StartedBody
from perdure.providers.postgres import PostgresProvider, migrate
from perdure.providers.work import (
    ActivityCompleted,
    ActivityLease,
    ActivityResult,
    CodeId,
    FetchActivities,
    FetchTurns,
    Message,
    NewActivity,
    NewInstance,
    TurnCommit,
)
from perdure.testing.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

LEASE = timedelta(seconds=60)
CODE = (CodeId("hello", "1.0.0"),)
BODY = JsonText('{"now":"2026-01-01T00:00:00Z","upto":1,"actions":[{"op":"0:1","name":"hello"}]}')
TEXT = JsonText('{"name":"world"}')


class Timed:
    """Seconds of each call, by verb."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    async def __call__[T](self, verb: str, call: Awaitable[T]) -> T:
        start = time.perf_counter()
        result = await call
        self.seconds.setdefault(verb, []).append(time.perf_counter() - start)
        return result


def token() -> LeaseToken:
    return LeaseToken(secrets.randbits(63))


def starts(count: int) -> Sequence[Message]:
    body = encode_started(StartedBody("hello", None, TEXT))
    new = NewInstance("hello", None)
    return [
        Message(
            InstanceId(f"bench-{secrets.token_hex(8)}"),
            RecordKind.STARTED,
            body=body,
            start=new,
            token=token(),
        )
        for _ in range(count)
    ]


async def one_round(provider: PostgresProvider, timed: Timed, size: int) -> None:
    executor = ExecutorId(7)
    await timed("start", provider.enqueue(starts(size)))
    request = FetchTurns(executor, token(), size, LEASE, CODE)
    first = await timed("fetch_turns (cold)", provider.fetch_turns(request))
    new = NewActivity(OperationId("0:1"), "say", UNTAGGED, TEXT, None, None)
    commits = [
        TurnCommit(t.instance, t.execution, t.token, t.upto, "1.0.0", BODY, activities=(new,))
        for t in first.turns
    ]
    await timed("commit_turns", provider.commit_turns(commits))
    work = await timed(
        "fetch_activities",
        provider.fetch_activities(FetchActivities(executor, token(), [UNTAGGED], size, LEASE)),
    )
    results = [
        ActivityResult(
            ActivityLease(a.instance, a.execution, a.operation, a.token), ActivityCompleted(TEXT)
        )
        for a in work.activities
    ]
    await timed("finish_activities", provider.finish_activities(results))
    request = FetchTurns(executor, token(), size, LEASE, CODE)
    second = await timed("fetch_turns (held)", provider.fetch_turns(request))
    ends = [
        TurnCommit(
            t.instance,
            t.execution,
            t.token,
            t.upto,
            "1.0.0",
            BODY,
            ending=Ending(Outcome.COMPLETED, TEXT),
        )
        for t in second.turns
    ]
    await timed("commit_turns (end)", provider.commit_turns(ends))
    await timed("read_instances", provider.read_instances([t.instance for t in second.turns]))


async def measure(url: str) -> None:
    await migrate(url, schema="perdure_bench", roles=False)
    async with PostgresProvider(url, schema="perdure_bench", connections=1, listen=False) as it:
        for size, rounds in ((1, 300), (10, 100), (100, 50), (500, 20)):
            await one_round(it, Timed(), size)
            timed = Timed()
            for _ in range(rounds):
                await one_round(it, timed, size)
            total = 0.0
            print(f"\nbatch of {size}, median of {rounds}")
            for verb, seconds in timed.seconds.items():
                each = median(seconds) * 1e6
                total += each / size
                print(f"  {verb:22} {each:9.0f} us a call {each / size:8.1f} us an item")
            print(f"  {'all':22} {'':19} {total:8.1f} us an instance")


def main() -> None:
    if len(sys.argv) > 1:
        asyncio.run(measure(sys.argv[1]))
        return
    with EmbeddedPostgres(settings={"shared_buffers": "512MB", "max_wal_size": "4GB"}) as server:
        asyncio.run(measure(server.url))


if __name__ == "__main__":
    main()
