"""Attempts: what counts as one, so that what kills its executor is found out."""

from __future__ import annotations

from perdure.providers.work import AbandonActivity, AbandonTurn
from perdure.testing.conformance.registry import check
from perdure.testing.conformance.world import LEASE, World


@check(
    "poison_message.orchestration_attempt_count_starts_at_one",
    "poison_message.orchestration_attempt_count_increments_on_refetch",
)
async def an_abandoned_turn_counts(w: World) -> None:
    await w.start("a")
    for attempt in (1, 2, 3):
        turn = await w.turn()
        assert turn.attempt == attempt
        await w.provider.abandon_turns([AbandonTurn(turn.instance, turn.token)])


@check()
async def a_turn_lost_with_its_replayer_counts(w: World) -> None:
    await w.start("a")
    for attempt in (1, 2, 3):
        assert (await w.turn()).attempt == attempt
        w.advance(LEASE)


@check()
async def a_commit_starts_the_count_anew(w: World) -> None:
    await w.start("a")
    await w.turn()
    w.advance(LEASE)
    turn = await w.turn()
    assert turn.attempt == 2
    await w.commit(turn)
    await w.send(w.event("a"))
    assert (await w.turn()).attempt == 1


@check("poison_message.abandon_orchestration_item_ignore_attempt_decrements")
async def a_turn_handed_back_does_not_count(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    await w.provider.abandon_turns([AbandonTurn(turn.instance, turn.token)])
    for _ in range(3):
        turn = await w.turn()
        assert turn.attempt == 2
        back = AbandonTurn(turn.instance, turn.token, count_attempt=False)
        await w.provider.abandon_turns([back])


@check("poison_message.ignore_attempt_never_goes_negative")
async def handing_back_never_counts_below_nothing(w: World) -> None:
    await w.scheduled("a", w.activity())
    await w.send(w.event("a"))
    for _ in range(3):
        turn = await w.turn()
        assert turn.attempt == 1
        back = AbandonTurn(turn.instance, turn.token, count_attempt=False)
        await w.provider.abandon_turns([back, back])
        work = await w.one_work()
        assert work.attempt == 1
        hand_back = AbandonActivity(w.lease_of(work))
        await w.provider.abandon_activities([hand_back])


@check("poison_message.max_attempt_count_across_message_batch")
async def new_messages_do_not_hide_the_attempts(w: World) -> None:
    await w.start("a")
    for _ in range(2):
        await w.turn()
        w.advance(LEASE)
    await w.send(w.event("a"))
    assert (await w.turn()).attempt == 3


@check(
    "poison_message.worker_attempt_count_starts_at_one",
    "poison_message.worker_attempt_count_increments_on_lock_expiry",
)
async def an_activity_lost_with_its_executor_counts(w: World) -> None:
    await w.scheduled("a", w.activity())
    for attempt in (1, 2, 3):
        assert (await w.one_work()).attempt == attempt
        w.advance(LEASE)


@check("poison_message.attempt_count_is_per_message")
async def each_activity_counts_for_itself(w: World) -> None:
    await w.scheduled("a", w.activity("0:1", tag="x"), w.activity("0:2", tag="y"))
    for _ in range(2):
        await w.work("x")
        w.advance(LEASE)
    assert {each.tag: each.attempt for each in await w.work("x", "y")} == {"x": 3, "y": 1}


@check("poison_message.abandon_work_item_ignore_attempt_decrements")
async def an_activity_handed_back_does_not_count_unless_told(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    counted = AbandonActivity(w.lease_of(work), count_attempt=True)
    await w.provider.abandon_activities([counted])
    work = await w.one_work()
    assert work.attempt == 2
    await w.provider.abandon_activities([AbandonActivity(w.lease_of(work))])
    assert (await w.one_work()).attempt == 2
