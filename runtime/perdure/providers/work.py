"""The values that cross between a provider and its callers: leased work, commits, outcomes.

Every verb takes and returns lists; each item inside succeeds or fails alone, and outcomes come
back in the order of the items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from perdure.model.failure import Failure
from perdure.model.ids import ExecutorId, InstanceId, JsonText, LeaseToken, OperationId
from perdure.model.options import ActivityOptions
from perdure.model.policy import Retry
from perdure.model.records import (
    Ending,
    ParentClose,
    Record,
    RecordKind,
    StartedBody,
)
from perdure.model.values import value

# ----------------------------------------------------------------------------- turns


@dataclass(frozen=True, slots=True)
class CodeId:
    """One registered orchestration: what a replayer can run."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class FetchTurns:
    """Lease the oldest instances that are due and whose code the caller has.

    An instance that has not had its first turn is due to anyone who has some version of its
    name that its start asked for; afterwards only to who has the very version it started with.
    """

    executor: ExecutorId
    token: LeaseToken
    """One per call; every turn of the call is leased under it."""
    limit: int
    lease: timedelta
    code: Sequence[CodeId]
    history_bytes: int = 16 * 1024 * 1024
    """How much of the histories that the caller does not hold is sent along, all together."""


@value(frozen=True, slots=True)
class LeasedTurn:
    """One instance to take a turn, with the records that its holder lacks."""

    instance: InstanceId
    execution: int
    name: str
    version: str | None
    """None before the first turn of an execution whose start named none."""
    token: LeaseToken
    attempt: int
    """1 on the first fetch; counts fetches since the last commit, less those handed back."""
    upto: int
    """The turn consumes the messages up to this sequence number."""
    held: bool
    """True: this executor committed the last turn, so `records` holds only what came after
    (its own TURN record left out); False: the history of this execution, of a long one only the
    beginning (or nothing): the last record is not `upto` then, and the rest is to be read."""
    records: tuple[Record, ...]
    now: datetime
    """The turn's time, by the database's clock."""


@dataclass(frozen=True, slots=True)
class FetchedTurns:
    """What was leased, and how long nothing more will be due (None: nothing is scheduled)."""

    turns: tuple[LeasedTurn, ...]
    next_due: timedelta | None


@value(frozen=True, slots=True)
class NewActivity:
    """A row for the executors' queue."""

    operation: OperationId
    name: str
    tag: str
    input: JsonText
    retry: Retry | None
    timeout: timedelta | None
    options: ActivityOptions | None = None
    """None: all at their defaults."""


@dataclass(frozen=True, slots=True)
class NewTimer:
    """A wake-up."""

    operation: OperationId
    fire_at: datetime


@value(frozen=True, slots=True)
class Message:
    """Something for one instance's history.

    `STARTED` creates the instance; others wait for it, for a bounded time, if it is not there yet.
    `execution` is set on the answers of children: one to an execution that is over is dropped.
    """

    instance: InstanceId
    kind: RecordKind
    ref: str | None = None
    body: JsonText | None = None
    execution: int | None = None
    start: NewInstance | None = None
    """Set if and only if `kind` is `STARTED`."""
    token: LeaseToken | None = None
    """Made by the sender, random: sending again with the same token adds nothing."""
    parent: InstanceId | None = None
    """Set on the cancel that a parent sends to its child: dropped if it is somebody else's."""


@value(frozen=True, slots=True)
class NewInstance:
    """What the instance's own row keeps of its start (the rest is in `Message.body`)."""

    name: str
    version: str | None
    tenant: str = ""
    """Who it belongs to; the namespace on Kubernetes."""
    parent: InstanceId | None = None
    watched: bool = False
    """True: every change of status goes to the change feed (`Provider.read_changes`)."""
    parent_close: ParentClose = ParentClose.CANCEL
    """With a parent: what becomes of this one when the parent is terminated."""
    attributes: JsonText | None = None
    """What it is found by: a JSON object of strings, numbers and booleans."""
    limit: str | None = None
    """Its first turn waits until the limit of this key admits it; it counts until it has ended."""


@dataclass(frozen=True, slots=True)
class CustomStatus:
    """A new custom status; `value` None clears it."""

    value: JsonText | None


@value(frozen=True, slots=True)
class KeyWrite:
    """One change to an instance's key-value map; `value` None clears the key."""

    key: str
    value: JsonText | None


@value(frozen=True, slots=True)
class UpdateAnswer:
    """What became of one update: exactly one of `result` and `failure`."""

    update: str
    result: JsonText | None = None
    failure: Failure | None = None


