"""Executions: continue-as-new, and what belongs to which."""

from __future__ import annotations

from datetime import timedelta

from perdure.model.codec import decode_started
from perdure.model.ids import JsonText
from perdure.model.records import CarriedEvent, Ending, Outcome, RecordKind, StartedBody
from perdure.providers.reading import InstanceStatus
from perdure.providers.work import CommitOutcome, FinishOutcome, RenewOutcome
from perdure.testing.conformance.registry import check
from perdure.testing.conformance.world import LEASE, NAME, VERSION, World, kinds_of, refs_of


@check(
    "multi_execution.continue_as_new_creates_new_execution",
    "multi_execution.execution_id_sequencing",
)
async def continuing_as_new_starts_the_next_execution_at_once(w: World) -> None:
    await w.start("a")
    await w.advance_turn(**w.again('{"n":2}'))
    turn = await w.turn()
    assert (turn.execution, turn.held, turn.version) == (2, False, None)
    assert kinds_of(turn) == [RecordKind.STARTED]
    body = turn.records[0].body
    assert body is not None
    assert decode_started(body).input == '{"n":2}'
    info = await w.info("a")
    assert (info.execution, info.status) == (2, InstanceStatus.RUNNING)


@check("multi_execution.execution_isolation", "multi_execution.latest_execution_detection")
async def each_execution_has_its_own_history(w: World) -> None:
    await w.start("a")
    await w.advance_turn(**w.again())
    await w.advance_turn(activities=[w.activity()])
    assert await w.kinds("a", execution=1) == [RecordKind.STARTED, RecordKind.TURN]
    assert await w.kinds("a", execution=2) == [RecordKind.STARTED, RecordKind.TURN]
    assert await w.kinds("a", execution=3) == []
    assert len(await w.history("a")) == 4


@check("multi_execution.execution_history_persistence")
async def histories_of_old_executions_stay(w: World) -> None:
    await w.start("a")
    for number in (2, 3):
        await w.advance_turn(body=JsonText(f'"turn {number}"'), **w.again(f'{{"n":{number}}}'))
    await w.end(await w.turn())
    for execution, kinds in ((1, 2), (2, 2), (3, 2)):
        records = await w.history("a", execution=execution)
        assert [record.execution for record in records] == [execution] * kinds
    info = await w.info("a")
    assert (info.status, info.execution, info.history_length) == (
        InstanceStatus.COMPLETED,
        3,
        6,
    )
    seqs = [record.seq for record in await w.history("a")]
    assert seqs == sorted(set(seqs))


