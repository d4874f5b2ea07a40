"""Messages: starts, events, cancels, and the answers of children."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from perdure.errors import ProviderError
from perdure.model.codec import decode_failure, decode_started, encode_failure
from perdure.model.ids import ExecutorId, InstanceId, JsonText, OperationId
from perdure.model.records import Ending, Outcome, ParentLink, RecordKind
from perdure.providers.administering import Answer
from perdure.providers.reading import ExecutorInfo, InstanceStatus, Role
from perdure.providers.work import (
    CommitOutcome,
    Control,
    ControlVerb,
    EnqueueOutcome,
    Message,
    UpdateAnswer,
)
from perdure.testing.conformance.registry import check
from perdure.testing.conformance.world import NAME, World, boom, by_id, refs_of

ACCEPTED = EnqueueOutcome.ACCEPTED
EXISTS = EnqueueOutcome.EXISTS
FINISHED = EnqueueOutcome.FINISHED
FULL = EnqueueOutcome.FULL
KEPT = EnqueueOutcome.KEPT


@check("later.duplicate_start_preserves_pinned_handler")
async def a_second_start_changes_nothing_and_says_so(w: World) -> None:
    await w.start("a", data='{"first":1}')
    assert await w.send(w.starting("a", name="else", version="7.0.0")) == [EXISTS]
    turn = await w.turn()
    started = decode_started(turn.records[0].body or JsonText(""))
    assert (turn.name, started.name, started.input) == (NAME, NAME, '{"first":1}')
    await w.end(turn)
    assert await w.send(w.starting("a")) == [EXISTS], "also after the end"
    assert len(await w.history("a")) == 2


@check()
async def the_same_start_sent_again_is_accepted_and_adds_nothing(w: World) -> None:
    start = w.starting("a")
    assert await w.send(start) == [ACCEPTED]
    assert await w.send(start) == [ACCEPTED]
    await w.end(await w.turn())
    assert await w.send(start) == [ACCEPTED]
    assert len(await w.history("a")) == 2


@check("later.continue_as_new_duplicate_start")
async def of_two_starts_in_one_batch_the_first_wins(w: World) -> None:
    outcomes = await w.send(
        w.starting("b"), w.starting("a", data='{"n":1}'), w.starting("a", data='{"n":2}')
    )
    assert outcomes == [ACCEPTED, ACCEPTED, EXISTS]
    turns = by_id(await w.turns())
    body = turns["a"].records[0].body
    assert body is not None
    assert decode_started(body).input == '{"n":1}'


@check()
async def of_many_starts_at_once_one_wins(w: World) -> None:
    async with w.storage.open() as other:
        answers = await asyncio.gather(
            *((w.provider, other)[n % 2].enqueue([w.starting("a")]) for n in range(8))
        )
    assert sorted(outcome for (outcome,) in answers) == sorted([ACCEPTED] + [EXISTS] * 7)
    assert await w.kinds("a") == [RecordKind.STARTED]


@check()
async def outcomes_come_in_the_order_of_the_messages(w: World) -> None:
    await w.start("done", "here")
    await w.end(by_id(await w.turns())["done"])
    outcomes = await w.send(
        w.event("nowhere"),
        w.starting("new"),
        w.event("done"),
        w.event("here"),
        w.starting("here"),
        w.event("new"),
    )
    assert outcomes == [KEPT, ACCEPTED, FINISHED, ACCEPTED, EXISTS, ACCEPTED]
    assert await w.kinds("new") == [RecordKind.STARTED, RecordKind.EVENT_RAISED]


@check("queue_semantics.orphan_queue_messages_dropped")
async def messages_before_the_start_are_kept_and_come_in_order(w: World) -> None:
    assert await w.send(w.event("a", "one"), w.event("a", "two")) == [KEPT, KEPT]
    assert await w.send(w.cancel("a")) == [KEPT]
    await w.start("a")
    turn = await w.turn()
    assert [(record.kind, record.ref) for record in turn.records] == [
        (RecordKind.STARTED, None),
        (RecordKind.EVENT_RAISED, "one"),
        (RecordKind.EVENT_RAISED, "two"),
        (RecordKind.CANCEL_REQUESTED, None),
    ]
    assert (await w.info("a")).cancel_requested
    await w.commit(turn)
    await w.send(w.event("a", "three"))
    assert refs_of(await w.turn()) == ["three"]


@check()
async def an_instance_that_is_awaited_is_not_there(w: World) -> None:
    await w.send(w.event("a"))
    ids = [InstanceId("a")]
    assert list(await w.provider.read_instances(ids)) == [None]
    controlled = await w.provider.control([Control(ids[0], ControlVerb.TERMINATE)])
    assert [outcome.value for outcome in controlled] == ["not_found"]


@check()
async def a_message_kept_early_is_kept_once_per_token(w: World) -> None:
    event = w.event("a", "one")
    assert await w.send(event) == [KEPT]
    assert await w.send(event) == [KEPT]
    await w.start("a")
    assert await w.send(event) == [ACCEPTED]
    assert await w.kinds("a") == [RecordKind.STARTED, RecordKind.EVENT_RAISED]


@check()
async def messages_kept_early_expire(w: World) -> None:
    await w.send(w.event("a", "old"))
    w.advance(timedelta(days=6))
    await w.send(w.event("a", "young"))
    w.advance(timedelta(days=1, seconds=1))
    await w.provider.announce(ExecutorInfo(ExecutorId(1), Role.REPLAY, "pod", "build"))
    await w.start("a")
    assert refs_of(await w.turn()) == [None, "young"]


@check()
async def an_id_whose_early_messages_expired_can_be_started(w: World) -> None:
    await w.send(w.event("a", "old"))
    w.advance(timedelta(days=7, seconds=1))
    await w.provider.announce(ExecutorInfo(ExecutorId(1), Role.REPLAY, "pod", "build"))
    await w.start("a")
    assert await w.kinds("a") == [RecordKind.STARTED]


@check()
async def events_and_starts_that_race_lose_nothing(w: World) -> None:
    async with w.storage.open() as other:
        for number in range(20):
            instance = f"race{number}"
            sent, started = await asyncio.gather(
                w.provider.enqueue([w.event(instance)]),
                other.enqueue([w.starting(instance)]),
            )
            assert list(started) == [ACCEPTED]
            assert sent[0] in {KEPT, ACCEPTED}
            assert await w.kinds(instance) == [RecordKind.STARTED, RecordKind.EVENT_RAISED]


@check()
async def an_event_sent_again_adds_nothing(w: World) -> None:
    await w.start("a")
    event = w.event("a", "one")
    assert await w.send(event, event) == [ACCEPTED, ACCEPTED]
    await w.advance_turn()
    assert await w.send(event) == [ACCEPTED]
    assert await w.turns() == ()
    assert (await w.kinds("a")).count(RecordKind.EVENT_RAISED) == 1


@check()
async def two_events_alike_are_two_events(w: World) -> None:
    await w.start("a")
    await w.send(w.event("a", "same", "1"), w.event("a", "same", "1"))
    assert refs_of(await w.turn()) == [None, "same", "same"]


@check()
async def an_event_without_data_or_token_is_an_event(w: World) -> None:
    await w.start("a")
    plain = Message(InstanceId("a"), RecordKind.EVENT_RAISED, ref="bare")
    assert await w.send(plain, plain) == [ACCEPTED, ACCEPTED]
    turn = await w.turn()
    assert [(r.ref, r.body) for r in turn.records[1:]] == [("bare", None), ("bare", None)]


@check()
async def a_finished_instance_takes_no_message(w: World) -> None:
    await w.start("a")
    await w.end(await w.turn())
    assert await w.send(w.event("a"), w.cancel("a")) == [FINISHED, FINISHED]
    assert len(await w.history("a")) == 2


@check()
async def a_full_inbox_refuses_and_keeps_what_it_has(w: World) -> None:
    async with w.storage.open(inbox_limit=5) as provider:
        small = w.with_provider(provider)
        await small.start("a")
        await small.advance_turn()
        outcomes = await small.send(*(small.event("a", str(n)) for n in range(7)))
        assert outcomes == [ACCEPTED] * 5 + [FULL] * 2
        assert await small.send(small.cancel("a")) == [ACCEPTED], "a cancel gets through"
        turn = await small.turn()
        assert refs_of(turn) == ["0", "1", "2", "3", "4", None]
        await small.commit(turn)
        assert await small.send(small.event("a", "later")) == [ACCEPTED]


@check()
async def an_awaited_instances_inbox_fills_up_too(w: World) -> None:
    async with w.storage.open(inbox_limit=3) as provider:
        small = w.with_provider(provider)
        outcomes = [(await small.send(small.event("a", str(n))))[0] for n in range(4)]
        assert outcomes == [KEPT, KEPT, KEPT, FULL]


@check()
async def a_cancel_is_a_message_and_shows(w: World) -> None:
    await w.start("a")
    await w.advance_turn()
    assert not (await w.info("a")).cancel_requested
    await w.send(w.cancel("a", "why"))
    assert (await w.info("a")).cancel_requested
    turn = await w.turn()
    assert [(r.kind, r.body) for r in turn.records] == [(RecordKind.CANCEL_REQUESTED, '"why"')]
    await w.end(turn)
    assert (await w.info("a")).cancel_requested


async def _parent_and_child(w: World) -> None:
    await w.start("parent")
    link = ParentLink(InstanceId("parent"), 1, OperationId("0:1"))
    await w.advance_turn(messages=[w.starting("child", parent=link)])


def _answer(kind: RecordKind, execution: int, body: str) -> Message:
    return Message(InstanceId("parent"), kind, ref="0:1", body=JsonText(body), execution=execution)


@check()
async def a_childs_answer_reaches_its_parent_with_its_end(w: World) -> None:
    await _parent_and_child(w)
    child = await w.turn()
    assert child.instance == "child"
    assert (await w.info("child")).parent == "parent"
    await w.end(child, messages=[_answer(RecordKind.CHILD_COMPLETED, 1, "7")])
    turn = await w.turn()
    assert [(r.kind, r.ref, r.body) for r in turn.records] == [
        (RecordKind.CHILD_COMPLETED, "0:1", "7")
    ]


@check()
async def a_childs_answer_to_an_execution_that_is_over_is_dropped(w: World) -> None:
    await _parent_and_child(w)
    await w.send(w.event("parent"))
    turns = by_id(await w.turns())
    await w.commit(turns["parent"], **w.again())
    await w.end(turns["child"], messages=[_answer(RecordKind.CHILD_COMPLETED, 1, "7")])
    assert await w.kinds("parent", execution=2) == [RecordKind.STARTED]
    assert (await w.info("child")).status is InstanceStatus.COMPLETED


@check()
async def a_childs_answer_to_nobody_is_dropped(w: World) -> None:
    await w.start("child")
    await w.end(
        await w.turn(),
        messages=[
            _answer(RecordKind.CHILD_FAILED, 1, encode_failure(boom())),
            _answer(RecordKind.CHILD_COMPLETED, 1, "7"),
        ],
    )
    await w.start("parent")
    assert await w.kinds("parent") == [RecordKind.STARTED]


@check("later.continue_as_new_duplicate_start")
async def a_parent_is_told_that_its_childs_id_is_taken(w: World) -> None:
    await w.start("child")
    await w.end(await w.turn())
    await _parent_and_child(w)
    turn = await w.turn()
    assert turn.instance == "parent"
    (record,) = turn.records
    assert (record.kind, record.ref) == (RecordKind.CHILD_FAILED, "0:1")
    assert decode_failure(record.body or JsonText("")).type == "InstanceExistsError"
    assert (await w.info("child")).parent is None


@check()
async def a_child_started_and_cancelled_in_one_turn_gets_both(w: World) -> None:
    await w.start("parent")
    link = ParentLink(InstanceId("parent"), 1, OperationId("0:1"))
    await w.advance_turn(messages=[w.starting("child", parent=link), w.cancel("child")])
    assert await w.kinds("child") == [RecordKind.STARTED, RecordKind.CANCEL_REQUESTED]


@check()
async def a_parent_cancels_its_own_child_and_nobody_elses_instance(w: World) -> None:
    await w.start("parent", "stranger")
    parent = InstanceId("parent")
    turns = by_id(await w.turns())
    link = ParentLink(parent, 1, OperationId("0:1"))
    cancels = [
        replace(w.cancel(target), parent=parent) for target in ("child", "stranger", "nobody")
    ]
    starting = w.starting("child", parent=link)
    await w.commit(turns["parent"], messages=[starting, *cancels])
    await w.commit(turns["stranger"])
    assert (await w.info("child")).cancel_requested
    assert not (await w.info("stranger")).cancel_requested
    await w.start("nobody")
    assert not (await w.info("nobody")).cancel_requested


@check()
async def an_instance_may_send_to_itself(w: World) -> None:
    await w.start("a")
    await w.advance_turn(messages=[w.event("a", "self")])
    assert refs_of(await w.turn()) == ["self"]


@check()
async def instances_that_message_one_another_at_once_do_not_lock_up(w: World) -> None:
    names = [f"i{number}" for number in range(6)]
    await w.start(*names)
    async with w.storage.open() as other:
        for _ in range(5):
            turns = by_id(await w.turns())
            assert sorted(turns) == names
            halves = [names[::2], names[1::2]]
            answers = await asyncio.gather(
                *(
                    provider.commit_turns(
                        [
                            w.commit_of(turns[me], messages=[w.event(to, me) for to in names])
                            for me in half
                        ]
                    )
                    for provider, half in zip((w.provider, other), halves, strict=True)
                ),
                *(w.provider.enqueue([w.event(to, "x") for to in order]) for order in halves),
            )
            assert {outcome for batch in answers[:2] for outcome in batch} == {
                CommitOutcome.COMMITTED
            }
    for name in names:
        records = await w.history(name)
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
        assert sum(r.kind is RecordKind.EVENT_RAISED for r in records) == 5 * 7


@check()
async def a_turn_that_ends_may_start_and_message_others(w: World) -> None:
    await w.start("a", "b")
    turns = by_id(await w.turns())
    outcomes = await w.provider.commit_turns(
        [
            w.commit_of(
                turns["a"],
                ending=Ending(Outcome.FAILED, failure=boom()),
                messages=[w.starting("next"), w.event("b", "bye")],
            ),
            w.commit_of(turns["b"]),
        ]
    )
    assert list(outcomes) == [CommitOutcome.COMMITTED] * 2
    info = await w.info("a")
    assert (info.status, info.failure) == (InstanceStatus.FAILED, boom())
    assert sorted(turn.instance for turn in await w.turns()) == ["b", "next"]


# ------------------------------------------------------------------------- what is queued


@check()
async def what_is_queued_comes_in_order_with_its_queue(w: World) -> None:
    await w.start("a")
    await w.send(w.queued("a", "x", "1"), w.event("a", "x", "2"), w.queued("a", "y", "3"))
    turn = await w.turn()
    assert [(r.kind, r.ref, r.body) for r in turn.records[1:]] == [
        (RecordKind.EVENT_QUEUED, "x", "1"),
        (RecordKind.EVENT_RAISED, "x", "2"),
        (RecordKind.EVENT_QUEUED, "y", "3"),
    ]


@check()
async def what_is_queued_again_with_its_token_adds_nothing(w: World) -> None:
    item = w.queued("a")
    assert await w.send(item, item) == [KEPT, KEPT]
    await w.start("a")
    assert await w.send(item) == [ACCEPTED]
    await w.end(await w.turn())
    assert await w.send(item) == [ACCEPTED], "it was taken, though the instance has ended since"
    assert await w.send(w.queued("a")) == [FINISHED]
    assert (await w.kinds("a")).count(RecordKind.EVENT_QUEUED) == 1


@check()
async def what_is_queued_and_asked_fills_the_inbox_too(w: World) -> None:
    async with w.storage.open(inbox_limit=3) as provider:
        small = w.with_provider(provider)
        await small.start("a")
        await small.advance_turn()
        outcomes = await small.send(
            small.queued("a"), small.update("a", "u1"), small.event("a"), small.queued("a")
        )
        assert outcomes == [ACCEPTED, ACCEPTED, ACCEPTED, FULL]
        assert await small.send(small.update("a", "u2")) == [FULL]
        assert await small.answers("a", "u2") == [None]
        assert len((await small.turn()).records) == 3


@check("later.continue_as_new_queue_race_replay")
async def what_is_queued_during_the_last_turn_goes_to_the_next_execution(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    await w.send(w.queued("a", "x", "1"), w.update("a"), w.queued("a", "x", "2"))
    await w.commit(turn, **w.again())
    following = await w.turn()
    assert [(r.kind, r.body) for r in following.records[1:]] == [
        (RecordKind.EVENT_QUEUED, "1"),
        (RecordKind.UPDATE_REQUESTED, w.update("a").body),
        (RecordKind.EVENT_QUEUED, "2"),
    ]
    assert {r.execution for r in following.records} == {2}


# -------------------------------------------------------------------------------- updates


@check()
async def an_update_is_a_message_and_is_answered_once(w: World) -> None:
    await w.start("a")
    assert await w.send(w.update("a", "u1", '{"n":1}')) == [ACCEPTED]
    assert await w.answers("a", "u1", "u2") == [None, None]
    turn = await w.turn()
    assert [(r.kind, r.ref) for r in turn.records[1:]] == [(RecordKind.UPDATE_REQUESTED, "u1")]
    await w.commit(turn, answers=[UpdateAnswer("u1", result=JsonText("7"))])
    assert await w.answers("a", "u2", "u1") == [None, Answer("u1", JsonText("7"))]
    assert await w.answers("b", "u1") == [None]
    await w.send(w.event("a"))
    await w.advance_turn(answers=[UpdateAnswer("u1", failure=boom())])
    assert await w.answers("a", "u1") == [Answer("u1", JsonText("7"))], "the first answer holds"


@check()
async def an_update_with_the_same_id_adds_nothing_whoever_sends_it(w: World) -> None:
    assert await w.send(w.update("a")) == [KEPT]
    assert await w.send(w.update("a")) == [KEPT]
    await w.start("a")
    assert await w.send(w.update("a"), w.update("a")) == [ACCEPTED, ACCEPTED]
    await w.send(w.update("b"), w.update("a", "u2"), w.update("a", "u2"))
    turn = await w.turn()
    assert refs_of(turn) == [None, "u1", "u2"]
    await w.commit(turn, answers=[UpdateAnswer("u1", failure=boom())])
    assert await w.send(w.update("a")) == [ACCEPTED]
    assert await w.turns() == ()
    assert await w.answers("a", "u1", "u2") == [Answer("u1", failure=boom()), None]


@check()
async def answers_are_kept_over_executions_and_after_the_end(w: World) -> None:
    await w.start("a")
    await w.send(w.update("a", "u1"), w.update("a", "u2"))
    await w.advance_turn(answers=[UpdateAnswer("u1", result=JsonText("1"))], **w.again())
    assert await w.send(w.update("a", "u2")) == [ACCEPTED], "carried: it is there already"
    turn = await w.turn()
    assert len(turn.records) == 1
    await w.end(turn, answers=[UpdateAnswer("u2", result=JsonText("2"))])
    assert await w.answers("a", "u1", "u2") == [
        Answer("u1", JsonText("1")),
        Answer("u2", JsonText("2")),
    ]
    assert await w.send(w.update("a", "u2"), w.update("a", "u3")) == [ACCEPTED, FINISHED]


@check()
async def an_update_too_late_for_the_last_turn_is_answered_with_a_failure(w: World) -> None:
    await w.start("a")
    turn = await w.turn()
    await w.send(w.update("a", "late"))
    await w.end(turn)
    (answer,) = await w.answers("a", "late")
    assert answer is not None
    assert answer.failure is not None
    assert answer.failure.type == "InstanceEndedError"


@check()
async def terminating_answers_what_is_open(w: World) -> None:
    await w.start("a")
    await w.send(w.update("a", "open"), w.update("a", "done"))
    await w.advance_turn(answers=[UpdateAnswer("done", result=JsonText("1"))])
    await w.provider.control([Control(InstanceId("a"), ControlVerb.TERMINATE, "why")])
    first, second = await w.answers("a", "open", "done")
    assert first is not None
    assert first.failure is not None
    assert (first.failure.type, first.failure.message) == ("Terminated", "why")
    assert second == Answer("done", JsonText("1"))


@check()
async def a_refused_commit_answers_nothing(w: World) -> None:
    await w.start("a")
    await w.send(w.update("a"))
    turn = await w.turn()
    lost = w.commit_of(
        replace(turn, token=w.token()), answers=[UpdateAnswer("u1", result=JsonText("1"))]
    )
    assert list(await w.provider.commit_turns([lost])) == [CommitOutcome.LOST]
    assert await w.answers("a", "u1") == [None]


# ------------------------------------------------------------------ results, from nobody else


@check()
async def what_an_instance_read_comes_to_it_with_its_own_commit(w: World) -> None:
    await w.start("a")
    read = Message(InstanceId("a"), RecordKind.KEY_READ, ref="0:1", body=JsonText('"there"'))
    await w.advance_turn(messages=[read])
    turn = await w.turn()
    assert [(r.kind, r.ref, r.body) for r in turn.records] == [
        (RecordKind.KEY_READ, "0:1", '"there"')
    ]
    absent = Message(InstanceId("a"), RecordKind.KEY_READ, ref="0:2")
    await w.commit(turn, messages=[absent], **w.again())
    assert await w.kinds("a", execution=2) == [RecordKind.STARTED], "it is of the old execution"


@check()
async def nobody_can_send_a_result_from_outside(w: World) -> None:
    await w.scheduled("a", w.activity("0:1"))
    for kind in (
        RecordKind.ACTIVITY_COMPLETED,
        RecordKind.TIMER_FIRED,
        RecordKind.CHILD_COMPLETED,
        RecordKind.KEY_READ,
        RecordKind.TURN,
    ):
        forged = Message(InstanceId("a"), kind, ref="0:1", body=JsonText("1"), execution=1)
        assert await _is_refused(w, forged), kind
    assert await w.kinds("a") == [RecordKind.STARTED, RecordKind.TURN]


async def _is_refused(w: World, message: Message) -> bool:
    try:
        await w.provider.enqueue([message])
    except ProviderError as error:
        return not error.retryable
    return False
