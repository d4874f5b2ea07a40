"""Handing in how activities ended.

One lane, with one call in flight at most: what ends while a call is under way goes with the next.
Whatever storage can never take is found out one by one, and its activity fails with that as the
reason; the others of its list are not held up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from perdure.dispatch.attempts import Attempt
from perdure.dispatch.progress import Progress
from perdure.dispatch.storage import Alarm, Storage
from perdure.errors import PerdureError, ProviderError
from perdure.model.failure import Failure, FailureCategory
from perdure.providers.work import (
    AbandonActivity,
    ActivityDeferred,
    ActivityEnd,
    ActivityFailed,
    ActivityLease,
    ActivityResult,
    ActivityRetried,
    FinishOutcome,
)
from perdure.telemetry import Metrics

__all__ = ["FINISHES_MAX", "HandingIn"]

_LOG = logging.getLogger("perdure.activities")
FINISHES_MAX = 500
_UNSTORABLE = "UnstorableResult"


@dataclass(frozen=True, slots=True)
class _Ended:
    """What storage is to be told about one activity; without an attempt if no body ran."""

    lease: ActivityLease
    end: ActivityEnd
    attempt: Attempt | None


class HandingIn:
    """Takes ends and activities to be handed back, and tells storage of them.

    Args:
        storage: Whom to tell.
        alarm: Rung when something that was handed in will be due again.
        progress: What an attempt told is kept before its end is told.
        metrics: Where lost leases are counted.
        on_settled: Called with each attempt that storage has been told of.
        on_step: Called whenever something was handed in.
        on_task: Called with every task that hands in, for its errors.
    """

    def __init__(
        self,
        storage: Storage,
        alarm: Alarm,
        progress: Progress,
        metrics: Metrics,
        *,
        on_settled: Callable[[Attempt], None],
        on_step: Callable[[], None],
        on_task: Callable[[asyncio.Task[None]], None],
    ) -> None:
        self._storage = storage
        self._alarm = alarm
        self._progress = progress
        self._metrics = metrics
        self._on_settled = on_settled
        self._on_step = on_step
        self._on_task = on_task
        self._ended: list[_Ended] = []
        self._back: list[tuple[AbandonActivity, Attempt | None]] = []
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many ends wait to be told."""
        return len(self._ended)

    @property
    def is_idle(self) -> bool:
        """True when all that was given has been told."""
        return self._task is None

    def finish(self, lease: ActivityLease, end: ActivityEnd, attempt: Attempt | None) -> None:
        """Tell how one activity ended."""
        self._ended.append(_Ended(lease, end, attempt))
        self._begin()

    def hand_back(self, activity: AbandonActivity, attempt: Attempt | None) -> None:
        """Give one activity to others."""
        self._back.append((activity, attempt))
        self._begin()

    async def close(self) -> None:
        """Tell nothing more."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _begin(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="perdure-activities-in")
            self._on_task(self._task)

    async def _run(self) -> None:
        try:
            while self._ended or self._back:
                if self._ended:
                    batch, self._ended = self._ended[:FINISHES_MAX], self._ended[FINISHES_MAX:]
                    await self._progress.flush(_going_on(batch))
                    await self._finish(batch)
                    self._on_step()
                if self._back:
                    back, self._back = self._back, []
                    await self._progress.flush([each for _, each in back if each is not None])
                    await self._hand_back([activity for activity, _ in back])
        finally:
            self._task = None
            self._on_step()

    async def _finish(self, batch: Sequence[_Ended]) -> None:
        results = [ActivityResult(ended.lease, ended.end) for ended in batch]
        try:
            outcomes = await self._storage.persist(
                "finish_activities", partial(self._storage.provider.finish_activities, results)
            )
        except PerdureError as error:
            await self._finish_apart(batch, error)
            return
        for ended, outcome in zip(batch, outcomes, strict=True):
            attempt = ended.attempt
            if isinstance(ended.end, ActivityRetried):
                self._alarm.due_in(ended.end.delay.total_seconds())
            if attempt is None:
                continue
            self._on_settled(attempt)
            if outcome is FinishOutcome.LOST and not _may_be_over(ended, attempt):
                self._metrics.count("perdure_leases_lost_total", "activity")
                _LOG.warning("a result was refused: the lease is over", extra=attempt.about())

    async def _finish_apart(self, batch: Sequence[_Ended], error: PerdureError) -> None:
        """Something in there cannot be stored, ever: find out what, and do the rest."""
        if len(batch) > 1:
            for single in batch:
                await self._finish([single])
            return
        (ended,) = batch
        if isinstance(ended.end, ActivityFailed) and ended.end.failure.type == _UNSTORABLE:
            _LOG.error(
                "the end of an activity cannot be stored: its lease will run out",
                extra=ended.attempt.about() if ended.attempt is not None else {},
            )
            if ended.attempt is not None:
                self._on_settled(ended.attempt)
            return
        failure = Failure(
            FailureCategory.APPLICATION,
            _UNSTORABLE,
            f"what the activity ended with cannot be stored: {error}",
            retryable=False,
        )
        await self._finish([_Ended(ended.lease, ActivityFailed(failure), ended.attempt)])

    async def _hand_back(self, activities: Sequence[AbandonActivity]) -> None:
        try:
            await self._storage.persist(
                "abandon_activities",
                partial(self._storage.provider.abandon_activities, activities),
            )
        except ProviderError as error:
            _LOG.warning("activities were not handed back (%s): their leases will run out", error)
            return
        for activity in activities:
            self._alarm.due_in(activity.delay.total_seconds())


def _going_on(batch: Sequence[_Ended]) -> list[Attempt]:
    """Pick the attempts of which somebody will want to know how far they were."""
    return [
        ended.attempt
        for ended in batch
        if ended.attempt is not None and isinstance(ended.end, ActivityRetried | ActivityDeferred)
    ]


def _may_be_over(ended: _Ended, attempt: Attempt) -> bool:
    """Tell whether a lost lease is no surprise: cancelled, or finished by the token's holder."""
    return attempt.context.is_cancelled or isinstance(ended.end, ActivityDeferred)
