"""Running activities: fetch as many as there are free slots, run them, hand in how they ended.

Fetching and handing in are two lanes, each with one call in flight at most. Every activity held,
running or waiting to be handed in, has its lease renewed, all of them in one call.

Stopping is a sequence: fetch nothing more; let go of the sessions; let what runs finish for the
drain time; tell what still runs that the process shuts down, and give it the grace; hand back what
is left, to be run by another executor at once, the attempt not counted. Nothing is waited for
longer than that.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import assert_never

from perdure.dispatch.attempts import Attempt, Surroundings
from perdure.dispatch.body_threads import BodyThreads, InlineBodies
from perdure.dispatch.handing_in import FINISHES_MAX, HandingIn
from perdure.dispatch.life import Life
from perdure.dispatch.progress import Progress
from perdure.dispatch.sessions import Sessions
from perdure.dispatch.settings import ActivitySettings
from perdure.dispatch.storage import Alarm, Pulse, Storage
from perdure.dispatch.verdicts import Decision, Verdict
from perdure.errors import NotRegisteredError, ProviderError
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import ExecutorId, InstanceId, LeaseToken
from perdure.providers.protocol import Provider
from perdure.providers.work import (
    AbandonActivity,
    ActivitiesHint,
    ActivityCompleted,
    ActivityDeferred,
    ActivityDiscarded,
    ActivityFailed,
    ActivityLease,
    ActivityRetried,
    CancelHint,
    FetchActivities,
    FetchedActivities,
    LeasedActivity,
    Renewed,
    RenewOutcome,
    ResyncHint,
)
from perdure.replay.activity_context import ActivityClient
from perdure.replay.registry import Registry
from perdure.telemetry import Metrics

__all__ = ["ActivityDispatcher"]

_LOG = logging.getLogger("perdure.activities")
_HAND_IN_LAST = timedelta(seconds=5)
_UNKNOWN_DELAY = timedelta(seconds=5)
_LOST_DELAY = timedelta(seconds=0.5)
_SILENCE_SECONDS = 10.0
_ZERO = timedelta(0)


class ActivityDispatcher:
    """Runs activities of `settings.tags`, by the definitions in `registry`.

    `run` works until `drain` is called; neither raises because storage is away.

    Args:
        provider: Storage, connected.
        registry: The definitions.
        settings: How they are run.
        executor: Who this is; by default somebody new.
        client: What bodies start and send with (`ActivityContext.client`).
        metrics: Where to count.
        dice: For waits and jitter.
        draw: Makes lease tokens of so many random bits; a simulation brings its own.
    """

    def __init__(
        self,
        provider: Provider,
        registry: Registry,
        settings: ActivitySettings | None = None,
        *,
        executor: ExecutorId | None = None,
        client: ActivityClient | None = None,
        metrics: Metrics | None = None,
        dice: random.Random | None = None,
        draw: Callable[[int], int] = secrets.randbits,
    ) -> None:
        dice = dice or random.Random()  # noqa: S311  for waits; tokens are made elsewhere
        self._draw = draw
        self.executor = executor or ExecutorId(draw(63))
        self._registry = registry
        self._names = [each.name for each in registry.activities]
        self._settings = settings = settings or ActivitySettings()
        self._metrics = metrics = metrics or Metrics()
        self._life = life = Life()
        self._storage = storage = Storage(provider, metrics, dice)
        self._alarm = Alarm(settings.poll, dice)
        self._sessions = Sessions(storage, self.executor, settings, metrics)
        self._progress = Progress(
            storage,
            settings.progress,
            on_answer=self._on_answer,
            on_task=life.watch,
        )
        self._in = HandingIn(
            storage,
            self._alarm,
            self._progress,
            metrics,
            on_settled=self._let_go,
            on_step=self._has_changed,
            on_task=life.watch,
        )
        self._bodies = InlineBodies() if settings.inline else BodyThreads(settings.slots)
        self._around = Surroundings(
            grace=settings.cancel_grace,
            dice=dice,
            bodies=self._bodies,
            client=client,
            transactions=provider,
            on_progress=self._progress.note,
            on_decision=self._on_decision,
            on_body_end=self._on_body_end,
        )
        self._held: dict[Attempt, None] = {}
        self._busy = 0
        self._changed = asyncio.Event()
        self._renew_now: set[InstanceId] = set()
        self._renewal = asyncio.Event()
        self._hurry = asyncio.Event()
        metrics.set("perdure_slots", settings.slots)

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
        self._life.draining.set()
        if hurry:
            self._hurry.set()
        self._alarm.ring()
        self._changed.set()
        await self._life.ended()

    async def run(self) -> None:
        """Run activities until drained."""
        helpers = {
            "perdure-activities-hints": self._listen(),
            "perdure-activities-leases": self._keep_leases(),
        }
        try:
            await self._life.run(self._work(), helpers)
        finally:
            for attempt in [*self._held]:
                attempt.give_up()
            await self._in.close()
            await self._progress.close()
            self._bodies.close()
            self._life.end()

    # ------------------------------------------------------------------ fetching

    async def _work(self) -> None:
        settings = self._settings
        while not self._life.draining.is_set():
            free = settings.slots - self._busy
            if free <= 0 or len(self._in) > settings.slots + FINISHES_MAX:
                self._changed.clear()
                await self._changed.wait()
                continue
            fetched = await self._fetch(free)
            count = 0
            if fetched is not None:
                count = len(fetched.activities)
                self._sessions.note(fetched.activities)
                for leased in fetched.activities:
                    self._start(leased, fetched.now)
            self._metrics.set("perdure_slots_busy", self._busy)
            if count < free and not self._life.draining.is_set():
                await self._alarm.sleep()
        await self._stop()

    async def _fetch(self, limit: int) -> FetchedActivities | None:
        request = FetchActivities(
            executor=self.executor,
            token=LeaseToken(self._draw(63)),
            tags=self._settings.tags,
            limit=limit,
            lease=self._settings.lease,
            names=self._names,
            sessions=self._sessions.terms,
        )
        self._alarm.before_fetch()
        fetched = await self._storage.insist(
            "fetch_activities",
            partial(self._storage.provider.fetch_activities, request),
            self._life.draining,
        )
        if fetched is not None:
            self._alarm.after_fetch(len(fetched.activities), fetched.next_due)
        return fetched

    def _start(self, leased: LeasedActivity, now: datetime | None) -> None:
        lost = leased.attempt - leased.failures
        if leased.failures == 0 and lost == 1 and now is not None:
            waited = (now - leased.queued_at).total_seconds()
            tag = leased.tag or "(untagged)"
            self._metrics.observe("perdure_activity_queue_seconds", max(waited, 0.0), tag)
        try:
            activity = self._registry.activity(leased.name)
        except NotRegisteredError:
            self._hand_back_unknown(leased)
            return
        if lost > self._settings.deliveries_max:
            self._in.finish(_lease_of(leased), ActivityFailed(_poison(leased, lost - 1)), None)
            self._count(leased, "failed")
            return
        spent = _ZERO
        if now is not None and leased.started_at is not None:
            spent = now - leased.started_at
        attempt = Attempt(leased, activity, self._around, spent)
        self._held[attempt] = None
        self._busy += 1
        attempt.start()

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
        self._in.hand_back(AbandonActivity(_lease_of(leased), delay=_UNKNOWN_DELAY), None)
        self._count(leased, "unknown")

    # ------------------------------------------------------------------ attempts tell

    def _on_decision(self, attempt: Attempt, decision: Decision) -> None:
        if isinstance(decision, Verdict):
            self._let_go(attempt)
        else:
            self._in.finish(attempt.lease, decision, attempt)
        match decision:
            case Verdict.LOST:
                self._metrics.count("perdure_leases_lost_total", "activity")
            case Verdict.HAND_BACK:
                self._in.hand_back(AbandonActivity(attempt.lease), attempt)
            case Verdict.TRY_AGAIN:
                back = AbandonActivity(attempt.lease, delay=_LOST_DELAY, count_attempt=True)
                self._in.hand_back(back, attempt)
            case _:
                pass
        seconds = asyncio.get_running_loop().time() - attempt.started_at
        self._metrics.observe("perdure_activity_seconds", seconds, attempt.leased.name)
        self._count(attempt.leased, _outcome_of(decision))

    def _on_body_end(self, attempt: Attempt) -> None:  # noqa: ARG002  the signature of the callback
        self._busy -= 1
        self._changed.set()

    def _on_answer(self, attempt: Attempt, answer: Renewed) -> None:
        """Storage said what it thinks of an attempt."""
        if attempt not in self._held:
            return
        match answer.outcome:
            case RenewOutcome.HELD:
                pass
            case RenewOutcome.CANCELLED:
                attempt.cancel(answer.reason or "cancelled")
            case RenewOutcome.LOST:
                attempt.lose()
            case _:
                assert_never(answer.outcome)

    def _let_go(self, attempt: Attempt) -> None:
        self._held.pop(attempt, None)
        self._changed.set()

    def _has_changed(self) -> None:
        self._metrics.set("perdure_slots_busy", self._busy)
        self._changed.set()

    def _count(self, leased: LeasedActivity, outcome: str) -> None:
        self._metrics.count(
            "perdure_activities_total", leased.name, leased.tag or "(untagged)", outcome
        )

    # ------------------------------------------------------------------ stopping

    async def _stop(self) -> None:
        settings = self._settings
        await self._sessions.release()
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
        while self._held or not self._in.is_idle:
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
        self._renew_now.update(instances)
        self._renewal.set()

    async def _keep_leases(self) -> None:
        settings, loop = self._settings, asyncio.get_running_loop()
        third = settings.lease.total_seconds() / 3
        step = min(third, settings.sessions_lease.total_seconds() / 3) / 2
        # Who polls seldom hears seldom.
        silence = max(_SILENCE_SECONDS, 2 * settings.poll.total_seconds())
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(step, silence)):
                    await self._renewal.wait()
            self._renewal.clear()
            asked, self._renew_now = self._renew_now, set()
            before = loop.time() - third / 2
            attempts = [
                attempt
                for attempt in self._held
                if attempt.renewed_at <= before or attempt.leased.instance in asked
            ]
            if attempts:
                await self._renew(attempts)
            elif self._storage.silence() > silence:
                # All slots are full and all leases long: is storage still there?
                with suppress(ProviderError):
                    await self._storage.call("ping", self._storage.provider.ping)
            await self._sessions.keep()

    async def _renew(self, attempts: Sequence[Attempt]) -> None:
        leases = [attempt.lease for attempt in attempts]
        asked_at = asyncio.get_running_loop().time()
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
            self._on_answer(attempt, result)


def _lease_of(leased: LeasedActivity) -> ActivityLease:
    return ActivityLease(leased.instance, leased.execution, leased.operation, leased.token)


def _outcome_of(decision: Decision) -> str:  # noqa: PLR0911  one for each way to end
    """Name what became of an attempt, for whoever counts them."""
    match decision:
        case ActivityCompleted() | Verdict.FINISHED:
            return "completed"
        case ActivityFailed():
            return "failed"
        case ActivityRetried():
            return "retried"
        case ActivityDiscarded():
            return "discarded"
        case ActivityDeferred():
            return "deferred"
        case Verdict.HAND_BACK:
            return "handed_back"
        case Verdict.LOST | Verdict.TRY_AGAIN:
            return "lost"
        case _:
            assert_never(decision)


def _poison(leased: LeasedActivity, lost: int) -> Failure:
    return Failure(
        FailureCategory.POISON,
        "Poison",
        f"activity {leased.name} was given to executors {lost} times and none came back with an "
        "answer: it probably ends its process",
        retryable=False,
    )
