"""The history as people read it: one event for each thing that happened.

Storage keeps messages and turns; a reader wants to know that an activity was scheduled, completed,
or failed. `events_of` is that view. Events stand in the order in which they were committed: those
of a turn stand together, where the turn was committed. So a view only ever grows at its end, and an
event keeps its number, `event_id`: 1, 2, 3 … within each execution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from perdure.model.actions import (
    Action,
    AnswerUpdate,
    CancelActivity,
    CancelChild,
    CancelTimer,
    CancelWait,
    ClearKey,
    ClearKeys,
    ContinueAsNew,
    CreateTimer,
    DequeueEvent,
    MarkPatch,
    ReadKey,
    RecordStep,
    RefuseCall,
    ScheduleActivity,
    SetAttributes,
    SetCustomStatus,
    SetKey,
    StartChild,
    StartDetached,
    TerminateChild,
    WaitEvent,
    WaitNext,
)
from perdure.model.codec import decode, decode_failure, decode_started, decode_update
from perdure.model.failure import Failure
from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.model.options import ActivityOptions, StartOptions
from perdure.model.records import Ending, Outcome, Record, RecordKind
from perdure.model.turns import TurnBody, decode_turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime, timedelta

__all__ = ["Event", "events_of"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    event_id: int
    """1, 2, 3 … within the execution."""
    execution: int
    at: datetime
    """When it was written, by the database's clock."""
    seq: int
    """Of the record that it comes from."""

    @property
    def kind(self) -> str:
        """The event's name."""
        return type(self).__name__


@dataclass(frozen=True, slots=True)
class OrchestrationStarted(Event):
    """An execution began; always event 1."""

    name: str
    version: str | None
    """As asked for; None: the latest."""
    input: JsonText
    parent: InstanceId | None
    carried: int
    """How many unread events came along from the execution before."""


@dataclass(frozen=True, slots=True)
class OperationEvent(Event):
    """Something about one operation."""

    operation: OperationId


@dataclass(frozen=True, slots=True)
class ActivityScheduled(OperationEvent):
    """An activity was given to the executors of its tag."""

    name: str
    input: JsonText
    tag: str
    line: str
    options: ActivityOptions | None


@dataclass(frozen=True, slots=True)
class ActivityCompleted(OperationEvent):
    """An activity returned."""

    result: JsonText | None


@dataclass(frozen=True, slots=True)
class ActivityFailed(OperationEvent):
    """An activity failed for good."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class ActivityCancelRequested(OperationEvent):
    """An activity's result is no longer wanted."""

    reason: str


@dataclass(frozen=True, slots=True)
class TimerCreated(OperationEvent):
    """A timer was started."""

    delay: timedelta
    fire_at: datetime
    line: str


@dataclass(frozen=True, slots=True)
class TimerFired(OperationEvent):
    """A timer came due."""


@dataclass(frozen=True, slots=True)
class TimerCancelled(OperationEvent):
    """A timer is no longer needed."""


@dataclass(frozen=True, slots=True)
class EventSubscribed(OperationEvent):
    """The code waits for the next event of that name."""

    name: str
    line: str


@dataclass(frozen=True, slots=True)
class NextEventSubscribed(OperationEvent):
    """The code waits for an event of that name that arrives from now on."""

    name: str
    line: str


@dataclass(frozen=True, slots=True)
class QueueSubscribed(OperationEvent):
    """The code waits for the next message of a queue."""

    queue: str
    line: str


@dataclass(frozen=True, slots=True)
class EventSubscriptionCancelled(OperationEvent):
    """The code waits no longer."""


@dataclass(frozen=True, slots=True)
class EventRaised(Event):
    """An event arrived."""

    name: str
    data: JsonText | None


@dataclass(frozen=True, slots=True)
class EventQueued(Event):
    """A message for a queue arrived."""

    queue: str
    data: JsonText | None


@dataclass(frozen=True, slots=True)
class SubOrchestrationScheduled(OperationEvent):
    """A child was started."""

    name: str
    version: str | None
    instance: InstanceId
    input: JsonText
    line: str
    options: StartOptions | None


@dataclass(frozen=True, slots=True)
class SubOrchestrationCompleted(OperationEvent):
    """A child completed."""

    result: JsonText | None


@dataclass(frozen=True, slots=True)
class SubOrchestrationFailed(OperationEvent):
    """A child ended otherwise."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class SubOrchestrationCancelRequested(OperationEvent):
    """A child was asked to cancel."""

    instance: InstanceId
    reason: str


@dataclass(frozen=True, slots=True)
class SubOrchestrationTerminateRequested(OperationEvent):
    """A child was terminated, because its parent's execution ended."""

    instance: InstanceId
    reason: str


