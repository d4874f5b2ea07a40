"""Turns on a real Postgres: taken once, by whoever is there, whatever is lost on the way."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perdure.dispatch import ActivitySettings, TurnDispatcher, TurnSettings
from perdure.errors import NondeterminismError, OrchestrationError, PayloadError, ProviderError
from perdure.executor import LocalRuntime
from perdure.model.ids import InstanceId
from perdure.model.records import RecordKind
from perdure.model.strictness import STRICT
from perdure.providers.postgres import PostgresProvider, migrate
from perdure.providers.reading import InstanceStatus
from perdure.replay.context import OrchestrationContext
from perdure.replay.definitions import activity, orchestration
from perdure.replay.registry import Registry
from perdure.replay.turn import replay_history
from perdure.telemetry import Metrics
from perdure.testing.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from perdure.client import InstanceHandle
    from perdure.providers.work import (
        ActivityResult,
        CommitOutcome,
        EnqueueOutcome,
        FinishOutcome,
        Message,
        TurnCommit,
    )

    Eventually = Callable[..., Awaitable[None]]

RAN: Counter[str] = Counter()


@activity
async def step(key: str, number: int) -> int:
    RAN[f"{key}/{number}"] += 1
    return number + 1


@orchestration
async def chain(_ctx: OrchestrationContext, key: str, steps: int) -> int:
    number = 0
    for _ in range(steps):
        number = await step(key, number)
    return number


@orchestration
async def naps(_ctx: OrchestrationContext, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "rested"


@orchestration
async def fails(_ctx: OrchestrationContext) -> None:
    raise ValueError("as it should")


@orchestration
async def parent(_ctx: OrchestrationContext, key: str) -> tuple[int, str]:
    number = await chain(key, 2)
    try:
        await fails()
    except OrchestrationError as error:
        return number, str(error.failure and error.failure.type)
    return number, "did not fail"


@orchestration
async def counts_down(ctx: OrchestrationContext, left: int) -> str:
    if left:
        await step("countdown", left)
        await ctx.continue_as_new(left - 1)
    return "lift-off"


@orchestration
async def waits(ctx: OrchestrationContext) -> str:
    return str(await ctx.wait_event("go"))


@orchestration
async def spins(_ctx: OrchestrationContext) -> None:
    while True:
        pass


RELEASED = threading.Event()


@orchestration
async def blocks(_ctx: OrchestrationContext) -> None:
    RELEASED.wait(60)


@orchestration
async def exits(_ctx: OrchestrationContext) -> None:
    raise SystemExit(3)


@orchestration
async def twins(ctx: OrchestrationContext) -> list[str]:
    one = chain.options(instance_id=f"{ctx.instance_id}-twin")
    results = await asyncio.gather(one("a", 1), one("b", 1), return_exceptions=True)
    return [str(result) for result in results]


REGISTRY = Registry(
    blocks, twins, exits, step, chain, naps, fails, parent, counts_down, waits, spins
)


def total(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


async def turns_of(provider: PostgresProvider, instance: str) -> int:
    info = (await provider.read_instances([InstanceId(instance)]))[0]
    assert info is not None
    records = await provider.read_history(info.instance)
    return sum(record.kind is RecordKind.TURN for record in records)


async def test_an_orchestration_runs_end_to_end(
    provider: PostgresProvider, eventually: Eventually
) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        handle = await local.client.start(chain, "plain", 5)
        assert await handle.result(timeout=20) == 5
        assert await turns_of(provider, handle.instance_id) == 6
        ended = {"orchestration": "chain", "outcome": "Completed"}
        await eventually(
            lambda: total(local.metrics, "perdure_executions_ended_total", **ended) == 1
        )
        assert total(local.metrics, "perdure_execution_lookups_total", found="live") == 5


async def test_timers_children_failures_and_new_executions(provider: PostgresProvider) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        nap = await local.client.start(naps, 0.3)
        family = await local.client.start(parent, "family")
        countdown = await local.client.start(counts_down, 3)
        assert await nap.result(timeout=20) == "rested"
        assert await family.result(timeout=20) == (2, "ValueError")
        assert await countdown.result(timeout=20) == "lift-off"
        assert (await countdown.status()).execution == 4
        with pytest.raises(OrchestrationError, match="ended as Failed: ValueError: as it should"):
            await (await local.client.start(fails)).result(timeout=20)


async def test_of_two_children_of_one_id_the_second_fails(provider: PostgresProvider) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        twin = await local.client.start(twins)
        first, second = await twin.result(timeout=20)
        assert first == "1"
        assert "belongs to another instance" in second


async def test_what_memory_has_dropped_is_read_again(provider: PostgresProvider) -> None:
    small = TurnSettings(executions_cached_max=1)
    async with LocalRuntime(provider, REGISTRY, turns=small) as local:
        handles = [await local.client.start(chain, f"evicted-{n}", 6) for n in range(8)]
        assert [await handle.result(timeout=30) for handle in handles] == [6] * 8
        assert total(local.metrics, "perdure_execution_lookups_total", found="reloaded") > 0
    assert all(RAN[f"evicted-{n}/{k}"] == 1 for n in range(8) for k in range(6))


async def test_two_replayers_share_the_work_and_take_over_from_one_another(
    provider: PostgresProvider, database_url: str, eventually: Eventually
) -> None:
    few = TurnSettings(turns_per_fetch_max=2)
    async with (
        PostgresProvider(database_url) as other,
        LocalRuntime(provider, REGISTRY, turns=few) as one,
        LocalRuntime(other, REGISTRY, turns=few, activities=None) as two,
    ):
        handles = [await one.client.start(chain, f"shared-{n}", 8) for n in range(12)]
        assert [await handle.result(timeout=60) for handle in handles] == [8] * 12
        committed = {"orchestration": "chain", "outcome": "committed"}

        def taken() -> list[float]:
            return [total(each.metrics, "perdure_turns_total", **committed) for each in (one, two)]

        await eventually(lambda: sum(taken()) == 12 * 9)
        assert min(taken()) > 0
    assert all(RAN[f"shared-{n}/{k}"] == 1 for n in range(12) for k in range(8))


async def test_a_replayer_that_drains_leaves_nothing_leased(
    provider: PostgresProvider, eventually: Eventually
) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        handle = await local.client.start(waits)
        await eventually(lambda: is_status(provider, handle.instance_id, InstanceStatus.RUNNING))
    async with LocalRuntime(provider, REGISTRY) as local:  # a new executor: no live execution
        again = local.client.get_handle(handle.instance_id, str)
        await again.raise_event("go", "now")
        assert await again.result(timeout=5) == "now"  # sooner than any lease ends


async def is_status(provider: PostgresProvider, instance: str, status: InstanceStatus) -> bool:
    (info,) = await provider.read_instances([InstanceId(instance)])
    return info is not None and info.status is status


# ----------------------------------------------------------------------------- blocked


def _changed() -> Registry:
    @orchestration(name="waits")
    async def changed(ctx: OrchestrationContext) -> str:
        await asyncio.sleep(3600)
        return str(await ctx.wait_event("go"))

    return Registry(changed)


@activity
def looks_around(what: str) -> str:
    return f"{what} {time.time() > 0} {Path(__file__).exists()}"


@orchestration
async def looks(ctx: OrchestrationContext) -> str:
    said = await looks_around("from an activity")
    await ctx.wait_event("go")
    return said + str(time.time())


async def test_a_call_that_a_replay_cannot_repeat_blocks_and_activities_may_do_as_they_like(
    provider: PostgresProvider, eventually: Eventually
) -> None:
    strict = TurnSettings(strictness=STRICT)
    async with LocalRuntime(provider, Registry(looks, looks_around), turns=strict) as local:
        handle = await local.client.start(looks)
        await handle.raise_event("go")
        await eventually(lambda: is_status(provider, handle.instance_id, InstanceStatus.BLOCKED))
        info = await handle.status()
        assert info.block is not None
        assert info.block.reason == "ForbiddenCall"
        line = looks.fn.__code__.co_firstlineno + 4
        assert f"test_turns.py:{line}: time.time() reads the clock" in info.block.message
        records = await provider.read_history(InstanceId(handle.instance_id))
        said = [r.body for r in records if r.kind is RecordKind.ACTIVITY_COMPLETED]
        assert said == ['"from an activity True True"']


async def test_a_definition_may_want_to_fail_instead(
    provider: PostgresProvider, eventually: Eventually
) -> None:
    @orchestration(name="impatient", on_nondeterminism="fail")
    async def before(ctx: OrchestrationContext) -> str:
        await step("first", 1)
        return str(await ctx.wait_event("go"))

    @orchestration(name="impatient", on_nondeterminism="fail")
    async def after(ctx: OrchestrationContext) -> str:
        return str(await ctx.wait_event("go"))

    async with LocalRuntime(provider, Registry(before, step)) as local:
        handle = await local.client.start(before)
        await eventually(partial(is_waiting, provider, handle.instance_id))
    async with LocalRuntime(provider, Registry(after, step)) as wrong:
        again = wrong.client.get_handle(handle.instance_id, str)
        await again.raise_event("go", "at last")
        with pytest.raises(OrchestrationError, match="`step#1` was removed"):
            await again.result(timeout=20)
    records = await provider.read_history(InstanceId(handle.instance_id))
    replay_history(Registry(before, step), InstanceId(handle.instance_id), records)
    with pytest.raises(NondeterminismError):
        replay_history(Registry(after, step), InstanceId(handle.instance_id), records)


async def is_waiting(provider: PostgresProvider, instance: str) -> bool:
    records = await provider.read_history(InstanceId(instance))
    return any(record.kind is RecordKind.ACTIVITY_COMPLETED for record in records) and (
        records[-1].kind is RecordKind.TURN
    )


async def test_code_that_disagrees_with_history_blocks_until_mended(
    provider: PostgresProvider, eventually: Eventually
) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        handle = await local.client.start(waits)
        await eventually(lambda: is_status(provider, handle.instance_id, InstanceStatus.RUNNING))
    async with LocalRuntime(provider, _changed()) as wrong:
        again = wrong.client.get_handle(handle.instance_id, str)
        await again.raise_event("go", "at last")
        await eventually(lambda: is_status(provider, handle.instance_id, InstanceStatus.BLOCKED))
        info = await again.status()
        assert info.block is not None
        assert info.block.reason == "Nondeterminism"
    async with LocalRuntime(provider, REGISTRY) as local:
        again = local.client.get_handle(handle.instance_id, str)
        await again.resume()
        assert await again.result(timeout=20) == "at last"


async def test_a_turn_that_spins_is_ended_and_blocks_while_others_go_on(
    provider: PostgresProvider, eventually: Eventually
) -> None:
    impatient = TurnSettings(turn_longest=timedelta(seconds=0.3))
    async with LocalRuntime(provider, REGISTRY, turns=impatient) as local:
        spinning = await local.client.start(spins)
        await eventually(lambda: is_status(provider, spinning.instance_id, InstanceStatus.BLOCKED))
        info = await spinning.status()
        assert info.block is not None
        assert info.block.reason == "SpinningTurn"
        line = spins.fn.__code__.co_firstlineno + 2
        assert re.search(
            rf"It was at dispatch/test_turns\.py:({line}|{line + 1}) in spins", info.block.message
        )
        other = await local.client.start(chain, "beside", 2)
        assert await other.result(timeout=20) == 2


async def test_a_turn_that_does_not_return_blocks_while_others_go_on(
    provider: PostgresProvider, eventually: Eventually
) -> None:
    impatient = TurnSettings(turn_longest=timedelta(seconds=0.3))
    async with LocalRuntime(provider, REGISTRY, turns=impatient) as local:
        one, two = await local.client.start(blocks), await local.client.start(blocks)
        beside = await local.client.start(chain, "with them", 2)
        for handle in (one, two):
            await eventually(
                partial(is_status, provider, handle.instance_id, InstanceStatus.BLOCKED)
            )
            info = await handle.status()
            assert info.block is not None
            assert info.block.reason == "SpinningTurn"
            assert "is in a call that does not return, at" in info.block.message
            line = blocks.fn.__code__.co_firstlineno + 2
            assert f"test_turns.py:{line} in blocks" in info.block.message
        assert await beside.result(timeout=20) == 2
        other = await local.client.start(chain, "beside", 2)
        assert await other.result(timeout=20) == 2
        RELEASED.set()


async def test_a_turn_that_ends_its_process_does_not(
    provider: PostgresProvider, eventually: Eventually
) -> None:
    once = TurnSettings(attempts_max=1)
    async with LocalRuntime(provider, REGISTRY, turns=once) as local:
        leaving = await local.client.start(exits)
        other = await local.client.start(chain, "beside an exit", 2)
        assert await other.result(timeout=20) == 2
        await eventually(lambda: has_ended_or_is_blocked(leaving))


async def has_ended_or_is_blocked(handle: InstanceHandle[None]) -> bool:
    info = await handle.status()
    return info.status.is_terminal or info.status is InstanceStatus.BLOCKED


async def test_a_history_that_is_too_long_blocks(
    provider: PostgresProvider, eventually: Eventually
) -> None:
    short = TurnSettings(history_records_max=10)
    async with LocalRuntime(provider, REGISTRY, turns=short) as local:
        handle = await local.client.start(chain, "long", 20)
        await eventually(lambda: is_status(provider, handle.instance_id, InstanceStatus.BLOCKED))
        info = await handle.status()
        assert info.block is not None
        assert info.block.reason == "HistoryLimit"
    async with LocalRuntime(provider, REGISTRY) as local:
        await local.client.resume(handle.instance_id)
        assert await local.client.get_handle(handle.instance_id, int).result(timeout=20) == 20


# ------------------------------------------------------------------------------ faults


class Forgetful(PostgresProvider):
    """Storage whose every third answer is lost on the way, after the work was done."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.lost: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()

    def _lose(self, verb: str) -> None:
        self.asked[verb] += 1
        if self.asked[verb] % 3 == 1:
            self.lost[verb] += 1
            raise ProviderError(verb, "the answer was lost", retryable=True)

    async def commit_turns(self, commits: Sequence[TurnCommit]) -> Sequence[CommitOutcome]:
        outcomes = await super().commit_turns(commits)
        self._lose("commit_turns")
        return outcomes

    async def finish_activities(self, results: Sequence[ActivityResult]) -> Sequence[FinishOutcome]:
        outcomes = await super().finish_activities(results)
        self._lose("finish_activities")
        return outcomes

    async def enqueue(self, messages: Sequence[Message]) -> Sequence[EnqueueOutcome]:
        outcomes = await super().enqueue(messages)
        self._lose("enqueue")
        return outcomes


