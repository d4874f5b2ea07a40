"""Everybody at once: limits, sessions, cancels, terminations and time-outs never wait in a ring.

A deadlock would not show from outside, since the calls are made again: the server counts them.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest

from perdure import OrchestrationContext, activity, orchestration
from perdure.executor import LocalRuntime
from perdure.model.ids import ExecutorId, InstanceId, JsonText, LeaseToken, OperationId
from perdure.model.options import ActivityOptions
from perdure.model.records import Ending, Outcome, RecordKind
from perdure.providers.administering import Limit
from perdure.providers.postgres import PostgresProvider, migrate
from perdure.providers.work import (
    AbandonActivity,
    ActivityCompleted,
    ActivityDiscarded,
    ActivityLease,
    ActivityResult,
    CodeId,
    Control,
    ControlVerb,
    FetchActivities,
    FetchTurns,
    FinishOutcome,
    LeasedActivity,
    LeasedTurn,
    Message,
    NewActivity,
    NewInstance,
    SessionTerms,
    TurnCommit,
)
from perdure.replay.registry import Registry
from perdure.testing.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

LEASE = timedelta(seconds=60)
TERMS = SessionTerms(limit=4, lease=LEASE, idle=LEASE)
TEXT = JsonText("{}")
INSTANCES = 120
ACTIVITIES = 6
KEYS = ["a", "b", "c"]
ROOM = {"a": 3, "b": 5, "c": 4}


class Crowd:
    """Clients, replayers and executors of one storage, each deciding by the dice."""

    def __init__(self, providers: Sequence[PostgresProvider], seed: int) -> None:
        self.providers = providers
        self.dice = random.Random(seed)
        self.tokens = iter(range(1, 10**9))
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.is_over = False

    def token(self) -> LeaseToken:
        return LeaseToken(next(self.tokens))

    def provider(self) -> PostgresProvider:
        return self.dice.choice(self.providers)

    async def start(self, numbers: range) -> None:
        for number in numbers:
            limit = self.dice.choice([None, None, "c"])
            new = NewInstance("n", None, limit=limit)
            message = Message(InstanceId(f"i{number}"), RecordKind.STARTED, body=TEXT, start=new)
            await self.provider().enqueue([message])

    async def steer(self) -> None:
        """Terminate some, raise events for others, turn the limits up and down."""
        while not self.is_over:
            instance = InstanceId(f"i{self.dice.randrange(INSTANCES)}")
            match self.dice.randrange(6):
                case 0:
                    await self.provider().control([Control(instance, ControlVerb.TERMINATE)])
                case 1:
                    limits = [Limit(key, concurrency=ROOM[key]) for key in KEYS]
                    self.dice.shuffle(limits)
                    await self.provider().set_limits(limits[: self.dice.randint(1, 3)])
                case 2:
                    await self.provider().read_limits()
                case _:
                    event = Message(instance, RecordKind.EVENT_RAISED, ref="e", token=self.token())
                    await self.provider().enqueue([event])
            await asyncio.sleep(0)  # may sleep: lets the others run

    async def replay(self, number: int) -> None:
        while not self.is_over:
            provider = self.provider()
            request = FetchTurns(ExecutorId(number), self.token(), 8, LEASE, [CodeId("n", "1.0.0")])
            turns = (await provider.fetch_turns(request)).turns
            await provider.commit_turns([self.decide(turn) for turn in turns])
            await asyncio.sleep(0)  # may sleep: lets the others run

    def decide(self, turn: LeasedTurn) -> TurnCommit:
        is_first = not turn.held and all(r.kind is not RecordKind.TURN for r in turn.records)
        ops = [OperationId(f"0:{n}") for n in range(ACTIVITIES)]
        new = tuple(self.activity(op) for op in ops) if is_first else ()
        cancels = tuple((op, "dice") for op in ops if self.dice.random() < 0.1)
        over = not is_first and self.dice.random() < 0.2
        return TurnCommit(
            *(turn.instance, turn.execution, turn.token, turn.upto, "1.0.0", TEXT, new, cancels),
            ending=Ending(Outcome.COMPLETED, TEXT) if over else None,
        )

    def activity(self, operation: OperationId) -> NewActivity:
        options = ActivityOptions(
            session=self.dice.choice([None, None, "s1", "s2", "s3"]),
            priority=self.dice.randint(-1, 1),
            limit=self.dice.choice([None, *KEYS]),
            queue_timeout=self.dice.choice([None, None, timedelta(milliseconds=50)]),
        )
        name = options.limit or "free"
        return NewActivity(operation, name, "t", TEXT, None, None, options)

    async def execute(self, number: int) -> None:
        while not self.is_over:
            provider = self.provider()
            request = FetchActivities(
                *(ExecutorId(number), self.token(), ["t"], 3, LEASE), sessions=TERMS
            )
            works = (await provider.fetch_activities(request)).activities
            self.count(works)
            leases = [ActivityLease(w.instance, 1, w.operation, w.token) for w in works]
            await provider.renew_activities(leases, LEASE)
            for work in works:
                self.running[work.name] -= 1
            end = ActivityCompleted(TEXT)
            outcomes = await provider.finish_activities([ActivityResult(e, end) for e in leases])
            lost = [e for e, o in zip(leases, outcomes, strict=True) if o is FinishOutcome.LOST]
            gone = [ActivityResult(lease, ActivityDiscarded()) for lease in lost]
            await provider.finish_activities(gone)
            if self.dice.random() < 0.1:
                await provider.release_sessions(ExecutorId(number))
            elif self.dice.random() < 0.1:
                await provider.renew_sessions(ExecutorId(number), TERMS)
            await asyncio.sleep(0)  # may sleep: lets the others run

    def count(self, works: Sequence[LeasedActivity]) -> None:
        for work in works:
            self.running[work.name] += 1
            self.most[work.name] = max(self.most[work.name], self.running[work.name])


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_crowd_never_deadlocks_and_leaves_nothing_behind(
    migrated_url: str, eventually: Callable[..., Awaitable[None]], seed: int
) -> None:
    connection = await asyncpg.connect(migrated_url)
    async with (
        PostgresProvider(migrated_url, connections=12) as first,
        PostgresProvider(migrated_url, connections=12) as second,
    ):
        await first.set_limits([Limit(key, concurrency=ROOM[key]) for key in KEYS])
        crowd = Crowd([first, second], seed)
        left = "select count(*) from perdure.live"

        async def is_nearly_over() -> bool:
            return bool(await connection.fetchval(left) <= INSTANCES * 0.1)

        async def watch() -> None:
            await asyncio.gather(*(crowd.start(range(n, INSTANCES, 4)) for n in range(4)))
            await eventually(is_nearly_over, 90)
            crowd.is_over = True

        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            group.create_task(watch())
            for number in range(1, 4):
                group.create_task(crowd.replay(number))
                group.create_task(crowd.execute(number))
                group.create_task(crowd.execute(100 + number))
                group.create_task(crowd.steer())
        everyone = [InstanceId(f"i{number}") for number in range(INSTANCES)]
        await first.control([Control(each, ControlVerb.TERMINATE) for each in everyone])
        for number in range(40):
            request = FetchActivities(ExecutorId(number), crowd.token(), ["t"], 50, LEASE)
            works = (await first.fetch_activities(request)).activities
            if not works:
                break
        states = await first.read_limits()
        assert [(state.running, state.waiting) for state in states] == [(0, 0)] * 3
        # What was counted as running was at most what the limit allows; less, where it had ended.
        assert all(crowd.most[key] <= ROOM[key] for key in ("a", "b")), crowd.most
        deadlocks = "select deadlocks from pg_stat_database where datname = current_database()"
        await connection.execute("select pg_stat_clear_snapshot()")
        assert await connection.fetchval(deadlocks) == 0
    await connection.close()


async def test_a_crash_loses_no_place_and_nobody_who_waits() -> None:
    with EmbeddedPostgres() as server:
        await migrate(server.url)
        async with PostgresProvider(server.url) as provider:
            await provider.set_limits([Limit("a", concurrency=2)])
            start = NewInstance("n", None)
            one = InstanceId("one")
            await provider.enqueue([Message(one, RecordKind.STARTED, body=TEXT, start=start)])
            request = FetchTurns(ExecutorId(1), LeaseToken(1), 8, LEASE, [CodeId("n", "1.0.0")])
            (turn,) = (await provider.fetch_turns(request)).turns
            options = ActivityOptions(limit="a")
            new = tuple(
                NewActivity(OperationId(f"0:{n}"), "a", "t", TEXT, None, None, options)
                for n in range(6)
            )
            commit = TurnCommit(one, 1, turn.token, turn.upto, "1.0.0", TEXT, new)
            await provider.commit_turns([commit])
            done = 0
            while done < len(new):
                fetch = FetchActivities(ExecutorId(2), LeaseToken(2 + done), ["t"], 6, LEASE)
                # What a fetch wrote may be lost with the server: then it never was.
                await provider.fetch_activities(fetch)
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
                (state,) = await provider.read_limits()
                assert (state.running, state.waiting) == (
                    min(2, len(new) - done),
                    max(0, len(new) - done - 2),
                )
                again = replace(fetch, token=LeaseToken(1000 + done))
                await provider.abandon_activities(
                    [
                        AbandonActivity(ActivityLease(one, 1, each.operation, fetch.token))
                        for each in new
                    ]
                )
                works = (await provider.fetch_activities(again)).activities
                assert len(works) == min(2, len(new) - done)
                leases = [ActivityLease(one, 1, work.operation, work.token) for work in works]
                results = [ActivityResult(lease, ActivityCompleted(TEXT)) for lease in leases]
                outcomes = await provider.finish_activities(results)
                assert set(outcomes) == {FinishOutcome.RECORDED}
                done += len(works)


@activity
async def noop(number: int) -> int:
    return number


@orchestration
async def one_by_one(ctx: OrchestrationContext, count: int) -> int:
    del ctx
    return sum(await asyncio.gather(*(noop.options(limit="one")(n) for n in range(count))))


async def test_nobody_waits_for_a_poll_to_be_admitted(migrated_url: str) -> None:
    count = 30
    async with PostgresProvider(migrated_url) as provider:
        await provider.set_limits([Limit("one", concurrency=1), Limit("two", concurrency=2)])
        registry = Registry(one_by_one, noop)
        # Dispatchers ask by themselves every few seconds: so many waits for that take minutes.
        async with asyncio.timeout(45), LocalRuntime(provider, registry) as runtime:
            handle = await runtime.client.start(one_by_one, count)
            assert await handle.result() == sum(range(count))
            limited = one_by_one.options(limit="two")
            handles = [await runtime.client.start(limited, 1) for _ in range(count)]
            assert [await each.result() for each in handles] == [0] * count
