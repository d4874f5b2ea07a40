"""History as people read it."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from perdure.model import actions as a
from perdure.model import events as e
from perdure.model.codec import encode, encode_failure, encode_started, encode_update
from perdure.model.events import events_of
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.model.records import Ending, Outcome, Record, RecordKind, StartedBody, UpdateBody
from perdure.model.turns import TurnBody, encode_turn

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAILURE = Failure(FailureCategory.APPLICATION, "ValueError", "no")
OPERATION = OperationId("0:1")
NULL = JsonText("null")


def record(
    seq: int, kind: RecordKind, ref: str | None = None, body: str | None = None, execution: int = 1
) -> Record:
    text = None if body is None else JsonText(body)
    return Record(seq, execution, kind, ref, text, NOW + timedelta(seconds=seq))


def turn(seq: int, *actions: a.Action, ending: Ending | None = None, execution: int = 1) -> Record:
    body = TurnBody(seq - 1, NOW, "1.0.0", "3.13", "", actions, ending, ("left",) if ending else ())
    return record(seq, RecordKind.TURN, None, encode_turn(body), execution)


START = record(1, RecordKind.STARTED, None, encode_started(StartedBody("shop", None, NULL)))


def test_a_small_history() -> None:
    schedule = a.ScheduleActivity(OPERATION, "charge", NULL, "pay", None, None, "shop.py:3")
    records = [
        START,
        turn(2, schedule),
        record(3, RecordKind.ACTIVITY_COMPLETED, "0:1", '"ok"'),
        turn(4, ending=Ending(Outcome.COMPLETED, JsonText('"done"'))),
    ]
    found = list(events_of(records))
    assert [event.kind for event in found] == [
        "OrchestrationStarted",
        "ActivityScheduled",
        "ActivityCompleted",
        "OrchestrationCompleted",
    ]
    assert [event.event_id for event in found] == [1, 2, 3, 4]
    assert [event.seq for event in found] == [1, 2, 3, 4]
    assert found[1] == e.ActivityScheduled(
        2, 1, NOW + timedelta(seconds=2), 2, OPERATION, "charge", NULL, "pay", "shop.py:3", None
    )
    last = found[-1]
    assert isinstance(last, e.OrchestrationCompleted)
    assert (last.output, last.unread) == ('"done"', ("left",))


ACTIONS: list[tuple[a.Action, str]] = [
    (a.ScheduleActivity(OPERATION, "n", NULL, "", None, None, ""), "ActivityScheduled"),
    (a.CancelActivity(OPERATION, "r"), "ActivityCancelRequested"),
    (a.CreateTimer(OPERATION, timedelta(1), NOW, ""), "TimerCreated"),
    (a.CancelTimer(OPERATION), "TimerCancelled"),
    (a.StartChild(OPERATION, "n", None, InstanceId("i"), NULL, ""), "SubOrchestrationScheduled"),
    (a.CancelChild(OPERATION, InstanceId("i"), "r"), "SubOrchestrationCancelRequested"),
    (a.TerminateChild(OPERATION, InstanceId("i"), "r"), "SubOrchestrationTerminateRequested"),
    (a.StartDetached(OPERATION, "n", None, InstanceId("i"), NULL, ""), "OrchestrationChained"),
    (a.WaitEvent(OPERATION, "n", ""), "EventSubscribed"),
    (a.WaitNext(OPERATION, "n", ""), "NextEventSubscribed"),
    (a.DequeueEvent(OPERATION, "q", ""), "QueueSubscribed"),
    (a.CancelWait(OPERATION), "EventSubscriptionCancelled"),
    (a.SetCustomStatus(OPERATION, NULL), "CustomStatusUpdated"),
    (a.SetAttributes(OPERATION, JsonText("{}"), ""), "AttributesUpdated"),
    (a.SetKey(OPERATION, "k", NULL, ""), "KeyValueSet"),
    (a.ClearKey(OPERATION, "k", ""), "KeyValueCleared"),
    (a.ClearKeys(OPERATION, ""), "KeyValuesCleared"),
    (a.ReadKey(OPERATION, InstanceId("i"), "k", ""), "KeyReadRequested"),
    (a.RecordStep(OPERATION, "s", NULL, None, ""), "StepRecorded"),
    (a.AnswerUpdate("u", NULL), "UpdateAnswered"),
    (a.RefuseCall(OPERATION, "custom status", "too large", ""), "CallRefused"),
    (a.MarkPatch("p", deprecated=False, line=""), "PatchTaken"),
    (a.ContinueAsNew("n", None, NULL), "OrchestrationContinuedAsNew"),
]


def test_every_action_is_an_event() -> None:
    assert {type(action) for action, _ in ACTIONS} == set(get_args(a.Action.__value__))
    found = list(events_of([START, turn(2, *(action for action, _ in ACTIONS))]))[1:]
    assert [event.kind for event in found] == [name for _, name in ACTIONS]
    assert [event.event_id for event in found] == list(range(2, len(ACTIONS) + 2))


MESSAGES = [
    (record(2, RecordKind.ACTIVITY_COMPLETED, "0:1", "1"), "ActivityCompleted"),
    (record(2, RecordKind.ACTIVITY_FAILED, "0:1", encode_failure(FAILURE)), "ActivityFailed"),
    (record(2, RecordKind.TIMER_FIRED, "0:1"), "TimerFired"),
    (record(2, RecordKind.EVENT_RAISED, "go", "1"), "EventRaised"),
    (record(2, RecordKind.EVENT_QUEUED, "inbox", "1"), "EventQueued"),
    (
        record(2, RecordKind.UPDATE_REQUESTED, "u", encode_update(UpdateBody("add", NULL))),
        "UpdateRequested",
    ),
    (record(2, RecordKind.KEY_READ, "0:1", "1"), "KeyRead"),
    (record(2, RecordKind.CHILD_COMPLETED, "0:1", "1"), "SubOrchestrationCompleted"),
    (record(2, RecordKind.CHILD_FAILED, "0:1", encode_failure(FAILURE)), "SubOrchestrationFailed"),
    (record(2, RecordKind.CANCEL_REQUESTED, None, encode("why")), "OrchestrationCancelRequested"),
    (record(2, RecordKind.TERMINATED, None, encode("why")), "OrchestrationTerminated"),
]


def test_every_kind_of_message_is_there() -> None:
    kinds = {message.kind for message, _ in MESSAGES}
    assert kinds == set(RecordKind) - {RecordKind.STARTED, RecordKind.TURN}


@pytest.mark.parametrize(("message", "kind"), MESSAGES, ids=[kind for _, kind in MESSAGES])
def test_every_message_is_an_event(message: Record, kind: str) -> None:
    (_, event) = events_of([START, message])
    assert event.kind == kind
    assert all(field.name in event.__dataclass_fields__ for field in fields(e.Event))


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        (Ending(Outcome.COMPLETED, NULL), "OrchestrationCompleted"),
        (Ending(Outcome.FAILED, failure=FAILURE), "OrchestrationFailed"),
        (Ending(Outcome.TIMED_OUT, failure=FAILURE), "OrchestrationTimedOut"),
        (Ending(Outcome.CANCELLED, failure=FAILURE), "OrchestrationCancelled"),
    ],
)
def test_every_ending_is_an_event(ending: Ending, kind: str) -> None:
    assert [event.kind for event in events_of([START, turn(2, ending=ending)])][1:] == [kind]


def test_numbers_begin_anew_with_each_execution_and_never_move() -> None:
    goes_on = a.ContinueAsNew("shop", None, NULL)
    second = record(5, RecordKind.STARTED, None, START.body, execution=2)
    records = [
        START,
        record(2, RecordKind.EVENT_RAISED, "while the turn ran", "1"),
        turn(3, a.WaitEvent(OPERATION, "go", "")),
        turn(4, goes_on, ending=Ending(Outcome.CONTINUED_AS_NEW)),
        second,
        turn(6, a.WaitEvent(OPERATION, "go", ""), execution=2),
    ]
    whole = list(events_of(records))
    assert [(event.execution, event.event_id) for event in whole] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (1, 4),
        (2, 1),
        (2, 2),
    ]
    for count in range(len(records)):
        part = list(events_of(records[:count]))
        assert part == whole[: len(part)]
