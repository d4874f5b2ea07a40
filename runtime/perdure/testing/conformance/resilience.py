"""What suites leave out: fairness, wake-ups, text that is no JSON, sheer size, one instant."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.model.records import Ending, Outcome, RecordKind
from perdure.providers.reading import InstanceStatus, ListInstances
from perdure.providers.work import (
    AbandonActivity,
    AbandonTurn,
    ActivitiesHint,
    ActivityCompleted,
    ActivityResult,
    Block,
    CommitOutcome,
    Control,
    ControlVerb,
    FinishedHint,
    FinishOutcome,
    Message,
    NewTimer,
    RenewOutcome,
    ResyncHint,
    TurnsHint,
)
from perdure.testing.conformance.registry import check
from perdure.testing.conformance.world import LEASE, MOMENT, NAME, VERSION, World, boom, by_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from perdure.providers.work import Hint

HINT_SECONDS_MAX = 10
BROKEN = JsonText('{"half": [1, 2')

# -------------------------------------------------------------------------------- fairness


@check()
async def a_busy_instance_does_not_starve_the_quiet(w: World) -> None:
    await w.start("busy")
    for number in range(5):
        await w.start(f"quiet{number}")
    await w.start("other", name="else")
    taken: list[str] = []
    for _ in range(8):
        turn = await w.turn(limit=1, code=[(NAME, VERSION), ("else", VERSION)])
        taken.append(turn.instance)
        await w.send(w.event("busy"), w.event("busy"))
        await w.commit(turn)
    quiet = [f"quiet{number}" for number in range(5)]
    assert taken == ["busy", *quiet, "other", "busy"]


@check()
async def what_cannot_be_done_here_holds_up_nothing(w: World) -> None:
    await w.start(*(f"codeless{n}" for n in range(30)), name="gone")
    await w.start(*(f"leased{n}" for n in range(30)))
    await w.turns(limit=30)
    for number in range(30):
        parked = f"parked{number}"
        await w.start(parked)
        await w.provider.control([Control(InstanceId(parked), ControlVerb.SUSPEND)])
    await w.start("mine")
    assert (await w.turn(limit=1)).instance == "mine"
    await w.scheduled("far", *(w.activity(f"0:{n}", tag="other") for n in range(30)))
    await w.scheduled("near", w.activity("0:1", tag="mine"))
    assert (await w.one_work("mine", limit=1)).instance == "near"


# -------------------------------------------------------------------------------- wake-ups


@check(
    "long_polling.long_poll_waits_for_timeout",
    "long_polling.long_poll_work_item_waits_for_timeout",
)
async def who_comes_back_when_told_finds_work_and_none_before(w: World) -> None:
    await w.start("a")
    turn = await w.turn(lease=timedelta(seconds=3))
    await w.provider.abandon_turns(
        [AbandonTurn(turn.instance, turn.token, delay=timedelta(seconds=5))]
    )
    due = (await w.fetched())[1]
    assert due is not None
    w.advance(due - MOMENT)
    assert (await w.fetched())[0] == ()
    w.advance(MOMENT)
    await w.commit(
        await w.turn(), activities=[w.activity()], timers=[w.timer("0:2", timedelta(seconds=7))]
    )
    due = (await w.fetched())[1]
    assert due is not None
    w.advance(due - MOMENT)
    assert (await w.fetched())[0] == ()
    w.advance(MOMENT)
    assert len((await w.turn()).records) == 1
    work = await w.one_work()
    back = AbandonActivity(w.lease_of(work), delay=timedelta(seconds=5))
    await w.provider.abandon_activities([back])
    w.advance(timedelta(seconds=5) - MOMENT)
    assert await w.work() == ()
    w.advance(MOMENT)
    assert len(await w.work()) == 1


@check("long_polling.fetch_respects_timeout_upper_bound")
async def a_fetch_returns_at_once_whatever_waits(w: World) -> None:
    loop = asyncio.get_running_loop()
    await w.start("a")
    await w.advance_turn(
        activities=[w.activity(tag="gpu")], timers=[w.timer("0:2", timedelta(hours=1))]
    )
    await w.work("gpu")
    started = loop.time()
    for _ in range(5):
        assert await w.turns() == ()
        assert await w.work("gpu") == ()
    assert loop.time() - started < 5 * 1.0


@check()
async def whatever_makes_work_due_is_told(w: World) -> None:
    me = InstanceId("a")
    async with w.storage.open() as other:
        stream = cast("AsyncGenerator[Hint]", other.hints([TurnsHint, ActivitiesHint]))
        async with aclosing(stream) as hints:
            assert await anext(hints) == ResyncHint()
            gpu = ActivitiesHint(frozenset({"gpu"}))

            async def tells(act: Callable[[], Awaitable[object]], hint: Hint) -> None:
                await act()
                async with asyncio.timeout(HINT_SECONDS_MAX):
                    while await anext(hints) != hint:
                        pass

            turns = TurnsHint()
            await tells(lambda: w.start("a"), turns)
            turn = await w.turn()
            await w.send(w.event("a"))
            await tells(lambda: w.commit(turn, activities=[w.activity(tag="gpu")]), gpu)
            work = await w.one_work("gpu")
            back = AbandonActivity(w.lease_of(work))
            await tells(lambda: w.provider.abandon_activities([back]), gpu)
            work = await w.one_work("gpu")
            await tells(lambda: w.finish(work), turns)
            turn = await w.turn()
            await tells(lambda: w.provider.abandon_turns([AbandonTurn(me, turn.token)]), turns)
            await w.provider.control([Control(me, ControlVerb.SUSPEND)])
            await tells(lambda: w.provider.control([Control(me, ControlVerb.RESUME)]), turns)
            turn = await w.turn()
            await tells(lambda: w.commit(turn, **w.again()), turns)


# ------------------------------------------------------------------------- undecodable text


@check(
    "capability_filtering.fetch_corrupted_history_filtered_vs_unfiltered",
    "capability_filtering.fetch_filter_applied_before_history_deserialization",
    "capability_filtering.fetch_deserialization_error_increments_attempt_count",
    "capability_filtering.fetch_deserialization_error_eventually_reaches_poison",
)
async def a_history_that_nobody_can_decode_is_given_out_counted_and_parked(w: World) -> None:
    await w.start("a")
    await w.advance_turn(body=BROKEN)
    await w.send(Message(InstanceId("a"), RecordKind.EVENT_RAISED, ref="e", body=BROKEN))
    assert await w.turns(code=[(NAME, "9.0.0")]) == (), "who lacks the code sees nothing of it"
    await w.start("fine")
    for attempt in range(1, 6):
        turns = by_id(await w.turns(executor=100 + attempt))
        assert turns["a"].attempt == attempt
        assert [record.body for record in turns["a"].records[1:]] == [BROKEN, BROKEN]
        for turn in turns.values():
            if turn.instance == "fine":
                await w.end(turn)
            elif attempt < 5:
                await w.provider.abandon_turns([AbandonTurn(turn.instance, turn.token)])
            else:
                block = Block("Undecodable", "it is no JSON")
                await w.provider.abandon_turns(
                    [AbandonTurn(turn.instance, turn.token, block=block)]
                )
    assert (await w.info("a")).status is InstanceStatus.BLOCKED
    assert (await w.info("fine")).status is InstanceStatus.COMPLETED


@check(
    "capability_filtering.ack_appends_event_to_corrupted_history",
    "later.read_corrupted_history_returns_error",
    "later.read_with_execution_corrupted_history_returns_error",
)
async def a_history_that_nobody_can_decode_can_be_read_and_ended(w: World) -> None:
    await w.start("a")
    await w.advance_turn(body=BROKEN, activities=[w.activity(data=BROKEN)])
    work = await w.one_work()
    assert work.input == BROKEN
    await w.finish(work, ActivityCompleted(BROKEN))
    turn = await w.turn(executor=9)
    failed = Ending(Outcome.FAILED, failure=boom("cannot be decoded"))
    assert await w.commit(turn, ending=failed) is CommitOutcome.COMMITTED
    info = await w.info("a")
    assert (info.status, info.failure) == (InstanceStatus.FAILED, boom("cannot be decoded"))
    for records in (await w.history("a"), await w.history("a", execution=1)):
        assert [record.body for record in records[1:3]] == [BROKEN, BROKEN], "nothing is left out"


@check("later.queue_replay_version_stamp_roundtrip")
async def a_turn_record_comes_back_to_the_letter(w: World) -> None:
    body = JsonText('{ "upto":1,  "version" : "0.0.1-odd+ü", "now":"1999-12-31T23:59:59Z","x":1.0}')
    await w.start("a")
    await w.advance_turn(body=body)
    await w.send(w.event("a"))
    turn = await w.turn(executor=9)
    assert [record.body for record in turn.records if record.kind is RecordKind.TURN] == [body]
    await w.commit(turn, version="7.7.7", **w.again())
    assert (await w.history("a"))[1].body == body


# ------------------------------------------------------------------------------- code, exactly


@check(
    "capability_filtering.fetch_with_filter_none_returns_any_item",
    "capability_filtering.fetch_single_range_only_uses_first_range",
)
async def every_piece_of_code_of_the_caller_counts(w: World) -> None:
    code = [(f"name{n}", f"{n}.0.0") for n in range(40)]
    for name, version in code:
        await w.start(f"{name}-pinned", name=name, version=version)
        await w.start(f"{name}-any", name=name)
    assert len(await w.turns(code=code, limit=1000)) == 80


@check("capability_filtering.fetch_filter_boundary_versions")
async def a_version_is_matched_to_the_letter(w: World) -> None:
    await w.start("a", version="1.0.1")
    near = ["1.0.0", "1.0.2", "1.0", "1.0.10", "1.0.1-rc.1", "1.0.1+build", "01.0.1", "v1.0.1", ""]
    assert await w.turns(code=[(NAME, version) for version in near]) == ()
    assert await w.turns(code=[(NAME.upper(), "1.0.1"), (f"{NAME} ", "1.0.1")]) == ()
    assert (
        await w.turn(code=[*((NAME, version) for version in near), (NAME, "1.0.1")])
    ).attempt == 1


@check("capability_filtering.provider_updates_pinned_version_when_told")
async def the_version_of_the_last_turn_is_kept(w: World) -> None:
    await w.start("a")
    await w.advance_turn(version="1.0.0")
    await w.send(w.event("a"))
    await w.commit(await w.turn(code=[(NAME, "1.0.0")]), version="1.5.0")
    await w.send(w.event("a"))
    assert await w.turns(code=[(NAME, "1.0.0")]) == ()
    assert (await w.turn(code=[(NAME, "1.5.0")])).version == "1.5.0"


@check("later.continue_as_new_unregistered_backoff")
async def an_execution_whose_code_nobody_has_waits_and_keeps_what_arrives(w: World) -> None:
    await w.start("a")
    await w.advance_turn(**w.again(name="else"))
    await w.send(w.event("a", "one"), w.queued("a", "two"))
    for _ in range(3):
        assert await w.turns() == ()
        w.advance(timedelta(minutes=1))
    assert (await w.fetched())[1] is None, "and nobody is told to look again"
    turn = await w.turn(code=[("else", "1.0.0")])
    assert turn.attempt == 1
    assert [record.ref for record in turn.records] == [None, "one", "two"]


# -------------------------------------------------------------------------------- sheer size


@check()
async def a_thousand_of_everything_in_one_call(w: World) -> None:
    names = [f"i{number:04}" for number in range(1000)]
    await w.start(*names)
    turns = await w.turns(limit=2000)
    assert len(turns) == 1000
    commits = [
        w.commit_of(
            turn,
            activities=[w.activity()],
            timers=[w.timer("0:2", timedelta(hours=1))],
            messages=[w.event(names[0], str(turn.instance))],
        )
        for turn in turns
    ]
    assert set(await w.provider.commit_turns(commits)) == {CommitOutcome.COMMITTED}
    works = await w.work(limit=2000)
    assert len(works) == 1000
    results = [ActivityResult(w.lease_of(each), ActivityCompleted(JsonText("1"))) for each in works]
    assert set(await w.provider.finish_activities(results)) == {FinishOutcome.RECORDED}
    first = await w.history(names[0])
    assert [record.seq for record in first] == list(range(1, 1004))
    assert sorted(str(r.ref) for r in first if r.kind is RecordKind.EVENT_RAISED) == names
    turns = await w.turns(limit=2000)
    ends = [w.commit_of(turn, ending=Ending(Outcome.COMPLETED)) for turn in turns]
    assert set(await w.provider.commit_turns(ends)) == {CommitOutcome.COMMITTED}
    page = await w.provider.list_instances(ListInstances(limit=1000))
    assert {info.status for info in page.instances} == {InstanceStatus.COMPLETED}
    assert await w.fetched() == ((), None)


@check()
async def a_long_history_comes_whole_and_its_tail_alone(w: World) -> None:
    await w.start("a")
    for _ in range(4):
        await w.send(*(w.event("a", data="1") for _ in range(1500)))
        turn = await w.turn()
        assert len(turn.records) <= 1501
        await w.commit(turn)
    await w.send(w.event("a", "last"))
    turn = await w.turn()
    assert turn.held
    assert [record.ref for record in turn.records] == ["last"]
    await w.provider.abandon_turns([AbandonTurn(turn.instance, turn.token)])
    turn = await w.turn(executor=2)
    assert [record.seq for record in turn.records] == list(range(1, 6007))
    assert [r.seq for r in await w.history("a", after=6000)] == list(range(6001, 6007))


# -------------------------------------------------------------------------------- one instant


@check()
async def what_comes_in_one_instant_keeps_its_order(w: World) -> None:
    names = [f"e{number}" for number in range(60)]
    await w.start("a")
    await w.send(*(w.event("a", name) for name in names))
    turn = await w.turn()
    assert [record.ref for record in turn.records[1:]] == names
    assert len({record.at for record in turn.records[1:]}) == 1
    at = w.storage.clock() + timedelta(seconds=1)
    operations = [OperationId(f"0:{number}") for number in range(9)]
    await w.commit(turn, timers=[NewTimer(each, at) for each in reversed(operations)])
    w.advance(timedelta(seconds=2))
    assert [record.ref for record in (await w.turn()).records] == operations


@check()
async def lists_of_what_started_in_one_instant_miss_and_double_nothing(w: World) -> None:
    names = [f"i{number:02}" for number in range(25)]
    await w.start(*names)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await w.provider.list_instances(ListInstances(limit=4, after=cursor))
        seen.extend(str(info.instance) for info in page.instances)
        cursor = page.next
        if cursor is None:
            break
    assert seen == sorted(names, reverse=True)


# -------------------------------------------------------------------------- leases, restarts


@check()
async def an_activitys_lease_can_be_shorter_than_a_second(w: World) -> None:
    await w.scheduled("a", w.activity())
    short = timedelta(milliseconds=150)
    work = await w.one_work(lease=short)
    for _ in range(3):
        w.advance(short - MOMENT)
        assert await w.work() == ()
        (renewed,) = await w.provider.renew_activities([w.lease_of(work)], short)
        assert renewed.outcome is RenewOutcome.HELD
    w.advance(short)
    assert await w.finish(work) is FinishOutcome.LOST
    assert (await w.one_work()).attempt == 2


@check()
async def attempts_and_leases_are_storages_and_outlive_every_process(w: World) -> None:
    await w.scheduled("a", w.activity())
    await w.send(w.event("a"))
    async with w.storage.open() as other:
        second = w.with_provider(other)
        turn, work = await second.turn(), await second.one_work()
        assert (turn.attempt, work.attempt) == (1, 1)
    async with w.storage.open() as other:
        third = w.with_provider(other)
        assert (await third.turns(), await third.work()) == ((), ())
        w.advance(LEASE)
        turn, work = await third.turn(), await third.one_work()
        assert (turn.attempt, work.attempt) == (2, 2)
    assert await w.commit(turn) is CommitOutcome.COMMITTED
    assert await w.finish(work) is FinishOutcome.RECORDED


@check()
async def answers_that_were_lost_are_told_again(w: World) -> None:
    """Every verb with a token, asked twice: as after a reply that never came."""
    start, event, cancel = w.starting("a"), w.event("a"), w.cancel("a")
    queued, update = w.queued("a"), w.update("a")
    messages = [start, event, queued, update, cancel]
    first = await w.send(*messages)
    assert await w.send(*messages) == first
    turn = await w.turn()
    commit = w.commit_of(turn, activities=[w.activity()], messages=[w.starting("b")])
    for _ in range(2):
        assert list(await w.provider.commit_turns([commit])) == [CommitOutcome.COMMITTED]
    work = await w.one_work()
    for _ in range(2):
        assert await w.finish(work) is FinishOutcome.RECORDED
    assert len(await w.history("a")) == 7
    assert len(await w.history("b")) == 1
    turns = by_id(await w.turns())
    end = w.commit_of(turns["a"], ending=Ending(Outcome.COMPLETED))
    for _ in range(2):
        assert list(await w.provider.commit_turns([end])) == [CommitOutcome.COMMITTED]
    assert await w.send(*messages) == first, "also when it has ended since"
    assert len(await w.history("a")) == 8


@check()
async def whoever_waits_for_an_end_is_told(w: World) -> None:
    await w.start("a", "b")
    turns = by_id(await w.turns())
    async with w.storage.open() as other:
        stream = cast("AsyncGenerator[Hint]", other.hints([FinishedHint]))
        async with aclosing(stream) as hints:
            assert await anext(hints) == ResyncHint()
            await w.end(turns["a"])
            await w.provider.delete_instances([InstanceId("b")], force=True)
            heard: set[str] = set()
            async with asyncio.timeout(HINT_SECONDS_MAX):
                while not heard >= {"a", "b"}:
                    hint = await anext(hints)
                    heard |= {str(each) for each in getattr(hint, "instances", ())}
