"""Committing turns: each whole or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from perdure.model.codec import encode_failure, encode_started
from perdure.model.failure import Failure, FailureCategory
from perdure.model.records import Outcome, RecordKind
from perdure.providers.sqlite.cancelling import answer_late, cancel_activity, drop_everything
from perdure.providers.sqlite.messages import answer_to, parent_operation, send
from perdure.providers.sqlite.rows import ENDED, later, micros, retry_text, span
from perdure.providers.sqlite.sessions import kind_of
from perdure.providers.sqlite.statements import statements
from perdure.providers.sqlite.steering import end_tree
from perdure.providers.work import CommitOutcome, EnqueueOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.model.options import ActivityOptions
    from perdure.model.records import StartedBody
    from perdure.providers.sqlite.transaction import Transaction
    from perdure.providers.work import NewActivity, TurnCommit

__all__ = ["commit_turns"]

_SQL = statements("commits")
_ACTIVITY_SQL = statements("activities")
_MESSAGE_SQL = statements("messages")
_ID_TAKEN = encode_failure(
    Failure(
        category=FailureCategory.APPLICATION,
        type="InstanceExistsError",
        message="the id of this sub-orchestration belongs to another instance; choose another id",
        retryable=False,
    )
)


_INSTANCE_OVER = encode_failure(
    Failure(
        category=FailureCategory.APPLICATION,
        type="InstanceEndedError",
        message="the instance ended before it saw this update",
        retryable=False,
    )
)


def commit_turns(tx: Transaction, commits: Sequence[TurnCommit]) -> Sequence[CommitOutcome]:
    """Apply turns."""
    return [_commit(tx, commit) for commit in commits]


def _commit(tx: Transaction, commit: TurnCommit) -> CommitOutcome:
    instance = commit.instance
    row = tx.execute(_SQL["leased"], (instance, commit.token, tx.now)).fetchone()
    if row is None:
        found = tx.execute(_SQL["was_committed"], (instance, commit.token)).fetchone()
        return CommitOutcome.LOST if found is None else CommitOutcome.COMMITTED
    place, seq, upto, position, is_watched, _ = row
    ending = commit.ending
    tx.execute(
        _SQL["add_turn"],
        (instance, seq, commit.execution, commit.body, tx.now, commit.token),
    )
    if ending is None:
        is_late = seq > upto + 1
        tx.execute(_SQL["go_on"], (commit.version, tx.now if is_late else None, place))
        if is_late:
            tx.tell("t")
    _keep_for_readers(tx, commit)
    _schedule(tx, commit)
    if ending is not None:
        drop_everything(tx, instance)
        if ending.outcome is Outcome.CONTINUED_AS_NEW and commit.next_execution is not None:
            _continue(tx, commit, commit.next_execution, row)
        else:
            _end(tx, commit, place, seq)
    _send(tx, commit)
    for child in commit.terminate:
        parent = tx.execute(_SQL["parent_of"], (child,)).fetchone()
        if parent is not None and parent[0] == instance:
            end_tree(tx, child, "its parent ended")
    is_over = ending is not None and ending.outcome is not Outcome.CONTINUED_AS_NEW
    if is_watched and (is_over or commit.custom_status is not None or position == 0):
        tx.mark_changed(instance)
    return CommitOutcome.COMMITTED


def _keep_for_readers(tx: Transaction, commit: TurnCommit) -> None:
    """Write what others may read of the instance: status, keys, attributes, answers."""
    instance = commit.instance
    if commit.custom_status is not None:
        tx.execute(_SQL["set_status"], (commit.custom_status.value, instance))
    if commit.clear_keys:
        tx.execute(_SQL["clear_keys"], (instance,))
    for write in commit.keys:
        if write.value is None:
            tx.execute(_SQL["clear_key"], (instance, write.key))
        else:
            tx.execute(_SQL["set_key"], (instance, write.key, write.value, tx.now))
    if commit.attributes is not None:
        (text,) = tx.execute(_SQL["attributes"], (instance,)).fetchone()
        merged: dict[str, object] = json.loads(text or "{}") | json.loads(commit.attributes)
        kept = {key: value for key, value in merged.items() if value is not None}
        compact = json.dumps(kept, ensure_ascii=False, separators=(",", ":")) if kept else None
        tx.execute(_SQL["set_attributes"], (compact, instance))
    for answer in commit.answers:
        failure = None if answer.failure is None else encode_failure(answer.failure)
        tx.execute(_SQL["answer_update"], (instance, answer.update, answer.result, failure))
        tx.tell(f"n{instance}")


def _schedule(tx: Transaction, commit: TurnCommit) -> None:
    instance, execution = commit.instance, commit.execution
    for new in commit.activities:
        _add_activity(tx, instance, execution, new)
    for timer in commit.timers:
        due = micros(timer.fire_at)
        tx.execute(_SQL["add_timer"], (instance, execution, timer.operation, due))
    for operation in commit.cancel_timers:
        tx.execute(_SQL["delete_timer"], (instance, execution, operation))
    for operation, reason in commit.cancel_activities:
        cancel_activity(tx, instance, execution, operation, reason)


def _add_activity(tx: Transaction, instance: str, execution: int, new: NewActivity) -> None:
    now, options = tx.now, new.options
    retry = None if new.retry is None else retry_text(new.retry)
    timeout = None if new.timeout is None else span(new.timeout)
    plain = (instance, execution, new.operation, new.tag, new.name)
    if options is None:
        kind = kind_of(tx, new.tag, new.name, 0, in_session=False)
        values = (*plain, kind, now, now, timeout, new.input, retry)
        tx.execute(_SQL["add_activity"], values)
        tx.tell(f"a{new.tag}")
        return
    awaits = _has_limit(tx, options)
    optional = (
        *(*plain, _kind_with(tx, new, options), None if awaits else now, now, timeout, new.input),
        *(retry, options.priority, int(awaits)),
        None if options.queue_timeout is None else later(now, options.queue_timeout),
        None if options.queue_timeout is None else span(options.queue_timeout),
        None if options.heartbeat_timeout is None else span(options.heartbeat_timeout),
        *(options.session, options.limit),
    )
    tx.execute(_SQL["add_optional_activity"], optional)
    if awaits:
        tx.gates[str(options.limit)] = None
    else:
        tx.tell(f"a{new.tag}")


def _has_limit(tx: Transaction, options: ActivityOptions) -> bool:
    if options.limit is None:
        return False
    return tx.execute(_MESSAGE_SQL["has_limit"], (options.limit,)).fetchone() is not None


def _kind_with(tx: Transaction, new: NewActivity, options: ActivityOptions) -> int | None:
    session = options.session
    if session is not None and (
        tx.execute(_ACTIVITY_SQL["owner"], (session, tx.now)).fetchone() is not None
    ):
        return None
    return kind_of(tx, new.tag, new.name, options.priority, in_session=session is not None)


# --------------------------------------------------------------------------------- ending


def _continue(
    tx: Transaction, commit: TurnCommit, following: StartedBody, row: tuple[Any, ...]
) -> None:
    """Start the next execution, right behind the TURN record.

    What came from outside while the turn ran moves behind its STARTED record; answers of
    activities, timers and children of the old execution do not.
    """
    place, seq, upto, _, _, first_seq = row
    instance, execution = commit.instance, commit.execution
    late = tx.execute(_SQL["late"], (instance, upto, seq)).fetchall()
    for back, (old, _) in enumerate(late):
        number = seq + 1 + len(late) - back
        tx.execute(_SQL["move_late"], (number, execution + 1, instance, old))
    start = (instance, seq + 1, execution + 1, int(RecordKind.STARTED), None)
    tx.execute(_MESSAGE_SQL["add_event"], (*start, encode_started(following), tx.now, commit.token))
    (started_at,) = tx.execute(_SQL["started_at"], (instance, first_seq)).fetchone()
    kept = (instance, execution, first_seq, seq, commit.version, started_at, tx.now)
    tx.execute(_SQL["keep_execution"], kept)
    is_cancelled = any(kind == RecordKind.CANCEL_REQUESTED for _, kind in late)
    tx.execute(
        _SQL["continue"],
        (
            *(seq + 2 + len(late), execution + 1, seq + 1, seq, following.name),
            *(following.version or "", int(is_cancelled), tx.now, place),
        ),
    )
    tx.execute(_SQL["rename"], (following.name, instance, following.name))
    tx.tell("t")


def _end(tx: Transaction, commit: TurnCommit, place: int, seq: int) -> None:
    ending = commit.ending
    if ending is None:
        raise AssertionError  # only called with one
    ((is_cancelled, limit_key),) = tx.execute(_SQL["end_live"], (place,)).fetchall()
    failure = None if ending.failure is None else encode_failure(ending.failure)
    tx.execute(
        _SQL["end_instance"],
        (
            *(ENDED[ending.outcome], tx.now, commit.execution, seq, commit.version, is_cancelled),
            *(ending.output, failure, commit.instance),
        ),
    )
    if limit_key is not None:
        tx.gates[limit_key] = None
    answer_late(tx, commit.instance, _INSTANCE_OVER)
    tx.tell(f"f{commit.instance}")


def _send(tx: Transaction, commit: TurnCommit) -> None:
    for message in commit.messages:
        if message.kind is RecordKind.KEY_READ:
            awaiting = (commit.instance, commit.execution, message.ref or "")
            answer_to(tx, awaiting, message.kind, message.body)
            continue
        outcome = send(tx, message, sender=commit.instance)
        start = message.start
        if outcome is not EnqueueOutcome.EXISTS or start is None or start.parent is None:
            continue
        # The id of the child is another instance's.
        operation = parent_operation(message)
        if operation is not None:
            _tell_taken(tx, commit, operation)


def _tell_taken(tx: Transaction, commit: TurnCommit, operation: str) -> None:
    is_again = commit.ending is not None and commit.next_execution is not None
    execution = commit.execution + 1 if is_again else commit.execution
    answer_to(tx, (commit.instance, execution, operation), RecordKind.CHILD_FAILED, _ID_TAKEN)
