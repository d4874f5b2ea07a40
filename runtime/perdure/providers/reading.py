"""The values that readers of storage ask with and get: instances, backlog, processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from perdure.model.failure import Failure
from perdure.model.ids import ExecutorId, InstanceId, JsonText, OperationId
from perdure.model.values import value
from perdure.providers.work import Block, CodeId


class InstanceStatus(StrEnum):
    """The current condition of an instance."""

    PENDING = "Pending"
    """Started, its first turn not yet taken."""
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    BLOCKED = "Blocked"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    TERMINATED = "Terminated"
    TIMED_OUT = "TimedOut"

    @property
    def is_terminal(self) -> bool:
        """True once nothing more will happen."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {
        InstanceStatus.COMPLETED,
        InstanceStatus.FAILED,
        InstanceStatus.CANCELLED,
        InstanceStatus.TERMINATED,
        InstanceStatus.TIMED_OUT,
    }
)


@value(frozen=True, slots=True)
class InstanceInfo:
    """One instance, as a reader sees it."""

    instance: InstanceId
    tenant: str
    name: str
    version: str | None
    execution: int
    status: InstanceStatus
    created_at: datetime
    finished_at: datetime | None
    parent: InstanceId | None
    output: JsonText | None
    failure: Failure | None
    custom_status: JsonText | None
    custom_status_version: int
    """0 at first, one more with every commit that sets or clears it."""
    block: Block | None
    history_length: int
    """Records so far, over all executions."""
    cancel_requested: bool
    attributes: JsonText | None = None
    limit: str | None = None
    awaits_limit: bool = False
    """True: its limit has not admitted it yet."""


@dataclass(frozen=True, slots=True)
class ListInstances:
    """Newest first, a page at a time."""

    limit: int = 100
    after: str | None = None
    """`InstancePage.next` of the page before."""
    tenant: str | None = None
    name: str | None = None
    statuses: Sequence[InstanceStatus] = ()
    """Empty: any."""
    prefix: str | None = None
    """Of the instance id."""
    parent: InstanceId | None = None
    """Direct children of this one."""
    roots: bool = False
    """True: only those without a parent."""
    version: str | None = None
    created_after: datetime | None = None
    """At this time or later; `…_before` is earlier than its time."""
    created_before: datetime | None = None
    finished_after: datetime | None = None
    finished_before: datetime | None = None
    attributes: JsonText | None = None
    """A JSON object: only those that have all of these, with these values."""


@dataclass(frozen=True, slots=True)
class InstancePage:
    """One page, and the cursor of the next (None: this was the last)."""

    instances: tuple[InstanceInfo, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class OpenActivity:
    """An activity that waits or runs, as `get`, `tree` and the operator show it."""

    instance: InstanceId
    operation: OperationId
    name: str
    tag: str
    attempt: int
    failures: int
    leased: bool
    due_at: datetime
    queued_at: datetime
    last_failure: str | None
    details: JsonText | None = None
    """What it told last of its progress."""
    session: str | None = None
    priority: int = 0
    limit: str | None = None
    awaits_limit: bool = False


@dataclass(frozen=True, slots=True)
class TagBacklog:
    """How much waits for executors of one tag."""

    tag: str
    ready: int
    leased: int
    oldest_age: timedelta | None
    """Of the ready ones."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Watched instances whose status changed, and the cursor to go on from."""

    cursor: int
    instances: tuple[InstanceId, ...]


class Role(StrEnum):
    """What a process does."""

    REPLAY = "replay"
    ACTIVITY = "activity"


@dataclass(frozen=True, slots=True)
class ExecutorInfo:
    """What a process tells of itself every few seconds, and when it starts and stops."""

    executor: ExecutorId
    role: Role
    name: str
    """Pod or host name."""
    build: str
    tags: tuple[str, ...] = ()
    code: tuple[CodeId, ...] = ()
    activities: tuple[str, ...] = ()
    slots: int = 0
    busy: int = 0
    draining: bool = False


@dataclass(frozen=True, slots=True)
class LiveExecutor:
    """An executor that told of itself lately."""

    info: ExecutorInfo
    seen_at: datetime
