"""Sessions: activities that go to one executor, while it lives and the session is in use."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from perdure.model.ids import UNTAGGED, ExecutorId
from perdure.providers.work import (
    AbandonActivity,
    ActivitiesHint,
    ActivityRetried,
    FetchActivities,
    FetchedActivities,
    FinishOutcome,
    RenewOutcome,
    SessionTerms,
)
from perdure.testing.conformance.hearing import hearing
from perdure.testing.conformance.registry import check
from perdure.testing.conformance.world import LEASE, MOMENT, World, boom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.providers.work import LeasedActivity

OWNED = timedelta(minutes=2)
"""How long a session is owned: longer than the lease of an activity."""
IDLE = timedelta(minutes=10)
TERMS = SessionTerms(limit=10, lease=OWNED, idle=IDLE)


async def take(w: World, executor: int, *tags: str, **options: Any) -> Sequence[str]:
    """Fetch with sessions, and tell the names of what came."""
    return [each.name for each in await take_all(w, executor, *tags, **options)]


async def take_all(
    w: World, executor: int, *tags: str, terms: SessionTerms = TERMS, limit: int = 100
) -> Sequence[LeasedActivity]:
    return await w.work(*tags, executor=executor, sessions=terms, limit=limit)


async def waiting(w: World, name: str, session: str | None, **options: Any) -> None:
    """Let an activity of an instance of its own wait."""
    if session is not None:
        options["session"] = session
    await w.start(name)
    for turn in await w.turns():
        mine = [w.activity(name=name, **options)] if turn.instance == name else []
        await w.commit(turn, activities=mine)


async def renew(w: World, executor: int, terms: SessionTerms = TERMS) -> Sequence[str]:
    return sorted(await w.provider.renew_sessions(ExecutorId(executor), terms))


# --------------------------------------------------------------------- who gets what


@check("sessions.non_session_items_fetchable_by_any_worker")
async def an_activity_without_a_session_goes_to_any_executor(w: World) -> None:
    await waiting(w, "p1", None)
    await waiting(w, "p2", None)
    assert [each.name for each in await w.work(executor=1, limit=1)] == ["p1"]
    assert [each.name for each in await w.work(executor=2, limit=1)] == ["p2"]


@check("sessions.non_session_items_returned_with_session_config")
async def who_takes_sessions_takes_what_has_none_too(w: World) -> None:
    await waiting(w, "plain", None)
    assert await take(w, 1) == ["plain"]


@check("sessions.none_session_skips_session_items")
async def who_takes_no_sessions_gets_none_of_theirs(w: World) -> None:
    await waiting(w, "plain", None)
    await waiting(w, "s1", "s")
    assert [each.name for each in await w.work()] == ["plain"]
    assert await w.work() == ()
    assert await take(w, 1) == ["s1"]


@check("sessions.session_item_claimable_when_no_session")
async def the_first_who_fetches_owns_the_session(w: World) -> None:
    await waiting(w, "s1", "s")
    (work,) = await take_all(w, 1)
    assert work.options is not None
    assert work.options.session == "s"
    assert await renew(w, 1) == ["s"]


@check("sessions.session_affinity_same_worker")
async def the_owner_gets_what_comes_to_the_session_later(w: World) -> None:
    await waiting(w, "s1", "s")
    (work,) = await take_all(w, 1)
    await w.finish(work)
    for name in ("s2", "s3"):
        await waiting(w, name, "s")
        assert await take(w, 1) == [name]


@check("sessions.session_affinity_blocks_other_worker")
async def another_gets_nothing_of_an_owned_session(w: World) -> None:
    await waiting(w, "s1", "s")
    assert await take(w, 1) == ["s1"]
    await waiting(w, "s2", "s")
    for _ in range(3):
        assert await take(w, 2) == []
    assert await take(w, 1) == ["s2"]


@check("sessions.different_sessions_different_workers")
async def sessions_are_owned_each_for_itself(w: World) -> None:
    await waiting(w, "a1", "a")
    await waiting(w, "b1", "b")
    assert await take(w, 1, limit=1) == ["a1"]
    assert await take(w, 2, limit=1) == ["b1"]
    await waiting(w, "b2", "b")
    await waiting(w, "a2", "a")
    assert await take(w, 1) == ["a2"]
    assert await take(w, 2) == ["b2"]


@check("sessions.mixed_session_and_non_session_items")
async def who_does_not_own_the_session_gets_the_rest(w: World) -> None:
    await waiting(w, "s1", "s")
    assert await take(w, 1) == ["s1"]
    await waiting(w, "s2", "s")
    await waiting(w, "plain", None)
    await waiting(w, "t1", "t")
    assert sorted(await take(w, 2)) == ["plain", "t1"]
    assert await take(w, 1) == ["s2"]


@check("sessions.some_session_returns_all_items", "sessions.session_items_processed_in_order")
async def one_who_can_take_all_gets_all_oldest_first(w: World) -> None:
    for number in range(6):
        session = ["s", None, "t"][number % 3]
        await waiting(w, f"n{number}", session)
    assert await take(w, 1) == [f"n{number}" for number in range(6)]
    for number in range(5):
        await w.scheduled(f"s{number}", w.activity(name="same", data=f"{number}", session="s"))
    for number in range(5):
        (work,) = await take_all(w, 1, limit=1)
        assert work.input == f"{number}", "one of a session after the other"


@check()
async def a_session_keeps_to_the_tags_and_names_of_who_fetches(w: World) -> None:
    await waiting(w, "gpu1", "s", tag="gpu")
    await waiting(w, "io1", "s", tag="io")
    assert await take(w, 1, "gpu") == ["gpu1"]
    assert await take(w, 2, "io") == [], "the session is another's"
    assert await take(w, 1, "gpu", "io") == ["io1"]
    await waiting(w, "known", "s")
    await waiting(w, "strange", "s")
    request = FetchActivities(
        *(ExecutorId(1), w.token(), (UNTAGGED,), 10, LEASE, ("known",)), sessions=TERMS
    )
    found = (await w.provider.fetch_activities(request)).activities
    assert [each.name for each in found] == ["known"]


@check()
async def a_session_may_have_any_name(w: World) -> None:
    for session in ("", " ", "%", "*", "zone/eu-1 'ü'", "\N{SNOWMAN}" * 80):
        if not session:
            continue
        await waiting(w, f"first {session}", session)
        assert await take(w, 1) == [f"first {session}"]
        await waiting(w, f"then {session}", session)
        assert await take(w, 2) == []
        assert await take(w, 1) == [f"then {session}"]


@check()
async def no_more_sessions_are_taken_than_the_terms_allow(w: World) -> None:
    terms = SessionTerms(limit=2, lease=OWNED, idle=IDLE)
    for name in "abcd":
        await waiting(w, f"{name}1", name)
    await waiting(w, "plain", None)
    assert sorted(await take(w, 1, terms=terms)) == ["a1", "b1", "plain"]
    await waiting(w, "a2", "a")
    assert await take(w, 1, terms=terms) == ["a2"], "its own still come"
    assert await take(w, 2, terms=terms) == ["c1", "d1"]
    assert await renew(w, 1, terms) == ["a", "b"]


@check()
async def with_room_for_no_session_what_has_none_is_taken(w: World) -> None:
    terms = SessionTerms(limit=0, lease=OWNED, idle=IDLE)
    await waiting(w, "s1", "s")
    await waiting(w, "plain", None)
    assert await take(w, 1, terms=terms) == ["plain"]
    assert await take(w, 2) == ["s1"]


@check("sessions.shared_worker_id_any_caller_can_fetch_owned_session")
async def all_slots_of_an_executor_share_its_sessions(w: World) -> None:
    for number in range(4):
        await waiting(w, f"s{number}", "s")
    async with w.storage.open() as other:
        assert await take(w, 1, limit=1) == ["s0"]
        assert await take(w.with_provider(other), 1, limit=1) == ["s1"]
        assert await take(w.with_provider(other), 2) == []
    assert await take(w, 1) == ["s2", "s3"]


@check("sessions.concurrent_session_claim_only_one_wins")
async def of_many_who_claim_at_once_one_owns(w: World) -> None:
    for number in range(12):
        await waiting(w, f"s{number}", "s")
    async with w.storage.open() as other:
        taken = await asyncio.gather(
            *(take(w.with_provider((w.provider, other)[n % 2]), n, limit=3) for n in range(1, 9))
        )
    owners = [n for n, names in enumerate(taken, 1) if names]
    assert len(owners) == 1, "all in one hand"
    rest: list[str] = []
    while found := await take(w, owners[0]):
        rest += found
    assert len(rest) + len(taken[owners[0] - 1]) == 12


@check()
async def many_sessions_spread_over_executors_and_none_is_shared(w: World) -> None:
    await w.scheduled(
        "a", *(w.activity(f"0:{n}", name=f"of {n % 10}", session=f"s{n % 10}") for n in range(60))
    )
    owner_of: dict[str, int] = {}
    taken = 0
    async with w.storage.open() as other:
        for _ in range(40):
            found = await asyncio.gather(
                *(take(w.with_provider((w.provider, other)[n % 2]), n, limit=2) for n in range(4))
            )
            for executor, names in enumerate(found):
                taken += len(names)
                for name in names:
                    assert owner_of.setdefault(name, executor) == executor
            if taken == 60:
                break
    assert taken == 60
    assert len(owner_of) == 10


# --------------------------------------------------------------- the end of ownership


@check(
    "sessions.session_claimable_after_lock_expiry", "sessions.session_takeover_after_lock_expiry"
)
async def a_session_whose_owner_is_gone_goes_to_another(w: World) -> None:
    await waiting(w, "s1", "s")
    (work,) = await take_all(w, 1)
    await w.finish(work)
    await waiting(w, "s2", "s")
    assert await take(w, 2) == []
    w.advance(OWNED - timedelta(seconds=1))
    assert await take(w, 2) == []
    w.advance(timedelta(seconds=1))
    assert await take(w, 2) == ["s2"]
    await waiting(w, "s3", "s")
    assert await take(w, 1) == [], "it was its owner once"
    assert await take(w, 2) == ["s3"]


@check(
    "sessions.original_worker_reclaims_expired_session",
    "sessions.session_lock_expires_same_worker_reacquires",
)
async def the_old_owner_may_take_it_again(w: World) -> None:
    await waiting(w, "s1", "s")
    await take(w, 1)
    w.advance(OWNED)
    await waiting(w, "s2", "s")
    assert sorted(await take(w, 1)) == ["s1", "s2"], "what it had, its lease being over, too"
    assert await take(w, 2) == []
    assert await renew(w, 1) == ["s"]


@check("sessions.activity_lock_expires_session_lock_valid_same_worker_refetches")
async def a_lost_activity_of_an_owned_session_comes_back_to_its_owner_alone(w: World) -> None:
    await waiting(w, "s1", "s")
    await take(w, 1)
    w.advance(LEASE)
    assert await take(w, 2) == []
    (work,) = await take_all(w, 1)
    assert (work.name, work.attempt) == ("s1", 2)


@check("sessions.session_lock_expires_new_owner_gets_redelivery")
async def the_new_owner_gets_what_the_old_one_lost(w: World) -> None:
    await waiting(w, "s1", "s")
    await take(w, 1)
    w.advance(OWNED)
    await waiting(w, "s2", "s")
    again = await take_all(w, 2)
    assert [(each.name, each.attempt) for each in again] == [("s1", 2), ("s2", 1)]
    assert await take(w, 1) == []


@check("sessions.both_locks_expire_different_worker_claims")
async def when_both_leases_are_over_anybody_takes_it(w: World) -> None:
    await waiting(w, "s1", "s")
    (first,) = await take_all(w, 1)
    w.advance(OWNED + LEASE)
    (second,) = await take_all(w, 3)
    assert second.attempt == 2
    assert await w.finish(first) is FinishOutcome.LOST
    assert await w.finish(second) is FinishOutcome.RECORDED


@check("sessions.session_lock_expires_activity_lock_valid_ack_succeeds")
async def losing_the_session_does_not_cost_the_activity(w: World) -> None:
    await waiting(w, "s1", "s")
    (work,) = await take_all(w, 1)
    w.advance(LEASE / 2)
    await w.provider.renew_activities([w.lease_of(work)], OWNED * 2)
    w.advance(OWNED)
    await waiting(w, "s2", "s")
    assert await take(w, 2) == ["s2"]
    assert await w.finish(work) is FinishOutcome.RECORDED


@check("sessions.session_lock_renewal_extends_past_original_timeout")
async def a_renewed_session_stays_owned(w: World) -> None:
    await waiting(w, "s1", "s")
    (work,) = await take_all(w, 1)
    await w.finish(work)
    for _ in range(4):
        w.advance(OWNED * 0.8)
        assert await renew(w, 1) == ["s"]
    await waiting(w, "s2", "s")
    assert await take(w, 2) == []
    assert await take(w, 1) == ["s2"]


@check("sessions.renew_session_lock_active")
async def renewing_tells_all_that_is_owned(w: World) -> None:
    for session in ("a", "b", "c"):
        await waiting(w, f"{session}1", session)
        await take(w, 1 if session != "c" else 2)
        assert await renew(w, 1) == ["a", "b"][: 1 if session == "a" else 2]
    assert await renew(w, 2) == ["c"]


@check("sessions.renew_session_lock_no_sessions")
async def who_owns_nothing_renews_nothing(w: World) -> None:
    assert await renew(w, 1) == []
    await waiting(w, "s1", "s")
    await take(w, 1)
    assert await renew(w, 2) == []


@check("sessions.renew_session_lock_after_expiry_returns_zero")
async def a_session_that_is_over_cannot_be_renewed(w: World) -> None:
    await waiting(w, "s1", "s")
    await take(w, 1)
    w.advance(OWNED)
    assert await renew(w, 1) == []
    assert await take(w, 2) == ["s1"]


@check("sessions.renew_session_lock_skips_idle")
async def an_idle_session_is_not_kept(w: World) -> None:
    await waiting(w, "s1", "s")
    (work,) = await take_all(w, 1)
    await w.finish(work)
    w.advance(timedelta(seconds=10))
    short = SessionTerms(limit=10, lease=OWNED, idle=timedelta(seconds=5))
    assert await renew(w, 1, short) == []
    w.advance(OWNED)
    await waiting(w, "s2", "s")
    assert await take(w, 2) == ["s2"]


async def _is_kept(w: World) -> bool:
    """Renew with so short an idle time that only what just happened keeps the session."""
    terms = SessionTerms(limit=10, lease=OWNED, idle=timedelta(seconds=5))
    return await renew(w, 1, terms) == ["s"]


@check("sessions.ack_updates_session_last_activity")
async def a_result_keeps_a_session_in_use(w: World) -> None:
    for number, end in enumerate((None, ActivityRetried(timedelta(hours=1), boom()))):
        await waiting(w, f"s{number}", "s")
        (work,) = await take_all(w, 1)
        w.advance(timedelta(seconds=10))
        await w.finish(work, end)
        assert await _is_kept(w)
    w.advance(timedelta(seconds=10))
    assert not await _is_kept(w)


@check("sessions.renew_work_item_updates_session_last_activity")
async def a_renewed_activity_keeps_its_session_in_use(w: World) -> None:
    await waiting(w, "s1", "s")
    (work,) = await take_all(w, 1)
    for _ in range(3):
        w.advance(LEASE / 2)
        await w.provider.renew_activities([w.lease_of(work)], LEASE)
        assert await _is_kept(w)
    w.advance(timedelta(seconds=10))
    assert not await _is_kept(w)


@check()
async def taking_from_a_session_keeps_it_in_use(w: World) -> None:
    await waiting(w, "s1", "s")
    await take(w, 1)
    w.advance(timedelta(seconds=10))
    await waiting(w, "s2", "s")
    await take(w, 1)
    assert await _is_kept(w)


@check()
async def a_late_result_does_not_bring_a_session_back(w: World) -> None:
    await waiting(w, "s1", "s")
    (work,) = await take_all(w, 1)
    await w.provider.renew_activities([w.lease_of(work)], OWNED * 3)
    w.advance(OWNED)
    assert await w.finish(work) is FinishOutcome.RECORDED
    assert await renew(w, 1) == []
    await waiting(w, "s2", "s")
    assert await take(w, 2) == ["s2"]


@check("sessions.cleanup_removes_expired_no_items")
async def a_session_without_work_is_forgotten(w: World) -> None:
    await waiting(w, "s1", "s")
    (work,) = await take_all(w, 1)
    await w.finish(work)
    w.advance(OWNED)
    fetched = await _fetched(w, 2)
    assert (fetched.activities, fetched.next_due) == ((), None), "nothing is left to look after"


@check("sessions.cleanup_keeps_sessions_with_pending_items")
async def work_of_a_session_whose_owner_is_gone_is_not_lost(w: World) -> None:
    await waiting(w, "s1", "s")
    await take(w, 1, limit=1)
    for number in range(2, 5):
        await waiting(w, f"s{number}", "s")
    assert await take(w, 2) == []
    w.advance(OWNED * 10)
    assert await take(w, 3) == ["s1", "s2", "s3", "s4"]


@check("sessions.cleanup_keeps_active_sessions")
async def what_others_fetch_leaves_an_owned_session_alone(w: World) -> None:
    await waiting(w, "s1", "s")
    await take(w, 1)
    for _ in range(3):
        w.advance(OWNED / 2)
        await renew(w, 1)
        assert await take(w, 2) == []
    assert await renew(w, 1) == ["s"]


@check("sessions.cleanup_then_new_item_recreates_session")
async def a_forgotten_session_can_be_taken_up_again(w: World) -> None:
    await waiting(w, "s1", "s")
    (work,) = await take_all(w, 1)
    await w.finish(work)
    w.advance(OWNED)
    assert await take(w, 2) == []
    await waiting(w, "s2", "s")
    assert await take(w, 3) == ["s2"]
    assert await renew(w, 3) == ["s"]


@check()
async def released_sessions_go_to_others_at_once(w: World) -> None:
    for session in ("a", "b"):
        await waiting(w, f"{session}1", session)
    await take(w, 1)
    for session in ("a", "b"):
        await waiting(w, f"{session}2", session)
    assert await take(w, 2) == []
    async with hearing(w, ActivitiesHint) as heard:
        await w.provider.release_sessions(ExecutorId(1))
        await heard.until(lambda hint: hint == ActivitiesHint(frozenset({UNTAGGED})))
    assert sorted(await take(w, 2)) == ["a2", "b2"]
    assert await renew(w, 1) == []
    await w.provider.release_sessions(ExecutorId(1))
    assert await renew(w, 2) == ["a", "b"]


# ------------------------------------------------------------------ attempts, waiting


@check("sessions.abandoned_session_item_retryable")
async def a_handed_back_activity_of_a_session_stays_with_its_owner(w: World) -> None:
    await waiting(w, "s1", "s")
    (work,) = await take_all(w, 1)
    back = AbandonActivity(w.lease_of(work), count_attempt=True)
    await w.provider.abandon_activities([back])
    assert await take(w, 2) == []
    (again,) = await take_all(w, 1)
    assert again.attempt == 2


@check("sessions.abandoned_session_item_ignore_attempt")
async def handing_back_an_activity_of_a_session_is_not_counted(w: World) -> None:
    await waiting(w, "s1", "s")
    (work,) = await take_all(w, 1)
    await w.provider.abandon_activities([AbandonActivity(w.lease_of(work))])
    (again,) = await take_all(w, 1)
    assert again.attempt == 1
    assert again.options is not None
    assert again.options.session == "s"


@check()
async def a_retry_in_a_session_comes_to_its_owner(w: World) -> None:
    await waiting(w, "s1", "s")
    (work,) = await take_all(w, 1)
    await w.finish(work, ActivityRetried(timedelta(seconds=10), boom()))
    w.advance(timedelta(seconds=10))
    assert await take(w, 2) == []
    (again,) = await take_all(w, 1)
    assert (again.attempt, again.failures) == (2, 1)


@check()
async def a_session_lives_over_executions(w: World) -> None:
    await waiting(w, "s1", "s")
    (work,) = await take_all(w, 1)
    await w.finish(work)
    turn = await w.turn()
    await w.commit(turn, **w.again())
    following = await w.turn()
    await w.commit(following, activities=[w.activity("0:1", name="s2", session="s")])
    assert await take(w, 2) == []
    assert await take(w, 1) == ["s2"]


@check()
async def cancelled_activities_of_a_session_go(w: World) -> None:
    await w.scheduled(
        "a", w.activity("0:1", name="s1", session="s"), w.activity("0:2", name="s2", session="s")
    )
    (leased,) = await take_all(w, 1, limit=1)
    await w.send(w.event("a"))
    turn = await w.turn()
    cancels = [(each.operation, "enough") for each in (leased,)]
    await w.end(turn, cancel_activities=cancels)
    (renewed,) = await w.provider.renew_activities([w.lease_of(leased)], LEASE)
    assert renewed.outcome is RenewOutcome.CANCELLED
    w.advance(LEASE)
    assert await take(w, 1) == []


async def _fetched(w: World, executor: int) -> FetchedActivities:
    request = FetchActivities(
        *(ExecutorId(executor), w.token(), (UNTAGGED,), 10, LEASE), sessions=TERMS
    )
    return await w.provider.fetch_activities(request)


@check()
async def fetching_says_when_a_session_may_be_had(w: World) -> None:
    await waiting(w, "s1", "s")
    await take(w, 1)
    await waiting(w, "s2", "s")
    fetched = await _fetched(w, 2)
    assert fetched.activities == ()
    assert fetched.next_due is not None
    assert fetched.next_due <= OWNED
    for _ in range(20):
        w.advance(max(fetched.next_due, MOMENT))
        fetched = await _fetched(w, 2)
        if fetched.activities or fetched.next_due is None:
            break
    assert {each.name for each in fetched.activities} == {"s1", "s2"}
