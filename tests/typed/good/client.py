"""What checkers infer of the client: this file is checked, never run."""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_type

from perdure import Client, InstanceHandle, OrchestrationContext, orchestration


@dataclass
class Order:
    item: str


@dataclass
class Receipt:
    number: int


@orchestration
async def checkout(ctx: OrchestrationContext, order: Order, express: bool = False) -> Receipt:
    return Receipt(len(order.item) + express)


@orchestration
async def ship(ctx: OrchestrationContext, order: Order) -> str:
    return order.item


async def start(url: str, order: Order) -> None:
    async with Client.connect(url) as client:
        assert_type(client, Client)
        handle = await client.start(checkout, order)
        assert_type(handle, InstanceHandle[Receipt])
        assert_type(await handle.result(timeout=5), Receipt)
        started = [
            await client.start(checkout, order=order, express=True),
            await client.start(checkout, order, instance_id="o-1", on_conflict="attach"),
            await client.start(checkout.options(instance_id="o-1"), order),
            await client.start("checkout", order=order, result_type=Receipt),
            client.get_handle("o-1", Receipt),
        ]
        assert_type(started, list[InstanceHandle[Receipt]])
        assert_type(await client.start("checkout", order=order), InstanceHandle[Any])
        assert_type(await client.start_many(ship, [order]), tuple[InstanceHandle[str], ...])
        assert_type(client.get_handle("o-1"), InstanceHandle[Any])
        assert_type(await handle.query("total", result_type=float, scale=2), float)
        assert_type(await handle.update("add", result_type=int, item="x"), int)
        assert_type(await handle.get_key("a", str), str | None)
