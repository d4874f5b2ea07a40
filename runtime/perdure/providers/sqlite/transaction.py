"""One transaction, as the verbs see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from perdure.providers.sqlite.rows import micros
from perdure.providers.sqlite.statements import statements

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

__all__ = ["Execute", "Terms", "Transaction"]

_SQL = statements("messages")
_MARK_CHANGED = _SQL["mark_changed"]


def system_clock() -> datetime:
    """Read the machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a provider was told of how to work."""

    clock: Callable[[], datetime] = system_clock
    inbox_limit: int = 10_000
    keep_early: timedelta = timedelta(days=7)
    busy_seconds: float = 10.0
    """How long to wait for whoever writes."""


class Execute(Protocol):
    """`sqlite3.Connection.execute`."""

    def __call__(self, sql: str, parameters: Sequence[Any] = ..., /) -> sqlite3.Cursor:
        """Run one statement."""
        ...


class Transaction:
    """Statements, the time, and what is to be done at the end.

    The time is read once, when the file is locked for writing: so the times of two transactions
    are in the order of the transactions.
    """

    __slots__ = ("execute", "gates", "is_wanted", "lines", "now", "terms")

    def __init__(self, execute: Execute, terms: Terms) -> None:
        self.execute = execute
        self.terms = terms
        self.now = micros(terms.clock())
        self.is_wanted = True
        """False: to be rolled back at the end."""
        self.lines: dict[str, None] = {}
        """News, to be posted after the commit."""
        self.gates: dict[str, None] = {}
        """Keys of limits where something came or went, to be looked at before the commit."""

    def look_at_the_clock(self) -> None:
        """Take what time it is now, where a transaction has been open for long."""
        self.now = micros(self.terms.clock())

    def tell(self, line: str) -> None:
        """Add a line of news."""
        self.lines[line] = None

    def mark_changed(self, instance: str) -> None:
        """Put a watched instance at the end of the change feed."""
        self.execute(_MARK_CHANGED, (instance,))
        self.lines["w"] = None
