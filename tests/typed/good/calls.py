"""What checkers infer for users: this file is checked, never run."""

# ruff: noqa: ARG001, ARG002  every orchestration takes a context

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, assert_type

from perdure import (
    Activity,
    ActivityContext,
    OperationHandle,
    OrchestrationContext,
    OrchestrationDef,
    Registry,
    Retry,
    activity,
    current,
    orchestration,
)
from perdure.replay.classes import event, query, update


@dataclass
class Order:
    id: str
    lines: list[str]


@activity
def embed(text: str, *, size: int = 3) -> list[float]:
    return [0.0] * size


@activity(tag="io", retry=Retry(max_attempts=5), timeout=timedelta(seconds=5))
async def charge(order: Order, currency: str = "EUR") -> int:
    return len(order.lines)


@activity
async def watch(ctx: ActivityContext, path: str) -> bool:
    return ctx.is_cancelled


@activity(name="poll")
def poll(ctx: ActivityContext) -> None: ...


@orchestration
async def child(ctx: OrchestrationContext, name: str) -> str:
    return name


@orchestration(version="1.2.0")
async def checkout(ctx: OrchestrationContext, order: Order, notify: bool = True) -> str:
    assert_type(await embed("x"), list[float])
    assert_type(embed("x", size=4), OperationHandle[list[float]])
    assert_type(await charge.options(tag="pay", retry=None)(order, "USD"), int)
    assert_type(await watch("path"), bool)
    assert_type(await poll(), None)
    assert_type(await child("x"), str)
    assert_type(await child.options(instance_id="mine")("x"), str)

    assert_type(await asyncio.gather(embed("a"), charge(order)), tuple[list[float], int])
    assert_type(await asyncio.gather(*(embed(line) for line in order.lines)), list[list[float]])
    assert_type(await asyncio.wait_for(charge(order), 5), int)
    assert_type(await asyncio.shield(charge(order)), int)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(pay(order))
    assert_type(task.result(), int)
    for each in asyncio.as_completed([charge(order), charge(order)]):
        assert_type(await each, int)
    done, _ = await asyncio.wait([charge(order), charge(order)])
    for handle in done:
        assert_type(handle.result(), int)

    assert_type(await ctx.wait_event("go"), Any)
    assert_type(await ctx.wait_event("approved", bool), bool)
    assert_type(await ctx.schedule_activity(charge, order), int)
    assert_type(await ctx.schedule_activity("charge", {"order": order}), Any)
    assert_type(await ctx.schedule_activity("charge", {"order": order}, result_type=int), int)
    assert_type(await ctx.schedule_sub_orchestration(child, "x"), str)
    assert_type(await ctx.schedule_timer(5), None)

    won = await ctx.select2(charge(order), ctx.wait_event("stop", str))
    assert_type(won, tuple[Literal[0], int] | tuple[Literal[1], str])
    match won:
        case (0, amount):
            assert_type(amount, int)
        case (1, word):
            assert_type(word, str)
    assert_type(await ctx.select([charge(order), charge(order)]), tuple[int, int])
    assert_type(await ctx.join([charge(order)]), list[int | BaseException])
    assert_type(current(), OrchestrationContext)
    if notify:
        await ctx.continue_as_new(order, notify=False)
    return order.id


async def pay(order: Order) -> int:
    return await charge(order)


def total(lines: list[str], *, each: int = 1) -> int:
    return each * len(lines)


@orchestration
async def keeper(ctx: OrchestrationContext) -> None:
    assert_type(await ctx.queue("inbox", Order).get(), Order)
    async for order in ctx.queue("inbox", Order):
        assert_type(order, Order)
    assert_type(await ctx.dequeue_event("inbox", Order), Order)
    assert_type(await ctx.schedule_wait("go", bool), bool)

    ctx.kv["count"] = 1
    assert_type(ctx.kv["count"], Any)
    orders = ctx.kv.typed(Order)
    assert_type(orders["a"], Order)
    assert_type(orders.get("a"), Order | None)
    orders.update(a=orders["a"])
    assert_type(await ctx.kv_of("other").get("a", Order), Order | None)
    assert_type(ctx.get_kv_value("a", Order), Order | None)
    assert_type(await ctx.get_kv_value_from_instance("other", "a", int), int | None)

    assert_type(ctx.step(total, ["a"], each=2), int)
    async with ctx.session() as session:
        assert_type(session, str)
        assert_type(await embed.options(session=session, priority=1, limit="k")("x"), list[float])
        assert_type(await ctx.schedule_activity_on_session(embed, session, "x"), list[float])
    policy = Retry.exponential(max_attempts=5)
    assert_type(await ctx.schedule_activity_with_retry(charge, policy, orders["a"]), int)
    handle = child.options(parent_close="abandon", timeout=60, attributes={"team": "a"})("x")
    assert_type(handle, OperationHandle[str])

    @ctx.query
    def count(of: str) -> int:
        return len(orders[of].lines)

    @ctx.query(name="sum")
    def summed() -> int:
        return count("a")

    @ctx.update
    async def add(line: str, times: int = 1) -> list[str]:
        return [line] * times

    @add.validator
    def check(line: str, times: int = 1) -> None: ...

    @ctx.update(name="drop")
    def drop(line: str) -> bool:
        return bool(line)

    assert_type(count("a"), int)
    assert_type(summed(), int)
    assert_type(await add("a", times=2), list[str])
    assert_type(drop("a"), bool)


class Cart:
    async def run(self, ctx: OrchestrationContext, owner: str, *, note: str = "") -> int:
        assert_type(await self.add("x"), int)
        assert_type(self.count(), int)
        return 0

    @query
    def count(self) -> int:
        return 0

    @update
    async def add(self, line: str) -> int:
        return len(line)

    @add.validator
    def check(self, line: str) -> None: ...

    @event(name="paid")
    def on_paid(self, amount: int) -> None: ...


cart = orchestration(Cart)
cart_2 = orchestration(version="2.0.0")(Cart)


@orchestration
async def shop(ctx: OrchestrationContext) -> None:
    assert_type(await cart("bob", note="x"), int)
    assert_type(await cart_2("bob"), int)


def definitions() -> None:
    _embed: Activity[..., list[float]] = embed
    _child: OrchestrationDef[[str], str] = child
    _checkout: OrchestrationDef[..., str] = checkout
    Registry(embed, charge, watch, poll, child, checkout)
    assert_type(charge.decode_result(charge.encode_result(3)), int)
