"""The values of administration: what is counted, deleted, pruned, limited, brought in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from perdure.model.failure import Failure
from perdure.model.ids import InstanceId, JsonText
from perdure.model.records import KeyValue, Outcome, Record
from perdure.model.values import value
from perdure.providers.reading import InstanceInfo, InstanceStatus

# -------------------------------------------------------------------------- counting


@value(frozen=True, slots=True)
class ExecutionInfo:
    """One execution of an instance."""

    execution: int
    outcome: Outcome | None
    """None: it has not ended."""
    version: str | None
    started_at: datetime
    finished_at: datetime | None
    records: int


@dataclass(frozen=True, slots=True)
class InstanceSize:
    """What one instance takes."""

    records: int
    """Over all executions that are kept."""
    bytes: int
    """Of their bodies."""
    unread: int
    """Messages that no turn has consumed."""
    keys: int
    key_bytes: int


@dataclass(frozen=True, slots=True)
class Totals:
    """What is stored, as a whole."""

    instances: Mapping[InstanceStatus, int]
    records: int
    """An estimate where counting would be slow."""
    due_turns: int
    """Instances that could take a turn now."""
    waiting_activities: int
    leased_activities: int
    timers: int
    early_messages: int
    """Kept for instances that nobody started yet."""
    tallies: Mapping[str, int]
    """What was expired or dropped, by name: what would otherwise be lost silently."""


# -------------------------------------------------------------------------- deleting


class DeleteOutcome(StrEnum):
    """What became of one deletion."""

    DELETED = "deleted"
    NOT_FOUND = "not_found"
    RUNNING = "running"
    """It, or something beneath it, has not ended, and no force was asked for."""
    IS_CHILD = "is_child"
    """Only whole trees go: delete its root."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """What one deletion took: the instance and everything beneath it."""

    outcome: DeleteOutcome
    instances: int = 0
    executions: int = 0
    records: int = 0
    messages: int = 0
    """Waiting activities, timers and unread messages."""
    running: tuple[InstanceId, ...] = ()
    """With `RUNNING`: which, at most ten of them."""


@dataclass(frozen=True, slots=True)
class Retire:
    """Delete finished roots with everything beneath them, oldest first.

    A tree in which anything has not ended is left.
    """

    limit: int
    """At most so many roots."""
    finished_before: datetime | None = None
    older_than: timedelta | None = None
    """Finished at least so long ago, by the database's clock."""
    tenant: str | None = None
    name: str | None = None
    statuses: Sequence[InstanceStatus] = ()
    """Empty: all terminal ones."""


@dataclass(frozen=True, slots=True)
class Retired:
    """What went."""

    roots: int
    instances: int
    records: int


@dataclass(frozen=True, slots=True)
class Prune:
    """Delete records of ended executions of one instance; never of the last one.

    Both conditions must hold; one that is None always does.
    """

    instance: InstanceId
    keep_last: int | None = None
    """Keep so many executions at least, the last among them; less than 1 means 1."""
    finished_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went; None for both where there is no such instance."""

    executions: int | None
    records: int | None


@dataclass(frozen=True, slots=True)
class Swept:
    """What had had its time."""

    messages: int
    """For instances that nobody started; counted in `Totals.tallies`."""
    questions: int
    executors: int
    """That have not told of themselves for ten minutes."""


# ---------------------------------------------------------------------------- limits


@dataclass(frozen=True, slots=True)
class Limit:
    """How many activities or instances of one key may run at once, and be admitted in a time.

    Admission is in the order of priority and then of arrival.
    """

    key: str
    concurrency: int | None = None
    """None: any number at once."""
    rate: int | None = None
    """At most so many admitted in any `period`; None: any number."""
    period: timedelta = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class LimitState:
    """A limit, and how far it is used."""

    limit: Limit
    running: int
    waiting: int


# ---------------------------------------------------------------- archives, questions


@dataclass(frozen=True, slots=True)
class Archive:
    """One instance with its whole history, as it is exported and imported."""

    info: InstanceInfo
    records: tuple[Record, ...]
    keys: tuple[KeyValue, ...] = ()


class ImportOutcome(StrEnum):
    """What became of one archive."""

    IMPORTED = "imported"
    EXISTS = "exists"
    """The id is taken; nothing was added."""
    UNFINISHED = "unfinished"
    """Only what has ended can be brought in."""


@value(frozen=True, slots=True)
class Question:
    """A query to one instance: answered from its current state, and recorded nowhere."""

    id: str
    """Made by who asks, random."""
    instance: InstanceId
    name: str
    """Of the handler."""
    input: JsonText
    within: timedelta
    """Forgotten after this time, answered or not."""


@value(frozen=True, slots=True)
class OpenQuestion:
    """A question, and the code that can answer it."""

    question: Question
    execution: int
    orchestration: str
    version: str | None


@value(frozen=True, slots=True)
class Answer:
    """Of a question or an update: exactly one of `result` and `failure`."""

    id: str
    result: JsonText | None = None
    failure: Failure | None = None


__all__ = [
    "Answer",
    "Archive",
    "DeleteOutcome",
    "Deleted",
    "ExecutionInfo",
    "ImportOutcome",
    "InstanceSize",
    "Limit",
    "LimitState",
    "OpenQuestion",
    "Prune",
    "Pruned",
    "Question",
    "Retire",
    "Retired",
    "Swept",
    "Totals",
]