@dataclass(frozen=True, slots=True)
class OrchestrationChained(OperationEvent):
    """An instance was started that nobody waits for."""

    name: str
    version: str | None
    instance: InstanceId
    input: JsonText
    line: str
    options: StartOptions | None


@dataclass(frozen=True, slots=True)
class CustomStatusUpdated(OperationEvent):
    """The custom status was set, or cleared (None)."""

    value: JsonText | None
    line: str


@dataclass(frozen=True, slots=True)
class AttributesUpdated(OperationEvent):
    """Attributes were set, or taken away (null)."""

    values: JsonText
    line: str


@dataclass(frozen=True, slots=True)
class KeyValueSet(OperationEvent):
    """A key was set."""

    key: str
    value: JsonText
    line: str


@dataclass(frozen=True, slots=True)
class KeyValueCleared(OperationEvent):
    """A key was taken away."""

    key: str
    line: str


@dataclass(frozen=True, slots=True)
class KeyValuesCleared(OperationEvent):
    """All keys were taken away."""

    line: str


@dataclass(frozen=True, slots=True)
class KeyReadRequested(OperationEvent):
    """A key of another instance was asked for."""

    instance: InstanceId
    key: str
    line: str


@dataclass(frozen=True, slots=True)
class KeyRead(OperationEvent):
    """What the key held; None or null: nothing."""

    value: JsonText | None


@dataclass(frozen=True, slots=True)
class StepRecorded(OperationEvent):
    """A step ran within the turn."""

    name: str
    result: JsonText | None
    failure: Failure | None
    line: str


@dataclass(frozen=True, slots=True)
class UpdateRequested(Event):
    """An update arrived."""

    update: str
    name: str
    input: JsonText


@dataclass(frozen=True, slots=True)
class UpdateAnswered(Event):
    """An update was answered."""

    update: str
    result: JsonText | None
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class CallRefused(OperationEvent):
    """A call went beyond a limit, and raised."""

    call: str
    message: str
    line: str


@dataclass(frozen=True, slots=True)
class PatchTaken(Event):
    """The execution takes an edit that runs from before it do not take."""

    patch: str
    deprecated: bool
    """The code takes it in any case."""
    line: str


@dataclass(frozen=True, slots=True)
class OrchestrationCancelRequested(Event):
    """The instance was asked to cancel."""

    reason: str


@dataclass(frozen=True, slots=True)
class OrchestrationCompleted(Event):
    """The execution returned."""

    output: JsonText | None
    unread: tuple[str, ...]
    """Names of events that nobody read."""
    unread_queued: tuple[str, ...]
    """Names of queues, one for each message that nobody took."""


@dataclass(frozen=True, slots=True)
class OrchestrationFailed(Event):
    """The execution failed."""

    failure: Failure
    unread: tuple[str, ...]
    unread_queued: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OrchestrationTimedOut(Event):
    """The execution ran past its deadline."""

    failure: Failure
    unread: tuple[str, ...]
    unread_queued: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OrchestrationCancelled(Event):
    """The execution ended because it was asked to."""

    reason: str
    unread: tuple[str, ...]
    unread_queued: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OrchestrationTerminated(Event):
    """The instance was ended from outside."""

    reason: str


@dataclass(frozen=True, slots=True)
class OrchestrationContinuedAsNew(Event):
    """The execution ended and the next begins."""

    version: str | None
    input: JsonText


_NULL = JsonText("null")


def events_of(records: Iterable[Record]) -> Iterator[Event]:
    """View records, in their order, as events.

    Args:
        records: Of one instance, from the start of an execution on; one or several executions.

    Raises:
        PayloadError: a record is damaged.
    """
    execution = 0
    count = 0
    for record in records:
        if record.execution != execution:
            execution, count = record.execution, 0
        for event in _events(record, count + 1):
            count += 1
            yield event


type _Place = tuple[int, int, datetime, int]
"""The fields that every event has: number, execution, time, record."""


def _events(record: Record, first: int) -> Iterator[Event]:
    if record.kind is not RecordKind.TURN:
        yield _message(record, (first, record.execution, record.at, record.seq))
        return
    body = decode_turn(record.body or _NULL)
    number = first
    for action in body.actions:
        yield _action(action, (number, record.execution, record.at, record.seq))
        number += 1
    ending = body.ending
    if ending is not None and ending.outcome is not Outcome.CONTINUED_AS_NEW:
        place = (number, record.execution, record.at, record.seq)
        yield _ending(ending, body, place)


