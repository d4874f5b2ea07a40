"""Suspending, resuming, terminating: what can be done to an instance without its code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.model.codec import encode_failure, json_string
from perdure.model.failure import Failure, FailureCategory
from perdure.model.records import RecordKind
from perdure.providers.sqlite.cancelling import answer_late, drop_everything
from perdure.providers.sqlite.messages import answer_to
from perdure.providers.sqlite.statements import statements
from perdure.providers.work import ControlOutcome, ControlVerb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.providers.sqlite.transaction import Transaction
    from perdure.providers.work import Control

__all__ = ["control", "end_tree"]

_SQL = statements("steering")


def control(tx: Transaction, commands: Sequence[Control]) -> Sequence[ControlOutcome]:
    """Carry out commands, in order."""
    return [_control(tx, command) for command in commands]


def _control(tx: Transaction, command: Control) -> ControlOutcome:
    instance = command.instance
    row = tx.execute(_SQL["status"], (instance,)).fetchone()
    if row is None:
        return ControlOutcome.NOT_FOUND
    if row[0] > 0:
        return ControlOutcome.FINISHED
    match command.verb:
        case ControlVerb.TERMINATE:
            end_tree(tx, instance, command.reason)
            return ControlOutcome.DONE
        case ControlVerb.SUSPEND:
            return _parked(tx, instance, is_news=_suspend(tx, instance), is_watched=row[2])
        case ControlVerb.RESUME:
            return _parked(tx, instance, is_news=_resume(tx, instance), is_watched=row[2])


def _parked(tx: Transaction, instance: str, *, is_news: bool, is_watched: bool) -> ControlOutcome:
    if not is_news:
        return ControlOutcome.UNCHANGED
    if is_watched:
        tx.mark_changed(instance)
    return ControlOutcome.DONE


def _suspend(tx: Transaction, instance: str) -> bool:
    is_suspended = tx.execute(_SQL["live"], (instance,)).fetchone()[0]
    if not is_suspended:
        tx.execute(_SQL["suspend"], (instance,))
    return not is_suspended


def _resume(tx: Transaction, instance: str) -> bool:
    """End a suspension and a block, and count attempts anew."""
    row = tx.execute(_SQL["live"], (instance,)).fetchone()
    is_suspended, is_blocked, has_unread, _, awaits, not_before = row
    if not is_suspended and not is_blocked:
        return False
    is_due = (is_blocked or has_unread) and not awaits
    tx.execute(_SQL["resume"], (max(tx.now, not_before) if is_due else None, instance))
    tx.tell("t")
    return True


def end_tree(tx: Transaction, instance: str, reason: str) -> None:
    """Terminate one instance, and beneath it all but what was to go on without its parent.

    The parent of the one that was named is told.
    """
    row = tx.execute(_SQL["status"], (instance,)).fetchone()
    if row is None or row[0] > 0:
        return
    failure = encode_failure(
        Failure(
            category=FailureCategory.TERMINATED,
            type="Terminated",
            message=reason or "terminated",
            retryable=False,
        )
    )
    parent = row[1]
    if parent is not None:
        execution, operation = tx.execute(_SQL["link"], (instance,)).fetchone()
        if operation is not None:
            answer_to(tx, (parent, execution, operation), RecordKind.CHILD_FAILED, failure)
    level = [instance]
    while level:
        below = [
            child for each in level for (child,) in tx.execute(_SQL["children"], (each,)).fetchall()
        ]
        for each in level:
            _terminate(tx, each, reason, failure)
        level = below


def _terminate(tx: Transaction, instance: str, reason: str, failure: str) -> None:
    rows = tx.execute(_SQL["end_live"], (instance,)).fetchall()
    ((seq, execution, version, is_cancelled, is_watched, limit_key),) = rows
    tx.execute(_SQL["add_terminated"], (instance, seq, execution, json_string(reason), tx.now))
    tx.execute(
        _SQL["end_instance"], (tx.now, execution, seq, version, is_cancelled, failure, instance)
    )
    drop_everything(tx, instance)
    answer_late(tx, instance, failure)
    if limit_key is not None:
        tx.gates[limit_key] = None
    if is_watched:
        tx.mark_changed(instance)
    tx.tell(f"f{instance}")
