"""Transactions: an activity's own writes beside its result, and sending within one's own."""

from __future__ import annotations

from contextlib import suppress

from perdure.errors import ConfigurationError
from perdure.model.ids import JsonText
from perdure.model.records import RecordKind
from perdure.providers.work import (
    AbandonActivity,
    ActivityCompleted,
    ActivityResult,
    ActivityRetried,
    EnqueueOutcome,
    FinishOutcome,
    LeasedActivity,
    TurnsHint,
)
from perdure.testing.conformance.hearing import hearing
from perdure.testing.conformance.registry import check
from perdure.testing.conformance.world import LEASE, World, boom

ACCEPTED = EnqueueOutcome.ACCEPTED


class _UserError(Exception):
    """What a body raises."""


def done(w: World, work: LeasedActivity) -> ActivityResult:
    return ActivityResult(w.lease_of(work), ActivityCompleted(JsonText('"result"')))


@check()
async def a_result_and_what_was_sent_beside_it_are_one(w: World) -> None:
    await w.scheduled("a", w.activity())
    await w.start("b")
    await w.advance_turn()
    work = await w.one_work()
    async with w.provider.transaction(w.lease_of(work)) as transaction:
        sent = await w.provider.enqueue_within(transaction.connection, [w.event("b")])
        assert list(sent) == [ACCEPTED]
        assert await transaction.finish(done(w, work)) is FinishOutcome.RECORDED
    assert sorted(turn.instance for turn in await w.turns()) == ["a", "b"]
    assert await w.finish(work) is FinishOutcome.RECORDED, "by an earlier try"


@check()
async def a_transaction_that_is_left_with_an_error_leaves_nothing(w: World) -> None:
    await w.scheduled("a", w.activity())
    await w.start("b")
    await w.advance_turn()
    work = await w.one_work()
    with suppress(_UserError):
        async with w.provider.transaction(w.lease_of(work)) as transaction:
            await w.provider.enqueue_within(transaction.connection, [w.event("b")])
            await transaction.finish(done(w, work))
            raise _UserError
    assert await w.turns() == ()
    assert RecordKind.ACTIVITY_COMPLETED not in await w.kinds("a")
    assert await w.finish(work) is FinishOutcome.RECORDED, "its lease goes on"


@check()
async def a_transaction_without_a_result_is_rolled_back(w: World) -> None:
    await w.scheduled("a", w.activity())
    await w.start("b")
    await w.advance_turn()
    work = await w.one_work()
    async with w.provider.transaction(w.lease_of(work)) as transaction:
        await w.provider.enqueue_within(transaction.connection, [w.event("b")])
    assert await w.turns() == ()


@check()
async def what_a_zombie_wrote_is_rolled_back(w: World) -> None:
    await w.scheduled("a", w.activity())
    await w.start("b")
    await w.advance_turn()
    zombie = await w.one_work()
    w.advance(LEASE)
    holder = await w.one_work()
    async with w.provider.transaction(w.lease_of(zombie)) as transaction:
        await w.provider.enqueue_within(transaction.connection, [w.event("b")])
        assert await transaction.finish(done(w, zombie)) is FinishOutcome.LOST
    assert await w.turns() == ()
    assert await w.finish(holder) is FinishOutcome.RECORDED


@check()
async def what_a_cancelled_activity_wrote_is_rolled_back(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    await w.send(w.event("a"))
    await w.advance_turn(cancel_activities=[(work.operation, "enough")])
    await w.start("b")
    await w.advance_turn()
    async with w.provider.transaction(w.lease_of(work)) as transaction:
        await w.provider.enqueue_within(transaction.connection, [w.event("b")])
        assert await transaction.finish(done(w, work)) is FinishOutcome.LOST
    assert await w.turns() == ()


@check()
async def a_retry_may_be_written_beside_other_things_too(w: World) -> None:
    await w.scheduled("a", w.activity())
    await w.start("b")
    await w.advance_turn()
    work = await w.one_work()
    async with w.provider.transaction(w.lease_of(work)) as transaction:
        await w.provider.enqueue_within(transaction.connection, [w.event("b")])
        again = ActivityResult(w.lease_of(work), ActivityRetried(LEASE, boom()))
        assert await transaction.finish(again) is FinishOutcome.RECORDED
    assert [turn.instance for turn in await w.turns()] == ["b"]
    w.advance(LEASE)
    assert (await w.one_work()).failures == 1


@check()
async def after_a_commit_in_doubt_handing_back_tells_what_happened(w: World) -> None:
    await w.scheduled("a", w.activity("0:1"), w.activity("0:2"))
    first, second = await w.work()
    async with w.provider.transaction(w.lease_of(first)) as transaction:
        await transaction.finish(done(w, first))
    back = [AbandonActivity(w.lease_of(each)) for each in (first, second)]
    await w.provider.abandon_activities(back)
    assert [each.operation for each in await w.work()] == [second.operation]


@check()
async def a_transaction_tells_those_who_wait(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    async with hearing(w, TurnsHint) as heard:
        async with w.provider.transaction(w.lease_of(work)) as transaction:
            await transaction.finish(done(w, work))
        await heard.until(lambda hint: isinstance(hint, TurnsHint))


@check()
async def what_is_sent_within_a_transaction_is_answered_item_by_item(w: World) -> None:
    await w.scheduled("a", w.activity())
    await w.start("over")
    await w.end(await w.turn())
    work = await w.one_work()
    async with w.provider.transaction(w.lease_of(work)) as transaction:
        send = [w.starting("new"), w.event("over"), w.starting("a"), w.event("unborn")]
        outcomes = await w.provider.enqueue_within(transaction.connection, send)
        assert list(outcomes) == [
            ACCEPTED,
            EnqueueOutcome.FINISHED,
            EnqueueOutcome.EXISTS,
            EnqueueOutcome.KEPT,
        ]
        assert list(await w.provider.enqueue_within(transaction.connection, [])) == []
        await transaction.finish(done(w, work))
    assert sorted(turn.instance for turn in await w.turns()) == ["a", "new"]


@check()
async def a_stranger_to_the_database_cannot_be_sent_with(w: World) -> None:
    for stranger in (None, object(), "connection"):
        try:
            await w.provider.enqueue_within(stranger, [w.starting("a")])
        except ConfigurationError:
            continue
        raise AssertionError(stranger)
    assert await w.turns() == ()


@check()
async def a_connection_after_its_transaction_cannot_be_sent_with(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    async with w.provider.transaction(w.lease_of(work)) as transaction:
        await transaction.finish(done(w, work))
    try:
        await w.provider.enqueue_within(transaction.connection, [w.starting("late")])
    except ConfigurationError:
        pass
    else:
        raise AssertionError
    assert [turn.instance for turn in await w.turns()] == ["a"]