@check("later.continue_as_new_transition_delivery")
async def events_that_arrive_during_the_last_turn_go_to_the_next_execution(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    await w.send(w.event("a", "late one"), w.cancel("a"), w.event("a", "late two"))
    decisions = w.again()
    decisions["next_execution"] = StartedBody(
        NAME, None, JsonText("{}"), carried=(CarriedEvent("carried", JsonText("0")),)
    )
    assert await w.commit(turn, **decisions) is CommitOutcome.COMMITTED
    following = await w.turn()
    assert [(r.kind, r.ref, r.execution) for r in following.records] == [
        (RecordKind.STARTED, None, 2),
        (RecordKind.EVENT_RAISED, "late one", 2),
        (RecordKind.CANCEL_REQUESTED, None, 2),
        (RecordKind.EVENT_RAISED, "late two", 2),
    ]
    assert await w.kinds("a", execution=1) == [RecordKind.STARTED, RecordKind.TURN]
    assert (await w.info("a")).cancel_requested
    await w.commit(following)
    assert await w.turns() == (), "and they are not delivered twice"


@check()
async def a_late_event_keeps_its_token_over_the_change_of_execution(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    event = w.event("a", "late")
    await w.send(event)
    await w.commit(turn, **w.again())
    await w.send(event)
    assert refs_of(await w.turn()) == [None, "late"]


@check()
async def what_answers_the_old_execution_does_not_reach_the_new(w: World) -> None:
    await w.start("a")
    await w.advance_turn(
        activities=[w.activity("0:1"), w.activity("0:2")],
        timers=[w.timer("0:3", timedelta(seconds=5))],
    )
    first, second = await w.work()
    await w.send(w.event("a"))
    turn = await w.turn()
    assert await w.finish(first) is FinishOutcome.RECORDED
    await w.commit(turn, **w.again())
    assert await w.finish(second) is FinishOutcome.LOST
    w.advance(timedelta(seconds=6))
    following = await w.turn()
    assert kinds_of(following) == [RecordKind.STARTED]


@check()
async def an_operation_of_the_next_execution_may_have_the_same_name(w: World) -> None:
    await w.start("a")
    await w.advance_turn(
        activities=[w.activity("0:1", data='"old"')],
        timers=[w.timer("0:2", timedelta(seconds=5))],
    )
    old = await w.one_work()
    await w.send(w.event("a"))
    await w.advance_turn(**w.again())
    await w.advance_turn(
        activities=[w.activity("0:1", data='"new"')],
        timers=[w.timer("0:2", timedelta(hours=1))],
    )
    assert await w.finish(old) is FinishOutcome.LOST
    new = await w.one_work()
    assert (new.execution, new.input) == (2, '"new"')
    assert await w.finish(new) is FinishOutcome.RECORDED
    w.advance(timedelta(minutes=1))
    assert kinds_of(await w.turn()) == [RecordKind.ACTIVITY_COMPLETED], "the old timer is gone"


@check("cancellation.fetch_returns_terminal_state_when_orchestration_continued_as_new")
async def a_leased_activity_of_the_old_execution_is_cancelled(w: World) -> None:
    await w.start("a")
    await w.advance_turn(activities=[w.activity()])
    work = await w.one_work()
    await w.send(w.event("a"))
    await w.advance_turn(**w.again())
    (renewed,) = await w.provider.renew_activities([w.lease_of(work)], LEASE)
    assert renewed.outcome is RenewOutcome.CANCELLED


@check()
async def continuing_as_new_may_change_the_code(w: World) -> None:
    await w.start("a")
    await w.advance_turn(**w.again(name="else", version="3.0.0"))
    assert await w.turns() == ()
    turn = await w.turn(code=[("else", "3.0.0")])
    assert (turn.name, turn.version) == ("else", "3.0.0")
    await w.commit(turn, version="3.0.0")
    info = await w.info("a")
    assert (info.name, info.version) == ("else", "3.0.0")


@check("capability_filtering.continue_as_new_execution_gets_own_pinned_version")
async def a_new_execution_pins_its_version_anew(w: World) -> None:
    await w.start("a")
    await w.advance_turn(**w.again())
    turn = await w.turn(code=[(NAME, "5.0.0")])
    assert turn.version is None
    await w.commit(turn, version="5.0.0")
    await w.send(w.event("a"))
    assert await w.turns(code=[(NAME, VERSION)]) == ()
    assert (await w.turn(code=[(NAME, "5.0.0")])).version == "5.0.0"


@check()
async def continuing_as_new_sent_again_adds_nothing(w: World) -> None:
    await w.start("a")
    commit = w.commit_of(await w.turn(), **w.again())
    for _ in range(2):
        assert list(await w.provider.commit_turns([commit])) == [CommitOutcome.COMMITTED]
    info = await w.info("a")
    assert (info.execution, info.history_length) == (2, 3)


@check()
async def every_outcome_reads_back(w: World) -> None:
    expected = {
        Outcome.COMPLETED: InstanceStatus.COMPLETED,
        Outcome.FAILED: InstanceStatus.FAILED,
        Outcome.CANCELLED: InstanceStatus.CANCELLED,
        Outcome.TIMED_OUT: InstanceStatus.TIMED_OUT,
        Outcome.TERMINATED: InstanceStatus.TERMINATED,
    }
    for outcome, status in expected.items():
        await w.start(outcome.value)
        turn = await w.turn()
        await w.commit(turn, ending=Ending(outcome, output=JsonText('"out"')))
        info = await w.info(outcome.value)
        assert (info.status, info.output, info.status.is_terminal) == (status, '"out"', True)
        assert info.finished_at is not None
        assert info.finished_at > info.created_at
