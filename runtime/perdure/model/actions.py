"""What a turn asks for: one frozen value each, in the imperative.

Every action but the last few belongs to an operation, and carries the source line that called
(`file:line`), so that a disagreement on replay can name both.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from perdure.model.failure import Failure
from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.model.options import ActivityOptions, StartOptions
from perdure.model.policy import Retry
from perdure.model.values import value


@value(frozen=True, slots=True)
class ScheduleActivity:
    """Give an activity to the executors that serve its tag."""

    operation: OperationId
    name: str
    input: JsonText
    tag: str
    retry: Retry | None
    timeout: timedelta | None
    """Of one attempt, from its start."""
    line: str
    options: ActivityOptions | None = None
    """None: all at their defaults; the priority is that of the instance where none was given."""


@dataclass(frozen=True, slots=True)
class CancelActivity:
    """Its result is no longer wanted."""

    operation: OperationId
    reason: str


@dataclass(frozen=True, slots=True)
class CreateTimer:
    """Wake the task after a time; `fire_at` counts from the turn's recorded time."""

    operation: OperationId
    delay: timedelta
    fire_at: datetime
    line: str


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """It need not fire any more."""

    operation: OperationId


@dataclass(frozen=True, slots=True)
class StartChild:
    """Start a sub-orchestration whose outcome comes back."""

    operation: OperationId
    name: str
    version: str | None
    instance: InstanceId
    input: JsonText
    line: str
    options: StartOptions | None = None
    """None: all at their defaults; the priority is that of the instance where none was given."""


@dataclass(frozen=True, slots=True)
class CancelChild:
    """Ask a child to cancel; its outcome is no longer wanted."""

    operation: OperationId
    instance: InstanceId
    reason: str


@dataclass(frozen=True, slots=True)
class TerminateChild:
    """End a child from outside, without its code: the execution that wanted it has ended."""

    operation: OperationId
    instance: InstanceId
    reason: str


@dataclass(frozen=True, slots=True)
class StartDetached:
    """Start an orchestration that nobody waits for."""

    operation: OperationId
    name: str
    version: str | None
    instance: InstanceId
    input: JsonText
    line: str
    options: StartOptions | None = None
    """None: all at their defaults; the priority is that of the instance where none was given."""


@dataclass(frozen=True, slots=True)
class WaitEvent:
    """Wait for the next event of that name; buffered ones count."""

    operation: OperationId
    name: str
    line: str


@dataclass(frozen=True, slots=True)
class WaitNext:
    """Wait for an event of that name that arrives from now on; buffered ones do not count."""

    operation: OperationId
    name: str
    line: str


@dataclass(frozen=True, slots=True)
class DequeueEvent:
    """Take the next message of a queue of this instance; buffered ones count."""

    operation: OperationId
    queue: str
    line: str


@dataclass(frozen=True, slots=True)
class CancelWait:
    """Stop waiting, for an event or a queue: what arrives goes to the next wait of that name."""

    operation: OperationId


@dataclass(frozen=True, slots=True)
class SetCustomStatus:
    """Show this to whoever asks for the instance's status; None clears it."""

    operation: OperationId
    value: JsonText | None
    line: str = ""


@dataclass(frozen=True, slots=True)
class SetAttributes:
    """Lay these attributes over those there are: what the instance is found by."""

    operation: OperationId
    values: JsonText
    """A JSON object of strings, numbers and booleans; a null takes one away."""
    line: str


@dataclass(frozen=True, slots=True)
class SetKey:
    """Put a value into the instance's key-value map; its time is the turn's."""

    operation: OperationId
    key: str
    value: JsonText
    line: str


@dataclass(frozen=True, slots=True)
class ClearKey:
    """Take a key out of the map."""

    operation: OperationId
    key: str
    line: str


@dataclass(frozen=True, slots=True)
class ClearKeys:
    """Empty the map."""

    operation: OperationId
    line: str


@dataclass(frozen=True, slots=True)
class ReadKey:
    """Read a key of another instance as it is when this turn is committed."""

    operation: OperationId
    instance: InstanceId
    key: str
    line: str


@dataclass(frozen=True, slots=True)
class RecordStep:
    """Keep what a step came to: it ran within this turn, and never runs again.

    Exactly one of `result` and `failure` is set.
    """

    operation: OperationId
    name: str
    result: JsonText | None
    failure: Failure | None
    line: str


@dataclass(frozen=True, slots=True)
class AnswerUpdate:
    """Tell whoever sent an update what it came to: exactly one of `result` and `failure`."""

    update: str
    result: JsonText | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class RefuseCall:
    """A call that went beyond a limit, and raised; recorded, for limits may change."""

    operation: OperationId
    call: str
    """What was asked for, such as `custom status`."""
    message: str
    line: str


@dataclass(frozen=True, slots=True)
class MarkPatch:
    """The execution takes a patch: an edit that runs from before it do not take."""

    patch: str
    deprecated: bool
    """The code does not ask any more, and takes it in any case."""
    line: str


@dataclass(frozen=True, slots=True)
class ContinueAsNew:
    """End this execution and start the next with fresh history."""

    name: str
    version: str | None
    input: JsonText


type Action = (
    ScheduleActivity
    | CancelActivity
    | CreateTimer
    | CancelTimer
    | StartChild
    | CancelChild
    | TerminateChild
    | StartDetached
    | WaitEvent
    | WaitNext
    | DequeueEvent
    | CancelWait
    | SetCustomStatus
    | SetAttributes
    | SetKey
    | ClearKey
    | ClearKeys
    | ReadKey
    | RecordStep
    | AnswerUpdate
    | RefuseCall
    | MarkPatch
    | ContinueAsNew
)
