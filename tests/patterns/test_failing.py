"""In scope: the patterns for what goes wrong, with what went wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from examples.patterns import (
    cancellation,
    circuit_breaker,
    compensation,
    error_kinds,
    fallback,
    idempotent,
    retry_by_hand,
    retrying,
    undo_by_hand,
)
from perdure import OrchestrationError
from perdure.providers.reading import InstanceStatus

if TYPE_CHECKING:
    from perdure.testing import Environment


@pytest.mark.every_crash_point
async def test_compensation(orch: Environment) -> None:
    run = await orch.start(compensation.travel, "Atlantis")
    with pytest.raises(OrchestrationError, match="declined"):
        await run.result()
    assert await run.scheduled(compensation.cancel_hotel) == [{"hotel": "hotel in Atlantis"}]
    assert await run.scheduled(compensation.cancel_flight) == [{"flight": "flight to Atlantis"}]


async def test_compensation_undoes_the_last_first_and_nothing_that_went_well(
    orch: Environment,
) -> None:
    undone: list[str] = []

    def cancel_flight(flight: str) -> None:
        undone.append(flight)

    def cancel_hotel(hotel: str) -> None:
        undone.append(hotel)

    orch.mock(compensation.cancel_flight, by=cancel_flight)
    orch.mock(compensation.cancel_hotel, by=cancel_hotel)
    bad = await orch.start(compensation.travel, "Atlantis")
    with pytest.raises(OrchestrationError):
        await bad.result()
    assert undone == ["hotel in Atlantis", "flight to Atlantis"]
    good = await orch.start(compensation.travel, "Rome")
    assert await good.result() == ["flight to Rome", "hotel in Rome", "paid for Rome"]
    assert len(undone) == 2


async def test_undo_by_hand(orch: Environment) -> None:
    good = await orch.start(undo_by_hand.sell, "order-1")
    assert (await good.result()).outcome == "payment for order-1"
    bad = await orch.start(undo_by_hand.sell, "stolen-2")
    assert (await bad.result()).outcome == "not sold"
    assert len(orch.calls(undo_by_hand.release)) == len(orch.calls(undo_by_hand.call_police)) == 1


async def test_retrying(orch: Environment) -> None:
    orch.mock(retrying.fetch, raises=ConnectionError("reset"), times=3)
    began = orch.now
    run = await orch.start(retrying.mirror, "https://example.org")
    assert await run.result() == "content of https://example.org"
    assert len(orch.calls(retrying.fetch)) == 4
    assert orch.now - began >= timedelta(seconds=1 + 2 + 4)
    assert len(await run.scheduled(retrying.fetch)) == 1


async def test_retrying_gives_up_where_it_is_in_vain(orch: Environment) -> None:
    orch.mock(retrying.fetch, raises=ValueError("no such address"))
    run = await orch.start(retrying.mirror, "https://")
    with pytest.raises(OrchestrationError, match="no such address"):
        await run.result()
    assert len(orch.calls(retrying.fetch)) == 1
    orch.mock(retrying.fetch, raises=ConnectionError("reset"))
    urgent = await orch.start(retrying.mirror, "https://example.org", urgent=True)
    with pytest.raises(OrchestrationError, match="reset"):
        await urgent.result(timeout=timedelta(seconds=1))
    assert len(orch.calls(retrying.fetch)) == 4


async def test_retry_by_hand(orch: Environment) -> None:
    orch.mock(retry_by_hand.call_customer, raises=ConnectionError("busy"), times=2)
    began = orch.now
    run = await orch.start(retry_by_hand.reach, "555")
    assert await run.result() == "spoke to 555"
    assert orch.now - began >= timedelta(minutes=30)
    orch.mock(retry_by_hand.is_awake, returns=False)
    asleep = await orch.start(retry_by_hand.reach, "556")
    assert await asleep.result() == "never awake"
    assert await asleep.scheduled(retry_by_hand.call_customer) == []


async def test_error_kinds(orch: Environment) -> None:
    good = await orch.start(error_kinds.checkout, "gold", 500)
    assert await good.result() == "paid 500"
    empty = await orch.start(error_kinds.checkout, "empty", 500)
    assert await empty.result() == "come back with 400 more"
    torn = await orch.start(error_kinds.checkout, "torn", 500)
    with pytest.raises(OrchestrationError, match="card reader"):
        await torn.result()


async def test_fallback(orch: Environment) -> None:
    live = await orch.start(fallback.convert, 100, "EUR")
    assert await live.result() == 125
    orch.mock(fallback.live_rate, raises=ConnectionError("closed for the night"))
    old = await orch.start(fallback.convert, 100, "EUR")
    assert await old.result() == 120
    assert len(orch.calls(fallback.live_rate)) == 1 + 2


async def test_circuit_breaker(orch: Environment) -> None:
    orch.mock(circuit_breaker.call_partner, raises=ConnectionError("down"))
    run = await orch.start(circuit_breaker.breaker)
    for number in range(3):
        await run.enqueue_event("requests", f"request {number}")
    assert (await run.status()).custom_status == '"open"'
    assert len(orch.calls(circuit_breaker.call_partner)) == 3  # then it rests
    await orch.advance(seconds=61)
    assert len(orch.calls(circuit_breaker.call_partner)) == 4  # one goes first
    orch.mock(circuit_breaker.call_partner, returns="taken")
    await orch.advance(seconds=61)
    assert (await run.status()).custom_status == '"closed"'
    taken = [each["request"] for each in orch.calls(circuit_breaker.call_partner)[-3:]]
    assert taken == ["request 0", "request 1", "request 2"]
    await run.enqueue_event("requests", "close")
    assert await run.result() == 0


@pytest.mark.every_crash_point
async def test_cancellation(orch: Environment) -> None:
    run = await orch.start(cancellation.lend_machine, "small", 8)
    await orch.advance(hours=2)
    await run.cancel("the user left")
    assert (await run.ended()).status is InstanceStatus.CANCELLED
    assert await run.scheduled(cancellation.delete_machine) == [{"machine": "small machine"}]


async def test_cancellation_that_never_came(orch: Environment) -> None:
    run = await orch.start(cancellation.lend_machine, "large", 8)
    assert await run.result() == "large machine for 8 hours"
    assert len(orch.calls(cancellation.delete_machine)) == 1


@pytest.mark.every_crash_point
async def test_idempotent(orch: Environment) -> None:
    before = len(idempotent.BANK)
    run = await orch.start(idempotent.pay_twice, 500)
    assert await run.result() == 2
    assert len(idempotent.BANK) - before == 2  # whatever was attempted twice
