"""In scope: that `hello` and `checkout` do what their comments and READMEs say."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from perdure.client import Client


async def test_hello_greets_everybody(client: Client, hello: ModuleType) -> None:
    handle = await client.start(hello.hello, ["Ada", "Grace"])
    assert await handle.result(timeout=20) == ["Hello, Ada!", "Hello, Grace!"]


def _order(checkout: ModuleType, cents: int, country: str = "Iceland") -> Any:
    lines = [checkout.Line("kettle", 1, cents // 2), checkout.Line("cup", 1, cents - cents // 2)]
    return checkout.Order("17", country, lines)


async def test_a_small_order_needs_no_approval(client: Client, checkout: ModuleType) -> None:
    handle = await client.start(checkout.checkout, _order(checkout, 5000))
    assert await handle.result(timeout=20) == checkout.Receipt(
        order="17",
        outcome="shipped",
        total_cents=5000,
        suggestions=["kettle-refill", "cup-refill"],
        payment="payment-17",
        parcel="parcel-17",
    )


@pytest.mark.parametrize(("answer", "outcome"), [(True, "shipped"), (False, "refused")])
async def test_a_large_order_does_what_it_is_told(
    client: Client, checkout: ModuleType, *, answer: bool, outcome: str
) -> None:
    handle = await client.start(checkout.checkout, _order(checkout, 20_000))
    await handle.raise_event("approved", answer)
    assert (await handle.result(timeout=20)).outcome == outcome


async def test_an_order_that_nobody_approves_expires(client: Client, checkout: ModuleType) -> None:
    handle = await client.start(checkout.checkout, _order(checkout, 20_000), approval_seconds=0.3)
    receipt = await handle.result(timeout=20)
    assert (receipt.outcome, receipt.payment) == ("expired", None)


async def test_what_cannot_be_shipped_is_refunded(client: Client, checkout: ModuleType) -> None:
    handle = await client.start(checkout.checkout, _order(checkout, 5000, "Atlantis"))
    receipt = await handle.result(timeout=20)
    assert (receipt.outcome, receipt.payment, receipt.parcel) == ("refunded", "payment-17", None)
