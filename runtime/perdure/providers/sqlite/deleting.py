"""Deleting whole trees: by name, and in the order of their ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.model.ids import InstanceId
from perdure.providers.administering import Deleted, DeleteOutcome
from perdure.providers.sqlite.rows import FAREST, PHASES, micros, span
from perdure.providers.sqlite.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.providers.administering import Retire
    from perdure.providers.sqlite.transaction import Transaction

__all__ = ["RetiredPart", "delete", "retire"]

_SQL = statements("administration")
_RUNNING_MAX = 10


@dataclass(frozen=True, slots=True)
class _Gone:
    """What deleting one instance took."""

    executions: int
    records: int
    messages: int


@dataclass(frozen=True, slots=True)
class RetiredPart:
    """What one transaction of retention took, and where to go on (None: nothing is left)."""

    roots: int
    instances: int
    records: int
    after: tuple[int, str] | None


def delete(tx: Transaction, instance: InstanceId, *, force: bool) -> Deleted:
    """Delete one root with everything beneath it."""
    row = tx.execute(_SQL["parent"], (instance,)).fetchone()
    if row is None:
        return Deleted(DeleteOutcome.NOT_FOUND)
    if row[0] is not None and tx.execute(_SQL["exists"], row).fetchone() is not None:
        return Deleted(DeleteOutcome.IS_CHILD)
    tree = _tree(tx, instance)
    running = [each for each in tree if _is_live(tx, each)]
    if running and not force:
        first = tuple(InstanceId(each) for each in running[:_RUNNING_MAX])
        return Deleted(DeleteOutcome.RUNNING, running=first)
    gone = [_remove(tx, each) for each in tree]
    return Deleted(
        DeleteOutcome.DELETED,
        instances=len(gone),
        executions=sum(each.executions for each in gone),
        records=sum(each.records for each in gone),
        messages=sum(each.messages for each in gone),
    )


def retire(
    tx: Transaction, request: Retire, after: tuple[int, str], limits: tuple[int, int]
) -> RetiredPart:
    """Delete trees that have ended; `limits`: so many roots, after a look at so many ends."""
    roots_max, looks_max = limits
    before = FAREST
    if request.finished_before is not None:
        before = min(before, micros(request.finished_before))
    if request.older_than is not None:
        before = min(before, tx.now - span(request.older_than))
    roots = instances = records = looks = 0
    for row in tx.execute(_SQL["ended"], (before, *after, looks_max)).fetchall():
        finished, instance, status, tenant, name, parent = row
        looks += 1
        after = (finished, instance)
        if not _is_wanted(request, status, tenant, name) or _is_beneath(tx, instance, parent):
            continue
        tree = _tree(tx, instance)
        if any(_is_live(tx, each) for each in tree):
            continue
        records += sum(_remove(tx, each).records for each in tree)
        instances += len(tree)
        roots += 1
        if roots == roots_max:
            break
    is_last = looks < looks_max and roots < roots_max
    return RetiredPart(roots, instances, records, None if is_last else after)


def _is_wanted(request: Retire, status: int, tenant: str, name: str) -> bool:
    return (
        (not request.statuses or PHASES[status] in request.statuses)
        and request.tenant in {None, tenant}
        and request.name in {None, name}
    )


def _is_beneath(tx: Transaction, instance: str, parent: str | None) -> bool:
    """Say whether it is no root; nor is what went with its root a moment ago."""
    if parent is None:
        return False
    exists = _SQL["exists"]
    return (
        tx.execute(exists, (parent,)).fetchone() is not None
        or tx.execute(exists, (instance,)).fetchone() is None
    )


def _tree(tx: Transaction, root: str) -> Sequence[str]:
    """Find an instance and everything beneath it."""
    tree = {root: None}
    level = [root]
    while level:
        below = [
            child for each in level for (child,) in tx.execute(_SQL["children"], (each,)).fetchall()
        ]
        level = [child for child in below if child not in tree]
        tree.update(dict.fromkeys(level))
    return list(tree)


def _is_live(tx: Transaction, instance: str) -> bool:
    return tx.execute(_SQL["is_live"], (instance,)).fetchone() is not None


def _remove(tx: Transaction, instance: str) -> _Gone:
    """Delete one instance with all that is its own.

    An activity whose executor still works at it goes too: its lease is lost.
    """
    only = (instance,)
    if tx.execute(_SQL["leased_activities"], (instance, tx.now)).fetchone()[0]:
        tx.tell(f"c{instance}")
    for (key,) in tx.execute(_SQL["limits_of"], only).fetchall():
        tx.gates[key] = None
    unread = tx.execute(_SQL["unread"], only).fetchone()
    if unread is not None:
        tx.tell(f"f{instance}")
    messages = 0 if unread is None else unread[0]
    messages += tx.execute(_SQL["delete_activities"], only).rowcount
    messages += tx.execute(_SQL["delete_timers"], only).rowcount
    (executions,) = tx.execute(_SQL["count_executions"], only).fetchone()
    records = tx.execute(_SQL["delete_events"], only).rowcount
    for name in ("keys", "answers", "questions", "executions", "live", "instance"):
        tx.execute(_SQL[f"delete_{name}"], only)
    if tx.execute(_SQL["is_in_feed"], only).fetchone() is not None:
        tx.execute(_SQL["mark_gone"], (instance, tx.now))
        tx.tell("w")
    return _Gone(executions, records, messages)
