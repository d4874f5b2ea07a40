"""Activities: the queue by tag, leases, results, cancellation."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from perdure.model.codec import decode_failure
from perdure.model.ids import UNTAGGED, ExecutorId, JsonText, OperationId
from perdure.model.policy import Retry
from perdure.model.records import Ending, Outcome, RecordKind
from perdure.providers.work import (
    AbandonActivity,
    ActivityCompleted,
    ActivityDiscarded,
    ActivityFailed,
    ActivityResult,
    ActivityRetried,
    CommitOutcome,
    FetchActivities,
    FinishOutcome,
    Renewed,
    RenewOutcome,
)
from perdure.testing.conformance.registry import check
from perdure.testing.conformance.world import LEASE, MOMENT, World, boom, kinds_of, refs_of

HELD = Renewed(RenewOutcome.HELD)
LOST = Renewed(RenewOutcome.LOST)
RECORDED = FinishOutcome.RECORDED


@check("queue_semantics.worker_queue_fifo_ordering")
async def activities_come_oldest_first(w: World) -> None:
    for number in range(5):
        await w.scheduled(f"i{number}", w.activity(name=f"n{number}"))
    assert [each.name for each in await w.work(limit=3)] == ["n0", "n1", "n2"]
    assert [each.name for each in await w.work(limit=3)] == ["n3", "n4"]


@check("queue_semantics.worker_item_immediate_visibility")
async def an_activity_arrives_as_it_was_scheduled(w: World) -> None:
    retry = Retry(max_attempts=7, initial=timedelta(milliseconds=250), not_on=("KeyError",))
    new = w.activity(
        "0.1:2", tag="gpu", name="embed", data='{"x":1}', retry=retry, timeout=timedelta(minutes=3)
    )
    await w.scheduled("a", new)
    work = await w.one_work("gpu")
    assert (work.instance, work.execution, work.operation, work.name, work.tag) == (
        "a",
        1,
        "0.1:2",
        "embed",
        "gpu",
    )
    assert (work.input, work.retry, work.timeout) == ('{"x":1}', retry, timedelta(minutes=3))
    assert (work.attempt, work.failures) == (1, 0)


@check("queue_semantics.worker_peek_lock_semantics", "queue_semantics.worker_ack_atomicity")
async def a_leased_activity_is_hidden_and_a_finished_one_gone(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    assert await w.work(executor=2) == ()
    assert await w.finish(work) is RECORDED
    w.advance(timedelta(hours=1))
    assert await w.work() == ()
    turn = await w.turn()
    assert [(r.kind, r.ref, r.body) for r in turn.records] == [
        (RecordKind.ACTIVITY_COMPLETED, "0:1", '"result"')
    ]


@check("queue_semantics.lost_lock_token_handling")
async def an_activity_lost_with_its_executor_comes_back(w: World) -> None:
    await w.scheduled("a", w.activity())
    first = await w.one_work()
    w.advance(LEASE - MOMENT)
    assert await w.work() == ()
    w.advance(MOMENT)
    second = await w.one_work()
    assert second.attempt == 2
    assert second.token != first.token


@check("lock_expiration.worker_ack_fails_after_lock_expiry")
async def a_late_result_is_refused_though_nobody_took_the_activity(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    w.advance(LEASE)
    assert await w.finish(work) is FinishOutcome.LOST
    assert await w.turns() == ()
    assert (await w.one_work()).attempt == 2


@check()
async def a_zombies_result_is_refused_the_new_holders_recorded(w: World) -> None:
    await w.scheduled("a", w.activity())
    zombie = await w.one_work()
    w.advance(LEASE)
    holder = await w.one_work()
    assert await w.finish(zombie) is FinishOutcome.LOST
    assert await w.finish(holder, ActivityCompleted(JsonText('"mine"'))) is RECORDED
    assert await w.finish(zombie) is FinishOutcome.LOST
    turn = await w.turn()
    assert [record.body for record in turn.records] == ['"mine"']


@check()
async def a_result_sent_again_is_recorded_once(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    for _ in range(3):
        assert await w.finish(work) is RECORDED
    await w.end(await w.turn())
    assert await w.finish(work) is RECORDED, "also after the end"
    assert (await w.kinds("a")).count(RecordKind.ACTIVITY_COMPLETED) == 1


@check()
async def one_result_sent_twice_at_once_is_recorded_once(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    result = ActivityResult(w.lease_of(work), ActivityCompleted(JsonText("1")))
    async with w.storage.open() as other:
        answers = await asyncio.gather(
            w.provider.finish_activities([result]), other.finish_activities([result])
        )
    assert [outcome for (outcome,) in answers] == [RECORDED] * 2
    assert (await w.kinds("a")).count(RecordKind.ACTIVITY_COMPLETED) == 1


@check()
async def a_failure_is_recorded_whole(w: World) -> None:
    await w.scheduled("a", w.activity())
    failure = replace(boom(), details=JsonText('{"n":1}'), traceback="line", cause=boom("why"))
    assert await w.finish(await w.one_work(), ActivityFailed(failure)) is RECORDED
    (record,) = (await w.turn()).records
    assert record.kind is RecordKind.ACTIVITY_FAILED
    assert decode_failure(record.body or JsonText("")) == failure


@check()
async def a_retried_activity_waits_and_counts_its_failures(w: World) -> None:
    await w.scheduled("a", w.activity(retry=Retry()))
    work = await w.one_work()
    delay = timedelta(seconds=10)
    assert await w.finish(work, ActivityRetried(delay, boom("flaky"))) is RECORDED
    assert await w.turns() == (), "no turn for a retry"
    fetched = await w.provider.fetch_activities(_untagged(w))
    assert fetched.activities == ()
    assert fetched.next_due is not None
    assert delay - MOMENT <= fetched.next_due <= delay
    (shown,) = await w.provider.read_activities([work.instance])
    assert (shown.failures, shown.leased) == (1, False)
    assert decode_failure(JsonText(shown.last_failure or "")).message == "flaky"
    w.advance(delay)
    again = await w.one_work()
    assert (again.attempt, again.failures) == (2, 1)
    assert await w.kinds("a") == [RecordKind.STARTED, RecordKind.TURN]


def _untagged(w: World) -> FetchActivities:
    return FetchActivities(ExecutorId(1), w.token(), (UNTAGGED,), 10, LEASE)


@check()
async def a_retry_sent_again_counts_once(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    end = ActivityRetried(timedelta(0), boom())
    assert await w.finish(work, end) is RECORDED
    assert await w.finish(work, end) is RECORDED
    again = await w.one_work()
    assert again.failures == 1
    assert await w.finish(work, end) is RECORDED, "even when somebody holds it again"
    assert await w.finish(again) is RECORDED


@check()
async def a_batch_with_lost_leases_records_the_others(w: World) -> None:
    await w.scheduled("a", *(w.activity(f"0:{n}") for n in range(1, 5)))
    await w.scheduled("b", w.activity())
    works = list(await w.work())
    stale = replace(works[1], token=w.token())
    batch = [works[4], stale, works[0], works[3], works[2]]
    results = [
        ActivityResult(w.lease_of(each), ActivityCompleted(JsonText(f'"{each.operation}"')))
        for each in batch
    ]
    outcomes = await w.provider.finish_activities(results)
    assert list(outcomes) == [RECORDED, FinishOutcome.LOST, RECORDED, RECORDED, RECORDED]
    records = [r for r in await w.history("a") if r.kind is RecordKind.ACTIVITY_COMPLETED]
    assert sorted(str(r.ref) for r in records) == sorted(
        str(each.operation) for each in works[:4] if each is not works[1]
    )
    assert [r.body for r in records] == [f'"{r.ref}"' for r in records]
    assert [r.seq for r in await w.history("a")] == [1, 2, 3, 4, 5]
    (left,) = await w.provider.read_activities([works[1].instance])
    assert left.operation == works[1].operation


@check()
async def results_from_many_executors_at_once_all_count(w: World) -> None:
    await w.scheduled("a", *(w.activity(f"0:{n}") for n in range(40)))
    await w.scheduled("b", *(w.activity(f"0:{n}") for n in range(40)))
    works = list(await w.work())
    assert len(works) == 80
    results = [ActivityResult(w.lease_of(e), ActivityCompleted(JsonText("1"))) for e in works]
    async with w.storage.open() as other:
        answers = await asyncio.gather(
            *((w.provider, other)[n % 2].finish_activities(results[n::8]) for n in range(8))
        )
    assert {outcome for answer in answers for outcome in answer} == {RECORDED}
    for instance in ("a", "b"):
        records = await w.history(instance)
        assert [r.seq for r in records] == list(range(1, 43))
        assert len({r.ref for r in records if r.kind is RecordKind.ACTIVITY_COMPLETED}) == 40


@check(
    "lock_expiration.worker_lock_renewal_success",
    "lock_expiration.worker_lock_renewal_extends_timeout",
    "cancellation.renew_returns_running_when_orchestration_active",
)
async def a_renewed_activity_stays_leased(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    w.advance(LEASE * 0.6)
    assert list(await w.provider.renew_activities([w.lease_of(work)], LEASE)) == [HELD]
    w.advance(LEASE * 0.9)
    assert await w.work() == ()
    assert await w.finish(work) is RECORDED


@check(
    "lock_expiration.worker_lock_renewal_invalid_token",
    "lock_expiration.worker_lock_renewal_after_expiration",
    "lock_expiration.worker_lock_renewal_after_ack",
    "cancellation.renew_fails_when_entry_deleted",
)
async def a_lease_that_is_over_cannot_be_renewed(w: World) -> None:
    for name in "abc":
        await w.scheduled(name, w.activity())
    expired, done, other = await w.work()
    await w.finish(done)
    wrong = replace(other, token=w.token())
    leases = [w.lease_of(each) for each in (wrong, other, done)]
    assert list(await w.provider.renew_activities(leases, LEASE)) == [LOST, HELD, LOST]
    w.advance(LEASE)
    assert list(await w.provider.renew_activities([w.lease_of(expired)], LEASE)) == [LOST]


@check("lock_expiration.abandon_work_item_releases_lock")
async def a_handed_back_activity_is_due_at_once_and_not_counted(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    await w.provider.abandon_activities([AbandonActivity(w.lease_of(work))])
    assert await w.finish(work) is FinishOutcome.LOST
    again = await w.one_work()
    assert again.attempt == 1
    assert again.token != work.token


@check(
    "lock_expiration.abandon_work_item_with_delay",
    "queue_semantics.worker_delayed_visibility_skips_future_items",
)
async def a_handed_back_activity_may_wait_while_others_go(w: World) -> None:
    await w.scheduled("a", w.activity(name="first"))
    work = await w.one_work()
    delay = timedelta(milliseconds=500)
    await w.provider.abandon_activities([AbandonActivity(w.lease_of(work), delay=delay)])
    await w.scheduled("b", w.activity(name="second"))
    assert [each.name for each in await w.work()] == ["second"]
    w.advance(delay)
    assert [each.name for each in await w.work()] == ["first"]


@check()
async def only_the_holder_can_hand_back(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    wrong = replace(work, token=w.token())
    await w.provider.abandon_activities([AbandonActivity(w.lease_of(wrong))])
    assert await w.work() == ()
    assert await w.finish(work) is RECORDED


@check("error_handling.corrupted_serialization_data")
async def payloads_come_back_to_the_letter(w: World) -> None:
    odd = JsonText(
        '{"ключ" :  [1.0, "\\u0000 \\ud83d\\ude00 😀", null],\n"b":"' + "x" * 70_000 + '"}'
    )
    await w.scheduled("a", w.activity(data=odd))
    work = await w.one_work()
    assert work.input == odd
    await w.finish(work, ActivityCompleted(odd))
    turn = await w.turn()
    assert turn.records[0].body == odd
    await w.end(turn, result=odd)
    assert (await w.info("a")).output == odd


# ------------------------------------------------------------------------------------ tags


async def _tagged(w: World) -> None:
    await w.scheduled("plain", w.activity(name="plain"))
    await w.scheduled("gpu", w.activity(name="gpu", tag="gpu"))
    await w.scheduled("io", w.activity(name="io", tag="io"))


@check("tag_filtering.default_only_fetches_untagged")
async def untagged_means_untagged_alone(w: World) -> None:
    await _tagged(w)
    assert [each.name for each in await w.work(UNTAGGED)] == ["plain"]
    assert await w.work(UNTAGGED) == ()


@check("tag_filtering.tags_fetches_only_matching")
async def a_tag_gets_what_asks_for_it(w: World) -> None:
    await _tagged(w)
    assert [each.name for each in await w.work("gpu")] == ["gpu"]
    assert await w.work("gpu") == ()
    assert await w.work("GPU") == (), "tags are exact"


@check("tag_filtering.default_and_fetches_untagged_and_matching")
async def untagged_and_a_tag_leave_another_tag(w: World) -> None:
    await _tagged(w)
    assert {each.name for each in await w.work(UNTAGGED, "gpu")} == {"plain", "gpu"}
    assert [each.name for each in await w.work("io")] == ["io"]


@check("tag_filtering.none_filter_returns_nothing")
async def no_tags_get_nothing(w: World) -> None:
    await _tagged(w)
    request = FetchActivities(ExecutorId(1), w.token(), (), 10, LEASE)
    fetched = await w.provider.fetch_activities(request)
    assert (fetched.activities, fetched.next_due) == ((), None)


@check("tag_filtering.multi_tag_filter", "tag_filtering.any_filter_fetches_everything")
async def any_of_the_tags_matches_oldest_first_within_the_limit(w: World) -> None:
    await _tagged(w)
    assert [each.name for each in await w.work("io", "gpu")] == ["gpu", "io"]
    assert [each.name for each in await w.work("io", "gpu", UNTAGGED)] == ["plain"]


@check("tag_filtering.tag_round_trip_preservation")
async def a_tag_may_be_any_text(w: World) -> None:
    await w.scheduled("a", w.activity(tag="zone/eu-1 'ü'"))
    assert (await w.one_work("zone/eu-1 'ü'")).tag == "zone/eu-1 'ü'"


@check("tag_filtering.tag_survives_abandon_and_refetch")
async def a_tag_stays_over_attempts(w: World) -> None:
    await w.scheduled("a", w.activity(tag="gpu"))
    work = await w.one_work("gpu")
    back = AbandonActivity(w.lease_of(work), count_attempt=True)
    await w.provider.abandon_activities([back])
    assert await w.work(UNTAGGED) == ()
    again = await w.one_work("gpu")
    assert (again.tag, again.attempt) == ("gpu", 2)


@check(
    "tag_filtering.multi_runtime_tag_isolation",
    "tag_filtering.tag_preserved_through_ack_orchestration_item",
)
async def executors_with_overlapping_tags_share_and_never_double(w: World) -> None:
    tags = ["gpu", "io", "both", UNTAGGED]
    await w.scheduled("a", *(w.activity(f"0:{n}", tag=tags[n % 4]) for n in range(40)))
    async with w.storage.open() as other:
        second = w.with_provider(other)
        batches = await asyncio.gather(
            w.work("gpu", "both", limit=20),
            second.work("io", "both", limit=20),
            w.work("gpu", limit=20),
            second.work(UNTAGGED, limit=20),
        )
    taken = [each.operation for batch in batches for each in batch]
    assert len(taken) == len(set(taken)) == 40
    assert {each.tag for each in batches[0]} <= {"gpu", "both"}
    assert {each.tag for each in batches[1]} <= {"io", "both"}


@check("long_polling.short_poll_work_item_returns_immediately")
async def fetching_says_when_more_of_these_tags_is_due(w: World) -> None:
    await w.scheduled("a", w.activity("0:1", tag="gpu"), w.activity("0:2", tag="io"))
    await w.work("gpu")
    request = FetchActivities(ExecutorId(2), w.token(), ("gpu",), 10, LEASE)
    fetched = await w.provider.fetch_activities(request)
    assert fetched.activities == ()
    assert fetched.next_due is not None
    assert LEASE - MOMENT <= fetched.next_due <= LEASE


@check()
async def what_the_caller_has_no_code_for_is_left_to_others(w: World) -> None:
    await w.scheduled("a", *(w.activity(f"0:{n}", name=f"act{n % 3}") for n in range(30)))

    def request(*names: str) -> FetchActivities:
        return FetchActivities(ExecutorId(1), w.token(), (UNTAGGED,), 100, LEASE, names)

    mine = (await w.provider.fetch_activities(request("act1", "unheard-of"))).activities
    assert {each.name for each in mine} == {"act1"}
    assert len(mine) == 10
    assert (await w.provider.fetch_activities(request("unheard-of"))).activities == ()
    assert (await w.provider.fetch_activities(request())).activities == ()
    others = (await w.provider.fetch_activities(request("act0", "act2"))).activities
    assert len(others) == 20
    assert {each.attempt for each in others} == {1}


# ---------------------------------------------------------------------------- cancellation


@check(
    "cancellation.cancelled_activities_deleted_from_worker_queue",
    "cancellation.batch_cancellation_deletes_multiple_activities",
    "cancellation.cancelling_nonexistent_activities_is_idempotent",
)
async def cancelled_activities_leave_the_queue(w: World) -> None:
    await w.scheduled("a", *(w.activity(f"0:{n}") for n in (1, 2, 3)))
    await w.send(w.event("a"))
    await w.advance_turn(
        cancel_activities=[(OperationId(op), "race lost") for op in ("0:1", "0:3", "7:7")]
    )
    assert [each.operation for each in await w.work()] == ["0:2"]


@check("cancellation.same_activity_in_worker_items_and_cancelled_is_noop")
async def scheduled_and_cancelled_in_one_turn_is_nothing(w: World) -> None:
    await w.start("a")
    await w.advance_turn(
        activities=[w.activity("0:1"), w.activity("0:2")],
        cancel_activities=[(OperationId("0:1"), "unwanted")],
    )
    assert [each.operation for each in await w.work()] == ["0:2"]


@check("cancellation.ack_work_item_fails_when_entry_deleted")
async def a_leased_activity_that_is_cancelled_learns_why_when_it_renews(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    await w.send(w.event("a"))
    await w.advance_turn(cancel_activities=[(work.operation, "race lost")])
    cancelled = Renewed(RenewOutcome.CANCELLED, "race lost")
    for _ in range(2):
        assert list(await w.provider.renew_activities([w.lease_of(work)], LEASE)) == [cancelled]
    assert await w.finish(work) is FinishOutcome.LOST, "its result is refused"
    assert await w.turns() == ()
    assert list(await w.provider.renew_activities([w.lease_of(work)], LEASE)) == [LOST]


@check("cancellation.ack_work_item_none_deletes_without_enqueue")
async def a_discarded_activity_goes_without_a_trace(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    await w.send(w.event("a"))
    await w.advance_turn(cancel_activities=[(work.operation, "race lost")])
    assert await w.finish(work, ActivityDiscarded()) is RECORDED
    assert await w.turns() == ()
    w.advance(LEASE)
    assert await w.work() == ()
    assert RecordKind.ACTIVITY_COMPLETED not in await w.kinds("a")


@check()
async def a_cancelled_activity_whose_executor_is_gone_is_not_given_out_again(w: World) -> None:
    await w.scheduled("a", w.activity("0:1"), w.activity("0:2"))
    first, second = await w.work()
    await w.send(w.event("a"))
    await w.advance_turn(cancel_activities=[(first.operation, "race lost")])
    w.advance(LEASE)
    assert [each.operation for each in await w.work()] == [second.operation]
    assert len(await w.provider.read_activities([first.instance])) == 1


@check()
async def a_cancelled_activity_that_is_handed_back_goes(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    await w.send(w.event("a"))
    await w.advance_turn(cancel_activities=[(work.operation, "race lost")])
    await w.provider.abandon_activities([AbandonActivity(w.lease_of(work))])
    assert await w.work() == ()


@check()
async def a_cancelled_activity_is_not_retried(w: World) -> None:
    await w.scheduled("a", w.activity(retry=Retry()))
    work = await w.one_work()
    await w.send(w.event("a"))
    await w.advance_turn(cancel_activities=[(work.operation, "race lost")])
    assert await w.finish(work, ActivityRetried(timedelta(0), boom())) is FinishOutcome.LOST
    w.advance(timedelta(hours=1))
    assert await w.work() == ()


@check(
    "cancellation.fetch_returns_terminal_state_when_orchestration_completed",
    "cancellation.fetch_returns_terminal_state_when_orchestration_failed",
    "cancellation.renew_returns_terminal_when_orchestration_completed",
)
async def the_end_cancels_waiting_and_leased_activities(w: World) -> None:
    await w.scheduled("a", w.activity("0:1"), w.activity("0:2"))
    (leased,) = await w.work(limit=1)
    await w.send(w.event("a"))
    turn = await w.turn()
    ending = Ending(Outcome.FAILED, failure=boom())
    outcome = await w.commit(turn, ending=ending, activities=[w.activity("0:3")])
    assert outcome is CommitOutcome.COMMITTED
    assert await w.work() == ()
    (renewed,) = await w.provider.renew_activities([w.lease_of(leased)], LEASE)
    assert renewed.outcome is RenewOutcome.CANCELLED
    assert await w.finish(leased) is FinishOutcome.LOST
    assert (await w.kinds("a"))[-1] is RecordKind.TURN


@check("cancellation.fetch_returns_running_state_for_active_orchestration")
async def results_wait_for_a_turn_in_flight(w: World) -> None:
    await w.scheduled("a", w.activity("0:1"))
    work = await w.one_work()
    await w.send(w.event("a", "first"))
    turn = await w.turn()
    assert await w.finish(work) is RECORDED
    assert await w.turns() == ()
    await w.commit(turn)
    following = await w.turn()
    assert kinds_of(following) == [RecordKind.ACTIVITY_COMPLETED]
    assert refs_of(following) == ["0:1"]
