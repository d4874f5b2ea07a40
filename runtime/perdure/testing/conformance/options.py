"""What few activities ask for: priority, time to wait, progress, being finished from outside."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from perdure.model.codec import decode_failure
from perdure.model.failure import FailureCategory
from perdure.model.ids import UNTAGGED, ExecutorId, InstanceId, JsonText
from perdure.model.options import PRIORITY_MAX, PRIORITY_MIN, ActivityOptions
from perdure.model.records import RecordKind
from perdure.providers.administering import Limit
from perdure.providers.work import (
    AbandonActivity,
    ActivityCompleted,
    ActivityDeferred,
    ActivityFailed,
    ActivityProgress,
    ActivityRetried,
    Control,
    ControlVerb,
    FetchActivities,
    FinishOutcome,
    Renewed,
    RenewOutcome,
    SessionTerms,
)
from perdure.testing.conformance.registry import check
from perdure.testing.conformance.world import LEASE, MOMENT, World, boom

if TYPE_CHECKING:
    from perdure.providers.work import LeasedActivity

MINUTE = timedelta(minutes=1)
HELD = Renewed(RenewOutcome.HELD)
LOST = Renewed(RenewOutcome.LOST)
RECORDED = FinishOutcome.RECORDED


@check()
async def options_arrive_as_they_were_given(w: World) -> None:
    options = ActivityOptions("s", -7, "k", timedelta(hours=3), timedelta(milliseconds=1500))
    rich_one = replace(w.activity("0:1"), options=options)
    await w.scheduled("a", rich_one, w.activity("0:2"))
    terms = SessionTerms(5, MINUTE, MINUTE)
    plain, rich = await w.work(sessions=terms)
    assert rich.options == options
    assert plain.options in (None, ActivityOptions())


@check()
async def fetching_tells_the_time_and_when_an_attempt_was_first(w: World) -> None:
    await w.scheduled("a", w.activity())
    request = FetchActivities(ExecutorId(1), w.token(), (UNTAGGED,), 10, LEASE)
    fetched = await w.provider.fetch_activities(request)
    (work,) = fetched.activities
    assert fetched.now is not None
    assert work.started_at == fetched.now
    assert work.queued_at < fetched.now
    w.advance(LEASE)
    again = await w.one_work()
    assert (again.attempt, again.started_at) == (2, work.started_at)


# ------------------------------------------------------------------------- priority


@check()
async def the_greater_priority_goes_first(w: World) -> None:
    given = [0, 5, PRIORITY_MIN, 5, PRIORITY_MAX, -1, 0]
    for number, priority in enumerate(given):
        await w.scheduled(f"i{number}", w.activity(name=f"n{number}", priority=priority))
    order: list[str] = []
    for _ in given:
        order += [each.name for each in await w.work(limit=1)]
    assert order == ["n4", "n1", "n3", "n0", "n6", "n5", "n2"]


@check()
async def within_one_fetch_the_greater_priority_comes_first(w: World) -> None:
    await w.scheduled(
        "a", *(w.activity(f"0:{n}", name=f"n{n}", tag="ab"[n % 2], priority=n) for n in range(6))
    )
    found = await w.work("a", "b", limit=4)
    assert [each.name for each in found] == ["n5", "n4", "n3", "n2"]


@check()
async def an_urgent_activity_that_is_not_due_holds_nobody_up(w: World) -> None:
    await w.scheduled("a", w.activity(name="urgent", priority=9))
    work = await w.one_work()
    await w.finish(work, ActivityRetried(MINUTE, boom()))
    await w.scheduled("b", w.activity(name="calm"))
    assert [each.name for each in await w.work()] == ["calm"]
    w.advance(MINUTE)
    assert "urgent" in [each.name for each in await w.work()]


@check()
async def the_priority_stays_over_attempts(w: World) -> None:
    await w.scheduled("a", w.activity(name="low", priority=-1), w.activity("0:2", name="high"))
    for work in await w.work():
        await w.provider.abandon_activities([AbandonActivity(w.lease_of(work))])
    assert [each.name for each in await w.work(limit=1)] == ["high"]


# --------------------------------------------------------------------- time to wait


async def _expired(w: World, instance: str) -> str:
    """Take the turn that a queue time-out woke, and tell its message."""
    turn = await w.turn()
    assert turn.instance == instance
    (record,) = turn.records
    assert (record.kind, record.ref) == (RecordKind.ACTIVITY_FAILED, "0:1")
    assert record.body is not None
    failure = decode_failure(record.body)
    assert failure.category is FailureCategory.TIMEOUT
    assert (failure.type, failure.retryable) == ("QueueTimeout", False)
    return failure.message


@check()
async def what_nobody_starts_in_time_fails(w: World) -> None:
    await w.scheduled("a", w.activity(name="late", tag="gpu", queue_timeout=MINUTE))
    w.advance(MINUTE - timedelta(seconds=1))
    assert await w.turns() == ()
    w.advance(timedelta(seconds=1))
    message = await _expired(w, "a")
    assert "late" in message
    assert "gpu" in message
    assert await w.work("gpu") == ()
    assert await w.provider.read_activities([InstanceId("a")]) == []


@check()
async def fetching_turns_says_when_a_wait_is_over(w: World) -> None:
    await w.scheduled("a", w.activity(queue_timeout=MINUTE))
    turns, next_due = await w.fetched()
    assert turns == ()
    assert next_due is not None
    assert MINUTE - MOMENT <= next_due <= MINUTE


@check()
async def what_was_started_in_time_may_take_its_time(w: World) -> None:
    await w.scheduled("a", w.activity(queue_timeout=MINUTE))
    w.advance(MINUTE / 2)
    work = await w.one_work(lease=MINUTE)
    w.advance(MINUTE - MOMENT * 10)
    assert await w.turns() == ()
    await w.provider.abandon_activities([AbandonActivity(w.lease_of(work))])
    w.advance(MINUTE * 10)
    assert await w.turns() == (), "it was started in time, once"
    assert await w.finish(await w.one_work()) is RECORDED


@check()
async def a_cancelled_activity_does_not_fail_late(w: World) -> None:
    await w.scheduled("a", w.activity(queue_timeout=MINUTE))
    await w.send(w.event("a"))
    turn = await w.turn()
    await w.commit(turn, cancel_activities=[(w.activity().operation, "enough")])
    await w.scheduled("b", w.activity(queue_timeout=MINUTE))
    await w.provider.control([Control(InstanceId("b"), ControlVerb.TERMINATE)])
    w.advance(MINUTE * 2)
    assert await w.turns() == ()


@check()
async def a_wait_that_is_over_is_recorded_once(w: World) -> None:
    await w.scheduled("a", *(w.activity(f"0:{n}", queue_timeout=MINUTE) for n in range(5)))
    w.advance(MINUTE)
    async with w.storage.open() as other:
        first = await w.turns()
        second = await w.with_provider(other).turns()
    assert len(first) + len(second) == 1
    records = [r for r in await w.history("a") if r.kind is RecordKind.ACTIVITY_FAILED]
    assert sorted(str(r.ref) for r in records) == [f"0:{n}" for n in range(5)]
    assert [r.seq for r in await w.history("a")] == list(range(1, 8))


@check()
async def waiting_for_a_limit_is_waiting_too(w: World) -> None:
    await w.provider.set_limits([Limit("scarce", concurrency=0)])
    await w.scheduled("a", w.activity(limit="scarce", queue_timeout=MINUTE))
    w.advance(MINUTE)
    assert "scarce" in await _expired(w, "a")
    (state,) = await w.provider.read_limits()
    assert (state.running, state.waiting) == (0, 0)


@check()
async def an_admitted_activity_that_nobody_starts_makes_room(w: World) -> None:
    await w.provider.set_limits([Limit("k", concurrency=1)])
    await w.scheduled(
        "a", w.activity(limit="k", queue_timeout=MINUTE), w.activity("0:2", limit="k")
    )
    w.advance(MINUTE)
    await _expired(w, "a")
    assert [each.operation for each in await w.work()] == ["0:2"]


# ------------------------------------------------------------------------- progress


async def _tell(w: World, work: LeasedActivity, details: str) -> Renewed:
    progress = ActivityProgress(w.lease_of(work), JsonText(details))
    return (await w.provider.record_progress([progress]))[0]


@check()
async def the_next_attempt_finds_what_the_last_one_told(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    assert work.details is None
    assert await _tell(w, work, '{"page":1}') == HELD
    assert await _tell(w, work, '{"page":2}') == HELD
    (shown,) = await w.provider.read_activities([work.instance])
    assert shown.details == '{"page":2}'
    w.advance(LEASE)
    again = await w.one_work()
    assert (again.attempt, again.details) == (2, '{"page":2}')
    await w.finish(again, ActivityRetried(timedelta(0), boom()))
    assert (await w.one_work()).details == '{"page":2}'


@check()
async def telling_of_progress_does_not_extend_the_lease(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    w.advance(LEASE * 0.6)
    assert await _tell(w, work, "1") == HELD
    w.advance(LEASE * 0.5)
    assert await _tell(w, work, "2") == LOST
    assert (await w.one_work()).details == "1"


@check()
async def who_tells_of_progress_learns_what_became_of_the_lease(w: World) -> None:
    for name in "abc":
        await w.start(name)
    for turn in await w.turns():
        await w.commit(turn, activities=[w.activity()])
    works = {work.instance: work for work in await w.work()}
    first, second, third = (works[InstanceId(name)] for name in "abc")
    await w.send(w.event("a"))
    await w.advance_turn(cancel_activities=[(first.operation, "race lost")])
    await w.finish(second)
    progress = [
        ActivityProgress(w.lease_of(each), JsonText("1")) for each in (third, second, first)
    ]
    assert list(await w.provider.record_progress(progress)) == [
        HELD,
        LOST,
        Renewed(RenewOutcome.CANCELLED, "race lost"),
    ]
    assert list(await w.provider.record_progress([])) == []


# ------------------------------------------------------------------ finished from outside


async def _deferred(w: World, within: timedelta = MINUTE * 60) -> LeasedActivity:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    assert await w.finish(work, ActivityDeferred(within)) is RECORDED
    return work


@check()
async def a_deferred_activity_is_finished_by_whoever_has_its_lease(w: World) -> None:
    work = await _deferred(w)
    assert await w.turns() == ()
    w.advance(MINUTE * 59)
    assert await w.work() == ()
    async with w.storage.open() as other:
        outside = w.with_provider(other)
        assert await outside.finish(work, ActivityCompleted(JsonText('"signed"'))) is RECORDED
        assert await outside.finish(work, ActivityCompleted(JsonText('"signed"'))) is RECORDED
    (record,) = (await w.turn()).records
    assert record.body == '"signed"'


@check()
async def a_deferred_activity_may_fail(w: World) -> None:
    work = await _deferred(w)
    assert await w.finish(work, ActivityFailed(boom("refused"))) is RECORDED
    (record,) = (await w.turn()).records
    assert record.kind is RecordKind.ACTIVITY_FAILED


@check()
async def a_deferred_activity_that_nobody_finished_is_given_out_again(w: World) -> None:
    work = await _deferred(w)
    w.advance(MINUTE * 60)
    assert await w.finish(work) is FinishOutcome.LOST
    again = await w.one_work()
    assert (again.attempt, again.failures) == (2, 0)


@check()
async def deferring_again_is_no_other_thing(w: World) -> None:
    work = await _deferred(w)
    w.advance(MINUTE * 50)
    assert await w.finish(work, ActivityDeferred(MINUTE * 60)) is RECORDED
    w.advance(MINUTE * 50)
    assert await w.finish(work) is RECORDED


@check()
async def renewing_extends_a_deferral_and_shortens_none(w: World) -> None:
    work = await _deferred(w)
    assert list(await w.provider.renew_activities([w.lease_of(work)], LEASE)) == [HELD]
    w.advance(MINUTE * 59)
    assert await w.work() == (), "not shortened"
    assert list(await w.provider.renew_activities([w.lease_of(work)], MINUTE * 30)) == [HELD]
    w.advance(MINUTE * 29)
    assert await w.work() == ()
    assert await w.finish(work) is RECORDED


@check()
async def a_deferred_activity_can_be_cancelled(w: World) -> None:
    work = await _deferred(w)
    await w.send(w.event("a"))
    await w.advance_turn(cancel_activities=[(work.operation, "too late")])
    (renewed,) = await w.provider.renew_activities([w.lease_of(work)], LEASE)
    assert renewed == Renewed(RenewOutcome.CANCELLED, "too late")
    assert await w.finish(work) is FinishOutcome.LOST
    w.advance(MINUTE * 120)
    assert await w.work() == ()


@check()
async def who_lost_the_lease_cannot_defer(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    w.advance(LEASE)
    assert await w.finish(work, ActivityDeferred(MINUTE)) is FinishOutcome.LOST
    assert (await w.one_work()).attempt == 2


@check()
async def a_deferred_activity_tells_of_progress(w: World) -> None:
    work = await _deferred(w)
    w.advance(MINUTE * 10)
    assert await _tell(w, work, '"half"') == HELD
    (shown,) = await w.provider.read_activities([work.instance])
    assert (shown.details, shown.leased) == ('"half"', True)


@check()
async def open_activities_show_what_they_asked_for(w: World) -> None:
    await w.provider.set_limits([Limit("k", concurrency=1)])
    await w.scheduled(
        "a",
        w.activity("0:1", session="s", priority=3),
        w.activity("0:2", limit="k"),
        w.activity("0:3", limit="k"),
    )
    await w.work()
    shown = {each.operation: each for each in await w.provider.read_activities([InstanceId("a")])}
    first, second, third = (shown[w.activity(f"0:{n}").operation] for n in (1, 2, 3))
    assert (first.session, first.priority, first.limit) == ("s", 3, None)
    assert (second.limit, second.awaits_limit, second.leased) == ("k", False, True)
    assert (third.limit, third.awaits_limit, third.leased) == ("k", True, False)
