"""What a turn asks for: one frozen value each, in the imperative.

Every action but the last few belongs to an operation, and carries the source line that called
(`file:line`), so that a disagreement on replay can name both.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from perdure.model.ids import InstanceId, JsonText, OperationId
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


@dataclass(frozen=True, slots=True)
class CancelChild:
    """Ask a child to cancel; its outcome is no longer wanted."""

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


@dataclass(frozen=True, slots=True)
class WaitEvent:
    """Wait for the next event of that name; buffered ones count."""

    operation: OperationId
    name: str
    line: str


@dataclass(frozen=True, slots=True)
class CancelWait:
    """Stop waiting: events go to the next wait of that name."""

    operation: OperationId


@dataclass(frozen=True, slots=True)
class SetCustomStatus:
    """Show this to whoever asks for the instance's status; None clears it."""

    operation: OperationId
    value: JsonText | None


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
    | StartDetached
    | WaitEvent
    | CancelWait
    | SetCustomStatus
    | MarkPatch
    | ContinueAsNew
)
