"""Limits, seen from instances: they wait for their first turn, and make room when they are gone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from perdure.model.ids import UNTAGGED, InstanceId
from perdure.model.records import Ending, Outcome, RecordKind
from perdure.providers.work import (
    ActivitiesHint,
    ActivityDiscarded,
    Control,
    ControlVerb,
    EnqueueOutcome,
    FinishOutcome,
    TurnsHint,
)
from perdure.testing.conformance.hearing import hearing
from perdure.testing.conformance.limits import limit, names, state, waiting
from perdure.testing.conformance.registry import check
from perdure.testing.conformance.world import World, boom, by_id

if TYPE_CHECKING:
    from perdure.providers.work import Hint


async def started(w: World, *instances: str) -> None:
    await w.start(*instances, limit="k")


@check()
async def instances_wait_for_their_limit_before_the_first_turn(w: World) -> None:
    await limit(w, concurrency=2)
    await started(w, "a")
    await started(w, "b")
    await started(w, "c")
    turns = await w.turns()
    assert sorted(turn.instance for turn in turns) == ["a", "b"]
    assert await state(w) == (2, 1)
    for turn in turns:
        await w.commit(turn)
    await w.send(w.event("a"))
    assert (await w.turn()).instance == "a", "further turns are not limited"
    assert [(await w.info(each)).awaits_limit for each in "abc"] == [False, False, True]
    assert (await w.info("c")).limit == "k"


@check()
async def an_instance_makes_room_when_it_has_ended(w: World) -> None:
    await limit(w, concurrency=1)
    await started(w, "a", "b", "c", "d")
    for instance in "ab":
        turn = await w.turn()
        assert turn.instance == instance
        await w.end(turn)
    assert (await w.turn()).instance == "c"
    await w.provider.control([Control(InstanceId("c"), ControlVerb.TERMINATE)])
    assert (await w.turn()).instance == "d"


@check()
async def an_instance_counts_over_its_executions(w: World) -> None:
    await limit(w, concurrency=1)
    await started(w, "a", "b")
    await w.commit(await w.turn(), **w.again())
    turn = await w.turn()
    assert (turn.instance, turn.execution) == ("a", 2)
    await w.end(turn)
    assert (await w.turn()).instance == "b"


@check()
async def what_is_sent_to_a_waiting_instance_waits_with_it(w: World) -> None:
    await limit(w, concurrency=1)
    await started(w, "a", "b")
    first = await w.turn()
    assert await w.send(w.event("b")) == [EnqueueOutcome.ACCEPTED]
    assert await w.turns() == ()
    await w.end(first)
    turn = await w.turn()
    assert [record.kind for record in turn.records] == [
        RecordKind.STARTED,
        RecordKind.EVENT_RAISED,
    ]


@check()
async def a_cancelled_instance_need_not_wait_to_end(w: World) -> None:
    await limit(w, concurrency=1)
    await started(w, "a", "b", "c")
    first = await w.turn()
    await w.send(w.cancel("b"))
    turn = await w.turn()
    assert turn.instance == "b"
    await w.commit(turn, ending=Ending(Outcome.CANCELLED, failure=boom()))
    assert await state(w) == (1, 1)
    await w.end(first)
    assert (await w.turn()).instance == "c"


@check()
async def a_terminated_instance_that_waited_takes_no_room(w: World) -> None:
    await limit(w, concurrency=1)
    await started(w, "a", "b", "c")
    first = await w.turn()
    await w.provider.control([Control(InstanceId("b"), ControlVerb.TERMINATE)])
    assert await state(w) == (1, 1)
    await w.end(first)
    assert (await w.turn()).instance == "c"


@check()
async def a_suspended_instance_stays_so_when_it_is_admitted(w: World) -> None:
    await limit(w, concurrency=1)
    await started(w, "a", "b")
    first = await w.turn()
    control = Control(InstanceId("b"), ControlVerb.SUSPEND)
    await w.provider.control([control])
    await w.provider.control([Control(InstanceId("b"), ControlVerb.RESUME)])
    assert await w.turns() == (), "resumed, and not admitted yet"
    await w.provider.control([control])
    await w.end(first)
    assert await w.turns() == ()
    await w.provider.control([Control(InstanceId("b"), ControlVerb.RESUME)])
    assert (await w.turn()).instance == "b"


@check()
async def children_wait_for_their_limit_too(w: World) -> None:
    await limit(w, concurrency=1)
    await w.start("parent")
    await w.advance_turn(messages=[w.starting(each, limit="k") for each in ("x", "y")])
    turn = await w.turn()
    assert turn.instance == "x"
    await w.end(turn)
    assert (await w.turn()).instance == "y"


@check()
async def messages_that_came_before_the_start_do_not_pass_the_limit(w: World) -> None:
    await limit(w, concurrency=1)
    await started(w, "a")
    await w.send(w.event("b"))
    await started(w, "b")
    turn = await w.turn()
    assert turn.instance == "a"
    await w.end(turn)
    assert (await w.turn()).instance == "b"


@check()
async def activities_and_instances_share_a_limit(w: World) -> None:
    await limit(w, concurrency=1)
    await waiting(w, "a")
    await started(w, "b")
    await waiting(w, "c")
    (work,) = await w.work()
    assert await w.turns() == ()
    await w.finish(work)
    turns = by_id(await w.turns())
    assert await w.work() == ()
    await w.end(turns["b"])
    assert await names(w) == ["c"]


# --------------------------------------------------------------------- what is deleted


@check()
async def a_deleted_instance_makes_room(w: World) -> None:
    await limit(w, concurrency=1)
    await started(w, "a", "b")
    await w.end(await w.turn())
    turn = await w.turn()
    assert turn.instance == "b"
    await started(w, "c")
    await w.provider.delete_instances([InstanceId("b")], force=True)
    assert (await w.turn()).instance == "c"
    await w.provider.delete_instances([InstanceId("a")])
    assert await state(w) == (1, 0)


@check()
async def a_deleted_instance_that_waited_takes_no_room(w: World) -> None:
    await limit(w, concurrency=1)
    await started(w, "a", "b", "c")
    first = await w.turn()
    await w.provider.delete_instances([InstanceId("b")], force=True)
    assert await state(w) == (1, 1)
    await w.end(first)
    assert (await w.turn()).instance == "c"


@check()
async def the_activities_of_a_deleted_instance_make_room(w: World) -> None:
    await limit(w, concurrency=2)
    await w.scheduled("a", *(w.activity(f"0:{n}", limit="k") for n in range(4)))
    works = await w.work()
    assert len(works) == 2
    await waiting(w, "b", "c")
    await w.provider.delete_instances([InstanceId("a")], force=True)
    assert await names(w) == ["b", "c"]
    assert await w.finish(works[0]) is FinishOutcome.LOST
    assert await state(w) == (2, 0)


# ---------------------------------------------------------------------- being told


def _tells_of(tag: str, hint: Hint) -> bool:
    return isinstance(hint, ActivitiesHint) and tag in hint.tags


@check()
async def those_who_wait_for_a_limit_are_told_of(w: World) -> None:
    await limit(w, concurrency=1)
    await waiting(w, "first", tag="t1")
    await waiting(w, "second", tag="t2")
    await waiting(w, "third")
    (work,) = await w.work("t1")
    async with hearing(w, ActivitiesHint) as heard:
        for tag, name in (("t2", "second"), (UNTAGGED, "third")):
            await w.finish(work)
            await w.turns()  # every result makes a turn, and whoever fetches it admits
            await heard.until(partial(_tells_of, tag))
            (work,) = await w.work(tag)
            assert work.name == name


@check()
async def room_that_a_discarded_activity_leaves_is_told_of(w: World) -> None:
    await limit(w, concurrency=1)
    await waiting(w, "first", "second")
    work = await w.one_work()
    await w.send(w.event("first"))
    await w.advance_turn(cancel_activities=[(work.operation, "enough")])
    async with hearing(w, TurnsHint, ActivitiesHint) as heard:
        assert await w.finish(work, ActivityDiscarded()) is FinishOutcome.RECORDED
        await heard.until(lambda hint: isinstance(hint, TurnsHint) or _tells_of(UNTAGGED, hint))
    assert await names(w) == ["second"]


@check()
async def a_greater_limit_is_told_of(w: World) -> None:
    await limit(w, concurrency=0)
    await started(w, "a")
    assert await w.turns() == ()
    async with hearing(w, TurnsHint) as heard:
        await limit(w, concurrency=1)
        await heard.until(lambda hint: isinstance(hint, TurnsHint))
    assert (await w.turn()).instance == "a"
