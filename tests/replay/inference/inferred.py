"""What checkers infer for users: this file is checked, never run."""

# ruff: noqa: ARG001  every orchestration takes a context

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


def definitions() -> None:
    _embed: Activity[..., list[float]] = embed
    _child: OrchestrationDef[[str], str] = child
    _checkout: OrchestrationDef[..., str] = checkout
    Registry(embed, charge, watch, poll, child, checkout)
    assert_type(charge.decode_result(charge.encode_result(3)), int)
