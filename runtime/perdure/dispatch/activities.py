"""Running activities: fetch as many as there are free slots, run them, hand in how they ended.

Fetching and handing in are two lanes, each with one call in flight at most: what ends while a call
is under way goes with the next. Every activity held, running or waiting to be handed in, has its
lease renewed, all of them in one call.

Stopping is a sequence: fetch nothing more; let what runs finish for the drain time; tell what still
runs that the process shuts down, and give it the grace; hand back what is left, to be run by
another executor at once, the attempt not counted. Nothing is waited for longer than that.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import assert_never

from perdure.dispatch.attempts import Attempt, Decision, Verdict
from perdure.dispatch.body_threads import BodyThreads
from perdure.dispatch.settings import ActivitySettings
from perdure.dispatch.storage import Alarm, Pulse, Storage
from perdure.errors import NotRegisteredError, PerdureError, ProviderError
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import ExecutorId, InstanceId, LeaseToken
from perdure.providers.protocol import Provider
from perdure.providers.work import (
    AbandonActivity,
    ActivitiesHint,
    ActivityCompleted,
    ActivityDiscarded,
    ActivityEnd,
    ActivityFailed,
    ActivityLease,
    ActivityResult,
    ActivityRetried,
    CancelHint,
    FetchActivities,
    FinishOutcome,
    LeasedActivity,
    RenewOutcome,
    ResyncHint,
)
from perdure.replay.registry import Registry
from perdure.telemetry import Metrics

__all__ = ["ActivityDispatcher"]

_LOG = logging.getLogger("perdure.activities")
_FINISHES_MAX = 500
_HAND_IN_LAST = timedelta(seconds=5)
_UNKNOWN_DELAY = timedelta(seconds=5)
_UNSTORABLE = "UnstorableResult"
_SILENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Ended:
    """What storage is to be told about one activity; without an attempt if no body ran."""

    lease: ActivityLease
    end: ActivityEnd
    attempt: Attempt | None


class ActivityDispatcher:
    """Runs activities of `settings.tags`, by the definitions in `registry`.

    `run` works until `drain` is called; neither raises because storage is away.
    """

    def __init__(
        self,
        provider: Provider,
        registry: Registry,
        settings: ActivitySettings | None = None,
        *,
        executor: ExecutorId | None = None,
        metrics: Metrics | None = None,
        dice: random.Random | None = None,
    ) -> None:
        self._dice = dice or random.Random()  # noqa: S311  for waits; tokens are made elsewhere
        self.executor = executor or ExecutorId(secrets.randbits(63))
        self._registry = registry
        self._names = [each.name for each in registry.activities]
        self._settings = settings or ActivitySettings()
        self._metrics = metrics or Metrics()
        self._storage = Storage(provider, self._metrics, self._dice)
        self._alarm = Alarm(self._settings.poll, self._dice)
        self._threads = BodyThreads(self._settings.slots)
        self._held: set[Attempt] = set()
        self._busy = 0
        self._changed = asyncio.Event()
        self._decided: list[_Ended] = []
        self._handed_back: list[AbandonActivity] = []
        self._handing_in: asyncio.Task[None] | None = None
        self._broken: asyncio.Future[None]
        self._renew_now: set[InstanceId] | None = None
        self._renewal = asyncio.Event()
        self._draining = asyncio.Event()
        self._hurry = asyncio.Event()
        self._ended = asyncio.Event()
        self._metrics.set("perdure_slots", self._settings.slots)

    @property
    def pulse(self) -> Pulse:
        """When storage was last asked and answered."""
        return self._storage.pulse

    @property
    def busy(self) -> int:
        """Slots that are taken."""
        return self._busy

    async def drain(self, *, hurry: bool = False) -> None:
        """Stop as the module tells, and return when that is done; `hurry` skips the drain time."""
        self._draining.set()
        if hurry:
            self._hurry.set()
        self._alarm.ring()
        self._changed.set()
        await self._ended.wait()

    async def run(self) -> None:
        """Run activities until drained."""
        self._broken = asyncio.get_running_loop().create_future()
        work = asyncio.create_task(self._work(), name="perdure-activities")
        helpers = [
            asyncio.create_task(self._listen(), name="perdure-activities-hints"),
            asyncio.create_task(self._keep_leases(), name="perdure-activities-leases"),
        ]
        try:
            waits: list[asyncio.Future[None]] = [work, *helpers, self._broken]
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            tasks = [work, *helpers, *([self._handing_in] if self._handing_in else [])]
            for task in tasks:
                task.cancel()
            self._broken.cancel()
            for attempt in [*self._held]:
                attempt.give_up()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._threads.close()
            self._ended.set()

    # ------------------------------------------------------------------ fetching

    async def _work(self) -> None:
        settings = self._settings
        while not self._draining.is_set():
            free = settings.slots - self._busy
            if free <= 0 or len(self._decided) > settings.slots + _FINISHES_MAX:
                self._changed.clear()
                await self._changed.wait()
                continue
            fetched = await self._fetch(free)
            for leased in fetched:
                self._start(leased)
            self._metrics.set("perdure_slots_busy", self._busy)
            if len(fetched) < free and not self._draining.is_set():
                await self._alarm.sleep()
        await self._stop()

    async def _fetch(self, limit: int) -> Sequence[LeasedActivity]:
        request = FetchActivities(
            executor=self.executor,
            token=LeaseToken(secrets.randbits(63)),
            tags=self._settings.tags,
            limit=limit,
            lease=self._settings.lease,
            names=self._names,
        )
        self._alarm.before_fetch()
        fetched = await self._storage.insist(
            "fetch_activities",
            partial(self._storage.provider.fetch_activities, request),
            self._draining,
        )
        if fetched is None:
            return ()
        self._alarm.after_fetch(len(fetched.activities), fetched.next_due)
        return fetched.activities

    def _start(self, leased: LeasedActivity) -> None:
        settings = self._settings
        lost = leased.attempt - leased.failures
        if leased.failures == 0 and lost == 1:
            waited = (datetime.now(UTC) - leased.queued_at).total_seconds()
            tag = leased.tag or "(untagged)"
            self._metrics.observe("perdure_activity_queue_seconds", max(waited, 0.0), tag)
        try:
            activity = self._registry.activity(leased.name)
        except NotRegisteredError:
            self._hand_back_unknown(leased)
            return
        if lost > settings.deliveries_max:
            self._fail_unrun(leased, _poison(leased, lost - 1))
            return
        attempt = Attempt(
            leased,
            activity,
            grace=settings.cancel_grace,
            dice=self._dice,
            on_decision=self._on_decision,
            on_body_end=self._on_body_end,
        )
        self._held.add(attempt)
        self._busy += 1
        attempt.start(self._threads)

    def _hand_back_unknown(self, leased: LeasedActivity) -> None:
        """Leave it to whoever has its code: not asked for, but another provider may differ."""
        _LOG.warning(
            "an activity is not known here: handed back",
            extra={
                "instance_id": leased.instance,
                "activity_name": leased.name,
                "activity_tag": leased.tag,
            },
        )
        self._handed_back.append(AbandonActivity(_lease_of(leased), delay=_UNKNOWN_DELAY))
        self._count(leased, "unknown")
        self._hand_in_soon()

    def _fail_unrun(self, leased: LeasedActivity, failure: Failure) -> None:
        self._decided.append(_Ended(_lease_of(leased), ActivityFailed(failure), None))
        self._count(leased, "failed")
        self._hand_in_soon()

    # ------------------------------------------------------------------ attempts tell

    def _on_decision(self, attempt: Attempt, decision: Decision) -> None:
        leased = attempt.leased
        match decision:
            case Verdict.LOST:
                self._held.discard(attempt)
                self._changed.set()
                self._metrics.count("perdure_leases_lost_total", "activity")
                outcome = "lost"
            case Verdict.HAND_BACK:
                self._held.discard(attempt)
                self._handed_back.append(AbandonActivity(attempt.lease))
                outcome = "handed_back"
            case ActivityCompleted():
                outcome = "completed"
            case ActivityFailed():
                outcome = "failed"
            case ActivityRetried():
                outcome = "retried"
            case ActivityDiscarded():
                outcome = "discarded"
            case _:
                assert_never(decision)
        if not isinstance(decision, Verdict):
            self._decided.append(_Ended(attempt.lease, decision, attempt))
        self._metrics.observe(
            "perdure_activity_seconds", time.monotonic() - attempt.started_at, leased.name
        )
        self._count(leased, outcome)
        self._hand_in_soon()

    def _on_body_end(self, attempt: Attempt) -> None:  # noqa: ARG002  the signature of the callback
        self._busy -= 1
        self._changed.set()

    def _count(self, leased: LeasedActivity, outcome: str) -> None:
        self._metrics.count(
            "perdure_activities_total", leased.name, leased.tag or "(untagged)", outcome
        )

    # ------------------------------------------------------------------ handing in

    def _hand_in_soon(self) -> None:
        if self._handing_in is None:
            self._handing_in = asyncio.create_task(self._hand_in(), name="perdure-activities-in")
            self._handing_in.add_done_callback(self._failed_with)

    def _failed_with(self, task: asyncio.Task[None]) -> None:
        """A bug in a background task must end the dispatcher, not hide in a stall."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._broken.done():
            self._broken.set_exception(error)

    async def _hand_in(self) -> None:
        try:
            while self._decided or self._handed_back:
                if self._decided:
                    batch, self._decided = (
                        self._decided[:_FINISHES_MAX],
                        self._decided[_FINISHES_MAX:],
                    )
                    await self._finish(batch)
                    self._changed.set()
                if self._handed_back:
                    back, self._handed_back = self._handed_back, []
                    await self._hand_back(back)
        finally:
            self._handing_in = None
            self._changed.set()

    async def _finish(self, batch: Sequence[_Ended]) -> None:
        self._metrics.set("perdure_slots_busy", self._busy)
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
            self._held.discard(attempt)
            if outcome is FinishOutcome.LOST and not attempt.context.is_cancelled:
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
                self._held.discard(ended.attempt)
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

    # ------------------------------------------------------------------ stopping

    async def _stop(self) -> None:
        settings = self._settings
        if self._busy:
            _LOG.info("draining: %d activities are still running", self._busy)
        await self._quiet_within(settings.drain, or_when=self._hurry)
        undecided = [attempt for attempt in self._held if attempt.decision is None]
        if undecided:
            for attempt in undecided:
                attempt.shut_down()
            await self._quiet_within(settings.cancel_grace, or_when=None)
            for attempt in undecided:
                attempt.give_up()
        await self._quiet_within(_HAND_IN_LAST, or_when=None)
        if self._busy:
            _LOG.warning("%d activities were handed back while they ran", self._busy)

    async def _quiet_within(self, time_: timedelta, *, or_when: asyncio.Event | None) -> None:
        """Wait until nothing is held and all is handed in, or for so long, or for the event."""
        waits = {asyncio.create_task(self._quiet())}
        if or_when is not None:
            waits.add(asyncio.create_task(or_when.wait()))
        await asyncio.wait(
            waits, timeout=time_.total_seconds(), return_when=asyncio.FIRST_COMPLETED
        )
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    async def _quiet(self) -> bool:
        while self._held or self._handing_in is not None:
            self._changed.clear()
            await self._changed.wait()
        return True

    # ------------------------------------------------------------------ helpers

    async def _listen(self) -> None:
        tags = frozenset(self._settings.tags)
        async for hint in self._storage.hints([ActivitiesHint, CancelHint]):
            match hint:
                case ActivitiesHint(tags=due) if not tags.isdisjoint(due):
                    self._alarm.ring()
                case CancelHint(instances=instances):
                    self._renew_soon(instances)
                case ResyncHint():
                    self._alarm.ring()
                    self._renew_soon({attempt.leased.instance for attempt in self._held})
                case _:
                    pass

    def _renew_soon(self, instances: frozenset[InstanceId] | set[InstanceId]) -> None:
        self._renew_now = {*(self._renew_now or ()), *instances}
        self._renewal.set()

    async def _keep_leases(self) -> None:
        third = self._settings.lease.total_seconds() / 3
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(third / 2, _SILENCE_SECONDS)):
                    await self._renewal.wait()
            self._renewal.clear()
            asked, self._renew_now = self._renew_now or set(), None
            before = time.monotonic() - third / 2
            attempts = [
                attempt
                for attempt in self._held
                if attempt.renewed_at <= before or attempt.leased.instance in asked
            ]
            if attempts:
                await self._renew(attempts)
            elif time.monotonic() - self.pulse.asked_at > _SILENCE_SECONDS:
                # All slots are full and all leases long: is storage still there?
                with suppress(ProviderError):
                    await self._storage.call("ping", self._storage.provider.ping)

    async def _renew(self, attempts: Sequence[Attempt]) -> None:
        leases = [attempt.lease for attempt in attempts]
        asked_at = time.monotonic()
        try:
            renewed = await self._storage.call(
                "renew_activities",
                lambda: self._storage.provider.renew_activities(leases, self._settings.lease),
            )
        except ProviderError as error:
            _LOG.warning("leases of activities were not renewed: %s", error)
            return
        for attempt, result in zip(attempts, renewed, strict=True):
            attempt.renewed_at = asked_at
            if attempt not in self._held:
                continue
            match result.outcome:
                case RenewOutcome.HELD:
                    pass
                case RenewOutcome.CANCELLED:
                    attempt.cancel(result.reason or "cancelled")
                case RenewOutcome.LOST:
                    attempt.lose()
                case _:
                    assert_never(result.outcome)


def _lease_of(leased: LeasedActivity) -> ActivityLease:
    return ActivityLease(leased.instance, leased.execution, leased.operation, leased.token)


def _poison(leased: LeasedActivity, lost: int) -> Failure:
    return Failure(
        FailureCategory.POISON,
        "Poison",
        f"activity {leased.name} was given to executors {lost} times and none came back with an "
        "answer: it probably ends its process",
        retryable=False,
    )
