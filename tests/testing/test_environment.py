"""The test kit: what it runs, what it finds, what it says."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest

from perdure import (
    ActivityContext,
    ActivityError,
    OrchestrationContext,
    OrchestrationError,
    Retry,
    activity,
    orchestration,
)
from perdure.errors import PayloadError, ResultTimeoutError
from perdure.replay.classes import update
from perdure.testing import Environment, RunParkedError, StalledError

CHARGED: list[str] = []


@activity
def charge(order: str, cents: int = 100) -> str:
    CHARGED.append(order)
    return f"receipt of {order}: {cents}"


@activity(retry=Retry(max_attempts=3, initial=timedelta(minutes=1)))
async def ship(receipt: str) -> str:
    return f"parcel for {receipt}"


@orchestration
async def checkout(ctx: OrchestrationContext, order: str) -> str:
    try:
        async with asyncio.timeout(24 * 3600):
            await ctx.wait_event("approved")
    except TimeoutError:
        return "nobody approved"
    return await ship(await charge(order))


async def test_a_day_passes_at_once(orch: Environment) -> None:
    began, clock = orch.now, time.perf_counter()
    run = await orch.start(checkout, "7")
    assert await run.result() == "nobody approved"
    assert orch.now - began >= timedelta(days=1)
    assert time.perf_counter() - clock < 5


async def test_events_and_activities(orch: Environment) -> None:
    run = await orch.start(checkout, "7")
    await orch.advance(hours=23)
    await run.raise_event("approved")
    assert await run.result() == "parcel for receipt of 7: 100"
    assert await run.scheduled(charge) == [{"order": "7"}]
    assert orch.calls(ship) == [{"receipt": "receipt of 7: 100"}]


def test_a_test_need_not_be_async(orch: Environment) -> None:
    assert orch.run(checkout, "7") == "nobody approved"


async def test_a_mock_takes_the_place_of_a_body(orch: Environment) -> None:
    CHARGED.clear()
    orch.mock(charge, returns="free")
    orch.mock(ship, raises=ConnectionError("no van"), times=2)
    run = await orch.start(checkout, "8")
    await run.raise_event("approved")
    assert await run.result() == "parcel for free"
    assert CHARGED == []
    assert len(orch.calls(ship)) == 3


async def test_a_mock_that_fails_for_good_fails_the_run(orch: Environment) -> None:
    orch.mock(charge, raises=ValueError("declined"))
    run = await orch.start(checkout, "9")
    await run.raise_event("approved")
    with pytest.raises(OrchestrationError, match="declined"):
        await run.result()


def test_a_mock_is_held_to_the_signature(orch: Environment) -> None:
    with pytest.raises(PayloadError, match="charge"):
        orch.mock(charge, returns=5)
    with pytest.raises(TypeError, match=r"order, cents"):
        orch.mock(charge, by=lambda order: order)
    with pytest.raises(TypeError, match="exactly one"):
        orch.mock(charge, returns="x", raises=ValueError)
    with pytest.raises(TypeError, match="cannot raise 3"):
        orch.mock(charge, raises=3)
    orch.mock(charge, by=lambda order, cents: f"{order}{cents}")


@orchestration
async def waits(ctx: OrchestrationContext) -> str:
    return str(await ctx.wait_event("never"))


async def test_who_waits_in_vain_is_told_what_for_and_where(orch: Environment) -> None:
    run = await orch.start(waits)
    with pytest.raises(StalledError, match=r"event 'never', at .*test_environment.py:\d+"):
        await run.result()


@orchestration
async def asks_the_unknown(_ctx: OrchestrationContext) -> str:
    return await waits.options(version="9.0.0")()


async def test_what_nobody_has_the_code_of_is_waited_for_in_vain(orch: Environment) -> None:
    run = await orch.start(asks_the_unknown)
    with pytest.raises(StalledError, match=r"is Pending\n.*is it registered"):
        await run.result()


async def test_what_is_for_plain_tests_is_refused_in_async_ones(orch: Environment) -> None:
    async def inside() -> None:
        orch.run(waits)

    with pytest.raises(RuntimeError, match=r"await orch\.start"):
        await orch.do(inside())


async def test_an_answer_to_what_nobody_asked_is_not_promised(orch: Environment) -> None:
    run, client = await orch.start(waits), await orch.client()
    with pytest.raises(ResultTimeoutError, match="if it was asked for"):
        await orch.do(client.update_result(run.instance_id, "never", timeout=1))


async def test_a_result_may_be_waited_for_so_long_only(orch: Environment) -> None:
    run = await orch.start(checkout, "7")
    with pytest.raises(StalledError, match=r"for a timer until .*\n?.*event 'approv"):
        await run.result(timeout=timedelta(hours=1))


COUNTER: list[int] = []


@orchestration
async def fickle(_ctx: OrchestrationContext) -> str:
    COUNTER.append(1)
    await charge(f"order {len(COUNTER)}")
    return "done"


def test_code_that_decides_differently_is_found_at_once() -> None:
    with Environment() as orch, pytest.raises(RunParkedError, match="Nondeterminism"):
        orch.run(fickle)


def test_a_parked_run_that_nobody_looked_at_fails_the_test() -> None:
    orch = Environment()

    async def begin() -> None:
        run = await orch.start(fickle)
        await run.status()

    orch.wait(begin())
    with pytest.raises(RunParkedError, match="fickle"):
        orch.close()


@pytest.mark.every_crash_point
async def test_a_crash_at_any_write_loses_nothing(orch: Environment) -> None:
    run = await orch.start(checkout, "7")
    await run.raise_event("approved")
    assert await run.result() == "parcel for receipt of 7: 100"
    assert len(await run.scheduled(charge)) == 1


async def test_doubled_deliveries_change_nothing(orch: Environment) -> None:
    orch.duplicate_delivery()
    run = await orch.start(checkout, "7")
    await run.raise_event("approved")
    assert await run.result() == "parcel for receipt of 7: 100"
    assert len(orch.calls(charge)) == 1


async def test_time_goes_to_the_next_timer(orch: Environment) -> None:
    run = await orch.start(checkout, "7")
    await run.status()
    began = orch.now
    assert await orch.advance_to_next() - began > timedelta(hours=23)
    assert (await run.status()).status.is_terminal


async def test_a_golden_history(orch: Environment, tmp_path: Path) -> None:
    run = await orch.start(checkout, "7")
    await run.result()
    golden = tmp_path / "golden.jsonl"
    with pytest.raises(AssertionError, match="--update-golden"):
        await run.assert_history(golden)
    golden.write_text('{"kind": "OrchestrationStarted"}\n')
    with pytest.raises(AssertionError, match="TimerFired"):
        await run.assert_history(golden)


@orchestration
async def fails(_ctx: OrchestrationContext) -> str:
    try:
        return await charge("x")
    except ActivityError as error:
        return f"caught {error.failure.type if error.failure else ''}"


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_what_happens_may_be_drawn(seed: int) -> None:
    with Environment(seed=seed) as orch:
        orch.mock(charge, raises=KeyError("x"))
        assert orch.run(fails) == "caught KeyError"


@activity
async def wake(ctx: ActivityContext, sleeper: str) -> None:
    await ctx.client.raise_event(sleeper, "woken")


TABLE = {"wake": wake, "shake": wake}


@orchestration
async def from_a_table(_ctx: OrchestrationContext, name: str) -> str:
    call = TABLE[name]
    await call("sleeper")
    return name


@orchestration
async def sleeper(ctx: OrchestrationContext) -> str:
    await ctx.wait_event("woken")
    return "good morning"


async def test_activities_in_a_table_are_found_and_may_send(orch: Environment) -> None:
    asleep = await orch.start(sleeper.options(instance_id="sleeper"))
    run = await orch.start(from_a_table, "wake")
    assert await run.result() == "wake"
    assert await asleep.result() == "good morning"


class Shop:
    async def run(self, ctx: OrchestrationContext) -> None:
        await ctx.wait_event("closed")

    @update
    async def buy(self, order: str) -> str:
        return await charge(order)


shop = orchestration(Shop)


async def test_activities_that_methods_call_are_found(orch: Environment) -> None:
    run = await orch.start(shop)
    assert await run.update("buy", order="7") == "receipt of 7: 100"


@orchestration
async def reads_itself(ctx: OrchestrationContext) -> list[int | None]:
    ctx.kv["seen"] = 1
    first = await ctx.kv_of(ctx.instance_id).get("seen", int)
    ctx.kv.clear()
    return [first, await ctx.kv_of(ctx.instance_id).get("seen", int)]


def test_a_map_of_its_own_is_read_as_it_is_at_the_end_of_the_turn(orch: Environment) -> None:
    assert orch.run(reads_itself) == [1, None]
