"""Bugs to be planted in the system, one at a time, each as it has happened to somebody.

A simulation that never fails proves nothing. So each of these is put in for a while, and worlds
are run until one of them finds it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from perdure.dispatch import transactions
from perdure.errors import PerdureError
from perdure.model.records import RecordKind
from perdure.providers.sqlite import activities, commits, messages, steering, transaction, turns
from perdure.providers.sqlite.statements import statements
from perdure.providers.work import EnqueueOutcome
from perdure.replay import inbox
from perdure.testing.simulation.invariants import Violation
from perdure.testing.simulation.world import simulate

WORLDS = 1000
_BUSY = statements("invariants", "perdure.testing.simulation")["busy"]


@dataclass(frozen=True)
class Bug:
    """One way to be wrong."""

    name: str
    says: str
    plant: Callable[[], AbstractContextManager[object]]


def _statement(module: Any, name: str, old: str, new: str) -> Callable[[], Any]:
    """Change a statement."""

    def plant() -> Any:
        text: str = module._SQL[name]
        if old not in text:
            raise AssertionError(f"{name} has no {old!r}")
        return patch.dict(module._SQL, {name: text.replace(old, new)})

    return plant


@contextmanager
def _no_tokens() -> Generator[None]:
    real = messages.send

    def send(tx: Any, message: Any, **options: Any) -> Any:
        return real(tx, replace(message, token=None), **options)

    with patch.object(messages, "send", send):
        yield


@contextmanager
def _busy_parents_hear_nothing() -> Generator[None]:
    real = messages.send

    def send(tx: Any, message: Any, **options: Any) -> Any:
        if message.kind in {RecordKind.CHILD_COMPLETED, RecordKind.CHILD_FAILED}:
            leased = tx.execute(_BUSY, (message.instance, tx.now)).fetchone()
            if leased is not None:
                return EnqueueOutcome.ACCEPTED
        return real(tx, message, **options)

    with patch.object(commits, "send", send):
        yield


def _reversed_unread() -> Any:
    def newest_first(item: tuple[int, object]) -> int:
        return -item[0]

    return patch.object(inbox, "_order", newest_first)


@contextmanager
def _refusals_ignored() -> Generator[None]:
    wanted = property(lambda _tx: True, lambda _tx, _value: None)
    with (
        patch.object(transaction.Transaction, "is_wanted", wanted),
        patch.object(transactions, "FinishOutcome", SimpleNamespace(LOST=None)),
    ):
        yield


BUGS = (
    Bug(
        "a commit is not fenced",
        "a replayer whose lease is over commits over what another has done since",
        _statement(commits, "leased", "lease = ? and lease_until > ?", "(lease = ? or 1 or ? > 0)"),
    ),
    Bug(
        "a result is not fenced",
        "an executor whose lease is over gives a result for another's attempt",
        _statement(activities, "leased", "lease = ? and due > ?", "(lease = ? or 1 or ? > 0)"),
    ),
    Bug(
        "what comes during a turn does not wake",
        "a message that arrives while a turn runs waits for the next one",
        _statement(
            commits, "go_on", "then null else ? end", "then null else nullif(?, due) * null end"
        ),
    ),
    Bug(
        "what comes during a continue-as-new is lost",
        "messages between the turn's start and its commit stay with the old execution",
        _statement(commits, "late", "kind in (5, 6, 9, 10)", "kind in (9, 10)"),
    ),
    Bug(
        "early messages change their order",
        "what was kept for an instance is delivered with the last first",
        _statement(messages, "early", "order by id", "order by id desc"),
    ),
    Bug(
        "messages have no tokens",
        "a message that is sent again after a lost reply is there twice",
        _no_tokens,
    ),
    Bug(
        "timers fire again",
        "a timer that has fired is not deleted",
        _statement(turns, "delete_timer", "op = ?", "op = ? and 0"),
    ),
    Bug(
        "a lost attempt stays lost",
        "the activity of a killed executor is never given to another",
        _statement(activities, "lease", "due = ?", "due = ? + 1000000000000000"),
    ),
    Bug(
        "a stale memory is trusted",
        "a replayer goes on with an execution whose turns another has taken since",
        _statement(turns, "due_live", "held and holder = ?", "(held or holder = ?)"),
    ),
    Bug(
        "carried events change their order",
        "a continue-as-new takes unread events along with the last first",
        _reversed_unread,
    ),
    Bug(
        "a refused transaction commits",
        "a transactional activity whose lease is over keeps what it has written",
        _refusals_ignored,
    ),
    Bug(
        "a busy parent hears nothing",
        "the outcome of a child is dropped while the parent takes a turn",
        _busy_parents_hear_nothing,
    ),
    Bug(
        "a terminated parent leaves its children",
        "what a terminated instance has started goes on for ever",
        _statement(steering, "children", "parent = ?", "parent = ? and 0"),
    ),
)


def worlds_to_find(bug: Bug, worlds: int = WORLDS) -> tuple[int, str] | None:
    """Return how many worlds it took, and what was said; None if none found it."""
    with bug.plant():
        for seed in range(worlds):
            try:
                simulate(seed)
            except (Violation, PerdureError, ExceptionGroup) as error:
                return seed + 1, str(error).partition("\n")[0]
    return None


def table() -> Iterator[str]:
    """Yield the lines of the table in docs/testing.md."""
    yield "| bug | what it means | found in world | by |"
    yield "| --- | --- | --- | --- |"
    for bug in BUGS:
        found = worlds_to_find(bug)
        number, said = ("never", "") if found is None else (str(found[0]), found[1])
        yield f"| {bug.name} | {bug.says} | {number} | {said[:100].replace('|', '/')} |"


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    for line in table():
        sys.stdout.write(line + "\n")
