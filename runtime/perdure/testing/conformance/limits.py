"""Limits: how many activities and instances of a key run at once, and how fast they come."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from perdure.errors import ConfigurationError
from perdure.model.ids import UNTAGGED, ExecutorId, JsonText
from perdure.providers.administering import Limit, LimitState
from perdure.providers.work import (
    AbandonActivity,
    ActivityCompleted,
    ActivityDiscarded,
    ActivityFailed,
    ActivityResult,
    ActivityRetried,
    Control,
    ControlVerb,
    FetchActivities,
    FetchedActivities,
    FinishOutcome,
)
from perdure.testing.conformance.registry import check
from perdure.testing.conformance.world import LEASE, MOMENT, World, boom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.providers.work import ActivityEnd, LeasedTurn, TurnCommit

SECOND = timedelta(seconds=1)


async def limit(w: World, key: str = "k", **terms: Any) -> None:
    await w.provider.set_limits([Limit(key, **terms)])


async def state(w: World, key: str = "k") -> tuple[int, int]:
    """Tell how many of a key are running and waiting."""
    (found,) = [each for each in await w.provider.read_limits() if each.limit.key == key]
    return found.running, found.waiting


async def waiting(w: World, *names: str, **options: Any) -> None:
    """Let an activity of each name wait, each of an instance of its own."""
    options.setdefault("limit", "k")
    for name in names:
        await w.start(name)
        for turn in await w.turns():
            mine = [w.activity(name=name, **options)] if turn.instance == name else []
            await w.commit(turn, activities=mine)


async def names(w: World, *tags: str, **options: Any) -> Sequence[str]:
    return [each.name for each in await w.work(*tags, **options)]


# -------------------------------------------------------------------------- setting


@check()
async def a_limit_is_read_as_it_was_set(w: World) -> None:
    first = Limit("b", concurrency=3)
    second = Limit("a", rate=7, period=timedelta(minutes=2))
    await w.provider.set_limits([first, second])
    assert list(await w.provider.read_limits()) == [
        LimitState(second, 0, 0),
        LimitState(first, 0, 0),
    ]
    third = Limit("b", concurrency=1, rate=2)
    await w.provider.set_limits([third])
    assert list(await w.provider.read_limits()) == [
        LimitState(second, 0, 0),
        LimitState(third, 0, 0),
    ]
    await w.provider.drop_limits(["a", "unheard-of"])
    assert [each.limit.key for each in await w.provider.read_limits()] == ["b"]


@check()
async def a_limit_that_cannot_be_is_refused(w: World) -> None:
    for wrong in (
        Limit("k", concurrency=-1),
        Limit("k", rate=0),
        Limit("k", rate=1, period=timedelta(0)),
    ):
        try:
            await w.provider.set_limits([wrong])
        except ConfigurationError:
            continue
        raise AssertionError(wrong)
    assert list(await w.provider.read_limits()) == []


@check()
async def a_key_without_a_limit_does_not_wait(w: World) -> None:
    await waiting(w, "a", "b", "c")
    assert await names(w) == ["a", "b", "c"]
    assert list(await w.provider.read_limits()) == []


# ---------------------------------------------------------------------- concurrency


@check()
async def so_many_run_at_once_and_no_more(w: World) -> None:
    await limit(w, concurrency=2)
    await waiting(w, "a", "b", "c", "d")
    first, second = await w.work()
    assert (first.name, second.name) == ("a", "b")
    assert await w.work() == ()
    assert await state(w) == (2, 2)
    assert await w.finish(second) is FinishOutcome.RECORDED
    assert await names(w) == ["c"]
    assert await w.work() == ()
    assert await w.finish(first) is FinishOutcome.RECORDED
    assert await names(w) == ["d"]
    assert await state(w) == (2, 0)


@check()
async def others_are_not_held_up_by_a_limit(w: World) -> None:
    await limit(w, concurrency=1)
    await limit(w, "other", concurrency=1)
    await waiting(w, "a", "b")
    await waiting(w, "c", limit="other")
    await waiting(w, "d", limit="unlimited")
    await waiting(w, "e", limit=None)
    assert await names(w) == ["a", "c", "d", "e"]


@check()
async def a_limit_holds_over_tags_and_instances(w: World) -> None:
    await limit(w, concurrency=2)
    await w.scheduled("x", *(w.activity(f"0:{n}", tag=f"t{n}", limit="k") for n in range(3)))
    await w.start("y")
    (turn,) = await w.turns()
    await w.commit(turn, activities=[w.activity("0:9", tag="t9", limit="k")])
    assert len(await w.work("t0")) == 1
    assert len(await w.work("t1")) == 1
    assert await w.work("t2", "t9") == ()


@check()
async def a_limit_of_nothing_admits_nothing(w: World) -> None:
    await limit(w, concurrency=0)
    await waiting(w, "a")
    assert await w.work() == ()
    await limit(w, concurrency=1)
    assert await names(w) == ["a"]


@check()
async def who_waits_is_admitted_by_priority_then_in_the_order_of_arrival(w: World) -> None:
    await limit(w, concurrency=1)
    await waiting(w, "first")
    (running,) = await w.work()
    await waiting(w, "low", priority=-5)
    await waiting(w, "a", "b")
    await waiting(w, "urgent", priority=9)
    order: list[str] = []
    for _ in range(4):
        await w.finish(running)
        (running,) = await w.work()
        order.append(running.name)
    assert order == ["urgent", "a", "b", "low"]


@check()
async def activities_of_one_turn_are_admitted_in_their_order(w: World) -> None:
    await limit(w, concurrency=1)
    await w.scheduled("a", *(w.activity(f"0:{n}", limit="k") for n in range(12)))
    order: list[str] = []
    for _ in range(12):
        (work,) = await w.work()
        order.append(work.operation)
        await w.finish(work)
    assert order == [f"0:{n}" for n in range(12)]


@check()
async def every_way_to_go_makes_room(w: World) -> None:
    await limit(w, concurrency=1)
    await waiting(w, *(f"n{number}" for number in range(5)))
    ends: list[ActivityEnd] = [
        ActivityCompleted(JsonText("1")),
        ActivityFailed(boom()),
        ActivityDiscarded(),
    ]
    for number, end in enumerate(ends):
        (work,) = await w.work()
        assert work.name == f"n{number}"
        await w.finish(work, end)
    (leased,) = await w.work()
    assert leased.name == "n3"
    await w.provider.control([Control(leased.instance, ControlVerb.TERMINATE)])
    assert await w.work() == (), "its executor has not stopped yet"
    assert await w.finish(leased) is FinishOutcome.LOST
    assert await names(w) == ["n4"]


@check()
async def a_cancelled_activity_that_nobody_had_makes_room(w: World) -> None:
    await limit(w, concurrency=1)
    await waiting(w, "a", "b", tag="t")
    await w.work(UNTAGGED)
    assert await state(w) == (1, 1)
    await w.send(w.event("a"))
    await w.advance_turn(cancel_activities=[(w.activity().operation, "enough")])
    assert await names(w, "t") == ["b"]
    assert await state(w) == (1, 0)


@check()
async def what_is_cancelled_while_it_waits_takes_no_room(w: World) -> None:
    await limit(w, concurrency=1)
    await waiting(w, "a", "b", "c")
    (work,) = await w.work()
    await w.send(w.event("b"))
    await w.advance_turn(cancel_activities=[(work.operation, "enough")])
    assert await state(w) == (1, 1)
    await w.finish(work)
    assert await names(w) == ["c"]


@check()
async def the_end_of_an_instance_makes_room(w: World) -> None:
    await limit(w, concurrency=2)
    await w.scheduled("a", *(w.activity(f"0:{n}", limit="k") for n in range(4)))
    await waiting(w, "b")
    await w.send(w.event("a"))
    await w.end(await w.turn())
    assert await names(w) == ["b"]
    assert await state(w) == (1, 0)


@check()
async def an_activity_whose_executor_is_gone_keeps_its_place(w: World) -> None:
    await limit(w, concurrency=1)
    await waiting(w, "a", "b")
    await w.work()
    w.advance(LEASE)
    (again,) = await w.work()
    assert (again.name, again.attempt) == ("a", 2)
    await w.provider.abandon_activities([AbandonActivity(w.lease_of(again))])
    (again,) = await w.work()
    assert again.name == "a"
    await w.finish(again, ActivityRetried(timedelta(minutes=1), boom()))
    assert await w.work() == (), "it still counts while it waits to be tried again"
    w.advance(timedelta(minutes=1))
    (again,) = await w.work()
    await w.finish(again)
    assert await names(w) == ["b"]


@check()
async def a_cancelled_activity_whose_executor_is_gone_makes_room(w: World) -> None:
    await limit(w, concurrency=1)
    await waiting(w, "a", "b")
    (work,) = await w.work()
    await w.send(w.event("a"))
    await w.advance_turn(cancel_activities=[(work.operation, "enough")])
    assert await w.work() == ()
    w.advance(LEASE)
    await w.work()
    assert await names(w) == ["b"] or await state(w) == (1, 0)


@check()
async def a_result_sent_twice_makes_room_once(w: World) -> None:
    await limit(w, concurrency=1)
    await waiting(w, "a", "b", "c")
    (work,) = await w.work()
    for _ in range(3):
        assert await w.finish(work) is FinishOutcome.RECORDED
    assert await names(w) == ["b"]
    assert await w.work() == ()
    assert await state(w) == (1, 1)


# -------------------------------------------------------------------- changed limits


@check()
async def a_greater_limit_admits_more_at_once(w: World) -> None:
    await limit(w, concurrency=1)
    await waiting(w, *"abcd")
    await w.work()
    await limit(w, concurrency=3)
    assert await names(w) == ["b", "c"]
    assert await state(w) == (3, 1)


@check()
async def a_smaller_limit_lets_finish_what_runs(w: World) -> None:
    await limit(w, concurrency=3)
    await waiting(w, *"abcd")
    works = await w.work()
    await limit(w, concurrency=1)
    assert await state(w) == (3, 1)
    for work in works[:2]:
        await w.finish(work)
        assert await w.work() == ()
    await w.finish(works[2])
    assert await names(w) == ["d"]


@check()
async def a_lifted_limit_lets_all_through(w: World) -> None:
    await limit(w, concurrency=1)
    await waiting(w, *"abc")
    (work,) = await w.work()
    await w.provider.drop_limits(["k"])
    assert await names(w) == ["b", "c"]
    assert await w.finish(work) is FinishOutcome.RECORDED
    await waiting(w, "d")
    assert await names(w) == ["d"]


@check()
async def a_limit_that_comes_late_counts_what_runs(w: World) -> None:
    await waiting(w, *"abc")
    works = await w.work(limit=2)
    await limit(w, concurrency=3)
    assert await state(w) == (3, 0), "what waits for an executor has been admitted, too"
    await waiting(w, "d")
    assert await names(w) == ["c"]
    await w.finish(works[0])
    assert await names(w) == ["d"]


@check()
async def a_limit_set_again_counts_what_is_left(w: World) -> None:
    await limit(w, concurrency=2)
    await waiting(w, *"abc")
    works = await w.work()
    await w.provider.drop_limits(["k"])
    await w.finish(works[0])
    await limit(w, concurrency=2)
    assert await state(w) == (2, 0), "b, and c that was let through"
    await waiting(w, "d")
    assert await names(w) == ["c"]
    await w.finish(works[1])
    assert await names(w) == ["d"]


@check()
async def setting_the_same_limit_again_changes_nothing(w: World) -> None:
    await limit(w, concurrency=1)
    await waiting(w, "a", "b")
    await w.work()
    for _ in range(3):
        await limit(w, concurrency=1)
    assert await state(w) == (1, 1)
    assert await w.work() == ()


# --------------------------------------------------------------------------- rates


async def _leased_over(w: World, span: timedelta, step: timedelta) -> list[float]:
    """Fetch every `step` for so long; tell when each came, in seconds."""
    times: list[float] = []
    elapsed = timedelta(0)
    while elapsed <= span:
        times += [elapsed.total_seconds()] * len(await w.work(lease=timedelta(hours=1)))
        w.advance(step)
        elapsed += step
    return times


@check()
async def so_many_are_due_in_a_period_and_no_more(w: World) -> None:
    await limit(w, rate=2, period=SECOND * 10)
    await waiting(w, *(f"n{number}" for number in range(6)))
    times = await _leased_over(w, SECOND * 40, SECOND / 2)
    assert len(times) == 6
    for start in times:
        inside = [time for time in times if start <= time < start + 10]
        assert len(inside) <= 2, times
    assert times[0] == 0
    assert times[-1] <= 30, "no slower than the rate"


@check()
async def time_without_work_is_not_saved_up(w: World) -> None:
    await limit(w, rate=1, period=SECOND * 10)
    w.advance(timedelta(hours=1))
    await waiting(w, *"abc")
    times = await _leased_over(w, SECOND * 30, SECOND)
    assert len(times) == 3
    assert times[1] - times[0] >= 9
    assert times[2] - times[1] >= 9


async def _fetched(w: World) -> FetchedActivities:
    request = FetchActivities(ExecutorId(1), w.token(), (UNTAGGED,), 10, LEASE)
    return await w.provider.fetch_activities(request)


@check()
async def fetching_says_when_the_rate_allows_the_next(w: World) -> None:
    await limit(w, rate=1, period=SECOND * 10)
    await waiting(w, *"ab")
    assert await names(w) == ["a"]
    waited = timedelta(0)
    fetched = await _fetched(w)
    while not fetched.activities:
        assert fetched.next_due is not None
        step = max(fetched.next_due, MOMENT)
        waited += step
        assert waited <= SECOND * 20
        w.advance(step)
        fetched = await _fetched(w)
    assert [each.name for each in fetched.activities] == ["b"]
    assert SECOND * 10 - MOMENT <= waited <= SECOND * 10 + MOMENT


@check()
async def an_urgent_one_overtakes_what_waits_for_the_rate(w: World) -> None:
    await limit(w, rate=1, period=timedelta(minutes=1))
    await waiting(w, *"abc")
    assert await names(w) == ["a"]
    await waiting(w, "urgent", priority=5)
    order: list[str] = []
    for _ in range(200):
        order += await names(w, limit=10)
        w.advance(SECOND)
    assert [name for name in order if name != "a"][:1] == ["urgent"]


@check()
async def both_bounds_of_a_limit_hold(w: World) -> None:
    await limit(w, concurrency=1, rate=1, period=SECOND * 10)
    await waiting(w, *"abc")
    (first,) = await w.work()
    w.advance(SECOND * 20)
    assert await w.work() == ()
    await w.provider.renew_activities([w.lease_of(first)], LEASE)
    await w.finish(first)
    (second,) = await w.work()
    await w.finish(second)
    assert await w.work() == ()
    w.advance(SECOND * 10)
    assert await names(w) == ["c"]


# ------------------------------------------------------------------------ all at once


def _limited(w: World, turn: LeasedTurn) -> TurnCommit:
    """Schedule four activities in the first turn, two of each limit."""
    acts = [
        w.activity(f"0:{n}", name="kl"[n % 2], limit="kl"[n % 2])
        for n in range(4 if turn.upto == 1 else 0)
    ]
    return w.commit_of(turn, activities=acts)


async def _start_and_schedule(w: World, part: int) -> None:
    for number in range(6):
        await w.start(f"i{part}.{number}")
        turns = await w.turns(executor=part, limit=10)
        await w.provider.commit_turns([_limited(w, turn) for turn in turns])


class _Count:
    """How many run of each key, and did at most."""

    def __init__(self) -> None:
        self.now = {"k": 0, "l": 0}
        self.most = {"k": 0, "l": 0}
        self.done = 0

    async def execute(self, w: World) -> None:
        """Run what there is, until there is nothing."""
        while works := await w.work(limit=2):
            for work in works:
                self.now[work.name] += 1
                self.most[work.name] = max(self.most[work.name], self.now[work.name])
            await asyncio.sleep(0)  # may sleep: lets the others run
            for work in works:
                self.now[work.name] -= 1
            end = ActivityCompleted(JsonText("1"))
            outcomes = await w.provider.finish_activities(
                [ActivityResult(w.lease_of(work), end) for work in works]
            )
            assert set(outcomes) == {FinishOutcome.RECORDED}
            self.done += len(works)


@check()
async def many_at_once_never_pass_the_limit_and_none_is_left(w: World) -> None:
    await w.provider.set_limits([Limit("k", concurrency=3), Limit("l", concurrency=2)])
    count = _Count()
    async with w.storage.open() as second:
        worlds = [w, w.with_provider(second)]
        await asyncio.gather(
            *(_start_and_schedule(worlds[n % 2], n) for n in range(1, 5)),
            *(count.execute(worlds[n % 2]) for n in range(3)),
        )
        while turns := await w.turns():
            await w.provider.commit_turns([_limited(w, turn) for turn in turns])
        for _ in range(20):
            await asyncio.gather(*(count.execute(worlds[n % 2]) for n in range(4)))
            if count.done == 96:
                break
    assert count.done == 96
    assert count.most["k"] <= 3
    assert count.most["l"] <= 2
    assert (await state(w, "k"), await state(w, "l")) == ((0, 0), (0, 0))
