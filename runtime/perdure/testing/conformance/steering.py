"""Steering without code: suspend, resume, terminate, block."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from perdure.model.codec import decode_failure
from perdure.model.failure import FailureCategory
from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.model.records import Ending, Outcome, ParentClose, ParentLink, RecordKind
from perdure.providers.reading import InstanceStatus
from perdure.providers.work import (
    AbandonTurn,
    Block,
    CommitOutcome,
    Control,
    ControlOutcome,
    ControlVerb,
    EnqueueOutcome,
    FinishedHint,
    FinishOutcome,
    RenewOutcome,
)
from perdure.testing.conformance.registry import check
from perdure.testing.conformance.world import LEASE, World, by_id, kinds_of, refs_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from perdure.providers.work import Hint, Message

DONE = ControlOutcome.DONE
HINT_SECONDS_MAX = 10
BLOCK = Block("Nondeterminism", "line 3 says otherwise")


async def _control(
    w: World, verb: ControlVerb, *instances: str, reason: str = ""
) -> Sequence[ControlOutcome]:
    commands = [Control(InstanceId(each), verb, reason) for each in instances]
    return list(await w.provider.control(commands))


@check()
async def a_suspended_instance_takes_messages_but_no_turns(w: World) -> None:
    await w.start("a")
    await w.advance_turn(timers=[w.timer("0:1", timedelta(seconds=1))])
    assert await _control(w, ControlVerb.SUSPEND, "a") == [DONE]
    assert (await w.info("a")).status is InstanceStatus.SUSPENDED
    assert await w.send(w.event("a")) == [EnqueueOutcome.ACCEPTED]
    w.advance(timedelta(seconds=2))
    assert await w.turns() == ()
    assert await _control(w, ControlVerb.RESUME, "a") == [DONE]
    assert (await w.info("a")).status is InstanceStatus.RUNNING
    assert kinds_of(await w.turn()) == [RecordKind.EVENT_RAISED, RecordKind.TIMER_FIRED]


@check()
async def a_turn_in_flight_ends_before_the_suspension_holds(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    await _control(w, ControlVerb.SUSPEND, "a")
    await w.send(w.event("a"))
    assert await w.commit(turn, activities=[w.activity()]) is CommitOutcome.COMMITTED
    assert await w.turns() == ()
    assert await w.finish(await w.one_work()) is FinishOutcome.RECORDED
    assert await w.turns() == ()
    await _control(w, ControlVerb.RESUME, "a")
    assert kinds_of(await w.turn()) == [
        RecordKind.EVENT_RAISED,
        RecordKind.ACTIVITY_COMPLETED,
    ]


@check()
async def suspending_and_resuming_twice_changes_nothing(w: World) -> None:
    await w.start("a")
    assert await _control(w, ControlVerb.RESUME, "a") == [ControlOutcome.UNCHANGED]
    assert await _control(w, ControlVerb.SUSPEND, "a", "a") == [DONE, ControlOutcome.UNCHANGED]
    assert await _control(w, ControlVerb.RESUME, "a", "a") == [DONE, ControlOutcome.UNCHANGED]


@check()
async def steering_what_is_over_or_unknown_says_so(w: World) -> None:
    await w.start("a")
    await w.end(await w.turn())
    for verb in ControlVerb:
        assert await _control(w, verb, "nobody", "a") == [
            ControlOutcome.NOT_FOUND,
            ControlOutcome.FINISHED,
        ]


@check()
async def a_blocked_instance_is_parked_until_it_is_resumed(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    await w.provider.abandon_turns([AbandonTurn(turn.instance, turn.token, block=BLOCK)])
    info = await w.info("a")
    assert (info.status, info.block) == (InstanceStatus.BLOCKED, BLOCK)
    await w.send(w.event("a"))
    w.advance(timedelta(days=1))
    assert await w.turns() == ()
    assert await _control(w, ControlVerb.RESUME, "a") == [DONE]
    again = await w.turn()
    assert (again.attempt, len(again.records)) == (1, 2)
    assert (await w.info("a")).block is None


@check()
async def a_blocked_instance_is_tried_again_though_nothing_new_arrived(w: World) -> None:
    await w.start("a")
    await w.advance_turn()
    await w.send(w.event("a"))
    turn = await w.turn()
    await w.provider.abandon_turns([AbandonTurn(turn.instance, turn.token, block=BLOCK)])
    await _control(w, ControlVerb.RESUME, "a")
    assert refs_of(await w.turn(executor=9))[-1] == "event"


@check()
async def terminating_ends_at_once_without_code(w: World) -> None:
    await w.start("a")
    await w.advance_turn(
        activities=[w.activity("0:1"), w.activity("0:2")],
        timers=[w.timer("0:3", timedelta(seconds=1))],
    )
    (leased,) = await w.work(limit=1)
    assert await _control(w, ControlVerb.TERMINATE, "a", reason="broken") == [DONE]
    info = await w.info("a")
    assert info.status is InstanceStatus.TERMINATED
    assert info.failure is not None
    assert (info.failure.category, info.failure.message) == (
        FailureCategory.TERMINATED,
        "broken",
    )
    last = (await w.history("a"))[-1]
    assert (last.kind, last.body, last.seq) == (
        RecordKind.TERMINATED,
        '"broken"',
        info.history_length,
    )
    assert await w.work() == ()
    (renewed,) = await w.provider.renew_activities([w.lease_of(leased)], LEASE)
    assert renewed.outcome is RenewOutcome.CANCELLED
    assert await w.finish(leased) is FinishOutcome.LOST
    w.advance(timedelta(minutes=1))
    assert await w.fetched() == ((), None)


@check("deletion.force_delete_prevents_ack_recreation")
async def a_turn_in_flight_cannot_bring_a_terminated_instance_back(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    await _control(w, ControlVerb.TERMINATE, "a")
    assert await w.commit(turn, activities=[w.activity()]) is CommitOutcome.LOST
    assert await w.work() == ()
    assert (await w.info("a")).status is InstanceStatus.TERMINATED


async def _family(w: World) -> None:
    """Start `root`, its child `root.0`, and that one's children `root.0.0` and `root.0.1`."""
    await w.start("root")
    links = {"root": ["root.0"], "root.0": ["root.0.0", "root.0.1"]}
    for parent, children in links.items():
        turn = by_id(await w.turns())[parent]
        await w.commit(
            turn,
            messages=[
                w.starting(
                    child,
                    parent=ParentLink(InstanceId(parent), 1, OperationId(f"0:{number}")),
                )
                for number, child in enumerate(children)
            ],
        )


