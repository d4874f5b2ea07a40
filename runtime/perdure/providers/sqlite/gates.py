"""Limits: who may go on, of those that share a key.

How many were admitted is not kept anywhere: it is the number of rows that carry the key and do
not wait, of activities in the queue and of unfinished instances. Counting stops at the limit. So
nothing can drift, whatever ends how: a row that goes makes room by being gone. Whoever adds or
deletes a row with a key notes it, and before the commit `settle` admits what there is room for.

A rate hands out moments, each one a share of the period after the one before; what is admitted is
due at its moment. Only moments of the next second are handed out: what waits longer waits here,
where a more urgent one may still overtake it, and `look_at` says when to look again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from perdure.errors import ConfigurationError
from perdure.providers.administering import Limit, LimitState
from perdure.providers.sqlite.rows import span
from perdure.providers.sqlite.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.providers.sqlite.transaction import Transaction

__all__ = ["check", "drop_limits", "look", "read_limits", "set_limits", "settle"]

_SQL = statements("activities")
_ANY_NUMBER = 1 << 62
_AHEAD = 1_000_000


def look(tx: Transaction) -> None:
    """Admit what a rate has room for by now."""
    for (key,) in tx.execute(_SQL["limits_to_look_at"], (tx.now,)).fetchall():
        tx.gates[key] = None
    settle(tx)


def settle(tx: Transaction) -> None:
    """Admit what there is room for, where something came or went."""
    for key in tx.gates:
        row = tx.execute(_SQL["limit"], (key,)).fetchone()
        if row is None:
            _admit_all(tx, key)
        else:
            _admit(tx, key, row)
    tx.gates.clear()


def _admit(tx: Transaction, key: str, terms: tuple[int | None, int | None, int, int]) -> None:
    concurrency, rate, period, next_at = terms
    room = _ANY_NUMBER if concurrency is None else concurrency - _admitted(tx, key, concurrency)
    share = 0 if rate is None else -(-period // rate)
    due = tx.now if rate is None else max(next_at, tx.now)
    is_any = True
    while room > 0 and due <= tx.now + _AHEAD and is_any:
        is_any = _admit_first(tx, key, due)
        if is_any:
            room -= 1
            due += share
    if rate is not None:
        may_wait = room > 0 and is_any
        tx.execute(_SQL["reserve"], (due, due - _AHEAD if may_wait else None, key))
        if may_wait:
            tx.tell("t")  # whoever sleeps until something is due must learn when this is


def _admit_first(tx: Transaction, key: str, due: int) -> bool:
    """Admit whoever is first of those that wait; False if nobody does."""
    activity = tx.execute(_SQL["first_waiting_activity"], (key,)).fetchone()
    instance = tx.execute(_SQL["first_waiting_instance"], (key,)).fetchone()
    if activity is not None and (instance is None or activity[:2] <= instance[:2]):
        tx.execute(_SQL["admit_activity"], (due, activity[2]))
        tx.tell(f"a{activity[3]}")
        return True
    if instance is not None:
        tx.execute(_SQL["admit_instance"], (due, due, instance[2]))
        tx.tell("t")
        return True
    return False


def _admit_all(tx: Transaction, key: str) -> None:
    while _admit_first(tx, key, tx.now):
        pass


def _admitted(tx: Transaction, key: str, most: int) -> int:
    """Count what was admitted, as far as it matters."""
    activities = tx.execute(_SQL["admitted_activities"], (key, most)).fetchone()[0]
    return int(activities + tx.execute(_SQL["admitted_instances"], (key, most)).fetchone()[0])


def set_limits(tx: Transaction, limits: Sequence[Limit]) -> None:
    """Set limits, or change them."""
    for limit in limits:
        values = (limit.key, limit.concurrency, limit.rate, span(limit.period))
        tx.execute(_SQL["set_limit"], values)
        tx.gates[limit.key] = None


def check(limit: Limit) -> None:
    """Refuse numbers that cannot be.

    Raises:
        ConfigurationError: One of them.
    """
    if limit.concurrency is not None and limit.concurrency < 0:
        msg = f"the limit {limit.key!r} has a concurrency of {limit.concurrency}; 0 admits nothing"
        raise ConfigurationError(msg)
    if limit.rate is not None and (limit.rate < 1 or limit.period.total_seconds() <= 0):
        msg = (
            f"the limit {limit.key!r} has a rate of {limit.rate} in {limit.period}; give 1 or more "
            "in more than no time, or a concurrency of 0 to admit nothing"
        )
        raise ConfigurationError(msg)


def drop_limits(tx: Transaction, keys: Sequence[str]) -> None:
    """Lift limits."""
    for key in keys:
        tx.execute(_SQL["drop_limit"], (key,))
        tx.gates[key] = None


def read_limits(tx: Transaction) -> Sequence[LimitState]:
    """Read all limits, by key."""
    return [
        LimitState(
            Limit(key, concurrency, rate, timedelta(microseconds=period)),
            running=_admitted(tx, key, _ANY_NUMBER),
            waiting=sum(
                tx.execute(_SQL[which], (key,)).fetchone()[0]
                for which in ("waiting_activities", "waiting_instances")
            ),
        )
        for key, concurrency, rate, period in tx.execute(_SQL["limits"]).fetchall()
    ]
