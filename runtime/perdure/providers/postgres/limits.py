"""The verbs of limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure.errors import ConfigurationError
from perdure.providers.administering import Limit, LimitState
from perdure.providers.postgres.base import Base

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LimitVerbs"]


class LimitVerbs(Base):
    """Set, drop, read limits."""

    async def set_limits(self, limits: Sequence[Limit]) -> None:
        """Set limits, or change them; what waits is admitted if there is room now.

        Raises:
            ConfigurationError: a number that cannot be.
        """
        if not limits:
            return
        for limit in limits:
            _check(limit)
        last = {limit.key: limit for limit in limits}
        rows = await self._call(
            "set_limits",
            self._calls.set_limits,
            [
                (key, last[key].concurrency, last[key].rate, last[key].period)
                for key in sorted(last)
            ],
            self._now(),
        )
        self._post_settled(rows[0])

    async def drop_limits(self, keys: Sequence[str]) -> None:
        """Lift limits; everything that waits for them is admitted."""
        if keys:
            rows = await self._call("drop_limits", self._calls.drop_limits, list(keys), self._now())
            self._post_settled(rows[0])

    async def read_limits(self) -> Sequence[LimitState]:
        """Read all limits, by key."""
        rows = await self._call("read_limits", self._calls.read_limits, self._now())
        return [
            LimitState(
                Limit(row["limit_key"], row["concurrency"], row["rate"], row["period"]),
                row["running"],
                row["waiting"],
            )
            for row in rows
        ]

    def _post_settled(self, answer: Any) -> None:
        lines = [f"a{tag}" for tag in answer["tags"]]
        if answer["has_turns"]:
            lines.append("t")
        self._board.post(lines)


def _check(limit: Limit) -> None:
    if limit.concurrency is not None and limit.concurrency < 0:
        msg = f"the limit {limit.key!r} has a concurrency of {limit.concurrency}; 0 admits nothing"
        raise ConfigurationError(msg)
    if limit.rate is not None and (limit.rate < 1 or limit.period.total_seconds() <= 0):
        msg = (
            f"the limit {limit.key!r} has a rate of {limit.rate} in {limit.period}; give 1 or more "
            "in more than no time, or a concurrency of 0 to admit nothing"
        )
        raise ConfigurationError(msg)