@check()
async def terminating_takes_the_whole_tree(w: World) -> None:
    await _family(w)
    await w.start("stranger")
    assert await _control(w, ControlVerb.TERMINATE, "root", reason="all") == [DONE]
    for instance in ("root", "root.0", "root.0.0", "root.0.1"):
        assert (await w.info(instance)).status is InstanceStatus.TERMINATED
        assert (await w.kinds(instance)).count(RecordKind.TERMINATED) == 1
    assert [turn.instance for turn in await w.turns()] == ["stranger"]


@check()
async def the_parent_of_what_is_terminated_is_told(w: World) -> None:
    await _family(w)
    assert await _control(w, ControlVerb.TERMINATE, "root.0", reason="half") == [DONE]
    turn = await w.turn()
    assert turn.instance == "root"
    (record,) = turn.records
    assert (record.kind, record.ref) == (RecordKind.CHILD_FAILED, "0:0")
    failure = decode_failure(record.body or JsonText(""))
    assert (failure.category, failure.message) == (FailureCategory.TERMINATED, "half")
    assert (await w.info("root")).status is InstanceStatus.RUNNING


@check()
async def trees_terminated_from_several_places_at_once_end_once(w: World) -> None:
    await _family(w)
    async with w.storage.open() as other:
        second = w.with_provider(other)
        await asyncio.gather(
            _control(w, ControlVerb.TERMINATE, "root"),
            _control(second, ControlVerb.TERMINATE, "root.0"),
            _control(w, ControlVerb.TERMINATE, "root.0.1", "root"),
        )
    for instance in ("root", "root.0", "root.0.0", "root.0.1"):
        assert (await w.kinds(instance)).count(RecordKind.TERMINATED) == 1


@check()
async def a_suspended_or_blocked_instance_can_be_terminated(w: World) -> None:
    await w.start("a", "b")
    turn = by_id(await w.turns())["b"]
    await w.provider.abandon_turns([AbandonTurn(turn.instance, turn.token, block=BLOCK)])
    await _control(w, ControlVerb.SUSPEND, "a")
    assert await _control(w, ControlVerb.TERMINATE, "a", "b") == [DONE, DONE]
    assert (await w.info("b")).block is None


@check()
async def a_batch_of_commands_answers_in_order(w: World) -> None:
    await w.start("x", "y")
    commands = [
        Control(InstanceId("y"), ControlVerb.SUSPEND),
        Control(InstanceId("nobody"), ControlVerb.SUSPEND),
        Control(InstanceId("x"), ControlVerb.TERMINATE),
        Control(InstanceId("y"), ControlVerb.RESUME),
        Control(InstanceId("x"), ControlVerb.RESUME),
    ]
    assert list(await w.provider.control(commands)) == [
        DONE,
        ControlOutcome.NOT_FOUND,
        DONE,
        DONE,
        ControlOutcome.FINISHED,
    ]


# ------------------------------------------------------------- parents that take theirs along


def _child_of(
    w: World, parent: str, child: str, close: ParentClose = ParentClose.TERMINATE
) -> Message:
    link = ParentLink(InstanceId(parent), 1, OperationId(f"0:{child}"))
    return w.starting(child, parent=link, parent_close=close)