class Choosy(PostgresProvider):
    """Storage that cannot hold anything of some instances."""

    async def commit_turns(self, commits: Sequence[TurnCommit]) -> Sequence[CommitOutcome]:
        for commit in commits:
            if commit.instance.startswith("odd"):
                raise PayloadError(f"commit_turns: {commit.instance} cannot be stored")
        return await super().commit_turns(commits)


async def test_a_turn_that_cannot_be_stored_blocks_its_run_alone(
    database_url: str, eventually: Eventually
) -> None:
    await migrate(database_url)
    async with Choosy(database_url) as provider, LocalRuntime(provider, REGISTRY) as local:
        odd = [await local.client.start(chain, "odd", 2, instance_id=f"odd-{n}") for n in range(3)]
        even = [await local.client.start(chain, f"even-{n}", 2) for n in range(3)]
        assert [await handle.result(timeout=20) for handle in even] == [2] * 3
        for handle in odd:
            await eventually(
                lambda instance=handle.instance_id: is_status(
                    provider, instance, InstanceStatus.BLOCKED
                )
            )
            info = await handle.status()
            assert info.block is not None
            assert f"{handle.instance_id} cannot be stored" in info.block.message


async def test_lost_answers_cost_a_retry_and_repeat_nothing(
    database_url: str, eventually: Eventually
) -> None:
    await migrate(database_url)
    async with Forgetful(database_url) as provider, LocalRuntime(provider, REGISTRY) as local:
        handles = [await local.client.start(chain, f"lossy-{n}", 5) for n in range(5)]
        assert [await handle.result(timeout=60) for handle in handles] == [5] * 5
        assert set(provider.lost) == {"commit_turns", "finish_activities", "enqueue"}
        for handle in handles:
            assert await turns_of(provider, handle.instance_id) == 6
        committed = {"orchestration": "chain", "outcome": "committed"}
        # The last answer may be lost too: the results are here before it is known.
        await eventually(lambda: total(local.metrics, "perdure_turns_total", **committed) == 30)
    assert all(RAN[f"lossy-{n}/{k}"] == 1 for n in range(5) for k in range(5))


