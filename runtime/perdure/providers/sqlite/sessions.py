"""Sessions: activities that go to one executor while it lives.

A session is a row while somebody owns it. Its activities are then in no queue (`kind` is null):
their owner finds them by the session. When owning ends they go back to a queue of their own sort,
where any executor with room for one more session may find them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.providers.sqlite.rows import later, span
from perdure.providers.sqlite.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.model.ids import ExecutorId
    from perdure.providers.sqlite.transaction import Transaction
    from perdure.providers.work import SessionTerms

__all__ = ["claim", "end_sessions", "kind_of", "release_sessions", "renew_sessions", "use_session"]

_SQL = statements("activities")


def kind_of(tx: Transaction, tag: str, name: str, priority: int, *, in_session: bool) -> int:
    """Find the sort of an activity, or add it."""
    kind = (tag, name, int(in_session), priority)
    row = tx.execute(_SQL["kind"], kind).fetchone() or tx.execute(_SQL["add_kind"], kind).fetchone()
    return int(row[0])


def claim(tx: Transaction, session: str, executor: ExecutorId, terms: SessionTerms) -> None:
    """Make an executor the owner of a session that nobody owns."""
    tx.execute(_SQL["own"], (session, executor, later(tx.now, terms.lease), tx.now))
    tx.execute(_SQL["close_session"], (session,))


def use_session(tx: Transaction, session: str) -> None:
    """Note that an activity of a session was leased, renewed or finished."""
    tx.execute(_SQL["use"], (tx.now, session))


def end_sessions(tx: Transaction) -> None:
    """Open the sessions whose owner has not renewed them in time."""
    for (session,) in tx.execute(_SQL["ended"], (tx.now,)).fetchall():
        _open(tx, session)


def _open(tx: Transaction, session: str) -> None:
    tx.execute(_SQL["disown"], (session,))
    for key, tag, name, priority, due in tx.execute(_SQL["of_session"], (session,)).fetchall():
        kind = kind_of(tx, tag, name, priority, in_session=True)
        tx.execute(_SQL["set_kind"], (kind, key))
        if due is not None and due <= tx.now:
            tx.tell(f"a{tag}")


def renew_sessions(tx: Transaction, executor: ExecutorId, terms: SessionTerms) -> Sequence[str]:
    """Keep the sessions of this executor that are in use; return those it now owns."""
    end_sessions(tx)
    kept: list[str] = []
    end, idle_from = later(tx.now, terms.lease), tx.now - span(terms.idle)
    for session, used in tx.execute(_SQL["owned"], (executor, tx.now)).fetchall():
        if used > idle_from:
            tx.execute(_SQL["keep_owning"], (end, session))
            kept.append(session)
        else:
            _open(tx, session)
    return kept


def release_sessions(tx: Transaction, executor: ExecutorId) -> None:
    """Own no session any more."""
    for (session,) in tx.execute(_SQL["all_owned"], (executor,)).fetchall():
        _open(tx, session)
