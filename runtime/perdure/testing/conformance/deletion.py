"""Deletion, retention, pruning: what goes, what it takes along, and what it must not touch."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.model.options import ActivityOptions
from perdure.model.records import Ending, Outcome, ParentClose, ParentLink, RecordKind
from perdure.providers.administering import (
    Deleted,
    DeleteOutcome,
    Limit,
    Prune,
    Pruned,
    Retire,
    Retired,
)
from perdure.providers.reading import InstanceStatus, ListInstances
from perdure.providers.work import (
    CommitOutcome,
    Control,
    ControlVerb,
    EnqueueOutcome,
    FinishOutcome,
    KeyWrite,
    RenewOutcome,
    TurnLease,
    UpdateAnswer,
)
from perdure.testing.conformance.questions import ask, question
from perdure.testing.conformance.registry import check
from perdure.testing.conformance.world import LEASE, World, boom, by_id

if TYPE_CHECKING:
    from collections.abc import Sequence

DELETED = DeleteOutcome.DELETED


async def delete(w: World, *instances: str, force: bool = False) -> Sequence[Deleted]:
    """Delete."""
    ids = [InstanceId(each) for each in instances]
    return list(await w.provider.delete_instances(ids, force=force))


async def outcomes(w: World, *instances: str, force: bool = False) -> Sequence[DeleteOutcome]:
    """Delete, and say what became of it."""
    return [each.outcome for each in await delete(w, *instances, force=force)]


async def end_all(w: World) -> None:
    """Complete everything that is due."""
    for turn in await w.turns():
        await w.end(turn)


async def family(w: World, root: str, *, close: ParentClose = ParentClose.CANCEL) -> None:
    """Start a root, two children `.0` and `.1`, and a grandchild `.0.0`."""
    await w.start(root)
    for parent, children in ((root, ("0", "1")), (f"{root}.0", ("0",))):
        turn = by_id(await w.turns())[parent]
        starts = [
            w.starting(
                f"{parent}.{child}",
                parent=ParentLink(InstanceId(parent), 1, OperationId(f"0:{child}")),
                parent_close=close,
            )
            for child in children
        ]
        await w.commit(turn, messages=starts)
        for other in await w.turns():
            await w.commit(other)
        await w.send(w.event(f"{parent}.0"))


async def end_family(w: World, root: str) -> None:
    """Complete a family."""
    members = (root, f"{root}.0", f"{root}.1", f"{root}.0.0")
    await w.send(*(w.event(each) for each in members))
    for turn in await w.turns():
        await w.end(turn)
    for each in members:
        assert (await w.info(each)).status is InstanceStatus.COMPLETED


async def left(w: World) -> Sequence[str]:
    """Ids of all instances, sorted."""
    page = await w.provider.list_instances(ListInstances(limit=1000))
    return sorted(str(info.instance) for info in page.instances)


@check("deletion.delete_terminal_instances", "deletion.delete_instances_atomic")
async def what_has_ended_is_deleted_with_all_that_is_its(w: World) -> None:
    await w.start("done", "failed", "over")
    turns = by_id(await w.turns())
    await w.end(turns["done"], keys=[KeyWrite("k", JsonText("1"))], attributes=JsonText('{"x":1}'))
    await w.commit(turns["failed"], ending=Ending(Outcome.FAILED, failure=boom()))
    await w.provider.control([Control(InstanceId("over"), ControlVerb.TERMINATE)])
    assert (
        await delete(w, "done", "over", "failed")
        == [Deleted(DELETED, instances=1, executions=1, records=2)] * 3
    )
    for each in ("done", "failed", "over"):
        assert list(await w.provider.read_instances([InstanceId(each)])) == [None]
        assert await w.history(each) == []
        assert await w.keys(each) == {}
    assert await left(w) == []
    assert (await w.provider.read_totals()).instances == {}


@check("deletion.delete_running_rejected_force_succeeds")
async def what_runs_is_deleted_by_force_alone(w: World) -> None:
    await w.start("a", "b")
    await w.advance_of("b")
    (refused,) = await delete(w, "a")
    assert (refused.outcome, refused.running, refused.instances) == (
        DeleteOutcome.RUNNING,
        ("a",),
        0,
    )
    assert await w.kinds("a") == [RecordKind.STARTED]
    assert await outcomes(w, "a", "b", force=True) == [DELETED, DELETED]
    assert await left(w) == []
    assert await w.fetched() == ((), None)


@check("deletion.delete_nonexistent_instance")
async def what_is_not_there_cannot_be_deleted(w: World) -> None:
    await w.send(w.event("awaited"))
    for force in (False, True):
        assert await outcomes(w, "nobody", "awaited", force=force) == [DeleteOutcome.NOT_FOUND] * 2
    await w.start("awaited")
    assert len((await w.turn()).records) == 2, "its message is there still"


@check("deletion.delete_cleans_queues_and_locks")
async def the_queues_are_cleaned_and_the_id_is_free_again(w: World) -> None:
    await w.start("a", tenant="team", attributes='{"x":1}')
    await w.advance_turn(
        activities=[w.activity("0:1"), w.activity("0:2")],
        timers=[w.timer("0:3", timedelta(seconds=5))],
        keys=[KeyWrite("k", JsonText("1"))],
    )
    await w.work(limit=1)
    await w.send(w.event("a"), w.update("a"))
    await ask(w, question("a"))
    (gone,) = await delete(w, "a", force=True)
    assert gone == Deleted(DELETED, instances=1, executions=1, records=4, messages=5)
    assert await w.work() == ()
    w.advance(timedelta(hours=1))
    assert await w.work() == ()
    assert await w.fetched() == ((), None)
    await w.start("a", name="else")
    info = await w.info("a")
    assert (info.name, info.tenant, info.attributes, info.history_length) == ("else", "", None, 1)
    turn = await w.turn(code=[("else", "1.0.0")])
    assert [record.kind for record in turn.records] == [RecordKind.STARTED]
    assert await w.keys("a") == {}
    assert await w.send(w.update("a")) == [EnqueueOutcome.ACCEPTED]
    assert await w.answers("a", "u1", "q1") == [None, None]
    w.advance(timedelta(hours=1))
    await w.turns()
    assert await w.kinds("a") == [RecordKind.STARTED, RecordKind.UPDATE_REQUESTED]


@check("deletion.cascade_delete_hierarchy", "deletion.delete_get_instance_tree")
async def a_tree_goes_as_a_whole_and_by_its_root_alone(w: World) -> None:
    await family(w, "r")
    await end_family(w, "r")
    await family(w, "s")
    for force in (False, True):
        assert await outcomes(w, "r.0", "r.0.0", "s.1", force=force) == [DeleteOutcome.IS_CHILD] * 3
    (gone,) = await delete(w, "r")
    assert (gone.outcome, gone.instances, gone.executions) == (DELETED, 4, 4)
    assert await left(w) == ["s", "s.0", "s.0.0", "s.1"]


@check(
    "deletion.delete_instances_atomic_force",
    "deletion.delete_instances_atomic_orphan_detection",
)
async def one_that_runs_keeps_its_whole_tree(w: World) -> None:
    await family(w, "r")
    for each in ("r", "r.0"):
        await w.send(w.event(each))
        for turn in await w.turns():
            if turn.instance == each:
                await w.end(turn)
            else:
                await w.commit(turn)
    (refused,) = await delete(w, "r")
    assert (refused.outcome, set(refused.running)) == (DeleteOutcome.RUNNING, {"r.0.0", "r.1"})
    assert len(await left(w)) == 4
    assert await outcomes(w, "r", force=True) == [DELETED]
    assert await left(w) == []


@check()
async def what_outlives_its_parent_goes_with_the_tree_by_force(w: World) -> None:
    await family(w, "r", close=ParentClose.ABANDON)
    assert await outcomes(w, "r", force=True) == [DELETED]
    assert await left(w) == []
    assert await w.fetched() == ((), None)


@check(
    "deletion.force_delete_prevents_ack_recreation",
    "cancellation.fetch_returns_missing_state_when_instance_deleted",
)
async def a_turn_in_flight_brings_nothing_back(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    await delete(w, "a", force=True)
    renewed = await w.provider.renew_turns([TurnLease(turn.instance, turn.token)], LEASE)
    assert [each.outcome for each in renewed] == [RenewOutcome.LOST]
    outcome = await w.commit(
        turn,
        activities=[w.activity()],
        timers=[w.timer("0:2", timedelta(0))],
        messages=[w.starting("child"), w.event("a")],
        keys=[KeyWrite("k", JsonText("1"))],
        answers=[UpdateAnswer("u1", result=JsonText("1"))],
    )
    assert outcome is CommitOutcome.LOST
    assert await left(w) == []
    assert await w.work() == ()
    assert await w.keys("a") == {}
    await w.start("a")
    assert await w.commit(turn) is CommitOutcome.LOST, "nor into another of the same id"


@check(
    "deletion.stale_activity_after_delete_recreate",
    "cancellation.orphan_activity_after_instance_force_deletion",
    "cancellation.renew_returns_missing_when_instance_deleted",
)
async def an_activity_in_flight_brings_nothing_back(w: World) -> None:
    await w.scheduled("a", w.activity())
    work = await w.one_work()
    await delete(w, "a", force=True)
    (renewed,) = await w.provider.renew_activities([w.lease_of(work)], LEASE)
    assert renewed.outcome is RenewOutcome.LOST
    await w.scheduled("a", w.activity())
    assert await w.finish(work) is FinishOutcome.LOST
    assert await w.turns() == ()
    assert await w.finish(await w.one_work()) is FinishOutcome.RECORDED
    assert len((await w.turn()).records) == 1


@check()
async def a_childs_answer_to_a_deleted_parent_is_dropped(w: World) -> None:
    await family(w, "r")
    await w.send(w.event("r.1"))
    turn = by_id(await w.turns())["r.1"]
    await delete(w, "r", force=True)
    assert await w.commit(turn, ending=Ending(Outcome.COMPLETED)) is CommitOutcome.LOST
    await w.start("r")
    assert await w.kinds("r") == [RecordKind.STARTED]


@check()
async def deleting_against_turns_that_grow_the_tree_leaves_no_orphan(w: World) -> None:
    async with w.storage.open() as other:
        second = w.with_provider(other)
        for number in range(10):
            root = f"r{number}"
            await w.start(root)
            turn = by_id(await w.turns())[root]
            link = ParentLink(InstanceId(root), 1, OperationId("0:1"))
            commit = w.commit_of(turn, messages=[w.starting(f"{root}.child", parent=link)])
            (deleted,), (committed,) = await asyncio.gather(
                delete(w, root, force=True), second.provider.commit_turns([commit])
            )
            assert deleted.outcome is DELETED
            assert committed in {CommitOutcome.COMMITTED, CommitOutcome.LOST}
            assert deleted.instances == (2 if committed is CommitOutcome.COMMITTED else 1)
    assert await left(w) == []
    assert await w.fetched() == ((), None)


@check()
async def deleting_against_results_messages_and_renewals_loses_no_other(w: World) -> None:
    names = [f"i{number}" for number in range(6)]
    for name in names:
        await w.scheduled(name, w.activity("0:1"), w.activity("0:2"))
    works = list(await w.work())
    async with w.storage.open() as other:
        second = w.with_provider(other)
        await asyncio.gather(
            delete(w, *names[:3], force=True),
            *(second.finish(each) for each in works),
            second.send(*(w.event(each) for each in reversed(names))),
            other.renew_activities([w.lease_of(each) for each in reversed(works)], LEASE),
        )
    assert await left(w) == names[3:]
    for name in names[3:]:
        assert (await w.kinds(name)).count(RecordKind.ACTIVITY_COMPLETED) == 2
        assert (await w.kinds(name)).count(RecordKind.EVENT_RAISED) == 1
    assert await w.work() == ()


@check()
async def two_who_delete_one_tree_delete_it_once(w: World) -> None:
    await family(w, "r")
    async with w.storage.open() as other:
        both = await asyncio.gather(
            delete(w, "r", force=True), delete(w.with_provider(other), "r", force=True)
        )
    found = sorted(str(each.outcome) for (each,) in both)
    assert found == sorted([str(DELETED), str(DeleteOutcome.NOT_FOUND)])


@check()
async def a_deleted_instance_shows_in_the_change_feed(w: World) -> None:
    await w.start("a", watched=True)
    cursor = (await w.provider.read_changes(0, 100)).cursor
    await delete(w, "a", force=True)
    assert (await w.provider.read_changes(cursor, 100)).instances == ("a",)
    w.advance(timedelta(hours=2))
    await w.provider.sweep()
    assert (await w.provider.read_changes(0, 100)).instances == ()


# ------------------------------------------------------------------------------- retention


async def retire(w: World, **request: Any) -> Retired:
    """Retire."""
    request.setdefault("limit", 1000)
    return await w.provider.retire(Retire(**request))


@check("bulk_deletion.delete_instance_bulk_safety_and_limits")
async def retention_takes_the_oldest_first_in_batches_and_leaves_what_runs(w: World) -> None:
    await w.start("runs")
    await w.advance_turn()
    for number in range(7):
        await w.start(f"i{number}")
        await w.end(await w.turn())
    assert await retire(w, limit=3) == Retired(3, 3, 6)
    assert await left(w) == ["i3", "i4", "i5", "i6", "runs"]
    assert await retire(w, limit=3) == Retired(3, 3, 6)
    assert await retire(w, limit=3) == Retired(1, 1, 2)
    assert await retire(w, limit=3) == Retired(0, 0, 0)
    assert await left(w) == ["runs"]


@check("bulk_deletion.delete_instance_bulk_filter_combinations")
async def retention_can_be_narrowed(w: World) -> None:
    await w.start("mine", tenant="team")
    await w.start("failed")
    await w.start("done", "runs")
    turns = by_id(await w.turns())
    await w.end(turns["mine"])
    await w.end(turns["done"])
    await w.commit(turns["failed"], ending=Ending(Outcome.FAILED, failure=boom()))
    await w.commit(turns["runs"])
    assert (await retire(w, name="else")).roots == 0
    assert (await retire(w, statuses=[InstanceStatus.RUNNING])).roots == 0
    assert (await retire(w, tenant="others")).roots == 0
    assert (await retire(w, tenant="team", statuses=[InstanceStatus.COMPLETED])).roots == 1
    assert await left(w) == ["done", "failed", "runs"]
    assert (await retire(w, statuses=[InstanceStatus.FAILED])).roots == 1
    assert (await retire(w)).roots == 1
    assert await left(w) == ["runs"]


@check("bulk_deletion.delete_instance_bulk_completed_before_filter")
async def retention_leaves_what_is_too_young(w: World) -> None:
    await w.start("old")
    await w.end(await w.turn())
    w.advance(timedelta(hours=2))
    between = w.storage.clock()
    await w.start("young")
    await w.end(await w.turn())
    assert (await retire(w, older_than=timedelta(hours=3))).roots == 0
    assert (await retire(w, finished_before=between - timedelta(hours=3))).roots == 0
    both = {"older_than": timedelta(hours=1), "finished_before": between - timedelta(hours=3)}
    assert (await retire(w, **both)).roots == 0, "both must hold"
    assert (await retire(w, older_than=timedelta(hours=1))).roots == 1
    assert await left(w) == ["young"]
    assert (await retire(w, finished_before=w.storage.clock())).roots == 1


@check("bulk_deletion.delete_instance_bulk_cascades_to_children")
async def retention_takes_whole_trees_that_have_ended(w: World) -> None:
    await family(w, "r")
    await end_family(w, "r")
    await family(w, "s")
    await w.send(w.event("s"))
    for turn in await w.turns():
        await (w.end(turn) if turn.instance == "s" else w.commit(turn))
    assert (await w.info("s")).status is InstanceStatus.COMPLETED
    retired = await retire(w)
    assert (retired.roots, retired.instances) == (1, 4)
    assert await left(w) == ["s", "s.0", "s.0.0", "s.1"], "a child of it runs still"


@check()
async def retention_from_many_places_at_once_takes_each_once(w: World) -> None:
    names = [f"i{number}" for number in range(30)]
    await w.start(*names)
    await end_all(w)
    async with w.storage.open() as other:
        second = w.with_provider(other)
        parts = await asyncio.gather(
            *((w, second)[n % 2].provider.retire(Retire(8)) for n in range(4))
        )
    taken = sum(part.roots for part in parts)
    assert taken + len(await left(w)) == 30
    assert (await retire(w)).roots == 30 - taken
    assert await left(w) == []


# --------------------------------------------------------------------------------- pruning


async def executions(w: World, instance: str, count: int, **decisions: Any) -> None:
    """Start an instance and continue it as new until it is in its `count`-th execution."""
    await w.start(instance)
    for _ in range(count - 1):
        turn = by_id(await w.turns())[instance]
        await w.commit(turn, **w.again(), **decisions)


async def prune(w: World, instance: str, **request: Any) -> Pruned:
    """Prune."""
    (pruned,) = await w.provider.prune([Prune(InstanceId(instance), **request)])
    return pruned


async def kept(w: World, instance: str) -> Sequence[int]:
    """Executions that are kept."""
    return [each.execution for each in await w.provider.read_executions(InstanceId(instance))]


@check("prune.prune_options_combinations")
async def pruning_keeps_the_last_executions(w: World) -> None:
    await executions(w, "a", 4)
    assert await prune(w, "a", keep_last=2) == Pruned(2, 4)
    assert await kept(w, "a") == [3, 4]
    assert [record.execution for record in await w.history("a")] == [3, 3, 4]
    assert await prune(w, "a") == Pruned(1, 2)
    assert await kept(w, "a") == [4]
    assert await prune(w, "a") == Pruned(0, 0)
    await w.end(await w.turn())
    assert (await w.info("a")).history_length == 8


@check("prune.prune_safety")
async def pruning_never_takes_the_last_execution(w: World) -> None:
    await executions(w, "a", 2)
    await w.end(await w.turn())
    for keep in (0, None, 1, -5):
        expected = Pruned(1, 2) if keep == 0 else Pruned(0, 0)
        assert await prune(w, "a", keep_last=keep) == expected
        assert await kept(w, "a") == [2]
    assert await prune(w, "nobody") == Pruned(None, None)


@check()
async def pruning_may_ask_that_it_has_been_over_for_long(w: World) -> None:
    await executions(w, "a", 2)
    w.advance(timedelta(hours=1))
    between = w.storage.clock()
    for _ in range(2):
        await w.advance_turn(**w.again())
    assert await prune(w, "a", finished_before=between, keep_last=4) == Pruned(0, 0)
    assert await prune(w, "a", finished_before=between) == Pruned(1, 2)
    assert await kept(w, "a") == [2, 3, 4]


@check("prune.prune_bulk")
async def pruning_many_touches_no_other(w: World) -> None:
    for name in "abc":
        await executions(w, name, 3)
    requests = [Prune(InstanceId(name)) for name in ("c", "nobody", "a")]
    assert list(await w.provider.prune(requests)) == [
        Pruned(2, 4),
        Pruned(None, None),
        Pruned(2, 4),
    ]
    assert [await kept(w, name) for name in "abc"] == [[3], [1, 2, 3], [3]]


@check("prune.prune_bulk_includes_running_instances")
async def pruning_what_runs_does_not_disturb_it(w: World) -> None:
    await executions(w, "a", 3)
    turn = await w.turn()
    await w.send(w.event("a"))
    async with w.storage.open() as other:
        await asyncio.gather(
            prune(w.with_provider(other), "a"), w.commit(turn, activities=[w.activity()])
        )
    assert await kept(w, "a") == [3]
    info = await w.info("a")
    assert (info.status, info.execution) == (InstanceStatus.RUNNING, 3)
    following = await w.turn(executor=7)
    assert not following.held
    assert [record.execution for record in following.records] == [3, 3, 3]
    await w.end(following)


@check()
async def a_continuation_asked_for_again_after_pruning_is_committed(w: World) -> None:
    await w.start("a")
    commit = w.commit_of(await w.turn(), **w.again())
    assert list(await w.provider.commit_turns([commit])) == [CommitOutcome.COMMITTED]
    await prune(w, "a")
    assert list(await w.provider.commit_turns([commit])) == [CommitOutcome.COMMITTED]


@check(
    "kv_store.kv_prune_preserves_overwritten",
    "kv_store.kv_prune_preserves_all_keys",
    "kv_store.kv_prune_current_execution_protected",
    "kv_store.kv_delta_prune_untouched_key_survives",
)
async def pruning_leaves_keys_answers_and_attributes(w: World) -> None:
    await w.start("a")
    await w.send(w.update("a"))
    await w.advance_turn(
        keys=[KeyWrite("x", JsonText("1")), KeyWrite("y", JsonText("1"))],
        answers=[UpdateAnswer("u1", result=JsonText("7"))],
        attributes=JsonText('{"z":1}'),
        **w.again(),
    )
    await w.advance_turn(keys=[KeyWrite("y", JsonText("2"))], **w.again())
    assert (await prune(w, "a")).executions == 2
    assert await w.keys("a") == {"x": "1", "y": "2"}
    (answer,) = await w.answers("a", "u1")
    assert answer is not None
    assert await w.send(w.update("a")) == [EnqueueOutcome.ACCEPTED], "seen, though its record went"
    assert len((await w.turn()).records) == 1
    assert (await w.info("a")).attributes is not None


@check(
    "kv_store.kv_delete_instance_cascades",
    "kv_store.kv_delete_instance_with_children",
    "kv_store.kv_delta_delete_instance_cascades",
)
async def keys_go_with_the_instance_and_its_children(w: World) -> None:
    await w.start("a")
    link = ParentLink(InstanceId("a"), 1, OperationId("0:1"))
    keys = [KeyWrite("k", JsonText("1"))]
    await w.advance_turn(messages=[w.starting("a.child", parent=link)], keys=keys)
    await w.advance_turn(keys=keys)
    await w.start("b")
    await w.advance_turn(keys=keys)
    await delete(w, "a", force=True)
    assert [await w.keys(each) for each in ("a", "a.child", "b")] == [{}, {}, {"k": "1"}]


@check()
async def deleting_and_terminating_free_what_limits_counted(w: World) -> None:
    await w.provider.set_limits([Limit("key", concurrency=1)])
    options = ActivityOptions(limit="key")
    for name in "abc":
        new = replace(w.activity(), options=options)
        await w.scheduled(name, new)
    await w.turns()  # whoever fetches admits
    assert [each.instance for each in await w.work()] == ["a"]
    await delete(w, "a", force=True)
    assert [each.instance for each in await w.work()] == ["b"]
    await w.provider.control([Control(InstanceId("b"), ControlVerb.TERMINATE)])
    await delete(w, "b")
    assert [each.instance for each in await w.work()] == ["c"]
    (state,) = await w.provider.read_limits()
    assert (state.running, state.waiting) == (1, 0)
