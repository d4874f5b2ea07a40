"""What checkers infer of the rest of a context: this file is checked, never run."""

from __future__ import annotations

import asyncio
from datetime import datetime
from random import Random
from typing import Any, assert_type
from uuid import UUID

from perdure import (
    OperationHandle,
    OrchestrationContext,
    Saga,
    activity,
    orchestration,
)


@activity
def book(what: str) -> int:
    return len(what)


@activity
async def cancel(booking: int, *, fee: float = 0) -> None: ...


@orchestration
async def refund(ctx: OrchestrationContext, amount: int) -> str:
    return f"{ctx.instance_id} {amount}"


async def by_hand(booking: int) -> None:
    await cancel(booking)


def setting(name: str, default: int = 0) -> int:
    return default + len(name)


@orchestration
async def trip(ctx: OrchestrationContext) -> int:
    async with ctx.saga() as saga:
        assert_type(saga, Saga)
        room = await book("room")
        saga.compensate(cancel, room)
        saga.compensate(cancel.options(tag="slow"), room, fee=2.5)
        saga.compensate(refund, 3)
        saga.compensate(by_hand, room)
    assert_type(ctx.patched("by-mail"), bool)
    ctx.deprecate_patch("by-post")

    assert_type(ctx.step(setting, "limit", default=3), int)
    assert_type(ctx.now(), datetime)
    assert_type(ctx.uuid4(), UUID)
    assert_type(ctx.random(), Random)
    assert_type(ctx.is_replaying, bool)
    assert_type(ctx.cancel_reason, str | None)

    inbox = ctx.queue("inbox", str)
    assert_type(inbox.get(), OperationHandle[str])
    async for message in inbox:
        assert_type(message, str)
        break
    assert_type(await ctx.dequeue_event("inbox"), Any)
    assert_type(await ctx.schedule_wait("go", int), int)
    # A union is no class: what it holds is for the author to say.
    perhaps: OperationHandle[int | None] = ctx.wait_event("go", int | None)
    assert_type(await perhaps, int | None)
    either: int | str = await ctx.queue("inbox", int | str).get()
    assert_type(await ctx.wait_event("go", list[int | None]), list[int | None])
    one: str | None = await ctx.schedule_activity("book", {}, result_type=str | None)
    assert_type((either, one), tuple[int | str, str | None])
    assert_type(ctx.kv.typed(float)["a"], float)
    assert_type(await ctx.kv_of("other").get("a", int), int | None)

    @ctx.query
    def total(scale: float) -> float:
        return room * scale

    @ctx.update
    async def add(item: str) -> int:
        return await book(item)

    @add.validator
    def check(item: str) -> None:
        if not item:
            message = "no item"
            raise ValueError(message)

    assert_type(total(2.0), float)

    handle = book("seat")
    assert_type(handle.cancel("not needed"), bool)
    assert_type(await asyncio.wait_for(asyncio.shield(handle), 5), int)
    first, second, third = await asyncio.gather(book("a"), refund(1), asyncio.sleep(1))
    assert_type((first, second, third), tuple[int, str, None])
    mixed = await asyncio.gather(book("a"), refund(1), return_exceptions=True)
    assert_type(mixed, tuple[int | BaseException, str | BaseException])
    return first
