"""Cancelling what an instance no longer wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure.providers.sqlite.statements import statements

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perdure.providers.sqlite.transaction import Transaction

__all__ = ["answer_late", "cancel_activity", "drop_everything"]

_SQL = statements("cancelling")
_ENDED_REASON = "The execution ended"


def cancel_activity(
    tx: Transaction, instance: str, execution: int, operation: str, reason: str
) -> None:
    """Cancel one activity, if it is still there."""
    found = tx.execute(_SQL["activity"], (tx.now, instance, execution, operation)).fetchall()
    _cancel(tx, instance, reason, found)


def drop_everything(tx: Transaction, instance: str) -> None:
    """Cancel all activities and timers of an execution that is over."""
    found = tx.execute(_SQL["activities"], (tx.now, instance)).fetchall()
    _cancel(tx, instance, _ENDED_REASON, found)
    tx.execute(_SQL["delete_timers"], (instance,))


def answer_late(tx: Transaction, instance: str, failure: str) -> None:
    """Answer the updates that no code will see any more."""
    if tx.execute(_SQL["answer_late"], (failure, instance)).rowcount:
        tx.tell(f"n{instance}")


def _cancel(tx: Transaction, instance: str, reason: str, found: Iterable[tuple[Any, ...]]) -> None:
    """Delete what nobody has leased; mark the rest, whose executors learn of it when renewing."""
    for key, is_leased, limit_key in found:
        if is_leased:
            tx.execute(_SQL["cancel_activity"], (reason, key))
            tx.tell(f"c{instance}")
        else:
            tx.execute(_SQL["delete_activity"], (key,))
            if limit_key is not None:
                tx.gates[limit_key] = None
