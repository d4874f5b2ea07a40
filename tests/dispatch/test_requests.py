"""What turns ask of storage beyond activities, timers and children, end to end."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from perdure.client import Client
from perdure.dispatch import TurnDispatcher, TurnSettings
from perdure.errors import OrchestrationError, OrchestrationTimedOutError, QueryError
from perdure.executor import LocalRuntime
from perdure.model.ids import ExecutorId, LeaseToken
from perdure.model.records import ParentClose
from perdure.model.strictness import OnNondeterminism, Strictness
from perdure.providers.reading import InstanceStatus
from perdure.providers.work import CodeId, FetchTurns
from perdure.replay.context import OrchestrationContext
from perdure.replay.definitions import activity, orchestration
from perdure.replay.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from perdure.providers.protocol import Provider

    Eventually = Callable[..., Awaitable[None]]


RELEASED = threading.Event()


@activity
async def step(number: int) -> int:
    return number + 1


@orchestration
async def keeps(ctx: OrchestrationContext) -> str:
    """Show what it does in its key-value map, and answer for it."""
    state = {"taken": 0}

    @ctx.query
    def taken() -> int:
        return state["taken"]

    @ctx.update
    async def add(number: int) -> int:
        state["taken"] = await step(state["taken"] + number - 1)
        return state["taken"]

    @ctx.query
    def spins() -> int:
        while state:
            pass
        return 0

    @ctx.query
    def blocks() -> bool:
        return RELEASED.wait(20)

    ctx.set_kv_value("phase", "waiting")
    ctx.set_attributes(customer="ada")
    while (item := await ctx.dequeue_event("work")) != "stop":
        state["taken"] += 1
        ctx.set_kv_value("last", item)
    ctx.set_kv_value("phase", "over")
    return f"took {state['taken']}"


@orchestration
async def looks_at(ctx: OrchestrationContext, other: str) -> list[Any]:
    return [await ctx.kv_of(other).get("phase"), await ctx.kv_of("nobody").get("phase")]


@orchestration
async def waits(ctx: OrchestrationContext) -> str:
    return str(await ctx.wait_event("go"))


@orchestration
async def leaves_children(ctx: OrchestrationContext) -> None:
    for fate in ParentClose:
        child = waits.options(instance_id=f"{ctx.instance_id}-{fate}", parent_close=fate)
        child()
    await ctx.wait_event("enough")


@orchestration
async def has_a_child(_ctx: OrchestrationContext, name: str) -> str:
    child: Any = {"changes_its_mind": changes_its_mind, "counts": counts}[name]
    try:
        await child()
    except OrchestrationError as error:
        return str(error.failure and error.failure.type)
    return "went well"


MINDS = {"changed": False}


@orchestration
async def changes_its_mind(ctx: OrchestrationContext) -> None:
    waits.options(instance_id=f"{ctx.instance_id}-left")()
    if MINDS["changed"]:
        await step(1)
    await ctx.wait_event("go")


@orchestration
async def counts(_ctx: OrchestrationContext) -> int:
    number = 0
    while True:
        number = await step(number)


@orchestration
async def waits_for_five(ctx: OrchestrationContext) -> int:
    total = 0
    for _ in range(5):
        total += int(str(await ctx.wait_event("number")))
    return total


REGISTRY = Registry(
    *(step, keeps, looks_at, waits, leaves_children),
    *(has_a_child, changes_its_mind, counts, waits_for_five),
)


async def status_of(client: Client, instance: str) -> InstanceStatus:
    return (await client.get(instance)).status


async def test_keys_queues_queries_and_updates(storage: Provider, eventually: Eventually) -> None:
    async with LocalRuntime(storage, REGISTRY) as local:
        client = local.client
        handle = await client.start(keeps, instance_id="keeps")
        await handle.enqueue_event("work", "a")
        await handle.enqueue_event("work", "b")

        async def both_are_taken() -> bool:
            return await handle.query("taken", result_type=int) == 2

        await eventually(both_are_taken)
        assert await handle.update("add", number=40) == 42
        assert await handle.query("taken", result_type=int) == 42
        assert await handle.get_key("last") == "b"
        look = await client.start(looks_at, "keeps")
        assert await look.result(timeout=20) == ["waiting", None]
        found = [info.instance async for info in client.list(attributes={"customer": "ada"})]
        assert found == ["keeps"]
        await handle.enqueue_event("work", "stop")
        assert await handle.result(timeout=20) == "took 42"
        assert await handle.get_key("phase") == "over"
        assert await handle.query("taken") == 42  # from its history: it has ended


async def test_a_query_is_answered_by_whoever_has_the_code(
    storage: Provider, eventually: Eventually
) -> None:
    async with LocalRuntime(storage, REGISTRY, activities=None) as first:
        handle = await first.client.start(keeps)
        await handle.enqueue_event("work", "a")

        async def it_is_taken() -> bool:
            return await handle.query("taken", result_type=int) == 1

        await eventually(it_is_taken)
    async with LocalRuntime(storage, REGISTRY, activities=None) as second:
        answer = await second.client.query(handle.instance_id, "taken")
        assert answer == 1
        with pytest.raises(QueryError, match="there is no query 'unheard'"):
            await second.client.query(handle.instance_id, "unheard")
        await second.client.enqueue_event(handle.instance_id, "work", "b")

        async def both_are_taken() -> bool:
            return bool(await second.client.query(handle.instance_id, "taken") == 2)

        await eventually(both_are_taken)


@pytest.mark.parametrize("name", ["spins", "blocks"])
async def test_a_query_that_does_not_end_is_ended_and_harms_nobody(
    storage: Provider, name: str
) -> None:
    settings = TurnSettings(turn_longest=timedelta(seconds=0.2))
    RELEASED.clear()
    async with LocalRuntime(storage, REGISTRY, turns=settings) as local:
        handle = await local.client.start(keeps)
        await handle.enqueue_event("work", "a")
        assert await handle.update("add", number=1) >= 1
        with pytest.raises(QueryError, match="SpinningTurn"):
            await handle.query(name)
        await handle.enqueue_event("work", "b")
        assert await handle.update("add", number=1) >= 2
        await handle.enqueue_event("work", "stop")
        assert await handle.result(timeout=20) == "took 4"
    RELEASED.set()


async def test_children_meet_the_fate_that_was_chosen(
    storage: Provider, eventually: Eventually
) -> None:
    async with LocalRuntime(storage, REGISTRY) as local:
        client = local.client
        handle = await client.start(leaves_children, instance_id="parent")

        async def all_wait() -> bool:
            page = [each async for each in client.list(parent="parent")]
            return [each.status for each in page] == [InstanceStatus.RUNNING] * 3

        await eventually(all_wait)
        await handle.raise_event("enough")
        await handle.result(timeout=20)
        assert (await client.wait_ended("parent-cancel")).status is InstanceStatus.CANCELLED
        assert (await client.wait_ended("parent-terminate")).status is InstanceStatus.TERMINATED
        assert await status_of(client, "parent-abandon") is InstanceStatus.RUNNING
        await client.raise_event("parent-abandon", "go", "on")
        assert (await client.wait_ended("parent-abandon")).status is InstanceStatus.COMPLETED


async def test_a_run_past_its_deadline_has_timed_out(storage: Provider) -> None:
    async with LocalRuntime(storage, REGISTRY) as local:
        handle = await local.client.start(waits.options(timeout=timedelta(seconds=0.2)))
        with pytest.raises(OrchestrationTimedOutError):
            await handle.result(timeout=20)


# ------------------------------------------------------------------------- failing runs

FAILING = TurnSettings(
    history_records_max=20, strictness=Strictness(on_nondeterminism=OnNondeterminism.FAIL)
)


async def test_a_run_that_cannot_go_on_fails_where_that_is_wanted_and_tells_its_parent(
    storage: Provider, eventually: Eventually
) -> None:
    MINDS["changed"] = False
    async with LocalRuntime(storage, REGISTRY, turns=FAILING) as local:
        client = local.client
        await client.start(has_a_child, "changes_its_mind", instance_id="top")
        child = "top::1/0:1"

        async def child_waits() -> bool:
            page = [each async for each in client.list(parent=child)]
            return [each.status for each in page] == [InstanceStatus.RUNNING]

        await eventually(child_waits)
    MINDS["changed"] = True
    async with LocalRuntime(storage, REGISTRY, turns=FAILING) as local:
        client = local.client
        await client.raise_event(child, "go")
        assert await client.get_handle("top", str).result(timeout=20) == "Nondeterminism"
        info = await client.get(child)
        assert info.status is InstanceStatus.FAILED
        assert info.failure is not None
        assert "step" in info.failure.message
        left = await client.wait_ended(f"{child}-left")
        assert left.status is InstanceStatus.CANCELLED


async def test_a_child_over_the_limit_of_its_history_tells_its_parent(storage: Provider) -> None:
    async with LocalRuntime(storage, REGISTRY, turns=FAILING) as local:
        handle = await local.client.start(has_a_child, "counts")
        assert await handle.result(timeout=20) == "HistoryLimit"


@pytest.mark.parametrize("policy", OnNondeterminism)
async def test_a_turn_that_nobody_ever_hands_in_is_poison(
    storage: Provider, eventually: Eventually, policy: OnNondeterminism
) -> None:
    code = [CodeId("has_a_child", "1.0.0"), CodeId("waits", "1.0.0")]
    settings = TurnSettings(attempts_max=3, strictness=Strictness(on_nondeterminism=policy))
    async with Client(storage) as client:
        handle = await client.start(waits, instance_id="poison")
        for number in range(4):  # as by four processes that it ended
            request = FetchTurns(ExecutorId(number), LeaseToken(number), 10, timedelta(0), code)
            assert len((await storage.fetch_turns(request)).turns) == 1
    async with LocalRuntime(storage, REGISTRY, turns=settings) as local:
        wanted = {
            OnNondeterminism.BLOCK: InstanceStatus.BLOCKED,
            OnNondeterminism.FAIL: InstanceStatus.FAILED,
        }[policy]

        async def it_is_dealt_with() -> bool:
            return await status_of(local.client, handle.instance_id) is wanted

        await eventually(it_is_dealt_with)
        info = await local.client.get("poison")
        text = info.block.message if info.block else info.failure and info.failure.message
        assert "given out 4 times and never committed" in str(text)


# ------------------------------------------------------------------------- long histories


async def test_histories_too_long_for_a_fetch_are_read_a_few_at_a_time(
    storage: Provider, eventually: Eventually
) -> None:
    async with LocalRuntime(storage, REGISTRY, activities=None) as first:
        handles = [await first.client.start(waits_for_five) for _ in range(12)]
        for number in range(4):
            for handle in handles:
                await handle.raise_event("number", number)

        async def all_are_read() -> bool:
            infos = [await first.client.get(handle.instance_id) for handle in handles]
            return all(info.history_length >= 6 for info in infos)

        await eventually(all_are_read)
    bounded = TurnSettings(history_bytes_max=100, reloads_at_once=2)
    async with LocalRuntime(storage, REGISTRY, turns=bounded, activities=None) as second:
        await asyncio.gather(
            *(second.client.raise_event(handle.instance_id, "number", 10) for handle in handles)
        )
        results = [
            await second.client.get_handle(handle.instance_id, int).result(timeout=20)
            for handle in handles
        ]
        calls = {"verb": "read_history", "outcome": "ok"}
        read = second.metrics.registry.get_sample_value("perdure_provider_calls_total", calls)
        assert read is not None
        assert read >= 12
    assert results == [16] * 12


def test_a_dispatcher_knows_nothing_of_storage_before_it_runs(storage: Provider) -> None:
    assert TurnDispatcher(storage, REGISTRY).busy == 0