async def test_a_database_that_restarts_loses_nothing(eventually: Eventually) -> None:
    with EmbeddedPostgres(settings={"fsync": "off"}) as server:
        await migrate(server.url)
        async with (
            PostgresProvider(server.url) as provider,
            LocalRuntime(
                provider, REGISTRY, activities=ActivitySettings(tags=("",), slots=4)
            ) as local,
        ):
            handles = [await local.client.start(chain, f"restart-{n}", 30) for n in range(10)]
            await eventually(lambda: RAN["restart-0/3"] > 0)
            await asyncio.to_thread(server.restart)
            assert [await handle.result(timeout=90) for handle in handles] == [30] * 10
            for handle in handles:
                records = await provider.read_history(handle.instance_id)
                completed = Counter(
                    r.ref for r in records if r.kind is RecordKind.ACTIVITY_COMPLETED
                )
                assert len(completed) == 30
                assert set(completed.values()) == {1}


async def test_a_dispatcher_waits_for_a_database_that_is_away_and_still_drains(
    eventually: Eventually,
) -> None:
    with EmbeddedPostgres(settings={"fsync": "off"}) as server:
        await migrate(server.url)
        async with PostgresProvider(server.url) as provider:
            dispatcher = TurnDispatcher(provider, REGISTRY)
            running = asyncio.create_task(dispatcher.run())
            await eventually(lambda: dispatcher.pulse.trouble is None)
            await asyncio.to_thread(server.kill)
            await eventually(lambda: dispatcher.pulse.trouble is not None)
            assert not running.done()
            async with asyncio.timeout(10):
                await dispatcher.drain()
            await running
