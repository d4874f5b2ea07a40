"""Activities on a real Postgres: every way in which one can end."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from perdure.dispatch import ActivitySettings
from perdure.errors import (
    ActivityError,
    ApplicationError,
    OrchestrationCancelledError,
    OrchestrationError,
)
from perdure.executor import LocalRuntime
from perdure.model.ids import UNTAGGED
from perdure.model.policy import Retry
from perdure.model.records import RecordKind
from perdure.providers.postgres import PostgresProvider
from perdure.replay.context import OrchestrationContext
from perdure.replay.definitions import ActivityContext, activity, orchestration
from perdure.replay.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Eventually = Callable[..., Awaitable[None]]

RAN: Counter[str] = Counter()
SEEN: dict[str, list[str]] = {}
AT_ONCE = Retry(max_attempts=3, initial=timedelta(0))


def note(key: str, what: str) -> None:
    SEEN.setdefault(key, []).append(what)


@activity
async def waits_for_cancel(ctx: ActivityContext, key: str) -> str:
    note(key, f"attempt {ctx.attempt}")
    reason = await ctx.wait_cancelled()
    note(key, reason)
    return "cancelled in order"


@activity
def waits_in_a_thread(ctx: ActivityContext, key: str) -> str:
    note(key, f"attempt {ctx.attempt}")
    pause = threading.Event()
    while not ctx.is_cancelled:
        pause.wait(0.01)
    note(key, ctx.cancel_reason or "")
    return "cancelled in order"


@activity
def checks_in_a_thread(ctx: ActivityContext, key: str) -> None:
    note(key, f"attempt {ctx.attempt}")
    pause = threading.Event()
    try:
        while True:
            ctx.raise_if_cancelled()
            pause.wait(0.01)
    finally:
        note(key, ctx.cancel_reason or "")


@activity
async def never_ends(key: str) -> None:
    note(key, "started")
    try:
        await asyncio.Event().wait()
    finally:
        note(key, "ended")


@activity(retry=AT_ONCE)
async def fails_twice(ctx: ActivityContext, key: str) -> int:
    RAN[key] += 1
    if RAN[key] < 3:
        raise ValueError(f"try {RAN[key]}")
    return ctx.attempt


@activity(retry=AT_ONCE)
def always_fails(key: str) -> None:
    RAN[key] += 1
    raise KeyError("nothing there")


@activity(retry=Retry(max_attempts=3, initial=timedelta(0), not_on=("LookupError",)))
def fails_for_good(key: str) -> None:
    RAN[key] += 1
    raise KeyError("nothing there")


@activity
async def declines() -> None:
    raise ApplicationError("declined", details={"code": 51}, type="CardDeclined")


@activity(timeout=0.1, retry=Retry(max_attempts=2, initial=timedelta(0)))
async def too_slow(key: str) -> None:
    RAN[key] += 1
    await asyncio.Event().wait()


@activity(timeout=0.1)
def too_slow_in_a_thread(ctx: ActivityContext, key: str) -> None:
    RAN[key] += 1
    pause = threading.Event()
    while not ctx.is_cancelled:
        pause.wait(0.01)


@activity
async def returns_what_it_should_not() -> int:
    return cast("int", object())


@activity
def exits() -> None:
    raise SystemExit(3)


@activity
async def exits_too() -> None:
    raise KeyboardInterrupt


@activity(tag="gpu")
async def on_gpu() -> str:
    return "gpu"


@activity(tag="io")
async def on_io() -> str:
    return "io"


@activity
async def anywhere() -> str:
    return "anywhere"


@dataclass
class Facts:
    instance: str
    execution: int
    operation: str
    attempt: int
    tag: str
    key: str


@activity
def tells(ctx: ActivityContext) -> Facts:
    return Facts(
        ctx.instance, ctx.execution, ctx.operation, ctx.attempt, ctx.tag, ctx.idempotency_key
    )


CALLS: dict[str, Any] = {
    each.name: each
    for each in (
        *(
            waits_for_cancel,
            waits_in_a_thread,
            checks_in_a_thread,
            never_ends,
            fails_twice,
            always_fails,
        ),
        *(fails_for_good, declines, too_slow, too_slow_in_a_thread, returns_what_it_should_not),
        *(exits, exits_too, on_gpu, on_io, anywhere, tells),
    )
}


@orchestration
async def calls(_ctx: OrchestrationContext, name: str, key: str = "") -> Any:
    activity_ = CALLS[name]
    return await (activity_(key) if key else activity_())


@orchestration
async def reports(ctx: OrchestrationContext, name: str, key: str = "") -> dict[str, Any]:
    try:
        await calls.fn(ctx, name, key)
    except ActivityError as error:
        failure = error.failure
        return {
            "category": failure and failure.category,
            "type": failure and failure.type,
            "message": failure and failure.message,
            "details": failure and failure.details,
        }
    return {}


@orchestration
async def races(_ctx: OrchestrationContext, name: str, key: str) -> str:
    try:
        async with asyncio.timeout(0.2):
            await CALLS[name](key)
    except TimeoutError:
        return "too late"
    return "in time"


REGISTRY = Registry(*CALLS.values(), calls, reports, races)


async def test_a_body_may_ask_about_itself(provider: PostgresProvider) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        handle = await local.client.start(calls, "tells", instance_id="about-1")
        facts = await handle.result(timeout=20)
    assert facts == {
        "instance": "about-1",
        "execution": 1,
        "operation": "0:1",
        "attempt": 1,
        "tag": "",
        "key": "about-1/1/0:1",
    }


# ---------------------------------------------------------------------------- failures


async def test_a_policy_tries_again_without_a_turn(provider: PostgresProvider) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        handle = await local.client.start(calls, "fails_twice", "twice")
        assert await handle.result(timeout=20) == 3
        records = await provider.read_history(handle.instance_id)
    kinds = [record.kind for record in records]
    assert kinds.count(RecordKind.TURN) == 2
    assert RecordKind.ACTIVITY_FAILED not in kinds


@pytest.mark.parametrize(
    ("name", "tries", "kind"),
    [("always_fails", 3, "KeyError"), ("fails_for_good", 1, "KeyError")],
)
async def test_attempts_end(provider: PostgresProvider, name: str, tries: int, kind: str) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        handle = await local.client.start(reports, name, f"ends-{name}")
        report = await handle.result(timeout=20)
    assert report["type"] == kind
    assert report["category"] == "application"
    assert RAN[f"ends-{name}"] == tries


async def test_details_and_type_reach_whoever_awaits(provider: PostgresProvider) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        report = await (await local.client.start(reports, "declines")).result(timeout=20)
    assert report["type"] == "CardDeclined"
    assert report["message"] == "declined"
    assert report["details"] == '{"code":51}'


@pytest.mark.parametrize(("name", "tries"), [("too_slow", 2), ("too_slow_in_a_thread", 1)])
async def test_an_attempt_that_takes_too_long_is_an_attempt_like_any_other(
    provider: PostgresProvider, name: str, tries: int
) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        handle = await local.client.start(reports, name, f"slow-{name}")
        report = await handle.result(timeout=20)
    assert report["category"] == "timeout"
    assert "took longer than 0.1 s" in report["message"]
    assert RAN[f"slow-{name}"] == tries


async def test_a_result_that_does_not_fit_fails_by_name(provider: PostgresProvider) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        handle = await local.client.start(reports, "returns_what_it_should_not")
        report = await handle.result(timeout=20)
    assert report["category"] == "application"
    assert "returns_what_it_should_not" in report["message"]


@pytest.mark.parametrize(
    ("name", "kind"), [("exits", "SystemExit"), ("exits_too", "KeyboardInterrupt")]
)
async def test_a_body_cannot_end_the_process(
    provider: PostgresProvider, name: str, kind: str
) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        report = await (await local.client.start(reports, name)).result(timeout=20)
    assert report["type"] == kind


async def test_poison_fails_without_being_run_again(provider: PostgresProvider) -> None:
    none_allowed = ActivitySettings(deliveries_max=0)
    async with LocalRuntime(provider, REGISTRY, activities=none_allowed) as local:
        handle = await local.client.start(calls, "never_ends", "poison")
        with pytest.raises(OrchestrationError, match="none came back with an answer"):
            await handle.result(timeout=20)
    assert "poison" not in SEEN


async def test_an_activity_waits_for_an_executor_that_knows_it(
    provider: PostgresProvider, eventually: Eventually
) -> None:
    async with LocalRuntime(provider, REGISTRY, activities=None) as replayer:
        handle = await replayer.client.start(calls, "anywhere")
        async with LocalRuntime(provider, Registry(tells), turns=None) as ignorant:
            other = await replayer.client.start(calls, "tells")
            await other.result(timeout=20)
            assert ignorant.activities is not None
            (waiting,) = await provider.read_activities([handle.instance_id])
            assert (waiting.leased, waiting.attempt) == (False, 0)
            async with LocalRuntime(provider, Registry(anywhere), turns=None):
                assert await handle.result(timeout=20) == "anywhere"
                await eventually(lambda: no_activities(provider, handle.instance_id))


async def test_input_that_does_not_fit_fails_naming_the_argument(
    provider: PostgresProvider,
) -> None:
    @activity(name="never_ends")
    async def expects_a_number(key: int) -> None:
        raise AssertionError(key)

    async with (
        LocalRuntime(provider, REGISTRY, activities=None) as replayer,
        LocalRuntime(provider, Registry(expects_a_number), turns=None),
    ):
        handle = await replayer.client.start(calls, "never_ends", "no number")
        with pytest.raises(OrchestrationError, match="key"):
            await handle.result(timeout=20)


# ------------------------------------------------------------------------ cancellation


@pytest.mark.parametrize("name", ["waits_for_cancel", "waits_in_a_thread", "checks_in_a_thread"])
async def test_a_cancelled_orchestration_cancels_its_activities_soon(
    provider: PostgresProvider, eventually: Eventually, name: str
) -> None:
    key = f"cancel-{name}"
    async with LocalRuntime(provider, REGISTRY) as local:
        handle = await local.client.start(calls, name, key)
        await eventually(lambda: SEEN.get(key))
        await handle.cancel("changed our mind")
        await eventually(lambda: len(SEEN[key]) == 2, seconds=2)
        with pytest.raises(OrchestrationCancelledError):
            await handle.result(timeout=20)
        await eventually(lambda: no_activities(provider, handle.instance_id))


async def test_an_activity_that_lost_a_race_is_cancelled(
    provider: PostgresProvider, eventually: Eventually
) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        handle = await local.client.start(races, "waits_for_cancel", "race")
        assert await handle.result(timeout=20) == "too late"
        await eventually(lambda: len(SEEN["race"]) == 2, seconds=2)
        await eventually(lambda: no_activities(provider, handle.instance_id))


async def test_a_body_that_does_not_look_is_ended_after_the_grace(
    provider: PostgresProvider, eventually: Eventually
) -> None:
    short = ActivitySettings(tags=(), cancel_grace=timedelta(seconds=0.1))
    async with LocalRuntime(provider, REGISTRY, activities=short) as local:
        handle = await local.client.start(calls, "never_ends", "grace")
        await eventually(lambda: SEEN.get("grace"))
        await handle.cancel()
        await eventually(lambda: SEEN["grace"] == ["started", "ended"], seconds=3)
        await eventually(lambda: no_activities(provider, handle.instance_id))


async def test_a_terminated_instance_stops_its_activities(
    provider: PostgresProvider, eventually: Eventually
) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        handle = await local.client.start(calls, "waits_for_cancel", "terminated")
        await eventually(lambda: SEEN.get("terminated"))
        await handle.terminate("enough")
        await eventually(lambda: len(SEEN["terminated"]) == 2, seconds=2)


async def no_activities(provider: PostgresProvider, instance: str) -> bool:
    return not await provider.read_activities([cast("Any", instance)])


# ------------------------------------------------------------------------------- drain


async def test_draining_lets_what_runs_finish(
    provider: PostgresProvider, eventually: Eventually
) -> None:
    release = asyncio.Event()

    @activity(name="anywhere")
    async def slow() -> str:
        note("finish", "started")
        await release.wait()
        return "finished"

    async with LocalRuntime(provider, REGISTRY, activities=None) as replayer:
        handle = await replayer.client.start(calls, "anywhere")
        async with LocalRuntime(provider, Registry(slow), turns=None) as executor:
            await eventually(lambda: SEEN.get("finish"))
            assert executor.activities is not None
            draining = asyncio.create_task(executor.activities.drain())
            other = await replayer.client.start(calls, "anywhere")
            release.set()
            await draining
        assert await handle.result(timeout=20) == "finished"
        assert not (await other.status()).status.is_terminal


async def test_what_does_not_finish_is_handed_back_uncounted(
    provider: PostgresProvider, eventually: Eventually
) -> None:
    at_once = ActivitySettings(tags=(), drain=timedelta(0), cancel_grace=timedelta(seconds=0.1))
    async with LocalRuntime(provider, REGISTRY, activities=None) as replayer:
        handles = [
            await replayer.client.start(calls, name, f"back-{name}")
            for name in ("never_ends", "waits_in_a_thread")
        ]
        async with LocalRuntime(provider, REGISTRY, turns=None, activities=at_once):
            await eventually(lambda: SEEN.get("back-never_ends"))
            await eventually(lambda: SEEN.get("back-waits_in_a_thread"))
        for handle in handles[:1]:
            (waiting,) = await provider.read_activities([handle.instance_id])
            assert not waiting.leased
            assert waiting.attempt == 0
        # The one that stopped when it was told to had a result after all.
        assert SEEN["back-waits_in_a_thread"] == ["attempt 1", "shutdown"]
        assert await handles[1].result(timeout=20) == "cancelled in order"
        assert SEEN["back-never_ends"] == ["started", "ended"]


# -------------------------------------------------------------------------------- tags


async def test_executors_take_only_their_tags(provider: PostgresProvider) -> None:
    gpu_only = ActivitySettings(tags=("gpu",))
    async with LocalRuntime(provider, REGISTRY, activities=None) as replayer:
        names = ("on_gpu", "on_io", "anywhere")
        handles = [await replayer.client.start(calls, name) for name in names]
        async with LocalRuntime(provider, REGISTRY, turns=None, activities=gpu_only):
            assert await handles[0].result(timeout=20) == "gpu"
            backlog = {each.tag: each.ready for each in await provider.read_backlog()}
            assert backlog == {"io": 1, "": 1}
        rest = ActivitySettings(tags=("io", UNTAGGED))
        async with LocalRuntime(provider, REGISTRY, turns=None, activities=rest):
            assert await handles[1].result(timeout=20) == "io"
            assert await handles[2].result(timeout=20) == "anywhere"


async def test_no_more_run_at_once_than_there_are_slots(
    provider: PostgresProvider, eventually: Eventually
) -> None:
    two = ActivitySettings(tags=(), slots=2, drain=timedelta(0))
    async with LocalRuntime(provider, REGISTRY, activities=two) as local:
        handles = [
            await local.client.start(calls, "waits_for_cancel", f"slot-{n}") for n in range(3)
        ]

        def running() -> list[str]:
            return sorted(key for key in SEEN if key.startswith("slot-"))

        await eventually(lambda: len(running()) == 2)
        assert local.activities is not None
        assert local.activities.busy == 2
        first = handles[int(running()[0].removeprefix("slot-"))]
        await first.cancel()
        await eventually(lambda: len(running()) == 3)
        for handle in handles:
            await handle.cancel()