@check()
async def terminating_leaves_children_that_outlive_their_parent(w: World) -> None:
    await w.start("root")
    starts = [
        _child_of(w, "root", "kept", ParentClose.ABANDON),
        _child_of(w, "root", "asked", ParentClose.CANCEL),
        _child_of(w, "root", "taken", ParentClose.TERMINATE),
    ]
    await w.advance_turn(messages=starts)
    await w.advance_of("kept", messages=[_child_of(w, "kept", "below")])
    assert await _control(w, ControlVerb.TERMINATE, "root") == [DONE]
    assert {each: (await w.info(each)).status for each in ("kept", "below", "asked", "taken")} == {
        "kept": InstanceStatus.RUNNING,
        "below": InstanceStatus.PENDING,
        "asked": InstanceStatus.TERMINATED,
        "taken": InstanceStatus.TERMINATED,
    }
    assert await _control(w, ControlVerb.TERMINATE, "kept") == [DONE]
    assert (await w.info("below")).status is InstanceStatus.TERMINATED


@check()
async def a_turn_that_ends_terminates_its_children_and_what_is_beneath_them(w: World) -> None:
    await w.start("root", "stranger")
    turns = by_id(await w.turns())
    await w.commit(turns["stranger"])
    await w.commit(
        turns["root"], messages=[_child_of(w, "root", "old"), _child_of(w, "root", "on")]
    )
    await w.advance_of(
        "old", messages=[_child_of(w, "old", "below")], activities=[w.activity("0:1")]
    )
    work = await w.one_work()
    await w.send(w.event("root"))
    turn = await w.turn_of("root")
    async with w.storage.open() as other:
        stream = cast("AsyncGenerator[Hint]", other.hints([FinishedHint]))
        async with aclosing(stream) as hints:
            await anext(hints)
            await w.end(
                turn,
                messages=[_child_of(w, "root", "new")],
                terminate=[InstanceId(each) for each in ("new", "old", "stranger", "nobody")],
            )
            heard: set[str] = set()
            async with asyncio.timeout(HINT_SECONDS_MAX):
                while not heard >= {"root", "old", "below", "new"}:
                    hint = await anext(hints)
                    heard |= {str(each) for each in getattr(hint, "instances", ())}
    assert {each: (await w.info(each)).status for each in ("root", "old", "below", "new")} == {
        "root": InstanceStatus.COMPLETED,
        "old": InstanceStatus.TERMINATED,
        "below": InstanceStatus.TERMINATED,
        "new": InstanceStatus.TERMINATED,
    }
    assert (await w.info("stranger")).status is InstanceStatus.RUNNING
    assert (await w.info("on")).status is InstanceStatus.PENDING
    failure = (await w.info("old")).failure
    assert failure is not None
    assert failure.category is FailureCategory.TERMINATED
    (renewed,) = await w.provider.renew_activities([w.lease_of(work)], LEASE)
    assert renewed.outcome is RenewOutcome.CANCELLED


@check()
async def a_turn_that_goes_on_hears_of_the_children_it_terminated(w: World) -> None:
    await w.start("root")
    await w.advance_turn(messages=[_child_of(w, "root", "child")])
    await w.send(w.event("root"))
    turn = await w.turn_of("root")
    assert await w.commit(turn, terminate=[InstanceId("child")]) is CommitOutcome.COMMITTED
    following = await w.turn_of("root")
    assert [(r.kind, r.ref) for r in following.records] == [(RecordKind.CHILD_FAILED, "0:child")]
    await w.commit(following, terminate=[InstanceId("child")])
    assert (await w.kinds("child")).count(RecordKind.TERMINATED) == 1


@check()
async def children_terminated_by_a_continuation_are_the_old_executions(w: World) -> None:
    await w.start("root")
    await w.advance_turn(messages=[_child_of(w, "root", "child")])
    await w.send(w.event("root"))
    await w.commit(await w.turn_of("root"), terminate=[InstanceId("child")], **w.again())
    assert (await w.info("child")).status is InstanceStatus.TERMINATED
    assert await w.kinds("root", execution=2) == [RecordKind.STARTED]


@check()
async def a_refused_commit_terminates_nothing(w: World) -> None:
    await w.start("root")
    await w.advance_turn(messages=[_child_of(w, "root", "child")])
    await w.send(w.event("root"))
    turn = await w.turn_of("root")
    lost = w.commit_of(replace(turn, token=w.token()), terminate=[InstanceId("child")])
    assert list(await w.provider.commit_turns([lost])) == [CommitOutcome.LOST]
    assert (await w.info("child")).status is InstanceStatus.PENDING


@check()
async def parents_that_terminate_while_their_trees_grow_end_them_whole(w: World) -> None:
    async with w.storage.open() as other:
        for number in range(8):
            root, child = f"r{number}", f"c{number}"
            await w.start(root)
            await w.advance_of(root, messages=[_child_of(w, root, child)])
            await w.send(w.event(root))
            turns = by_id(await w.turns())
            ends = w.commit_of(
                turns[root], ending=Ending(Outcome.COMPLETED), terminate=[InstanceId(child)]
            )
            grows = w.commit_of(turns[child], messages=[_child_of(w, child, f"g{number}")])
            await asyncio.gather(
                w.provider.commit_turns([ends]),
                other.commit_turns([grows]),
                other.control([Control(InstanceId(child), ControlVerb.TERMINATE)]),
            )
            for each in (child, f"g{number}"):
                (info,) = await w.provider.read_instances([InstanceId(each)])
                assert info is None or info.status is InstanceStatus.TERMINATED
    assert await w.turns() == ()
