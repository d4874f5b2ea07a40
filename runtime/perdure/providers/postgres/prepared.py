"""A connection that has its prepared statements at hand.

The driver remembers statements, too, but its way to them by the text of a query is long: a call of
a quiet process took a twelfth less processor time without it, and every step is such calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncpg.prepared_stmt import PreparedStatement

    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    _Connection = asyncpg.Connection

__all__ = ["PreparedConnection"]


class PreparedConnection(_Connection):
    """Runs the same few statements again and again."""

    __slots__ = ("_at_hand",)

    async def run(self, query: str, args: Sequence[object]) -> Sequence[asyncpg.Record]:
        """Run one statement, prepared once.

        Raises what the driver does; once, when a migration changed what a statement returns. It is
        prepared anew after that.
        """
        at_hand = self._statements()
        statement = at_hand.get(query)
        if statement is None:
            statement = at_hand[query] = await self.prepare(query)
        try:
            return await statement.fetch(*args)
        except (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError):
            at_hand.clear()
            raise

    def _statements(self) -> dict[str, PreparedStatement[asyncpg.Record]]:
        # Made when first asked for: the arguments of the driver's constructor are its own affair.
        try:
            return self._at_hand
        except AttributeError:
            self._at_hand: dict[str, PreparedStatement[asyncpg.Record]] = {}
            return self._at_hand
