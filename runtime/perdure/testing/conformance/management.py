"""Administration that reads or adds: lists, counts, sizes, totals, archives, sweeping."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from perdure.model.ids import ExecutorId, InstanceId, JsonText, OperationId
from perdure.model.records import Ending, Outcome, ParentLink, RecordKind
from perdure.providers.administering import (
    Archive,
    ExecutionInfo,
    ImportOutcome,
    InstanceSize,
    Swept,
)
from perdure.providers.reading import ExecutorInfo, InstanceStatus, ListInstances, Role
from perdure.providers.work import (
    AbandonTurn,
    Block,
    Control,
    ControlVerb,
    CustomStatus,
    EnqueueOutcome,
    KeyWrite,
)
from perdure.testing.conformance.questions import ask, question
from perdure.testing.conformance.registry import check
from perdure.testing.conformance.world import NAME, VERSION, World, boom, by_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


async def listed(w: World, **query: Any) -> Sequence[str]:
    """Ids that a list shows, newest first."""
    page = await w.provider.list_instances(ListInstances(**query))
    return [str(info.instance) for info in page.instances]


async def counted(w: World, **query: Any) -> Mapping[InstanceStatus, int]:
    """Count by status."""
    return await w.provider.count_instances(ListInstances(**query))


# ------------------------------------------------------------------------------ executions


@check("management.list_executions", "management.get_execution_info")
async def executions_are_listed_with_what_became_of_them(w: World) -> None:
    before = w.storage.clock()
    await w.start("a")
    await w.advance_turn(**w.again())
    await w.send(w.event("a"))
    turn = await w.turn(code=[(NAME, "2.0.0")])
    await w.commit(turn, version="2.0.0", **w.again())
    first, second, third = await w.provider.read_executions(InstanceId("a"))
    assert (first.execution, first.outcome, first.version, first.records) == (
        1,
        Outcome.CONTINUED_AS_NEW,
        VERSION,
        2,
    )
    assert (second.execution, second.outcome, second.version, second.records) == (
        2,
        Outcome.CONTINUED_AS_NEW,
        "2.0.0",
        3,
    )
    assert (third.execution, third.outcome, third.finished_at, third.records) == (3, None, None, 1)
    assert before < first.started_at < second.started_at < third.started_at
    assert (first.finished_at, second.finished_at) == (second.started_at, third.started_at)
    await w.end(await w.turn())
    last = (await w.provider.read_executions(InstanceId("a")))[-1]
    info = await w.info("a")
    assert last == ExecutionInfo(
        3, Outcome.COMPLETED, VERSION, third.started_at, info.finished_at, 2
    )


@check()
async def executions_end_as_their_instances_do(w: World) -> None:
    await w.start("a", "b", "fresh")
    turns = by_id(await w.turns())
    await w.commit(turns["a"], ending=Ending(Outcome.FAILED, failure=boom()))
    await w.commit(turns["b"])
    await w.provider.control([Control(InstanceId("b"), ControlVerb.TERMINATE)])
    found = {
        name: [(e.outcome, e.records) for e in await w.provider.read_executions(InstanceId(name))]
        for name in ("a", "b", "fresh", "nobody")
    }
    assert found == {
        "a": [(Outcome.FAILED, 2)],
        "b": [(Outcome.TERMINATED, 3)],
        "fresh": [(None, 1)],
        "nobody": [],
    }


# ----------------------------------------------------------------------------------- sizes


@check(
    "later.get_instance_stats_nonexistent",
    "later.get_instance_stats_history",
    "later.get_instance_stats_kv",
)
async def an_instance_is_measured(w: World) -> None:
    await w.start("a")
    size = await _size(w, "a")
    assert size.bytes > 0
    assert (size.records, size.unread, size.keys, size.key_bytes) == (1, 1, 0, 0)
    await w.advance_turn(
        body=JsonText('"turn"'),
        keys=[KeyWrite("ab", JsonText('"ü"')), KeyWrite("c", JsonText("1"))],
    )
    grown = await _size(w, "a")
    assert grown == InstanceSize(2, size.bytes + len('"turn"'), 0, 2, 2 + 4 + 1 + 1)
    turn_too = [w.event("a", data='"ü"'), w.queued("a"), w.update("a")]
    await w.send(*turn_too)
    assert (await _size(w, "a")).unread == 3
    turn = await w.turn()
    await w.send(w.event("a"))
    assert (await _size(w, "a")).unread == 4, "a turn in flight has consumed nothing yet"
    await w.commit(turn, **w.again())
    assert (await _size(w, "a")).unread == 2, "the start, and what came late"
    await w.end(await w.turn())
    assert (await _size(w, "a")).unread == 0
    ids = [InstanceId(each) for each in ("nobody", "a")]
    assert [each is None for each in await w.provider.read_sizes(ids)] == [True, False]
    assert list(await w.provider.read_sizes([])) == []


async def _size(w: World, instance: str) -> InstanceSize:
    (size,) = await w.provider.read_sizes([InstanceId(instance)])
    assert size is not None
    return size


# ---------------------------------------------------------------------------------- totals


@check("management.get_system_metrics", "management.get_queue_depths")
async def everything_is_counted(w: World) -> None:
    totals = await w.provider.read_totals()
    assert (totals.instances, totals.records, totals.due_turns) == ({}, 0, 0)
    await w.start("done", "runs", "pending", "parked", "blocked")
    turns = by_id(await w.turns())
    await w.end(turns["done"])
    await w.commit(
        turns["runs"],
        activities=[w.activity(f"0:{n}") for n in range(3)],
        timers=[w.timer("1:1", timedelta(hours=1)), w.timer("1:2", timedelta(hours=2))],
    )
    blocked = AbandonTurn(InstanceId("blocked"), turns["blocked"].token, block=Block("X", "y"))
    await w.provider.abandon_turns(
        [
            blocked,
            *(
                AbandonTurn(turns[each].instance, turns[each].token)
                for each in ("pending", "parked")
            ),
        ]
    )
    await w.provider.control([Control(InstanceId("parked"), ControlVerb.SUSPEND)])
    await w.work(limit=1)
    await w.send(w.event("early"), w.event("early"))
    totals = await w.provider.read_totals()
    assert totals.instances == {
        InstanceStatus.COMPLETED: 1,
        InstanceStatus.RUNNING: 1,
        InstanceStatus.PENDING: 1,
        InstanceStatus.SUSPENDED: 1,
        InstanceStatus.BLOCKED: 1,
    }
    assert totals.instances == await counted(w)
    assert (totals.records, totals.due_turns) == (7, 1)
    assert (totals.waiting_activities, totals.leased_activities) == (2, 1)
    assert (totals.timers, totals.early_messages) == (2, 2)
    assert dict(totals.tallies) == {}


@check()
async def sweeping_takes_what_had_its_time_and_counts_what_is_lost(w: World) -> None:
    await w.start("a")
    await w.send(*(w.event(f"nobody{n}") for n in range(5)))
    await ask(w, *(question("a", n) for n in range(3)))
    await w.provider.announce(ExecutorInfo(ExecutorId(1), Role.REPLAY, "pod", "build"))
    assert await w.provider.sweep() == Swept(0, 0, 0)
    w.advance(timedelta(days=8))
    assert await w.provider.sweep(2) == Swept(2, 2, 1)
    assert await w.provider.sweep(2) == Swept(2, 1, 0)
    assert await w.provider.sweep(2) == Swept(1, 0, 0)
    assert await w.provider.sweep(2) == Swept(0, 0, 0)
    totals = await w.provider.read_totals()
    assert (totals.early_messages, dict(totals.tallies)) == (0, {"expired_messages": 5})


# ----------------------------------------------------------------------------------- lists


async def _population(w: World) -> None:
    """Make instances that differ in everything a list can be narrowed by."""
    await w.start("old", version=VERSION, attributes='{"region":"eu","size":1}')
    await w.end(by_id(await w.turns())["old"])
    w.advance(timedelta(hours=1))
    await w.start("root", attributes='{"region":"us","size":2,"hot":true}')
    link = ParentLink(InstanceId("root"), 1, OperationId("0:1"))
    await w.advance_turn(messages=[w.starting("root.child", parent=link, version="2.0.0")])
    await w.start("plain", tenant="team", name="else")


@check("management.list_instances_by_status")
async def lists_can_be_narrowed_by_everything(w: World) -> None:
    await _population(w)
    old = await w.info("old")
    root = await w.info("root")
    assert old.finished_at is not None
    assert await listed(w) == ["plain", "root.child", "root", "old"]
    assert await listed(w, roots=True) == ["plain", "root", "old"]
    assert await listed(w, version=VERSION) == ["root", "old"]
    assert await listed(w, version="2.0.0") == ["root.child"]
    assert await listed(w, created_after=root.created_at) == ["plain", "root.child", "root"]
    assert await listed(w, created_before=root.created_at) == ["old"]
    moment = timedelta(microseconds=1)
    assert await listed(w, finished_after=old.finished_at) == ["old"]
    assert await listed(w, finished_after=old.finished_at + moment) == []
    assert await listed(w, finished_before=old.finished_at) == []
    assert await listed(w, finished_before=old.finished_at + moment) == ["old"]
    assert await listed(w, tenant="team", name="else", roots=True) == ["plain"]
    assert await listed(w, tenant="team", name=NAME) == []


@check()
async def lists_can_be_narrowed_by_attributes(w: World) -> None:
    await _population(w)
    for attributes, expected in (
        ('{"region":"eu"}', ["old"]),
        ('{"region":"us","size":2}', ["root"]),
        ('{"region":"us","size":3}', []),
        ('{"size":"2"}', []),
        ('{"hot":true}', ["root"]),
        ('{"nothing":1}', []),
        ("{}", ["root", "old"]),
    ):
        found = await listed(w, attributes=JsonText(attributes))
        assert found == expected, attributes
    await w.send(w.event("root"))
    await w.advance_of("root", attributes=JsonText('{"region":"eu","hot":null}'))
    assert await listed(w, attributes=JsonText('{"region":"eu"}')) == ["root", "old"]
    assert await listed(w, attributes=JsonText('{"hot":true}')) == []


@check()
async def narrowed_lists_come_in_pages_too(w: World) -> None:
    for number in range(12):
        await w.start(f"i{number:02}", attributes=f'{{"odd":{number % 2}}}')
    cursor: str | None = None
    pages: list[list[str]] = []
    while True:
        page = await w.provider.list_instances(
            ListInstances(limit=4, after=cursor, attributes=JsonText('{"odd":1}'), roots=True)
        )
        pages.append([str(info.instance) for info in page.instances])
        cursor = page.next
        if cursor is None:
            break
        await w.start(f"new{len(pages)}", attributes='{"odd":1}')  # does not shift the next
    assert pages == [["i11", "i09", "i07", "i05"], ["i03", "i01"]]


@check()
async def counting_agrees_with_lists(w: World) -> None:
    assert await counted(w) == {}
    await _population(w)
    await w.send(w.event("awaited"))
    assert await counted(w) == {
        InstanceStatus.COMPLETED: 1,
        InstanceStatus.RUNNING: 1,
        InstanceStatus.PENDING: 2,
    }
    queries: Sequence[dict[str, Any]] = (
        {"roots": True},
        {"tenant": "team"},
        {"name": NAME},
        {"version": VERSION},
        {"prefix": "root"},
        {"parent": InstanceId("root")},
        {"attributes": JsonText('{"region":"eu"}')},
        {"statuses": [InstanceStatus.RUNNING, InstanceStatus.COMPLETED]},
        {"created_after": (await w.info("root")).created_at},
        {"finished_before": w.storage.clock()},
    )
    for query in queries:
        page = await w.provider.list_instances(ListInstances(**query))
        expected: dict[InstanceStatus, int] = {}
        for info in page.instances:
            expected[info.status] = expected.get(info.status, 0) + 1
        assert await counted(w, **query) == expected, query
        assert expected, query


@check()
async def the_key_of_a_limit_shows(w: World) -> None:
    await w.start("a", limit="gpu")
    await w.start("b")
    assert ((await w.info("a")).limit, (await w.info("b")).limit) == ("gpu", None)


# -------------------------------------------------------------------------------- archives


async def _archive(w: World, instance: str) -> Archive:
    (keys,) = await w.provider.read_keys([InstanceId(instance)])
    return Archive(await w.info(instance), tuple(await w.history(instance)), tuple(keys))


@check()
async def what_was_exported_and_deleted_is_brought_in_as_it_was(w: World) -> None:
    await w.start("a", tenant="team", attributes='{"x":1}')
    await w.advance_turn(
        keys=[KeyWrite("k", JsonText('"ü"'))],
        custom_status=CustomStatus(JsonText("1")),
        **w.again(),
    )
    await w.send(w.event("a", data='"odd \\u0000"'), w.cancel("a"))
    await w.end(await w.turn(), attributes=JsonText('{"y":"z"}'))
    archive = await _archive(w, "a")
    executions = await w.provider.read_executions(InstanceId("a"))
    await w.provider.delete_instances([InstanceId("a")])
    assert list(await w.provider.bring_in([archive])) == [ImportOutcome.IMPORTED]
    assert await _archive(w, "a") == archive
    found = await w.provider.read_executions(InstanceId("a"))
    assert [(e.execution, e.outcome, e.records) for e in found] == [
        (e.execution, e.outcome, e.records) for e in executions
    ]
    assert await listed(w, attributes=JsonText('{"y":"z"}')) == ["a"]
    assert await counted(w) == {InstanceStatus.COMPLETED: 1}
    assert await w.turns() == ()
    assert await w.send(w.event("a")) == [EnqueueOutcome.FINISHED]
    assert (await w.provider.delete_instances([InstanceId("a")]))[0].records == len(archive.records)


@check()
async def an_archive_never_replaces_what_is_there(w: World) -> None:
    await w.start("a", "b")
    turns = by_id(await w.turns())
    await w.end(turns["a"])
    running = await _archive(w, "b")
    archive = await _archive(w, "a")
    assert list(await w.provider.bring_in([archive, running, archive])) == [
        ImportOutcome.EXISTS,
        ImportOutcome.UNFINISHED,
        ImportOutcome.EXISTS,
    ]
    assert await w.kinds("b") == [RecordKind.STARTED]
    await w.provider.delete_instances([InstanceId("a")])
    assert list(await w.provider.bring_in([archive, archive])) == [
        ImportOutcome.IMPORTED,
        ImportOutcome.EXISTS,
    ]


@check()
async def messages_that_waited_for_what_is_brought_in_are_counted_as_dropped(w: World) -> None:
    await w.start("a")
    await w.end(await w.turn())
    archive = await _archive(w, "a")
    await w.provider.delete_instances([InstanceId("a")])
    await w.send(w.event("a"), w.event("a"), w.event("other"))
    assert list(await w.provider.bring_in([archive])) == [ImportOutcome.IMPORTED]
    totals = await w.provider.read_totals()
    assert (totals.early_messages, dict(totals.tallies)) == (1, {"dropped_messages": 2})
