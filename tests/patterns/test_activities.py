"""In scope: the patterns of activities: stopping, going on, routing, limits, exactly once."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from examples.patterns import (
    exactly_once,
    heartbeats,
    large_data,
    long_activity,
    priorities,
    provision,
    rate_limited,
    session_affinity,
    typed_values,
    wait_or_stop,
)
from perdure import ActivityContext, OrchestrationError
from perdure.model import events as ev
from perdure.providers.reading import InstanceStatus

if TYPE_CHECKING:
    from perdure.testing import Environment


@pytest.mark.every_crash_point
async def test_long_activity(orch: Environment) -> None:
    run = await orch.start(long_activity.mill, 4)
    assert await run.result() == "flour of 4 sacks"


async def test_long_activity_stops_when_nobody_wants_it(orch: Environment) -> None:
    heard: list[str] = []

    async def grind(ctx: ActivityContext, sacks: int) -> int:
        heard.append(await ctx.wait_cancelled())
        ctx.raise_if_cancelled()
        return sacks

    orch.mock(long_activity.grind, by=grind)
    run = await orch.start(long_activity.mill, 4)
    await orch.settle()
    await run.cancel("no more bread")
    assert (await run.ended()).status is InstanceStatus.CANCELLED
    assert len(heard) == 1


async def test_wait_or_stop(orch: Environment) -> None:
    run = await orch.start(wait_or_stop.radio, "Lyon")
    assert await run.result() == "a song from Lyon"
    short = await orch.start(wait_or_stop.radio, "Oslo", 10)
    await orch.advance(seconds=5)
    assert {"Oslo"} == wait_or_stop.LINES
    assert await short.result() == "switched off"
    await orch.advance(seconds=5)
    assert set() == wait_or_stop.LINES


async def test_provision(orch: Environment) -> None:
    began = orch.now
    run = await orch.start(provision.provision, "small")
    machine = await run.result()
    assert provision.MACHINES[machine] == 3
    assert orch.now - began >= timedelta(seconds=15)
    stopped = await orch.start(provision.provision, "large")
    await orch.advance(seconds=7)
    await stopped.cancel()
    assert (await stopped.ended()).status is InstanceStatus.CANCELLED
    await orch.advance(seconds=7)
    assert [each for each in provision.MACHINES if each.startswith("large")] == []


async def test_heartbeats(orch: Environment) -> None:
    run = await orch.start(heartbeats.back_up, ["a small one", "the large one", "another"])
    assert await run.result() == [
        "a small one at attempt 1",
        "the large one at attempt 2",
        "another at attempt 2",
    ]


@pytest.mark.every_crash_point
async def test_session_affinity(orch: Environment) -> None:
    run = await orch.start(session_affinity.converse, "parrot", ["hello", "bye"])
    assert await run.result() == ["hello, says parrot", "bye, says parrot"]
    assert len(await run.scheduled(session_affinity.load)) == 1
    scheduled = [each for each in await run.history() if isinstance(each, ev.ActivityScheduled)]
    assert len({each.options and each.options.session for each in scheduled}) == 1


async def test_session_affinity_loads_again_elsewhere(orch: Environment) -> None:
    def complete(ctx: ActivityContext, text: str) -> Any:
        if len(orch.calls(session_affinity.load)) == 1:
            session_affinity.LOADED.clear()  # another executor, which has nothing
        return session_affinity.complete.fn(ctx, text)

    orch.mock(session_affinity.complete, by=complete)
    run = await orch.start(session_affinity.converse, "parrot", ["hello"])
    assert await run.result() == ["hello, says parrot"]
    assert len(await run.scheduled(session_affinity.load)) == 2


async def test_rate_limited(orch: Environment) -> None:
    at_once, most = 0, 0

    async def call(request: int) -> int:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(1)  # may sleep: virtual time
        at_once -= 1
        return request

    orch.mock(rate_limited.call_partner, by=call)
    free = await orch.start(rate_limited.ask_partner, 6)
    assert await free.result() == 15
    assert most == 6
    client = await orch.client()
    await orch.do(client.set_limit("partner", concurrency=2))
    most = 0
    limited = await orch.start(rate_limited.ask_partner, 6)
    assert await limited.result() == 15
    assert most == 2


async def test_priorities(orch: Environment) -> None:
    run = await orch.start(priorities.transcode_all, ["Psycho", "Vertigo"], ["News"])
    assert await run.result() == ["small News", "small Psycho", "small Vertigo"]
    assert orch.calls(priorities.transcode)[0] == {"film": "News"}


@pytest.mark.every_crash_point
async def test_exactly_once(orch: Environment) -> None:
    run = await orch.start(exactly_once.transfer, "Ada", "Grace", 500)
    assert await run.result() == 500  # and not 1000, wherever it crashed
    again = await orch.start(exactly_once.transfer, "Ada", "Grace", 1)
    assert await again.result() == 501


@pytest.mark.every_crash_point
async def test_large_data(orch: Environment) -> None:
    run = await orch.start(large_data.portrait, "Ada")
    assert len(large_data.BUCKET[await run.result()]) == 100
    size = await orch.do((await orch.client()).size(run.instance_id))
    assert size.bytes < 2_000


@pytest.mark.every_crash_point
async def test_typed_values(orch: Environment) -> None:
    invoice = typed_values.Invoice(date(2031, 5, 20))
    order = typed_values.Order(
        typed_values.Size.LARGE, Decimal("9.90"), invoice, {"ribbon": ["red"]}
    )
    run = await orch.start(typed_values.grant_delay, order)
    assert await run.result() == typed_values.Order(
        typed_values.Size.LARGE,
        Decimal("9.90"),
        typed_values.Invoice(date(2031, 6, 3)),
        {"ribbon": ["red"]},
    )
    paid = typed_values.Order(typed_values.Size.SMALL, Decimal(1), typed_values.Card("4711"))
    run = await orch.start(typed_values.grant_delay, paid)
    assert await run.result() == paid


async def test_what_failed_within_a_transaction_is_not_there(orch: Environment) -> None:
    async def book(ctx: ActivityContext, account: str, cents: int) -> int:
        total: int = await exactly_once.book.fn(ctx, account, cents)
        if account == "Grace" and cents == 500:
            raise ConnectionError("the lights went out")
        return total

    orch.mock(exactly_once.book, by=book)
    bad = await orch.start(exactly_once.transfer, "Ada", "Grace", 500)
    with pytest.raises(OrchestrationError, match="lights"):
        await bad.result()
    good = await orch.start(exactly_once.transfer, "Ada", "Grace", 7)
    assert await good.result() == 7
