"""The client on a real Postgres: starting, sending, steering, waiting, reading."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from perdure.client import Client
from perdure.client.instance_ids import new_instance_id
from perdure.errors import (
    CallerError,
    DefinitionError,
    InstanceExistsError,
    InstanceFinishedError,
    InstanceNotFoundError,
    OrchestrationCancelledError,
    OrchestrationError,
    OrchestrationTerminatedError,
    PayloadError,
    ProviderError,
    ResultTimeoutError,
)
from perdure.executor import LocalRuntime
from perdure.model.ids import JsonText
from perdure.providers.postgres import PostgresProvider, migrate
from perdure.providers.reading import InstanceStatus
from perdure.replay.context import OrchestrationContext
from perdure.replay.definitions import orchestration
from perdure.replay.registry import Registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from perdure.model.ids import InstanceId
    from perdure.providers.reading import InstanceInfo
    from perdure.providers.work import EnqueueOutcome, Message

    Eventually = Callable[..., Awaitable[None]]


@dataclass
class Order:
    item: str
    count: int = 1


@orchestration
async def fulfil(_ctx: OrchestrationContext, order: Order) -> Order:
    return Order(order.item, order.count + 1)


@orchestration
async def listens(ctx: OrchestrationContext) -> list[str]:
    heard: list[str] = []
    while not heard or heard[-1] != "stop":
        heard.append(str(await ctx.wait_event("word")))
    return heard


@orchestration
async def breaks(_ctx: OrchestrationContext) -> None:
    raise ValueError("broken")


REGISTRY = Registry(fulfil, listens, breaks)


@pytest.fixture
async def client(provider: PostgresProvider) -> AsyncIterator[Client]:
    """A client beside a process that runs everything."""
    async with LocalRuntime(provider, REGISTRY) as local:
        yield local.client


# ---------------------------------------------------------------------------- starting


async def test_a_result_comes_back_as_its_type(client: Client) -> None:
    handle = await client.start(fulfil, Order("tea"))
    assert await handle.result(timeout=20) == Order("tea", 2)
    assert await client.get_handle(handle.instance_id, Order).result(20) == Order("tea", 2)
    assert await client.get_handle(handle.instance_id).result(20) == {"item": "tea", "count": 2}


async def test_connecting_by_url(provider: PostgresProvider, database_url: str) -> None:
    async with LocalRuntime(provider, REGISTRY), Client.connect(database_url) as client:
        handle = await client.start(fulfil, order=Order("tea"))
        assert await handle.result(timedelta(seconds=20)) == Order("tea", 2)


async def test_starting_by_name(client: Client) -> None:
    handle = await client.start("fulfil", order=Order("tea"), result_type=Order)
    assert await handle.result(timeout=20) == Order("tea", 2)
    text = JsonText('{"order":{"item":"jam"}}')
    named = await client.start_named("fulfil", text, result_type=Order)
    assert await named.result(timeout=20) == Order("jam", 2)
    with pytest.raises(TypeError, match="by keyword"):
        await client.start("fulfil", Order("tea"))  # type: ignore[call-overload]  # the point


async def test_an_id_is_taken_once(client: Client) -> None:
    first = await client.start(fulfil, Order("tea"), instance_id="order-1")
    assert first.instance_id == "order-1"
    with pytest.raises(InstanceExistsError, match="order-1"):
        await client.start(fulfil, Order("jam"), instance_id="order-1")
    attached = await client.start(fulfil, Order("jam"), instance_id="order-1", on_conflict="attach")
    assert await attached.result(timeout=20) == Order("tea", 2)
    by_options = fulfil.options(instance_id="order-2")
    assert (await client.start(by_options, Order("jam"))).instance_id == "order-2"


async def test_starting_many(client: Client) -> None:
    handles = await client.start_many(fulfil, [Order("tea", n) for n in range(30)])
    results = await asyncio.gather(*(handle.result(timeout=30) for handle in handles))
    assert [result.count for result in results] == list(range(1, 31))


@pytest.mark.parametrize("bad", ["", "x" * 254, "a\nb", "a::b", "a\udc80"])
async def test_ids_that_cannot_be(client: Client, bad: str) -> None:
    with pytest.raises(CallerError, match="Instance id"):
        await client.start(fulfil, Order("tea"), instance_id=bad)


@pytest.mark.parametrize("bad", ["", "x" * 254, "a\0b", "a\udc80"])
async def test_what_cannot_be_stored_is_refused_before_it_is_sent(client: Client, bad: str) -> None:
    for call in (client.get, client.history, client.cancel, client.terminate, client.suspend):
        with pytest.raises(CallerError, match="Instance id"):
            await call(bad)
    with pytest.raises(CallerError, match="Instance id"):
        await client.raise_event(bad, "word")
    with pytest.raises(CallerError, match="Event name"):
        await client.raise_event("any", bad)
    with pytest.raises(DefinitionError, match="orchestration name"):
        await client.start(bad)
    with pytest.raises(DefinitionError, match="is not a semantic version"):
        await client.start_named("fulfil", JsonText("{}"), version=bad)
    with pytest.raises(PayloadError, match="the reason of a cancellation holds half of a surro"):
        await client.cancel("any", "because \udc80")


async def test_arguments_are_checked_where_they_are_made(client: Client) -> None:
    with pytest.raises(PayloadError, match="order"):
        await client.start(fulfil, "no order")  # type: ignore[call-overload]  # the point
    with pytest.raises(TypeError, match="lacks the argument 'order'"):
        await client.start(fulfil)  # type: ignore[call-overload]  # the point


# ------------------------------------------------------------------- sending, steering


async def test_events_are_kept_from_before_the_start(client: Client) -> None:
    await client.raise_event("early-1", "word", "first")
    handle = await client.start(listens, instance_id="early-1")
    await handle.raise_event("word", "stop")
    assert await handle.result(timeout=20) == ["first", "stop"]
    with pytest.raises(InstanceFinishedError, match="early-1"):
        await handle.raise_event("word", "too late")


async def test_cancelling(client: Client) -> None:
    handle = await client.start(listens)
    await handle.cancel("no longer wanted")
    with pytest.raises(OrchestrationCancelledError, match="Cancelled"):
        await handle.result(timeout=20)
    await handle.cancel("again")
    assert (await handle.status()).status is InstanceStatus.CANCELLED


async def test_terminating(client: Client) -> None:
    handle = await client.start(listens)
    await handle.terminate("enough")
    with pytest.raises(OrchestrationTerminatedError, match="Terminated"):
        await handle.result(timeout=20)
    await handle.terminate("again")
    with pytest.raises(InstanceNotFoundError, match="nobody"):
        await client.terminate("nobody")


async def test_suspending_and_resuming(client: Client) -> None:
    handle = await client.start(listens)
    await handle.suspend("a break")
    await handle.raise_event("word", "stop")
    assert (await handle.status()).status is InstanceStatus.SUSPENDED
    with pytest.raises(ResultTimeoutError, match="it is Suspended"):
        await handle.result(timeout=0.2)
    await handle.resume()
    assert await handle.result(timeout=20) == ["stop"]
    with pytest.raises(InstanceFinishedError, match="nothing to suspend"):
        await handle.suspend()


# --------------------------------------------------------------------- waiting, reading


async def test_failures_carry_what_happened(client: Client) -> None:
    with pytest.raises(OrchestrationError, match="ValueError: broken") as caught:
        await (await client.start(breaks)).result(timeout=20)
    assert caught.value.failure is not None
    assert caught.value.failure.type == "ValueError"


async def test_waiting_has_an_end(client: Client) -> None:
    handle = await client.start(listens)
    with pytest.raises(ResultTimeoutError, match=r"has not ended after 0\.1 s"):
        await handle.result(timeout=0.1)
    await handle.raise_event("word", "stop")
    assert await handle.result(timeout=20) == ["stop"]


async def test_waiting_for_nobody(client: Client) -> None:
    with pytest.raises(InstanceNotFoundError, match="nobody"):
        await client.get_handle("nobody").result(timeout=20)
    with pytest.raises(InstanceNotFoundError, match="nobody"):
        await client.get("nobody")
    with pytest.raises(InstanceNotFoundError, match="nobody"):
        await client.history("nobody")


async def test_many_may_wait_for_one(client: Client) -> None:
    handle = await client.start(listens)
    waiting = [asyncio.create_task(handle.result(timeout=20)) for _ in range(10)]
    await handle.raise_event("word", "stop")
    assert await asyncio.gather(*waiting) == [["stop"]] * 10


async def test_results_come_without_hints(database_url: str) -> None:
    await migrate(database_url)
    async with (
        PostgresProvider(database_url) as provider,
        PostgresProvider(database_url, listen=False) as deaf,
        LocalRuntime(provider, REGISTRY),
        Client(deaf) as client,
    ):
        handle = await client.start(fulfil, Order("tea"))
        assert await handle.result(timeout=20) == Order("tea", 2)


async def test_history_reads_as_events(client: Client) -> None:
    handle = await client.start(fulfil, Order("tea"))
    await handle.result(timeout=20)
    kinds = [type(event).__name__ for event in await handle.history()]
    assert kinds[0] == "OrchestrationStarted"
    assert kinds[-1] == "OrchestrationCompleted"


async def test_lists_go_from_page_to_page(client: Client) -> None:
    handles = await client.start_many(fulfil, [Order("tea") for _ in range(7)])
    for handle in handles:
        await handle.result(timeout=20)
    waiting = await client.start(listens)
    found = [info.instance async for info in client.list(page_size=3)]
    assert sorted(found) == sorted([*(h.instance_id for h in handles), waiting.instance_id])
    running = [
        info.name
        async for info in client.list(
            statuses=[InstanceStatus.PENDING, InstanceStatus.RUNNING], page_size=3
        )
    ]
    assert running == ["listens"]
    by_name = [info.instance async for info in client.list(name="fulfil", page_size=2)]
    assert len(by_name) == 7


# ------------------------------------------------------------------- batches and faults


class Counting(PostgresProvider):
    """Storage that counts its calls, and loses the answer of the first start."""

    def __init__(self, url: str, *, lose_first: bool = False) -> None:
        super().__init__(url)
        self.sizes: dict[str, list[int]] = {}
        self.lose_first = lose_first

    async def enqueue(self, messages: Sequence[Message]) -> Sequence[EnqueueOutcome]:
        self.sizes.setdefault("enqueue", []).append(len(messages))
        outcomes = await super().enqueue(messages)
        if self.lose_first:
            self.lose_first = False
            raise ProviderError("enqueue", "the answer was lost", retryable=True)
        return outcomes

    async def read_instances(
        self, instances: Sequence[InstanceId]
    ) -> Sequence[InstanceInfo | None]:
        self.sizes.setdefault("read", []).append(len(instances))
        return await super().read_instances(instances)


async def test_calls_made_together_travel_together(database_url: str) -> None:
    await migrate(database_url)
    async with Counting(database_url) as provider, Client(provider) as client:
        handles = await asyncio.gather(*(client.start(fulfil, Order("tea")) for _ in range(200)))
        assert sum(provider.sizes["enqueue"]) == 200
        assert len(provider.sizes["enqueue"]) <= 5
        await asyncio.gather(*(handle.status() for handle in handles))
        assert sum(provider.sizes["read"]) == 200
        assert len(provider.sizes["read"]) <= 5


async def test_a_start_whose_answer_was_lost_starts_one_instance(database_url: str) -> None:
    await migrate(database_url)
    async with Counting(database_url, lose_first=True) as provider, Client(provider) as client:
        handle = await client.start(fulfil, Order("tea"), instance_id="once")
        assert handle.instance_id == "once"
        assert len(provider.sizes["enqueue"]) == 2
        assert [info.instance async for info in client.list()] == ["once"]


async def test_patience_with_storage_ends(database_url: str) -> None:
    class Away(PostgresProvider):
        async def enqueue(self, messages: Sequence[Message]) -> Sequence[EnqueueOutcome]:
            assert messages
            raise ProviderError("enqueue", "away", retryable=True)

    await migrate(database_url)
    patience = timedelta(seconds=0.2)
    async with Away(database_url) as provider, Client(provider, patience=patience) as client:
        with pytest.raises(ProviderError, match="away"):
            await client.start(fulfil, Order("tea"))


def test_ids_made_up_are_distinct_and_grow() -> None:
    ids = [new_instance_id() for _ in range(1000)]
    assert max(Counter[Any](ids).values()) == 1
    assert all(len(each) == 32 for each in ids)
    assert [each[:12] for each in ids] == sorted(each[:12] for each in ids)
