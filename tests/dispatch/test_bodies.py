"""What the body of an activity can do beyond returning a result, end to end."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from perdure.dispatch import ActivitySettings
from perdure.errors import ActivityError, CallerError
from perdure.executor import LocalRuntime
from perdure.model.policy import Retry
from perdure.replay.context import OrchestrationContext
from perdure.replay.definitions import Activity, ActivityContext, activity, orchestration
from perdure.replay.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from perdure.providers.protocol import Provider

    Eventually = Callable[..., Awaitable[None]]

RAN: Counter[str] = Counter()
SEEN: dict[str, Any] = {}
AT_ONCE = Retry(max_attempts=3, initial=timedelta(0))


@activity(retry=AT_ONCE)
async def goes_on_where_it_was(ctx: ActivityContext, key: str) -> list[int]:
    done = ctx.heartbeat_details(list[int]) or []
    for number in range(len(done), 4):
        done.append(number)
        ctx.heartbeat(done)
        if number in (1, 2) and len(done) == number + 1 and RAN[f"{key}/{number}"] == 0:
            RAN[f"{key}/{number}"] += 1
            raise ValueError("half way")
    RAN[key] = ctx.attempt
    return done


@activity(heartbeat_timeout=0.15, retry=AT_ONCE)
async def falls_silent(ctx: ActivityContext, key: str) -> str:
    RAN[key] += 1
    for _ in range(3):
        ctx.heartbeat()
        await asyncio.sleep(0.1)  # may sleep: twice as often as it must tell of itself
    if ctx.attempt == 1:
        await asyncio.Event().wait()
    return f"attempt {ctx.attempt}"


@activity
def tells_from_a_thread(ctx: ActivityContext, key: str) -> str:
    for number in range(50):
        ctx.heartbeat({"done": number})
    SEEN[key] = ctx
    while not ctx.is_cancelled:
        ctx.call(asyncio.sleep(0.01))  # may sleep: until the test has seen enough
    return ctx.cancel_reason or ""


@activity
async def cannot_tell(ctx: ActivityContext, key: str) -> None:
    RAN[key] += 1
    ctx.heartbeat(object())


@activity
async def leaves_it_to_others(ctx: ActivityContext, key: str) -> int:
    SEEN[key] = ctx.defer(within=timedelta(minutes=1))
    ctx.leave()


@activity
def leaves_it_from_a_thread(ctx: ActivityContext, key: str) -> int:
    SEEN[key] = ctx.defer(within=60)
    return 0


@activity
async def nobody_finishes(ctx: ActivityContext, key: str) -> int:
    RAN[key] += 1
    if ctx.attempt == 1:
        SEEN[key] = ctx.defer(within=0.2)
        ctx.leave()
    return ctx.attempt


@activity
async def leaves_too_early(ctx: ActivityContext, key: str) -> None:
    RAN[key] += 1
    ctx.leave()


@activity
async def starts_and_sends(ctx: ActivityContext, key: str) -> str:
    handle = await ctx.client.start(
        waits.options(instance_id=f"{ctx.idempotency_key}/{key}"),
    )
    await ctx.client.raise_event(handle.instance_id, "go", "sent")
    return handle.instance_id


@activity
def starts_from_a_thread(ctx: ActivityContext, key: str) -> str:
    handle = ctx.call(ctx.client.start(waits, instance_id=f"thread-{key}"))
    ctx.call(ctx.client.raise_event(handle.instance_id, "go", "sent"))
    return handle.instance_id


@activity
async def calls_where_it_can_await(ctx: ActivityContext, key: str) -> None:
    RAN[key] += 1
    ctx.call(asyncio.sleep(0))


@activity(retry=Retry.fixed(timedelta(seconds=0.05), 1000, total=timedelta(seconds=0.4)))
async def fails_for_a_while(key: str) -> None:
    RAN[key] += 1
    raise ValueError("not yet")


@activity
async def where_am_i(ctx: ActivityContext, key: str) -> list[Any]:
    RAN[key] += 1
    return [ctx.session, ctx.priority]


CALLS: dict[str, Activity[[str], Any]] = {
    each.name: each
    for each in (
        *(goes_on_where_it_was, falls_silent, tells_from_a_thread, cannot_tell),
        *(leaves_it_to_others, leaves_it_from_a_thread, nobody_finishes, leaves_too_early),
        *(starts_and_sends, starts_from_a_thread, calls_where_it_can_await),
        *(fails_for_a_while, where_am_i),
    )
}


@orchestration
async def waits(ctx: OrchestrationContext) -> str:
    return str(await ctx.wait_event("go"))


@orchestration
async def calls(_ctx: OrchestrationContext, name: str, key: str) -> Any:
    return await CALLS[name](key)


@orchestration
async def reports(_ctx: OrchestrationContext, name: str, key: str) -> str:
    try:
        return str(await CALLS[name](key))
    except ActivityError as error:
        return f"{error.failure and error.failure.type}: {error.failure and error.failure.message}"


REGISTRY = Registry(*CALLS.values(), calls, reports, waits)


@pytest.fixture(autouse=True)
def forget() -> None:
    RAN.clear()
    SEEN.clear()


# ---------------------------------------------------------------------------- progress


async def test_the_next_attempt_goes_on_from_what_the_last_one_told(storage: Provider) -> None:
    async with LocalRuntime(storage, REGISTRY) as local:
        handle = await local.client.start(calls, "goes_on_where_it_was", "told")
        assert await handle.result(timeout=20) == [0, 1, 2, 3]
    assert RAN["told"] == 3


async def test_what_attempts_tell_is_shown_and_written_seldom(
    storage: Provider, eventually: Eventually
) -> None:
    async with LocalRuntime(storage, REGISTRY) as local:
        handle = await local.client.start(calls, "tells_from_a_thread", "shown")

        async def is_shown() -> bool:
            found = await storage.read_activities([handle.instance_id])
            return [each.details for each in found] == ['{"done":49}']

        await eventually(is_shown)
        await handle.cancel("seen enough")
        await handle.ended(timeout=20)
        calls_made = {"verb": "record_progress", "outcome": "ok"}
        written = local.metrics.registry.get_sample_value(
            "perdure_provider_calls_total", calls_made
        )
    assert written is not None
    assert written <= 3


async def test_an_attempt_that_falls_silent_has_timed_out(storage: Provider) -> None:
    async with LocalRuntime(storage, REGISTRY) as local:
        handle = await local.client.start(calls, "falls_silent", "silent")
        assert await handle.result(timeout=20) == "attempt 2"
    assert RAN["silent"] == 2


async def test_details_that_cannot_be_kept_fail_the_attempt(storage: Provider) -> None:
    async with LocalRuntime(storage, REGISTRY) as local:
        handle = await local.client.start(reports, "cannot_tell", "odd")
        assert "the details of a heartbeat" in str(await handle.result(timeout=20))


async def test_a_policy_ends_when_its_total_time_is_over(storage: Provider) -> None:
    async with LocalRuntime(storage, REGISTRY) as local:
        handle = await local.client.start(reports, "fails_for_a_while", "while")
        assert "not yet" in str(await handle.result(timeout=20))
    assert 2 <= RAN["while"] <= 10


# ---------------------------------------------------------------------------- deferring


@pytest.mark.parametrize("name", ["leaves_it_to_others", "leaves_it_from_a_thread"])
async def test_somebody_else_finishes_what_was_deferred(
    storage: Provider, eventually: Eventually, name: str
) -> None:
    settings = ActivitySettings(tags=(), lease=timedelta(seconds=1))
    async with LocalRuntime(storage, REGISTRY, activities=settings) as local:
        handle = await local.client.start(calls, name, name)
        await eventually(lambda: name in SEEN)
        await eventually(lambda: local.activities is not None and local.activities.busy == 0)
        await asyncio.sleep(1.5)  # may sleep: the executor's own lease is over by then
        await local.client.complete_activity(SEEN.pop(name), 42)
        assert await handle.result(timeout=20) == 42


async def test_what_was_deferred_may_fail_and_its_first_end_stays(
    storage: Provider, eventually: Eventually
) -> None:
    async with LocalRuntime(storage, REGISTRY) as local:
        handle = await local.client.start(reports, "leaves_it_to_others", "once")
        await eventually(lambda: "once" in SEEN)
        await local.client.fail_activity(SEEN["once"], "it rains", type="Weather")
        assert await handle.result(timeout=20) == "Weather: it rains"
        await local.client.complete_activity(SEEN["once"], 1)
        assert await handle.result(timeout=20) == "Weather: it rains"


async def test_what_nobody_finishes_in_time_is_tried_again(storage: Provider) -> None:
    async with LocalRuntime(storage, REGISTRY) as local:
        handle = await local.client.start(calls, "nobody_finishes", "late")
        assert await handle.result(timeout=20) == 2
        with pytest.raises(CallerError, match="Nobody waits"):
            await local.client.complete_activity(SEEN["late"], 1)


async def test_a_body_cannot_leave_what_it_did_not_defer(storage: Provider) -> None:
    async with LocalRuntime(storage, REGISTRY) as local:
        handle = await local.client.start(reports, "leaves_too_early", "early")
        assert "call defer first" in str(await handle.result(timeout=20))


# ------------------------------------------------------------------------------ client


@pytest.mark.parametrize("name", ["starts_and_sends", "starts_from_a_thread"])
async def test_a_body_starts_orchestrations_and_sends_events(storage: Provider, name: str) -> None:
    async with LocalRuntime(storage, REGISTRY) as local:
        handle = await local.client.start(calls, name, name)
        started = await handle.result(timeout=20)
        assert await local.client.get_handle(str(started), str).result(timeout=20) == "sent"


async def test_an_async_body_is_told_to_await(storage: Provider) -> None:
    async with LocalRuntime(storage, REGISTRY) as local:
        handle = await local.client.start(reports, "calls_where_it_can_await", "await")
        assert "await the coroutine" in str(await handle.result(timeout=20))
