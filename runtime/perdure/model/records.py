"""The history as it is stored: messages as they arrived, and one record for each turn.

A message is written once, straight into the history of its instance, with the next sequence
number. A turn consumes all messages up to some sequence number and adds one `TURN` record that
holds everything it decided. What users call events is a view of these (`perdure.model.events`).

Body by kind (JSON text; `ref` in brackets)::

    STARTED             StartedBody                   [–]
    ACTIVITY_COMPLETED  the result as it is           [operation]
    ACTIVITY_FAILED     Failure                       [operation]
    TIMER_FIRED         null                          [operation]
    EVENT_RAISED        the data as it is             [event name]
    EVENT_QUEUED        the data as it is             [queue name]
    CHILD_COMPLETED     the result as it is           [operation]
    CHILD_FAILED        Failure                       [operation]
    CANCEL_REQUESTED    the reason, a string          [–]
    UPDATE_REQUESTED    UpdateBody                    [update id]
    KEY_READ            the value as it was, or null  [operation]
    TURN                TurnBody                      [–]
    TERMINATED          the reason, a string          [–]
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from perdure.model.failure import Failure
from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.model.values import value


class RecordKind(IntEnum):
    """Stored as a small integer; numbers are never reused. Below `TURN`: messages."""

    STARTED = 1
    ACTIVITY_COMPLETED = 2
    ACTIVITY_FAILED = 3
    TIMER_FIRED = 4
    EVENT_RAISED = 5
    EVENT_QUEUED = 6
    CHILD_COMPLETED = 7
    CHILD_FAILED = 8
    CANCEL_REQUESTED = 9
    UPDATE_REQUESTED = 10
    KEY_READ = 11
    TURN = 20
    TERMINATED = 21


@value(frozen=True, slots=True)
class Record:
    """One row of an instance's history."""

    seq: int
    """1, 2, 3 … within the instance, over all its executions."""
    execution: int
    kind: RecordKind
    ref: str | None
    body: JsonText | None
    at: datetime
    """When it was written, by the database's clock."""


class Outcome(StrEnum):
    """How an execution ended."""

    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    TERMINATED = "Terminated"
    TIMED_OUT = "TimedOut"
    CONTINUED_AS_NEW = "ContinuedAsNew"


@dataclass(frozen=True, slots=True)
class ParentLink:
    """Where a child's outcome goes: the operation in the parent that awaits it."""

    instance: InstanceId
    execution: int
    operation: OperationId


class ParentClose(StrEnum):
    """What becomes of a child that still runs when its parent's execution ends."""

    CANCEL = "cancel"
    TERMINATE = "terminate"
    ABANDON = "abandon"
    """It goes on, and its outcome is nobody's."""


@dataclass(frozen=True, slots=True)
class CarriedEvent:
    """An event that the last execution did not read."""

    name: str
    data: JsonText | None
    queued: bool = False
    """True: `name` is a queue's (`EVENT_QUEUED`); False: an event's (`EVENT_RAISED`)."""


@value(frozen=True, slots=True)
class CarriedUpdate:
    """An update that the last execution did not answer; the next one takes it up from the start."""

    update: str
    body: JsonText
    """`UpdateBody`."""


@value(frozen=True, slots=True)
class UpdateBody:
    """A request to a running instance that gets an answer: body of `UPDATE_REQUESTED`."""

    name: str
    """Of the handler."""
    input: JsonText
    """Its arguments as one JSON object, by parameter name."""


@value(frozen=True, slots=True)
class KeyValue:
    """One entry of an instance's key-value map."""

    key: str
    value: JsonText
    updated_at: datetime
    """The recorded time of the turn that set it."""


@value(frozen=True, slots=True)
class StartedBody:
    """Why and with what an execution started."""

    name: str
    version: str | None
    """As asked for; None: the latest that the replayer has."""
    input: JsonText
    """The arguments as one JSON object, by parameter name."""
    parent: ParentLink | None = None
    carried: tuple[CarriedEvent, ...] = ()
    """Events that the last execution did not read, oldest first."""
    custom_status: JsonText | None = None
    """What the last execution had set."""
    keys: tuple[KeyValue, ...] = ()
    """The key-value map as the last execution left it: so a history needs nothing beside it."""
    updates: tuple[CarriedUpdate, ...] = ()
    """Unanswered ones, oldest first."""
    timeout: timedelta | None = None
    """At a start from outside: the run times out so long after this record was written (by the
    database's clock, which no caller knows); None: never."""
    deadline: datetime | None = None
    """In later executions: when the run times out; None: never."""
    priority: int = 0
    """Of its activities and children, unless they say otherwise."""
    attributes: JsonText | None = None
    """What it is found by, as its start or the last execution had them: so code can read them."""


@value(frozen=True, slots=True)
class Ending:
    """How an execution ended, with what it returned or why it failed."""

    outcome: Outcome
    output: JsonText | None = None
    failure: Failure | None = None