@value(frozen=True, slots=True)
class TurnCommit:
    """Everything one turn decided; applied whole or not at all."""

    instance: InstanceId
    execution: int
    token: LeaseToken
    upto: int
    version: str
    """Of the code that ran."""
    body: JsonText
    """The TURN record."""
    activities: tuple[NewActivity, ...] = ()
    cancel_activities: tuple[tuple[OperationId, str], ...] = ()
    """Operation and reason; what this very turn schedules may be among them."""
    timers: tuple[NewTimer, ...] = ()
    cancel_timers: tuple[OperationId, ...] = ()
    messages: tuple[Message, ...] = ()
    """To other instances: starts, cancels, answers to parents."""
    custom_status: CustomStatus | None = None
    keys: tuple[KeyWrite, ...] = ()
    """In order; the time of a write is the turn's."""
    clear_keys: bool = False
    """True: the map is emptied first."""
    attributes: JsonText | None = None
    """A JSON object laid over the attributes there are; a null takes one away."""
    answers: tuple[UpdateAnswer, ...] = ()
    terminate: tuple[InstanceId, ...] = ()
    """Children (of this instance, else ignored) to be terminated."""
    ending: Ending | None = None
    """Ends the execution: its activities are cancelled and its timers deleted."""
    next_execution: StartedBody | None = None
    """With `Outcome.CONTINUED_AS_NEW`: what the next execution starts with. Events that arrive
    between `upto` and the commit go to it too, after the carried ones."""


class CommitOutcome(StrEnum):
    """What became of one commit."""

    COMMITTED = "committed"
    """Applied, now or by an earlier try with the same token."""
    LOST = "lost"
    """The lease is over; nothing was applied."""


class RenewOutcome(StrEnum):
    """What became of one renewal."""

    HELD = "held"
    CANCELLED = "cancelled"
    """Still leased, but the result is no longer wanted."""
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Renewed:
    """Outcome of one renewal, with the reason of a cancellation."""

    outcome: RenewOutcome
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class TurnLease:
    """A leased turn, as far as renewing needs to know it."""

    instance: InstanceId
    token: LeaseToken


@dataclass(frozen=True, slots=True)
class Block:
    """Why a run is parked until somebody mends and resumes it."""

    reason: str
    """One CamelCase word: `Nondeterminism`, `HistoryLimit`, `SpinningTurn`, …"""
    message: str


@dataclass(frozen=True, slots=True)
class AbandonTurn:
    """Give a turn back undone."""

    instance: InstanceId
    token: LeaseToken
    delay: timedelta = timedelta(0)
    count_attempt: bool = True
    block: Block | None = None


# ------------------------------------------------------------------------ activities


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """On what terms an executor takes activities of sessions.

    It gets those of sessions that it owns, and, while it owns fewer than `limit`, of sessions
    that nobody owns (any more): fetching makes it the owner. Owning ends `lease` after the last
    renewal; renewing keeps only sessions that had an activity leased or finished within `idle`.
    """

    limit: int
    lease: timedelta
    idle: timedelta


@dataclass(frozen=True, slots=True)
class FetchActivities:
    """Lease the due activities of any of these tags (`UNTAGGED` for those without).

    Only those whose code the caller has are given to it: a pool that serves a tag may know only
    some of its activities, and the others are left to the pool that knows them.
    """

    executor: ExecutorId
    token: LeaseToken
    tags: Sequence[str]
    limit: int
    lease: timedelta
    names: Sequence[str] | None = None
    """Of the activities that the caller can run; None: any."""
    sessions: SessionTerms | None = None
    """None: only activities without a session."""


@value(frozen=True, slots=True)
class LeasedActivity:
    """One activity to run."""

    instance: InstanceId
    execution: int
    operation: OperationId
    token: LeaseToken
    name: str
    tag: str
    input: JsonText
    retry: Retry | None
    timeout: timedelta | None
    attempt: int
    """1 on the first try; counts tries lost with their executor too, but not those handed back."""
    failures: int
    """Tries that raised or timed out so far: what the retry policy counts."""
    queued_at: datetime
    options: ActivityOptions | None = None
    details: JsonText | None = None
    """What an earlier attempt told last of its progress."""
    started_at: datetime | None = None
    """When the first attempt started (this one, if it is the first)."""


