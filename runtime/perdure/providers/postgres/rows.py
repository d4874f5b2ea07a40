"""Values to rows and rows to values; nothing here talks to Postgres.

A row is a tuple in the order of the composite type it is sent as (`sql/migrations`), or what the
driver made of a result. Lists are sent sorted by instance, because functions lock in the order in
which they are told; `Sorted` puts the answers back into the order of the question.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from perdure.errors import ProviderError
from perdure.model.codec import (
    decode,
    decode_failure,
    encode,
    encode_failure,
    encode_started,
)
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import JsonText, LeaseToken
from perdure.model.options import ActivityOptions
from perdure.model.policy import Retry
from perdure.model.records import Outcome, ParentClose, Record, RecordKind
from perdure.providers.reading import InstanceInfo, InstanceStatus
from perdure.providers.work import (
    ActivityCompleted,
    ActivityDeferred,
    ActivityDiscarded,
    ActivityFailed,
    ActivityRetried,
    Block,
    LeasedActivity,
    LeasedTurn,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from perdure.model.ids import InstanceId
    from perdure.model.records import Ending
    from perdure.providers.work import (
        ActivityLease,
        ActivityResult,
        CodeId,
        Message,
        NewActivity,
        TurnCommit,
        UpdateAnswer,
    )

__all__ = [
    "CODES",
    "ENDED",
    "PHASES",
    "Sorted",
    "TurnRows",
    "code_arrays",
    "instance_of",
    "lease_row",
    "leased_activity",
    "leased_turns",
    "message_row",
    "record_of",
    "result_row",
    "turn_rows",
    "unreadable",
]

ENDED = {
    Outcome.CONTINUED_AS_NEW: 1,
    Outcome.COMPLETED: 5,
    Outcome.FAILED: 6,
    Outcome.CANCELLED: 7,
    Outcome.TERMINATED: 8,
    Outcome.TIMED_OUT: 9,
}

PHASES = {
    0: InstanceStatus.PENDING,
    1: InstanceStatus.RUNNING,
    2: InstanceStatus.SUSPENDED,
    3: InstanceStatus.BLOCKED,
    5: InstanceStatus.COMPLETED,
    6: InstanceStatus.FAILED,
    7: InstanceStatus.CANCELLED,
    8: InstanceStatus.TERMINATED,
    9: InstanceStatus.TIMED_OUT,
}

CODES = {status: code for code, status in PHASES.items()}

_NO_TAGS: frozenset[str] = frozenset()
_KINDS = {int(kind): kind for kind in RecordKind}
_PARENT_CLOSE = {ParentClose.CANCEL: 0, ParentClose.TERMINATE: 1, ParentClose.ABANDON: 2}

_PARENT_ENDED = encode_failure(
    Failure(
        category=FailureCategory.TERMINATED,
        type="Terminated",
        message="its parent ended",
        retryable=False,
    )
)


class Sorted[T]:
    """Items in the order of their keys, remembering where each was."""

    __slots__ = ("items", "places")

    def __init__(self, items: Sequence[T], key: Callable[[T], Any]) -> None:
        if len(items) == 1:
            self.items: Sequence[T] = items
            self.places: Sequence[int] = (0,)
        else:
            order = sorted(range(len(items)), key=lambda place: key(items[place]))
            self.items = [items[place] for place in order]
            self.places = order

    def restore[R](self, answers: Iterable[R]) -> list[R]:
        """Put one answer for each item into the order in which the items came."""
        given = list(answers)
        restored = given[:]
        for place, answer in zip(self.places, given, strict=True):
            restored[place] = answer
        return restored


def code_arrays(code: Iterable[CodeId]) -> tuple[list[str], list[str]]:
    """Names and versions of code, an empty version standing for an instance that takes any."""
    pairs: dict[tuple[str, str], None] = {}
    for each in code:
        pairs[each.name, ""] = None
        pairs[each.name, each.version] = None
    return [name for name, _ in pairs], [version for _, version in pairs]


# ------------------------------------------------------------------------------- sending


def message_row(
    message: Message, turn: int | None = None, sender: TurnCommit | None = None
) -> tuple[object, ...]:
    """Make a `message_v1`; `sender` is the commit that it belongs to."""
    start = message.start
    if start is None:
        execution, token = message.execution, message.token
        if message.kind is RecordKind.UPDATE_REQUESTED:
            token = _token_of(message.ref or "")
        elif message.kind is RecordKind.KEY_READ and sender is not None:
            execution = sender.execution
        return (
            *(turn, message.instance, int(message.kind), message.ref, message.body, execution),
            *(token, None, None, None, message.parent, None, None, None, None, None),
        )
    return (
        *(turn, message.instance, int(message.kind), message.ref, message.body),
        *(message.execution, message.token, start.name, start.version, start.tenant),
        *(start.parent, start.watched, _PARENT_CLOSE[start.parent_close], start.attributes),
        *(start.limit, None if sender is None else sender.instance),
    )


def _token_of(update: str) -> LeaseToken:
    """Make the token of an update from its id: asking twice adds nothing, whoever asks."""
    return LeaseToken(int.from_bytes(hashlib.sha256(update.encode()).digest()[:8], signed=True))


type _Rows = Sequence[tuple[object, ...]] | None
type Extras = tuple[_Rows, _Rows, _Rows, _Rows]
"""An `extras_v1`: keys, attributes, answers, terminates."""

_NO_EXTRAS: Extras = (None, None, None, None)


class TurnRows:
    """A batch of commits, taken apart into the arguments of `commit_turns`."""

    __slots__ = (
        "activities",
        "answered",
        "cancels",
        "ended",
        "extras",
        "locks",
        "messages",
        "tags",
        "timer_cancels",
        "timers",
        "turns",
    )

    def __init__(self) -> None:
        self.locks: list[str] | None = None
        self.turns: list[tuple[object, ...]] = []
        self.activities: list[tuple[object, ...]] = []
        self.cancels: list[tuple[object, ...]] = []
        self.timers: list[tuple[object, ...]] = []
        self.timer_cancels: list[tuple[object, ...]] = []
        self.messages: list[tuple[object, ...]] = []
        self.tags: list[frozenset[str]] = []
        self.ended: list[bool] = []
        self.extras: Extras | None = None
        self.answered: list[str] = []

    def add_extras(self, key: tuple[int, str, int], commit: TurnCommit) -> None:
        """Add keys, attributes and answers of one commit."""
        turn, instance, _ = key
        keys, attributes, answers, terminates = self.extras or _NO_EXTRAS
        writes = {write.key: write.value for write in commit.keys}
        rows: list[tuple[object, ...]] = [(turn, instance, *write) for write in writes.items()]
        if commit.clear_keys:
            rows = [(turn, instance, None, None), *(row for row in rows if row[3] is not None)]
        if rows:
            keys = [*(keys or ()), *rows]
        if commit.attributes:
            attributes = [*(attributes or ()), (turn, instance, commit.attributes)]
        if commit.answers:
            answers = [*(answers or ()), *(_answer_row(turn, instance, a) for a in commit.answers)]
            self.answered.append(instance)
        self.extras = (keys, attributes, answers, terminates)

    def add_terminates(self, key: tuple[int, str, int], commit: TurnCommit) -> None:
        """Add the children that one commit terminates."""
        keys, attributes, answers, terminates = self.extras or _NO_EXTRAS
        rows = [(*key, child, _PARENT_ENDED) for child in sorted(commit.terminate)]
        self.extras = (keys, attributes, answers, [*(terminates or ()), *rows])


def turn_rows(commits: Sequence[TurnCommit]) -> TurnRows:
    """Take apart commits, which are sorted by instance."""
    rows = TurnRows()
    touched: set[str] = set()
    for turn, commit in enumerate(commits, 1):
        key = (turn, commit.instance, commit.execution)
        rows.turns.append(_turn_row(commit))
        if commit.activities:
            rows.activities.extend(_activity_row(key, new) for new in commit.activities)
            rows.tags.append(frozenset(new.tag for new in commit.activities))
        else:
            rows.tags.append(_NO_TAGS)
        if commit.cancel_activities:
            rows.cancels.extend((*key, *cancel) for cancel in commit.cancel_activities)
        if commit.timers:
            rows.timers.extend((*key, timer.operation, timer.fire_at) for timer in commit.timers)
        if commit.cancel_timers:
            rows.timer_cancels.extend((*key, each, None) for each in commit.cancel_timers)
        if commit.messages:
            rows.messages.extend(message_row(each, turn, commit) for each in commit.messages)
            touched.update(message.instance for message in commit.messages)
        if commit.keys or commit.clear_keys or commit.attributes or commit.answers:
            rows.add_extras(key, commit)
        if commit.terminate:
            rows.add_terminates(key, commit)
            touched.add(commit.instance)
        ending = commit.ending
        rows.ended.append(ending is not None and ending.outcome is not Outcome.CONTINUED_AS_NEW)
    if touched:
        rows.messages.sort(key=itemgetter(1))
        touched.update(commit.instance for commit in commits)
        rows.locks = sorted(touched)
    return rows


def _answer_row(turn: int, instance: str, answer: UpdateAnswer) -> tuple[object, ...]:
    failure = None if answer.failure is None else encode_failure(answer.failure)
    return (turn, instance, answer.update, answer.result, failure)


def _activity_row(key: tuple[int, str, int], new: NewActivity) -> tuple[object, ...]:
    retry = None if new.retry is None else _retry_text(new.retry)
    options = None if new.options is None else _options_row(new.options)
    return (*key, new.operation, new.name, new.tag, new.input, retry, new.timeout, options)


def _options_row(options: ActivityOptions) -> tuple[object, ...]:
    return (
        *(options.session, options.priority, options.limit, options.queue_timeout),
        options.heartbeat_timeout,
    )


def _turn_row(commit: TurnCommit) -> tuple[object, ...]:
    ending, status, following = commit.ending, commit.custom_status, commit.next_execution
    return (
        *(commit.instance, commit.execution, commit.token, commit.upto, commit.version),
        commit.body,
        *_ending_columns(ending),
        *((False, None) if status is None else (True, status.value)),
        *(
            (None, None, None)
            if following is None
            else (following.name, following.version, encode_started(following))
        ),
    )


def _ending_columns(ending: Ending | None) -> tuple[int, JsonText | None, JsonText | None]:
    if ending is None:
        return (0, None, None)
    failure = None if ending.failure is None else encode_failure(ending.failure)
    return (ENDED[ending.outcome], ending.output, failure)


def lease_row(lease: ActivityLease) -> tuple[object, ...]:
    """Make a `lease_v1`."""
    return (lease.instance, lease.execution, lease.operation, lease.token)


def result_row(result: ActivityResult) -> tuple[object, ...]:
    """Make a `result_v1`."""
    key = lease_row(result.lease)
    match result.end:
        case ActivityCompleted(result=text):
            return (*key, int(RecordKind.ACTIVITY_COMPLETED), text, None)
        case ActivityFailed(failure=failure):
            return (*key, int(RecordKind.ACTIVITY_FAILED), encode_failure(failure), None)
        case ActivityRetried(delay=delay, failure=failure):
            return (*key, 0, encode_failure(failure), delay)
        case ActivityDiscarded():
            return (*key, -1, None, None)
        case ActivityDeferred(within=within):
            return (*key, 1, None, within)


@lru_cache(maxsize=1024)
def _retry_text(retry: Retry) -> str:
    return encode(retry, Retry)


# ------------------------------------------------------------------------------- reading


@lru_cache(maxsize=1024)
def _retry_of(text: str | None) -> Retry | None:
    return None if text is None else decode(JsonText(text), Retry)


def record_of(row: Any) -> Record:
    """Read a record."""
    seq, execution, kind, ref, body, at = row
    known = _KINDS.get(kind)
    if known is None:
        raise ProviderError(
            "read_history",
            f"record {seq} is of kind {kind}, which this release does not know: read it with the "
            "release that wrote it, or a newer one",
            retryable=False,
        )
    return Record(seq, execution, known, ref, body, at)


def unreadable(rows: Sequence[Any]) -> frozenset[InstanceId]:
    """Find the instances with records of a kind that this release does not know."""
    return frozenset(row[0] for row in rows if row[8] is not None and row[8] not in _KINDS)


def leased_turns(rows: Sequence[Any], token: LeaseToken, now: datetime) -> tuple[LeasedTurn, ...]:
    """Read turns that were leased: rows come one for each record, those of a turn together.

    Raises:
        KeyError: a record is of a kind that this release does not know.
    """
    turns: list[LeasedTurn] = []
    records: list[Record] = []
    head: tuple[Any, ...] = ()
    seen: str | None = None
    for row in rows:
        if row[0] != seen:
            if head:
                turns.append(_leased_turn(head, token, records, now))
            head, seen, records = row[:7], row[0], []
        seq, kind, at, ref, body = row[7:12]
        if seq is not None:
            records.append(Record(seq, head[1], _KINDS[kind], ref, body, at))
    if head:
        turns.append(_leased_turn(head, token, records, now))
    return tuple(turns)


def _leased_turn(
    head: tuple[Any, ...], token: LeaseToken, records: Sequence[Record], now: datetime
) -> LeasedTurn:
    instance, execution, name, version, attempt, upto, held = head
    return LeasedTurn(
        *(instance, execution, name, version, token, attempt, upto, held, tuple(records), now)
    )


def leased_activity(row: Any, token: LeaseToken) -> LeasedActivity:
    """Read an activity that was leased."""
    instance, execution, op, name, tag, data, retry, timeout, attempt, failures = row[:10]
    queued, started, details, options, _ = row[10:]
    return LeasedActivity(
        *(instance, execution, op, token, name, tag, data, _retry_of(retry), timeout),
        *(attempt, failures, queued),
        None if options is None else _options_of(options),
        *(details, started),
    )


def _options_of(row: Any) -> ActivityOptions:
    session, priority, limit, queue_timeout, heartbeat = row
    return ActivityOptions(session, priority, limit, queue_timeout, heartbeat)


def instance_of(row: Any) -> InstanceInfo:
    """Read an instance."""
    # Apart by place: by name took as long as all the rest of reading a result.
    instance, tenant, name, version, execution, phase, created, finished, parent = row[:9]
    output, failure, custom_status, custom_version, block_reason, block_message = row[9:15]
    length, cancelled, attributes, limit, awaits_limit = row[15:]
    return InstanceInfo(
        *(instance, tenant, name, version, execution, PHASES[phase], created, finished, parent),
        output,
        None if failure is None else decode_failure(failure),
        custom_status,
        custom_version,
        None if block_reason is None else Block(block_reason, block_message or ""),
        length,
        cancelled,
        attributes,
        limit,
        awaits_limit,
    )


def until(now: datetime, due: datetime | None) -> timedelta | None:
    """Time from `now` to `due`; never negative."""
    return None if due is None else max(due - now, timedelta(0))
