"""Turns: who gets one, for how long, and what its commit does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from perdure.model.ids import JsonText, LeaseToken, OperationId
from perdure.model.records import Ending, Outcome, RecordKind
from perdure.providers.reading import InstanceStatus
from perdure.providers.work import (
    AbandonTurn,
    CommitOutcome,
    CustomStatus,
    Renewed,
    RenewOutcome,
    TurnLease,
)
from perdure.testing.conformance.registry import check
from perdure.testing.conformance.world import LEASE, MOMENT, NAME, VERSION, World, by_id, kinds_of

HELD = Renewed(RenewOutcome.HELD)
LOST = Renewed(RenewOutcome.LOST)


@check("atomicity.multi_operation_atomic_ack")
async def a_commit_applies_everything(w: World) -> None:
    await w.start("a", "b")
    turns = by_id(await w.turns())
    outcome = await w.commit(
        turns["a"],
        activities=[w.activity("0:1"), w.activity("0:2", tag="gpu"), w.activity("0:3")],
        timers=[w.timer("0:4", timedelta(seconds=5))],
        messages=[w.event("b", "first"), w.event("b", "second"), w.starting("c")],
        custom_status=CustomStatus(JsonText('"busy"')),
    )
    assert outcome is CommitOutcome.COMMITTED
    assert {each.operation for each in await w.work("", "gpu")} == {"0:1", "0:2", "0:3"}
    assert [r.ref for r in await w.history("b")] == [None, "first", "second"]
    assert (await w.info("c")).status is InstanceStatus.PENDING
    assert (await w.info("a")).custom_status == '"busy"'
    w.advance(timedelta(seconds=6))
    await w.turns()
    assert await w.kinds("a") == [RecordKind.STARTED, RecordKind.TURN, RecordKind.TIMER_FIRED]


@check("atomicity.atomicity_failure_rollback", "error_handling.invalid_lock_token_on_ack")
async def a_refused_commit_applies_nothing(w: World) -> None:
    await w.start("a", "b")
    turns = by_id(await w.turns())
    stale = w.commit_of(
        turns["a"],
        activities=[w.activity()],
        timers=[w.timer("0:2", timedelta(0))],
        messages=[w.event("b"), w.starting("child")],
        custom_status=CustomStatus(JsonText('"never"')),
        ending=Ending(Outcome.COMPLETED),
    )
    wrong = replace(stale, token=w.token())
    assert list(await w.provider.commit_turns([wrong])) == [CommitOutcome.LOST]
    assert await w.kinds("a") == [RecordKind.STARTED]
    assert await w.kinds("b") == [RecordKind.STARTED]
    assert await w.work() == ()
    assert await w.kinds("child") == []
    info = await w.info("a")
    assert (info.status, info.custom_status, info.custom_status_version) == (
        InstanceStatus.PENDING,
        None,
        0,
    )
    assert await w.turns() == (), "the lease is still held"


@check("atomicity.lock_released_only_on_successful_ack")
async def a_wrong_token_leaves_the_lease(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    wrong = replace(turn, token=w.token())
    assert await w.commit(wrong) is CommitOutcome.LOST
    assert await w.turns() == ()
    w.advance(LEASE)
    assert (await w.turn()).attempt == 2


@check("atomicity.concurrent_ack_prevention")
async def two_commits_with_one_token_apply_once(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    commit = w.commit_of(turn, activities=[w.activity()])
    async with w.storage.open() as other:
        outcomes = await asyncio.gather(
            w.provider.commit_turns([commit]), other.commit_turns([commit])
        )
    # Both are told that it is committed: it is one commit, asked for twice.
    assert [outcome for (outcome,) in outcomes] == [CommitOutcome.COMMITTED] * 2
    assert await w.kinds("a") == [RecordKind.STARTED, RecordKind.TURN]
    assert len(await w.work()) == 1


@check("error_handling.duplicate_event_id_rejection")
async def a_commit_sent_again_is_committed_and_adds_nothing(w: World) -> None:
    await w.start("a", "b")
    turns = by_id(await w.turns())
    commit = w.commit_of(
        turns["a"],
        activities=[w.activity()],
        messages=[w.event("b"), w.starting("child")],
        custom_status=CustomStatus(JsonText('"once"')),
    )
    for _ in range(3):
        assert list(await w.provider.commit_turns([commit])) == [CommitOutcome.COMMITTED]
    assert await w.kinds("a") == [RecordKind.STARTED, RecordKind.TURN]
    assert await w.kinds("b") == [RecordKind.STARTED, RecordKind.EVENT_RAISED]
    assert len(await w.work()) == 1
    assert (await w.info("a")).custom_status_version == 1


@check()
async def a_commit_sent_again_after_the_end_is_committed(w: World) -> None:
    await w.start("a")
    commit = w.commit_of(await w.turn(), ending=Ending(Outcome.COMPLETED))
    for _ in range(2):
        assert list(await w.provider.commit_turns([commit])) == [CommitOutcome.COMMITTED]
    assert len(await w.history("a")) == 2


@check()
async def a_commit_sent_again_after_later_turns_is_committed(w: World) -> None:
    await w.start("a")
    commit = w.commit_of(await w.turn())
    await w.provider.commit_turns([commit])
    await w.send(w.event("a"))
    await w.advance_turn()
    assert list(await w.provider.commit_turns([commit])) == [CommitOutcome.COMMITTED]
    assert len(await w.history("a")) == 4


@check("error_handling.lock_expiration_during_ack", "lock_expiration.lock_expires_after_timeout")
async def a_commit_after_the_lease_is_lost_though_nobody_took_the_turn(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    w.advance(LEASE)
    assert await w.commit(turn) is CommitOutcome.LOST
    assert await w.kinds("a") == [RecordKind.STARTED]


@check()
async def a_commit_just_before_the_lease_ends_is_committed(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    w.advance(LEASE - MOMENT)
    assert await w.commit(turn) is CommitOutcome.COMMITTED


@check("instance_locking.exclusive_instance_lock")
async def a_leased_turn_is_nobody_elses(w: World) -> None:
    await w.start("a")
    first = await w.turn(executor=1)
    w.advance(LEASE - MOMENT)
    assert await w.turns(executor=2) == ()
    w.advance(MOMENT)
    second = await w.turn(executor=2)
    assert second.token != first.token
    assert await w.commit(first) is CommitOutcome.LOST
    assert await w.commit(second) is CommitOutcome.COMMITTED


@check("instance_locking.invalid_lock_token_rejection")
async def a_wrong_token_can_neither_commit_nor_renew_nor_abandon(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    wrong = LeaseToken(turn.token + 1)
    lease = TurnLease(turn.instance, wrong)
    assert list(await w.provider.renew_turns([lease], LEASE)) == [LOST]
    await w.provider.abandon_turns([AbandonTurn(turn.instance, wrong)])
    assert await w.turns() == ()
    assert await w.commit(turn) is CommitOutcome.COMMITTED


@check(
    "instance_locking.concurrent_instance_fetching",
    "instance_locking.multi_threaded_no_duplicate_processing",
)
async def many_fetchers_share_the_work_without_misses(w: World) -> None:
    await w.start(*(f"i{number}" for number in range(10)))
    async with w.storage.open() as other:
        views = [w, w.with_provider(other)]
        batches = await asyncio.gather(
            *(views[n % 2].turns(limit=1, executor=n) for n in range(10))
        )
    assert sorted(turn.instance for batch in batches for turn in batch) == [
        f"i{number}" for number in range(10)
    ]


@check("instance_locking.multi_threaded_lock_contention")
async def many_fetchers_of_one_instance_have_one_winner(w: World) -> None:
    await w.start("a")
    async with w.storage.open() as other:
        views = [w, w.with_provider(other)]
        batches = await asyncio.gather(*(views[n % 2].turns(executor=n) for n in range(8)))
    assert sum(len(batch) for batch in batches) == 1


@check(
    "instance_locking.multi_threaded_lock_expiration_recovery",
    "lock_expiration.concurrent_lock_attempts_respect_expiration",
)
async def a_crashed_holders_turn_goes_to_one_other_after_the_lease(w: World) -> None:
    await w.start("a")
    crashed = await w.turn()
    w.advance(LEASE - timedelta(seconds=1))
    assert sum(len(b) for b in await asyncio.gather(*(w.turns() for _ in range(4)))) == 0
    w.advance(timedelta(seconds=1))
    batches = await asyncio.gather(*(w.turns() for _ in range(4)))
    taken = [turn for batch in batches for turn in batch]
    assert len(taken) == 1
    assert taken[0].token != crashed.token


@check("instance_locking.cross_instance_lock_isolation")
async def a_lease_on_one_instance_does_not_hold_up_another(w: World) -> None:
    await w.start("held")
    await w.turn()
    for number in range(5):
        await w.start(f"free{number}")
        turn = await w.turn()
        assert turn.instance == f"free{number}"
        await w.end(turn)


@check(
    "instance_locking.completions_arriving_during_lock_blocked",
    "instance_locking.message_tagging_during_lock",
    "instance_locking.ack_only_affects_locked_messages",
    "lock_expiration.lock_renewal_on_ack",
)
async def what_arrives_during_a_turn_belongs_to_the_next(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    await w.send(w.event("a", "one"), w.event("a", "two"))
    assert await w.turns() == ()
    assert await w.commit(turn) is CommitOutcome.COMMITTED
    following = await w.turn()
    assert [(record.kind, record.ref) for record in following.records] == [
        (RecordKind.EVENT_RAISED, "one"),
        (RecordKind.EVENT_RAISED, "two"),
    ]
    await w.commit(following)
    assert await w.turns() == ()


@check()
async def what_arrived_during_a_lost_turn_comes_with_the_rest(w: World) -> None:
    await w.start("a")
    await w.turn()
    await w.send(w.event("a", "one"), w.event("a", "two"), w.event("a", "three"))
    w.advance(LEASE)
    again = await w.turn()
    assert [record.seq for record in again.records] == [1, 2, 3, 4]
    assert again.upto == 4


@check(
    "instance_creation.instance_creation_via_metadata",
    "instance_creation.null_version_handling",
    "capability_filtering.fetch_filter_null_pinned_version_always_compatible",
    "capability_filtering.pinned_version_stored_via_ack_metadata",
    "capability_filtering.ack_stores_pinned_version_via_metadata_update",
)
async def the_first_turn_pins_the_version_of_its_code(w: World) -> None:
    await w.start("a")
    turn = await w.turn(code=[(NAME, "2.1.0")])
    assert (turn.name, turn.version, turn.execution, turn.held) == (NAME, None, 1, False)
    assert kinds_of(turn) == [RecordKind.STARTED]
    await w.commit(turn, version="2.1.0")
    assert (await w.info("a")).version == "2.1.0"
    await w.send(w.event("a"))
    assert await w.turns(code=[(NAME, "2.2.0")]) == (), "another version is not asked"
    assert (await w.turn(code=[(NAME, "2.1.0")])).version == "2.1.0"


@check("instance_creation.no_instance_creation_on_enqueue")
async def a_message_alone_makes_no_instance(w: World) -> None:
    await w.send(w.event("ghost"))
    assert list(await w.provider.read_instances([w.event("ghost").instance])) == [None]
    assert await w.turns() == ()
    assert await w.history("ghost") == []


@check("instance_creation.sub_orchestration_instance_creation")
async def an_id_may_hold_any_characters(w: World) -> None:
    odd = "parent::1/0.2:3 — ünï %_'\"\\"
    await w.start(odd)
    turn = await w.turn()
    assert turn.instance == odd
    await w.end(turn)
    assert (await w.info(odd)).status is InstanceStatus.COMPLETED


@check("error_handling.missing_instance_metadata")
async def an_unknown_instance_reads_as_nothing(w: World) -> None:
    assert await w.history("nobody") == []
    assert list(await w.provider.read_instances([w.event("nobody").instance])) == [None]


@check("lock_expiration.abandon_releases_lock_immediately")
async def an_abandoned_turn_is_due_at_once(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    await w.provider.abandon_turns([AbandonTurn(turn.instance, turn.token)])
    assert (await w.turn()).token != turn.token
    assert await w.commit(turn) is CommitOutcome.LOST


@check("later.orchestration_delayed_abandon_preserves_unlocked_rows")
async def a_delayed_turn_waits_unless_something_new_arrives(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    delay = timedelta(seconds=10)
    await w.provider.abandon_turns([AbandonTurn(turn.instance, turn.token, delay=delay)])
    turns, due = await w.fetched()
    assert turns == ()
    assert due is not None
    assert delay - MOMENT <= due <= delay
    await w.send(w.event("a"))
    turn = await w.turn()
    await w.provider.abandon_turns([AbandonTurn(turn.instance, turn.token, delay=delay)])
    w.advance(delay)
    assert len((await w.turn()).records) == 2


@check("lock_expiration.orchestration_lock_renewal_after_expiration")
async def a_renewed_turn_is_held_longer_a_late_one_is_lost(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    lease = TurnLease(turn.instance, turn.token)
    w.advance(LEASE * 0.6)
    assert list(await w.provider.renew_turns([lease], LEASE)) == [HELD]
    w.advance(LEASE * 0.9)
    assert await w.turns() == ()
    w.advance(LEASE * 0.1)
    assert list(await w.provider.renew_turns([lease], LEASE)) == [LOST]
    assert (await w.turn()).token != turn.token


@check()
async def a_lease_can_be_shorter_than_a_second(w: World) -> None:
    await w.start("a")
    short = timedelta(milliseconds=200)
    turn = await w.turn(lease=short)
    w.advance(timedelta(milliseconds=199))
    assert await w.turns() == ()
    lease = TurnLease(turn.instance, turn.token)
    assert list(await w.provider.renew_turns([lease], short)) == [HELD]
    w.advance(timedelta(milliseconds=199))
    assert await w.turns() == ()
    w.advance(MOMENT)
    assert len(await w.turns()) == 1


@check()
async def a_batch_of_renewals_keeps_its_order(w: World) -> None:
    await w.start("z", "a", "m")
    turns = by_id(await w.turns())
    leases = [TurnLease(turns[each].instance, turns[each].token) for each in ("z", "a", "m")]
    leases[1] = TurnLease(leases[1].instance, w.token())
    assert list(await w.provider.renew_turns(leases, LEASE)) == [HELD, LOST, HELD]


@check()
async def a_batch_with_lost_leases_commits_the_others(w: World) -> None:
    await w.start("z", "a", "m", "target")
    turns = by_id(await w.turns())
    lost = turns["m"]
    await w.provider.abandon_turns([AbandonTurn(lost.instance, lost.token)])
    commits = [
        w.commit_of(
            turns[each],
            activities=[w.activity()],
            timers=[w.timer("0:2", timedelta(0))],
            messages=[w.event("target", each), w.starting(f"child-{each}")],
            custom_status=CustomStatus(JsonText(f'"{each}"')),
        )
        for each in ("z", "m", "a")
    ]
    assert list(await w.provider.commit_turns(commits)) == [
        CommitOutcome.COMMITTED,
        CommitOutcome.LOST,
        CommitOutcome.COMMITTED,
    ]
    assert {each.instance for each in await w.work()} == {"a", "z"}
    assert {r.ref for r in await w.history("target")} == {None, "a", "z"}
    assert await w.kinds("child-m") == []
    assert (await w.info("m")).custom_status is None
    assert await w.kinds("m") == [RecordKind.STARTED]


@check()
async def the_holder_gets_the_tail_others_the_whole(w: World) -> None:
    await w.start("a")
    await w.advance_turn(activities=[w.activity()])
    await w.finish(await w.one_work())
    turn = await w.turn(executor=1)
    assert turn.held
    assert kinds_of(turn) == [RecordKind.ACTIVITY_COMPLETED]
    await w.provider.abandon_turns([AbandonTurn(turn.instance, turn.token)])
    turn = await w.turn(executor=2)
    assert not turn.held
    assert kinds_of(turn) == [
        RecordKind.STARTED,
        RecordKind.TURN,
        RecordKind.ACTIVITY_COMPLETED,
    ]
    await w.provider.abandon_turns([AbandonTurn(turn.instance, turn.token)])
    turn = await w.turn(executor=1)
    assert not turn.held or kinds_of(turn) == [RecordKind.ACTIVITY_COMPLETED]


@check()
async def a_tail_leaves_out_the_holders_own_turn_but_not_what_came_before_it(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    await w.send(w.event("a", "during"))
    await w.commit(turn)
    await w.send(w.event("a", "after"))
    following = await w.turn()
    assert following.held
    assert [(r.seq, r.ref) for r in following.records] == [(2, "during"), (4, "after")]
    assert following.upto == 4


@check()
async def fetching_respects_the_limit_and_takes_the_oldest_first(w: World) -> None:
    for number in range(6):
        await w.start(f"i{number}")
    turns, due = await w.fetched(limit=4)
    assert {turn.instance for turn in turns} == {f"i{number}" for number in range(4)}
    assert due == timedelta(0), "more is due at once"
    assert {turn.instance for turn in await w.turns(limit=4)} == {"i4", "i5"}


@check("long_polling.short_poll_returns_immediately")
async def with_nothing_to_do_a_fetch_says_when_to_come_back(w: World) -> None:
    assert await w.fetched() == ((), None)
    await w.start("a")
    await w.advance_turn(timers=[w.timer("0:1", timedelta(minutes=5))])
    turns, due = await w.fetched()
    assert turns == ()
    assert due is not None
    assert timedelta(minutes=5) - MOMENT < due <= timedelta(minutes=5)


@check()
async def a_fetch_says_when_anothers_lease_ends(w: World) -> None:
    await w.start("a")
    await w.turn(executor=1)
    turns, due = await w.fetched(executor=2)
    assert turns == ()
    assert due is not None
    assert LEASE - MOMENT <= due <= LEASE


@check(
    "queue_semantics.timer_delayed_visibility",
)
async def a_timer_fires_once_when_it_is_due(w: World) -> None:
    await w.start("a")
    await w.advance_turn(timers=[w.timer("0:1", timedelta(seconds=10))])
    w.advance(timedelta(seconds=10) - MOMENT)
    assert await w.turns() == ()
    w.advance(MOMENT)
    turn = await w.turn()
    assert [(r.kind, r.ref) for r in turn.records] == [(RecordKind.TIMER_FIRED, "0:1")]
    await w.commit(turn)
    w.advance(timedelta(hours=1))
    assert await w.turns() == ()


@check()
async def timers_due_together_fire_in_the_order_of_their_time(w: World) -> None:
    await w.start("a")
    timers = [w.timer(f"0:{n}", timedelta(seconds=n)) for n in (3, 1, 2)]
    await w.advance_turn(timers=timers)
    w.advance(timedelta(minutes=1))
    turn = await w.turn()
    assert [record.ref for record in turn.records] == ["0:1", "0:2", "0:3"]


@check()
async def a_cancelled_timer_never_fires(w: World) -> None:
    await w.start("a")
    await w.advance_turn(timers=[w.timer("0:1", timedelta(seconds=1))])
    await w.send(w.event("a"))
    both = [w.timer("0:2", timedelta(seconds=1)), w.timer("0:3", timedelta(seconds=1))]
    await w.advance_turn(
        timers=both, cancel_timers=[OperationId("0:1"), OperationId("0:2"), OperationId("9:9")]
    )
    w.advance(timedelta(minutes=1))
    turn = await w.turn()
    assert [record.ref for record in turn.records] == ["0:3"]


@check()
async def timers_of_an_ended_instance_go_with_it(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    await w.end(turn, timers=[w.timer("0:1", timedelta(seconds=1))])
    w.advance(timedelta(minutes=1))
    assert await w.fetched() == ((), None)
    assert await w.kinds("a") == [RecordKind.STARTED, RecordKind.TURN]


@check(
    "capability_filtering.fetch_with_compatible_filter_returns_item",
    "capability_filtering.fetch_with_incompatible_filter_skips_item",
)
async def code_that_is_not_here_is_not_fetched(w: World) -> None:
    await w.start("other", name="else")
    await w.start("pinned", version="9.9.9")
    await w.start("mine")
    assert (await w.turn()).instance == "mine"
    assert (await w.turn(code=[("else", "1.0.0")])).instance == "other"
    assert (await w.turn(code=[(NAME, VERSION), (NAME, "9.9.9")])).instance == "pinned"


@check("capability_filtering.fetch_filter_does_not_lock_skipped_instances")
async def who_lacks_the_code_leaves_no_trace(w: World) -> None:
    await w.start("a", version="2.0.0")
    assert await w.turns(code=[(NAME, "1.0.0")]) == ()
    turn = await w.turn(code=[(NAME, "2.0.0")])
    assert turn.attempt == 1


@check("capability_filtering.fetch_filter_skips_incompatible_selects_compatible")
async def each_takes_what_it_has_the_code_for(w: World) -> None:
    await w.start("one", version="1.0.0")
    await w.start("two", version="2.0.0")
    assert (await w.turn(code=[(NAME, "2.0.0")])).instance == "two"
    assert (await w.turn(code=[(NAME, "1.0.0")])).instance == "one"


@check("capability_filtering.filter_with_empty_supported_versions_returns_nothing")
async def without_any_code_there_is_nothing_to_fetch(w: World) -> None:
    await w.start("a")
    assert await w.turns(code=[]) == ()


@check("capability_filtering.concurrent_filtered_fetch_no_double_lock")
async def what_is_leased_stays_leased_for_the_same_code(w: World) -> None:
    await w.start("a", version="1.0.0")
    await w.turn()
    assert await w.turns(executor=2) == ()


@check("capability_filtering.pinned_version_immutable_across_ack_cycles")
async def the_version_stays_over_many_turns(w: World) -> None:
    await w.start("a")
    await w.advance_turn()
    for _ in range(3):
        await w.send(w.event("a"))
        assert (await w.advance_turn()).version == VERSION
    assert (await w.info("a")).version == VERSION


@check("instance_locking.lock_token_uniqueness")
async def every_fetch_has_its_own_token(w: World) -> None:
    await w.start("a")
    tokens: set[int] = set()
    for _ in range(5):
        turn = await w.turn()
        tokens.add(turn.token)
        await w.provider.abandon_turns([AbandonTurn(turn.instance, turn.token)])
    assert len(tokens) == 5