@dataclass(frozen=True, slots=True)
class FetchedActivities:
    """What was leased, and how long nothing more of these tags will be due."""

    activities: tuple[LeasedActivity, ...]
    next_due: timedelta | None
    now: datetime | None = None
    """The time by the database's clock."""


@value(frozen=True, slots=True)
class ActivityCompleted:
    """It returned."""

    result: JsonText


@dataclass(frozen=True, slots=True)
class ActivityFailed:
    """It failed for good."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class ActivityRetried:
    """It failed and is to be tried again after `delay`; counts one failure."""

    delay: timedelta
    failure: Failure


@dataclass(frozen=True, slots=True)
class ActivityDiscarded:
    """It was cancelled: the row goes, nothing is recorded."""


@dataclass(frozen=True, slots=True)
class ActivityDeferred:
    """It will be finished later, by whoever has its lease (which is its completion token).

    The lease goes on for `within`; if nobody finished it by then, the attempt counts as lost.
    """

    within: timedelta


type ActivityEnd = (
    ActivityCompleted | ActivityFailed | ActivityRetried | ActivityDiscarded | ActivityDeferred
)


@value(frozen=True, slots=True)
class ActivityLease:
    """A leased activity, as far as renewing and finishing need to know it."""

    instance: InstanceId
    execution: int
    operation: OperationId
    token: LeaseToken


@value(frozen=True, slots=True)
class ActivityResult:
    """How one leased activity ended."""

    lease: ActivityLease
    end: ActivityEnd


@value(frozen=True, slots=True)
class ActivityProgress:
    """How far a leased activity is: the next attempt and every reader find it."""

    lease: ActivityLease
    details: JsonText


class FinishOutcome(StrEnum):
    """What became of one result."""

    RECORDED = "recorded"
    """Now or by an earlier try with the same token."""
    LOST = "lost"
    """The lease is over or the activity is gone; the result is refused."""


@dataclass(frozen=True, slots=True)
class AbandonActivity:
    """Hand an activity back, to be tried again after `delay`."""

    lease: ActivityLease
    delay: timedelta = timedelta(0)
    count_attempt: bool = False


# -------------------------------------------------------------------- messages, control


class EnqueueOutcome(StrEnum):
    """What became of one message."""

    ACCEPTED = "accepted"
    KEPT = "kept"
    """The instance does not exist yet: kept for it until the message expires."""
    EXISTS = "exists"
    """A start for an id that is taken; nothing was added."""
    FINISHED = "finished"
    """The instance has ended; nothing was added."""
    FULL = "full"
    """The inbox is full; nothing was added."""


class ControlVerb(StrEnum):
    """What can be done to an instance without its code."""

    SUSPEND = "suspend"
    """No turns until resumed; messages are still taken."""
    RESUME = "resume"
    """Ends a suspension or a block."""
    TERMINATE = "terminate"
    """Ends the instance, and its children, at once."""


@dataclass(frozen=True, slots=True)
class Control:
    """One command to one instance."""

    instance: InstanceId
    verb: ControlVerb
    reason: str = ""


class ControlOutcome(StrEnum):
    """What became of one command."""

    DONE = "done"
    UNCHANGED = "unchanged"
    """It was so already."""
    FINISHED = "finished"
    NOT_FOUND = "not_found"


# ------------------------------------------------------------------------------- hints


@dataclass(frozen=True, slots=True)
class TurnsHint:
    """Some instance is due."""


@dataclass(frozen=True, slots=True)
class ActivitiesHint:
    """Activities of these tags are due."""

    tags: frozenset[str]


@dataclass(frozen=True, slots=True)
class CancelHint:
    """Leased activities of these instances were cancelled: renew now to learn which."""

    instances: frozenset[InstanceId]


@dataclass(frozen=True, slots=True)
class FinishedHint:
    """These instances ended."""

    instances: frozenset[InstanceId]


@dataclass(frozen=True, slots=True)
class QuestionsHint:
    """Questions wait for an answer."""


@dataclass(frozen=True, slots=True)
class AnsweredHint:
    """Questions to, or updates of, these instances were answered."""

    instances: frozenset[InstanceId]


@dataclass(frozen=True, slots=True)
class ChangedHint:
    """The change feed grew."""


@dataclass(frozen=True, slots=True)
class ResyncHint:
    """The connection for hints was lost and is back: look at everything once."""


type Hint = (
    TurnsHint
    | ActivitiesHint
    | CancelHint
    | FinishedHint
    | QuestionsHint
    | AnsweredHint
    | ChangedHint
    | ResyncHint
)
