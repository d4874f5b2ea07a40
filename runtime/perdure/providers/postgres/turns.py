"""The verbs of replay processes."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from perdure.model.codec import encode_failure
from perdure.model.failure import Failure, FailureCategory
from perdure.providers.postgres.base import Base
from perdure.providers.postgres.listen import News
from perdure.providers.postgres.rows import (
    Sorted,
    code_arrays,
    leased_turns,
    turn_rows,
    unreadable,
    until,
)
from perdure.providers.work import (
    AbandonTurn,
    CommitOutcome,
    FetchedTurns,
    Renewed,
    RenewOutcome,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from perdure.model.ids import InstanceId, LeaseToken
    from perdure.providers.postgres.rows import TurnRows
    from perdure.providers.work import FetchTurns, TurnCommit, TurnLease

__all__ = ["TurnVerbs"]

_LOG = logging.getLogger(__name__)

_NEWER_DELAY = timedelta(seconds=10)
"""How long an instance that this release cannot read stays with those who can."""

_ID_TAKEN = encode_failure(
    Failure(
        category=FailureCategory.APPLICATION,
        type="InstanceExistsError",
        message="the id of this sub-orchestration belongs to another instance; choose another id",
        retryable=False,
    )
)


_INSTANCE_OVER = encode_failure(
    Failure(
        category=FailureCategory.APPLICATION,
        type="InstanceEndedError",
        message="the instance ended before it saw this update",
        retryable=False,
    )
)


def _news(commits: Sequence[TurnCommit], rows: TurnRows) -> News:
    """What these commits change for others, if they are applied; a hint too many does no harm."""
    lines = [f"f{each.instance}" for each, ended in zip(commits, rows.ended, strict=True) if ended]
    lines.extend(f"a{tag}" for tag in frozenset[str]().union(*rows.tags))
    lines.extend(f"n{instance}" for instance in rows.answered)
    if rows.messages:
        lines.append("t")
    return News(lines, len(commits))


class TurnVerbs(Base):
    """Fetch, commit, renew, abandon turns."""

    async def fetch_turns(self, request: FetchTurns) -> FetchedTurns:
        """Lease due instances; fires timers that are due."""
        names, versions = code_arrays(request.code)
        rows = await self._call(
            "fetch_turns",
            self._calls.fetch_turns,
            request.executor,
            request.token,
            request.limit,
            request.lease,
            names,
            versions,
            request.history_bytes,
            self._now(),
        )
        last = rows[-1]
        now: datetime = last["at"]
        lines: list[str] = last["body"].split("\n") if last["body"] else []
        if last["upto"]:
            lines.append("t")  # timers fired, perhaps for what others must run
        self._board.post(lines)
        try:
            turns = leased_turns(rows[:-1], request.token, now)
        except KeyError:
            found = await self._leave(unreadable(rows), rows[:-1], request.token)
            turns = leased_turns(found, request.token, now)
        return FetchedTurns(turns=turns, next_due=until(now, last["next_due"]))

    async def _leave(
        self, instances: Collection[InstanceId], rows: Sequence[Any], token: LeaseToken
    ) -> Sequence[Any]:
        """Give back what a newer release wrote records of, for its replayers to take."""
        _LOG.warning("left to replayers of a newer release: %s", ", ".join(sorted(instances)))
        await self.abandon_turns(
            [AbandonTurn(instance, token, delay=_NEWER_DELAY) for instance in sorted(instances)]
        )
        return [row for row in rows if row[0] not in instances]

    async def commit_turns(self, commits: Sequence[TurnCommit]) -> Sequence[CommitOutcome]:
        """Apply turns. Idempotent by (instance, token)."""
        if not commits:
            return []
        batch = Sorted(commits, key=lambda commit: commit.instance)
        rows = turn_rows(batch.items)
        news = _news(batch.items, rows)
        found, told = await self._call_telling(
            "commit_turns",
            (self._calls.commit_turns, self._calls.commit_turns_telling),
            news,
            rows.locks,
            rows.turns,
            rows.activities or None,
            rows.cancels or None,
            rows.timers or None,
            rows.timer_cancels or None,
            rows.messages or None,
            _ID_TAKEN,
            rows.extras,
            _INSTANCE_OVER,
            self._keep_early,
            self._now(),
        )
        answer = found[0]
        self._post_commit(news, told, answer)
        return batch.restore(
            [CommitOutcome.COMMITTED if code else CommitOutcome.LOST for code in answer["outcomes"]]
        )

    def _post_commit(self, news: News, told: frozenset[str], answer: Any) -> None:
        lines = [] if told or not any(answer["outcomes"]) else list(news.lines)
        lines.extend(f"c{instance}" for instance in answer["cancelled"] or ())
        lines.extend(f"f{instance}" for instance in answer["finished"] or ())
        if answer["is_due"] and "t" not in told:
            lines.append("t")
        if answer["is_changed"]:
            lines.append("w")
        self._board.post(lines, items=news.items)

    async def renew_turns(self, leases: Sequence[TurnLease], lease: timedelta) -> Sequence[Renewed]:
        """Extend leases to `lease` from now."""
        if not leases:
            return []
        batch = Sorted(leases, key=lambda each: each.instance)
        rows = await self._call(
            "renew_turns",
            self._calls.renew_turns,
            [(each.instance, None, None, each.token) for each in batch.items],
            lease,
            self._now(),
        )
        return batch.restore(
            [Renewed(RenewOutcome.HELD if held else RenewOutcome.LOST) for held in rows[0][0]]
        )

    async def abandon_turns(self, turns: Sequence[AbandonTurn]) -> None:
        """Give turns back undone; leases that are over are ignored."""
        if not turns:
            return
        batch = sorted(turns, key=lambda turn: turn.instance)
        answer = (
            await self._call(
                "abandon_turns",
                self._calls.abandon_turns,
                [(turn.instance, None, None, turn.token) for turn in batch],
                [turn.delay for turn in batch],
                [turn.count_attempt for turn in batch],
                [None if turn.block is None else turn.block.reason for turn in batch],
                [None if turn.block is None else turn.block.message for turn in batch],
                self._now(),
            )
        )[0]
        lines = ["t"] if answer["is_due"] else []
        if answer["is_changed"]:
            lines.append("w")
        self._board.post(lines)