def _message(record: Record, p: _Place) -> Event:  # noqa: C901, PLR0911  one case for each kind
    operation = OperationId(record.ref or "")
    match record.kind:
        case RecordKind.STARTED:
            body = decode_started(record.body or _NULL)
            parent = body.parent.instance if body.parent else None
            return OrchestrationStarted(
                *p, body.name, body.version, body.input, parent, len(body.carried)
            )
        case RecordKind.ACTIVITY_COMPLETED:
            return ActivityCompleted(*p, operation, record.body)
        case RecordKind.ACTIVITY_FAILED:
            return ActivityFailed(*p, operation, decode_failure(record.body or _NULL))
        case RecordKind.TIMER_FIRED:
            return TimerFired(*p, operation)
        case RecordKind.EVENT_RAISED:
            return EventRaised(*p, record.ref or "", record.body)
        case RecordKind.EVENT_QUEUED:
            return EventQueued(*p, record.ref or "", record.body)
        case RecordKind.UPDATE_REQUESTED:
            asked = decode_update(record.body or _NULL)
            return UpdateRequested(*p, record.ref or "", asked.name, asked.input)
        case RecordKind.KEY_READ:
            return KeyRead(*p, operation, record.body)
        case RecordKind.CHILD_COMPLETED:
            return SubOrchestrationCompleted(*p, operation, record.body)
        case RecordKind.CHILD_FAILED:
            return SubOrchestrationFailed(*p, operation, decode_failure(record.body or _NULL))
        case RecordKind.CANCEL_REQUESTED:
            return OrchestrationCancelRequested(*p, _reason(record))
        case RecordKind.TERMINATED | RecordKind.TURN:
            return OrchestrationTerminated(*p, _reason(record))
    assert_never(record.kind)


def _reason(record: Record) -> str:
    return decode(record.body, str, what="a stored reason") if record.body else ""


def _action(action: Action, p: _Place) -> Event:  # noqa: C901, PLR0911, PLR0912  one case for each kind
    match action:
        case ScheduleActivity(operation, name, input_, tag, _, _, line, options):
            return ActivityScheduled(*p, operation, name, input_, tag, line, options)
        case CancelActivity(operation, reason):
            return ActivityCancelRequested(*p, operation, reason)
        case CreateTimer(operation, delay, fire_at, line):
            return TimerCreated(*p, operation, delay, fire_at, line)
        case CancelTimer(operation):
            return TimerCancelled(*p, operation)
        case StartChild(operation, name, version, instance, input_, line, options):
            return SubOrchestrationScheduled(
                *p, operation, name, version, instance, input_, line, options
            )
        case CancelChild(operation, instance, reason):
            return SubOrchestrationCancelRequested(*p, operation, instance, reason)
        case TerminateChild(operation, instance, reason):
            return SubOrchestrationTerminateRequested(*p, operation, instance, reason)
        case StartDetached(operation, name, version, instance, input_, line, options):
            return OrchestrationChained(
                *p, operation, name, version, instance, input_, line, options
            )
        case WaitEvent(operation, name, line):
            return EventSubscribed(*p, operation, name, line)
        case WaitNext(operation, name, line):
            return NextEventSubscribed(*p, operation, name, line)
        case DequeueEvent(operation, queue, line):
            return QueueSubscribed(*p, operation, queue, line)
        case CancelWait(operation):
            return EventSubscriptionCancelled(*p, operation)
        case SetCustomStatus(operation, value, line):
            return CustomStatusUpdated(*p, operation, value, line)
        case SetAttributes(operation, values, line):
            return AttributesUpdated(*p, operation, values, line)
        case SetKey(operation, key, value, line):
            return KeyValueSet(*p, operation, key, value, line)
        case ClearKey(operation, key, line):
            return KeyValueCleared(*p, operation, key, line)
        case ClearKeys(operation, line):
            return KeyValuesCleared(*p, operation, line)
        case ReadKey(operation, instance, key, line):
            return KeyReadRequested(*p, operation, instance, key, line)
        case RecordStep(operation, name, result, failure, line):
            return StepRecorded(*p, operation, name, result, failure, line)
        case AnswerUpdate(update, result, failure):
            return UpdateAnswered(*p, update, result, failure)
        case RefuseCall(operation, call, message, line):
            return CallRefused(*p, operation, call, message, line)
        case MarkPatch(patch, deprecated, line):
            return PatchTaken(*p, patch, deprecated, line)
        case ContinueAsNew(_, version, input_):
            return OrchestrationContinuedAsNew(*p, version, input_)
    assert_never(action)


def _ending(ending: Ending, body: TurnBody, p: _Place) -> Event:
    failure, left = ending.failure, (body.unread, body.unread_queued)
    if ending.outcome is Outcome.COMPLETED or failure is None:
        return OrchestrationCompleted(*p, ending.output, *left)
    if ending.outcome is Outcome.CANCELLED:
        return OrchestrationCancelled(*p, failure.message, *left)
    if ending.outcome is Outcome.TIMED_OUT:
        return OrchestrationTimedOut(*p, failure, *left)
    return OrchestrationFailed(*p, failure, *left)
