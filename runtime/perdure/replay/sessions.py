"""Sessions: activities that keep to one executor, because it holds something in memory for them.

A session is an id and no more. It comes to be when an executor takes the first activity of that
id, and lapses when it has been idle for the executor's time or the executor is gone; the next
activity then finds another owner. So nothing has to be opened or closed, and leaving the scope asks
for nothing: it shows where in the code the session is meant.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from uuid import UUID

from perdure.model.ids import NAME_BYTES_MAX

if TYPE_CHECKING:
    from types import TracebackType

    from perdure.replay.engine import Engine

__all__ = ["SessionScope", "session_id"]


def session_id(engine: Engine, name: str | None) -> str:
    """Make the id of a session that only this instance has.

    Without a name it is another one for every call; with one it is the same throughout the
    instance, over all its executions.
    """
    if name is None:
        return str(UUID(bytes=engine.derive("session")[:16], version=4))
    plain = f"{engine.instance}/{name}"
    if len(plain.encode()) <= NAME_BYTES_MAX:
        return plain
    return f"session-{hashlib.sha256(plain.encode()).hexdigest()}"


class SessionScope:
    """Where a session is used; see `OrchestrationContext.session`."""

    __slots__ = ("id",)

    def __init__(self, id_: str) -> None:
        """Made by `OrchestrationContext.session`."""
        self.id = id_
        """For `.options(session=...)`."""

    async def __aenter__(self) -> str:
        """Give the session's id."""
        return self.id

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Ask for nothing: the session lapses when it is idle."""
