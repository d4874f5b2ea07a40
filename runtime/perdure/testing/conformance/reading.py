"""Reading: instances, lists, histories, queues, executors, the change feed, hints."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from perdure.model.ids import ExecutorId, InstanceId, JsonText, OperationId
from perdure.model.records import Ending, Outcome, ParentLink
from perdure.providers.reading import ExecutorInfo, InstanceStatus, ListInstances, Role
from perdure.providers.work import (
    AbandonTurn,
    ActivitiesHint,
    Block,
    CancelHint,
    ChangedHint,
    CodeId,
    Control,
    ControlVerb,
    CustomStatus,
    FinishedHint,
    ResyncHint,
    TurnsHint,
)
from perdure.testing.conformance.hearing import hearing
from perdure.testing.conformance.registry import check
from perdure.testing.conformance.world import LEASE, NAME, VERSION, World, boom, by_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from perdure.providers.work import Hint

HINT_SECONDS_MAX = 10


@check(
    "management.get_instance_info",
    "management.get_execution_info",
    "management.list_executions",
)
async def an_instance_reads_as_it_is(w: World) -> None:
    await w.start("a", tenant="team", version=VERSION)
    info = await w.info("a")
    assert (info.instance, info.tenant, info.name, info.version, info.execution) == (
        "a",
        "team",
        NAME,
        VERSION,
        1,
    )
    assert (info.status, info.finished_at, info.output, info.failure) == (
        InstanceStatus.PENDING,
        None,
        None,
        None,
    )
    assert (info.parent, info.history_length, info.cancel_requested) == (None, 1, False)
    turn = await w.advance_turn()
    info = await w.info("a")
    assert (info.status, info.history_length) == (InstanceStatus.RUNNING, 2)
    await w.send(w.event("a"))
    turn = await w.turn()
    await w.commit(turn, ending=Ending(Outcome.FAILED, failure=boom()))
    info = await w.info("a")
    assert (info.status, info.failure, info.history_length, info.version) == (
        InstanceStatus.FAILED,
        boom(),
        4,
        VERSION,
    )


@check()
async def reading_many_keeps_order_gaps_and_doubles(w: World) -> None:
    await w.start("a", "b")
    ids = [InstanceId(each) for each in ("b", "nobody", "a", "b")]
    found = await w.provider.read_instances(ids)
    assert [None if each is None else each.instance for each in found] == ["b", None, "a", "b"]


@check("custom_status.custom_status_set", "custom_status.custom_status_default_on_new_instance")
async def a_custom_status_shows_with_its_version(w: World) -> None:
    await w.start("a")
    info = await w.info("a")
    assert (info.custom_status, info.custom_status_version) == (None, 0)
    await w.advance_turn(custom_status=CustomStatus(JsonText('{"step":1}')))
    info = await w.info("a")
    assert (info.custom_status, info.custom_status_version) == ('{"step":1}', 1)


@check(
    "custom_status.custom_status_clear",
    "custom_status.custom_status_none_preserves",
    "custom_status.custom_status_version_increments",
    "custom_status.custom_status_polling_no_change",
)
async def a_custom_status_is_kept_replaced_and_cleared(w: World) -> None:
    await w.start("a")
    seen: list[tuple[str | None, int]] = []
    for status in (
        CustomStatus(JsonText("1")),
        None,
        CustomStatus(JsonText("2")),
        CustomStatus(None),
        None,
    ):
        await w.advance_turn(custom_status=status)
        info = await w.info("a")
        seen.append((info.custom_status, info.custom_status_version))
        await w.send(w.event("a"))
    assert seen == [("1", 1), ("1", 1), ("2", 2), (None, 3), (None, 3)]


@check()
async def a_custom_status_outlives_the_execution_and_the_instance(w: World) -> None:
    await w.start("a")
    await w.advance_turn(custom_status=CustomStatus(JsonText("1")), **w.again())
    assert (await w.info("a")).custom_status == "1"
    await w.end(await w.turn(), custom_status=CustomStatus(JsonText('"last"')))
    assert (await w.info("a")).custom_status == '"last"'


@check("custom_status.custom_status_nonexistent_instance")
async def an_unknown_instance_has_no_custom_status(w: World) -> None:
    assert list(await w.provider.read_instances([InstanceId("nobody")])) == [None]


async def _listed(w: World, **query: Any) -> Sequence[str]:
    page = await w.provider.list_instances(ListInstances(**query))
    return [str(info.instance) for info in page.instances]


@check("management.list_instances")
async def lists_go_newest_first_a_page_at_a_time(w: World) -> None:
    names = [f"i{number}" for number in range(7)]
    for name in names[:4]:
        await w.start(name)
    await w.start(*names[4:])
    await w.send(w.event("awaited"))
    pages: list[list[str]] = []
    cursor: str | None = None
    while True:
        page = await w.provider.list_instances(ListInstances(limit=3, after=cursor))
        pages.append([str(info.instance) for info in page.instances])
        cursor = page.next
        if cursor is None:
            break
    assert [len(page) for page in pages] == [3, 3, 1]
    assert pages[0] == ["i6", "i5", "i4"]
    assert sorted(name for page in pages for name in page) == names


@check(
    "management.list_instances_by_status", "deletion.list_children", "deletion.delete_get_parent_id"
)
async def lists_can_be_narrowed(w: World) -> None:
    await w.start("team-a", tenant="team")
    await w.start("else", name="else")
    await w.start("pending")
    turns = by_id(await w.turns())
    await w.end(turns["pending"])
    link = ParentLink(InstanceId("team-a"), 1, OperationId("0:1"))
    await w.commit(turns["team-a"], messages=[w.starting("child", parent=link)])
    await w.provider.control([Control(InstanceId("child"), ControlVerb.SUSPEND)])
    assert await _listed(w, tenant="team") == ["child", "team-a"], "children inherit it"
    assert await _listed(w, name="else") == ["else"]
    assert await _listed(w, prefix="team-") == ["team-a"]
    assert await _listed(w, prefix="team_") == [], "a prefix is no pattern"
    assert await _listed(w, parent=InstanceId("team-a")) == ["child"]
    assert await _listed(w, parent=InstanceId("child")) == []
    assert await _listed(w, statuses=[InstanceStatus.COMPLETED]) == ["pending"]
    assert await _listed(w, statuses=[InstanceStatus.SUSPENDED]) == ["child"]
    assert await _listed(w, statuses=[InstanceStatus.PENDING, InstanceStatus.RUNNING]) == [
        "else",
        "team-a",
    ]
    assert await _listed(w, statuses=[InstanceStatus.BLOCKED]) == []
    assert len(await _listed(w, statuses=list(InstanceStatus))) == 4


@check()
async def a_history_can_be_read_in_parts(w: World) -> None:
    await w.start("a")
    await w.send(*(w.event("a", str(number)) for number in range(5)))
    assert [r.seq for r in await w.history("a")] == [1, 2, 3, 4, 5, 6]
    assert [r.seq for r in await w.history("a", after=2, limit=3)] == [3, 4, 5]
    assert [r.seq for r in await w.history("a", after=6)] == []
    assert [r.seq for r in await w.history("a", execution=1, after=5)] == [6]


@check("management.get_queue_depths")
async def the_backlog_counts_what_waits_and_what_runs(w: World) -> None:
    await w.scheduled(
        "a",
        *(w.activity(f"0:{n}", tag="gpu") for n in range(3)),
        w.activity("0:9"),
    )
    await w.work("gpu", limit=1)
    w.advance(timedelta(seconds=10))
    backlog = {each.tag: each for each in await w.provider.read_backlog()}
    assert (backlog["gpu"].ready, backlog["gpu"].leased) == (2, 1)
    assert (backlog[""].ready, backlog[""].leased) == (1, 0)
    age = backlog[""].oldest_age
    assert age is not None
    assert timedelta(seconds=10) <= age < timedelta(seconds=11)


@check()
async def open_activities_can_be_read(w: World) -> None:
    await w.scheduled("a", w.activity("0:1", tag="gpu", name="embed"), w.activity("0:2"))
    await w.work("gpu")
    found = {each.operation: each for each in await w.provider.read_activities([InstanceId("a")])}
    one, two = found[OperationId("0:1")], found[OperationId("0:2")]
    assert (one.name, one.tag, one.attempt, one.leased) == ("embed", "gpu", 1, True)
    assert (two.attempt, two.failures, two.leased, two.last_failure) == (0, 0, False, None)
    assert list(await w.provider.read_activities([InstanceId("nobody")])) == []


@check()
async def executors_are_known_for_a_minute(w: World) -> None:
    info = ExecutorInfo(
        ExecutorId(-7),
        Role.ACTIVITY,
        "pod-1",
        "build-1",
        tags=("gpu", ""),
        code=(CodeId(NAME, VERSION),),
        activities=("embed",),
        slots=4,
    )
    await w.provider.announce(info)
    await w.provider.announce(replace(info, busy=3, draining=True))
    (found,) = await w.provider.read_executors()
    assert found.info == replace(info, busy=3, draining=True)
    w.advance(timedelta(seconds=59))
    assert len(await w.provider.read_executors()) == 1
    w.advance(timedelta(seconds=1))
    assert list(await w.provider.read_executors()) == []
    await w.provider.announce(info)
    await w.provider.withdraw(info.executor)
    assert list(await w.provider.read_executors()) == []


async def _changed(w: World, cursor: int) -> tuple[set[str], int]:
    changes = await w.provider.read_changes(cursor, 100)
    return {str(each) for each in changes.instances}, changes.cursor


@check()
async def the_change_feed_tells_of_watched_instances_alone(w: World) -> None:
    await w.start("quiet")
    await w.start("loud", watched=True)
    changed, cursor = await _changed(w, 0)
    assert changed == {"loud"}
    assert await _changed(w, cursor) == (set(), cursor)
    turns = by_id(await w.turns())
    await w.provider.commit_turns([w.commit_of(each) for each in turns.values()])
    changed, cursor = await _changed(w, cursor)
    assert changed == {"loud"}, "it runs now"


@check()
async def every_change_of_status_is_in_the_feed(w: World) -> None:
    await w.start("a", watched=True)
    _, cursor = await _changed(w, 0)
    me = InstanceId("a")

    async def commits(**decisions: Any) -> None:
        await w.send(w.event("a"))
        await w.advance_turn(**decisions)

    async def controls(verb: ControlVerb) -> None:
        await w.provider.control([Control(me, verb)])

    async def blocks() -> None:
        await w.send(w.event("a"))
        turn = await w.turn()
        await w.provider.abandon_turns([AbandonTurn(me, turn.token, block=Block("X", "y"))])

    await w.advance_turn()
    changed, cursor = await _changed(w, cursor)
    assert changed == {"a"}
    await commits()
    changed, cursor = await _changed(w, cursor)
    assert changed == set(), "a turn that changes no status is no news"
    steps: Sequence[Callable[[], Awaitable[None]]] = (
        lambda: commits(custom_status=CustomStatus(JsonText("1"))),
        lambda: controls(ControlVerb.SUSPEND),
        lambda: controls(ControlVerb.RESUME),
        blocks,
        lambda: controls(ControlVerb.RESUME),
        lambda: controls(ControlVerb.TERMINATE),
    )
    for step in steps:
        await step()
        changed, cursor = await _changed(w, cursor)
        assert changed == {"a"}


@check()
async def the_change_feed_is_read_in_parts(w: World) -> None:
    names = {f"i{number}" for number in range(10)}
    for name in sorted(names):
        await w.start(name, watched=True)
    seen: set[str] = set()
    cursor = 0
    for _ in range(20):
        changes = await w.provider.read_changes(cursor, 3)
        if not changes.instances:
            break
        assert changes.cursor > cursor
        seen |= {str(each) for each in changes.instances}
        cursor = changes.cursor
    assert seen == names


# ---------------------------------------------------------------------------------- hints


async def _until(hints: AsyncGenerator[Hint], wanted: Callable[[Hint], bool]) -> None:
    async with asyncio.timeout(HINT_SECONDS_MAX):
        async for hint in hints:
            if wanted(hint):
                return


@check()
async def other_processes_are_told_what_to_look_at(w: World) -> None:
    async with w.storage.open() as other:
        stream = cast("AsyncGenerator[Hint]", other.hints())
        async with aclosing(stream) as hints:
            await _until(hints, lambda hint: isinstance(hint, ResyncHint))
            await w.start("a", watched=True)
            await _until(hints, lambda hint: hint == TurnsHint())
            await w.advance_turn(activities=[w.activity(tag="gpu")])
            await _until(hints, lambda hint: hint == ActivitiesHint(frozenset({"gpu"})))
            work = await w.one_work("gpu")
            await w.send(w.event("a"))
            await w.advance_turn(cancel_activities=[(work.operation, "no")])
            await _until(hints, lambda hint: hint == CancelHint(frozenset({work.instance})))
            await w.send(w.event("a"))
            await w.end(await w.turn())
            ended = FinishedHint(frozenset({InstanceId("a")}))
            await _until(hints, lambda hint: hint == ended)
            await w.provider.control([Control(InstanceId("a"), ControlVerb.SUSPEND)])
            await w.start("b", watched=True)
            await _until(hints, lambda hint: hint == ChangedHint())


@check()
async def readers_hear_the_kinds_that_they_asked_for(w: World) -> None:
    async with w.storage.open() as other:
        ends = cast("AsyncGenerator[Hint]", other.hints([FinishedHint]))
        turns = cast("AsyncGenerator[Hint]", other.hints([TurnsHint]))
        async with aclosing(ends), aclosing(turns):
            assert await anext(ends) == ResyncHint()
            first = await anext(turns)  # a kind that nobody asked for before
            assert first == ResyncHint()
            await w.start("a")
            await _until(turns, lambda hint: hint == TurnsHint())
            await w.end(await w.turn())
            ended = FinishedHint(frozenset({InstanceId("a")}))
            async with asyncio.timeout(HINT_SECONDS_MAX):
                heard = [hint async for hint in _up_to(ends, ended)]
            assert set(heard) <= {ResyncHint(), ended}


async def _up_to(hints: AsyncGenerator[Hint], last: Hint) -> AsyncGenerator[Hint]:
    async for hint in hints:
        yield hint
        if hint == last:
            return


@check()
async def hints_end_with_the_provider(w: World) -> None:
    async with w.storage.open() as other:
        stream = cast("AsyncGenerator[Hint]", other.hints())
        reader = asyncio.create_task(_read_all(stream))
        await w.start("a")
    async with asyncio.timeout(HINT_SECONDS_MAX):
        await reader


async def _read_all(stream: AsyncGenerator[Hint]) -> None:
    async for _ in stream:
        pass


@check()
async def own_hints_arrive_too(w: World) -> None:
    async with hearing(w, TurnsHint) as heard:
        await w.start("a")
        await heard.until(lambda hint: hint == TurnsHint())


@check()
async def a_ping_answers(w: World) -> None:
    await w.provider.ping()


@check()
async def empty_batches_are_nothing(w: World) -> None:
    assert list(await w.provider.enqueue([])) == []
    assert list(await w.provider.commit_turns([])) == []
    assert list(await w.provider.finish_activities([])) == []
    assert list(await w.provider.renew_turns([], LEASE)) == []
    assert list(await w.provider.renew_activities([], LEASE)) == []
    assert list(await w.provider.control([])) == []
    assert list(await w.provider.read_instances([])) == []
    await w.provider.abandon_turns([])
    await w.provider.abandon_activities([])
