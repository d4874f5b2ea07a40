"""One attempt at an activity: its body, and all the ways in which it can end.

Two things end separately. The *decision* is what storage will be told; it is made once, and what
comes later is ignored. The *body* is user code, which ends when it likes: a coroutine can be
cancelled but may refuse, and a thread cannot be ended at all. As long as the body runs it occupies
its slot, whatever was decided.

=================  ==========================  =====================================
what happens       decision                    the body
=================  ==========================  =====================================
it returns         completed, or deferred if
                   it asked for that
it raises          by the retry policy
attempt timeout,   by the retry policy, now    token set, task cancelled now
heartbeat missing
cancelled          discarded: when the body    token set; task cancelled after the
                   ends, or after the grace    grace
lease lost         none: it is another's now   token set; task cancelled after the
                                               grace
shutdown           what the body gives, or     token set; task cancelled after the
                   handed back                 grace
=================  ==========================  =====================================

All waiting is by the loop's clock, so that a loop whose time is made up drives attempts too.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, cast

from perdure.dispatch.body_threads import Bodies
from perdure.dispatch.context import RunningContext
from perdure.dispatch.failures import (
    after_failure,
    describe,
    heartbeat_missed,
    names_of,
    timed_out,
    where,
)
from perdure.dispatch.transactions import run_in_transaction
from perdure.dispatch.verdicts import Decision, Verdict
from perdure.model.failure import Failure, FailureCategory
from perdure.providers.administration import TransactionProvider
from perdure.providers.work import (
    ActivityCompleted,
    ActivityDeferred,
    ActivityDiscarded,
    ActivityEnd,
    ActivityFailed,
    ActivityLease,
    LeasedActivity,
)
from perdure.replay.activity_context import ActivityClient, LeftError
from perdure.replay.definitions import Activity

__all__ = ["Attempt", "Surroundings"]

_LOG = logging.getLogger("perdure.activities")
_ZERO = timedelta(0)
_TIMEOUT_NAMES = frozenset({"TimeoutError", "OSError", "Exception", "BaseException"})


class _BodyExitError(Exception):
    """A body raised what would end the process."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all attempts of one dispatcher share."""

    grace: timedelta
    """From a cancellation to the cancellation of the task."""
    dice: random.Random
    """For the jitter of retries."""
    bodies: Bodies
    """Where sync bodies run."""
    client: ActivityClient | None
    transactions: TransactionProvider
    on_progress: Callable[[Attempt], None]
    """Called when there are details of a heartbeat to be kept."""
    on_decision: Callable[[Attempt, Decision], None]
    """Called once, with what storage is to be told."""
    on_body_end: Callable[[Attempt], None]
    """Called once, when the slot is free."""


class Attempt:
    """Runs one body. All methods belong to the loop's thread.

    Args:
        leased: What to run.
        activity: Its definition.
        around: What it shares with others.
        spent: Since the first attempt began, until this one.
    """

    def __init__(
        self,
        leased: LeasedActivity,
        activity: Activity[..., object],
        around: Surroundings,
        spent: timedelta = _ZERO,
    ) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self.leased = leased
        self.lease = lease = ActivityLease(
            leased.instance, leased.execution, leased.operation, leased.token
        )
        self.context = RunningContext(
            leased, lease, loop=loop, client=around.client, on_progress=self._has_progress
        )
        self.renewed_at = self.started_at = self.context.beaten_at
        self.decision: Decision | None = None
        self.is_body_running = False
        self._activity = activity
        self._around = around
        self._spent = spent
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heart: asyncio.TimerHandle | None = None
        self._is_unwanted = False
        self._is_shutting_down = False

    def start(self) -> None:
        """Start the body."""
        activity = self._activity
        self.is_body_running = True
        try:
            arguments = activity.decode_arguments(self.leased.input)
        except Exception as error:  # noqa: BLE001  types are user code, too
            self._decide(ActivityFailed(_unreadable(error)))
            self._body_ended()
            return
        timeout, options = self.leased.timeout, self.leased.options
        if timeout is not None:
            self._timer = self._loop.call_later(timeout.total_seconds(), self._time_out, timeout)
        if options is not None and options.heartbeat_timeout is not None:
            self._feel_pulse(options.heartbeat_timeout)
        if activity.is_async:
            self._task = self._loop.create_task(self._coroutine(arguments))
            self._task.add_done_callback(self._task_done)
        else:
            self._around.bodies.submit(copy_context(), lambda: self._in_thread(arguments))

    # ------------------------------------------------------------------ from outside

    def cancel(self, reason: str) -> None:
        """The result is not wanted any more."""
        if self._is_unwanted or self.decision is not None:
            return
        self._is_unwanted = True
        self.context.cancel(reason)
        self._after_grace(self._discard)

    def lose(self) -> None:
        """Storage gave the activity to somebody else, or it is gone."""
        if self.decision is Verdict.LOST:
            return
        self.context.cancel("the lease was lost")
        self._decide(Verdict.LOST)
        self._after_grace(self._cancel_task)

    def shut_down(self) -> None:
        """The process ends: what is not finished soon is for another executor."""
        if self.decision is None:
            self._is_shutting_down = True
            self.context.cancel("shutdown")

    def give_up(self) -> None:
        """The process ends now."""
        self._decide(ActivityDiscarded() if self._is_unwanted else Verdict.HAND_BACK)
        self._cancel_task()

    # ------------------------------------------------------------------ the body

    async def _coroutine(self, arguments: dict[str, object]) -> object:
        try:
            if not self._activity.transactional:
                return await self._awaited(arguments)
            return await run_in_transaction(
                self._around.transactions,
                self.lease,
                self.context,
                partial(self._awaited, arguments),
                self._end_of,
            )
        except (SystemExit, KeyboardInterrupt) as error:
            raise _BodyExitError from error

    async def _awaited(self, arguments: dict[str, object]) -> object:
        try:
            return await cast("Coroutine[Any, Any, object]", self._call(arguments))
        except LeftError:
            return None

    def _call(self, arguments: dict[str, object]) -> object:
        if self._activity.wants_context:
            return self._activity.fn(self.context, **arguments)
        return self._activity.fn(**arguments)

    def _in_thread(self, arguments: dict[str, object]) -> None:
        result: object = None
        error: BaseException | None = None
        try:
            result = self._call(arguments)
        except LeftError:
            pass
        except BaseException as raised:  # noqa: BLE001  told to whoever awaits the activity
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._returned, result, error)

    def _task_done(self, task: asyncio.Task[object]) -> None:
        if task.cancelled():
            self._returned(None, asyncio.CancelledError("the activity cancelled itself"))
            return
        error = task.exception()
        if isinstance(error, _BodyExitError):
            error = error.__cause__
        self._returned(None if error is not None else task.result(), error)

    def _returned(self, result: object, error: BaseException | None) -> None:
        if self.decision is None:
            if result is Verdict.FINISHED:
                self._decide(Verdict.FINISHED)
            elif self._is_unwanted:
                self._decide(ActivityDiscarded())
            elif error is None:
                self._decide(
                    cast("Decision", result)
                    if self._activity.transactional
                    else self._end_of(result)
                )
            elif self._is_shutting_down:
                self._decide(Verdict.HAND_BACK)
            else:
                self._failed(describe(error), names_of(error), where(error))
        self._body_ended()

    def _end_of(self, result: object) -> ActivityEnd:
        if self.context.deferred is not None:
            return ActivityDeferred(self.context.deferred)
        try:
            return ActivityCompleted(self._activity.encode_result(result))
        except Exception as error:  # noqa: BLE001  types are user code, too
            return ActivityFailed(replace(describe(error), retryable=False))

    def _failed(self, failure: Failure, names: frozenset[str], place: str) -> None:
        spent = self._spent + timedelta(seconds=self._loop.time() - self.started_at)
        end = after_failure(self.leased, failure, names, self._around.dice, spent)
        _LOG.warning(
            "an attempt failed" if isinstance(end, ActivityFailed) else "an attempt is retried",
            extra={**self.about(), "error": place},
        )
        self._decide(end)

    # ------------------------------------------------------------------ timers

    def _time_out(self, after: timedelta) -> None:
        self._take_too_long(timed_out(self.leased, after), "timeout")

    def _feel_pulse(self, limit: timedelta) -> None:
        """Look whether the body told of itself lately; then look again when it must have."""
        left = self.context.beaten_at + limit.total_seconds() - self._loop.time()
        if left > 0:
            self._heart = self._loop.call_later(left, self._feel_pulse, limit)
        else:
            self._take_too_long(heartbeat_missed(self.leased, limit), "heartbeat timeout")

    def _take_too_long(self, failure: Failure, reason: str) -> None:
        if self.decision is not None or self._is_unwanted:
            return
        self.context.cancel(reason)
        self._failed(failure, _TIMEOUT_NAMES | {failure.type}, failure.type)
        self._cancel_task()

    def _after_grace(self, act: Callable[[], None]) -> None:
        self._stop_timers()
        if self.is_body_running:
            self._timer = self._loop.call_later(self._around.grace.total_seconds(), act)

    def _stop_timers(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heart is not None:
            self._heart.cancel()
            self._heart = None

    def _discard(self) -> None:
        self._decide(ActivityDiscarded())
        self._cancel_task()

    def _cancel_task(self) -> None:
        if not self.is_body_running:
            return
        if self._task is not None:
            self._task.cancel()
        else:
            _LOG.warning(
                "an activity goes on after its result was given up: its thread cannot be ended "
                "and occupies a slot until it returns",
                extra=self.about(),
            )

    # ------------------------------------------------------------------ telling

    def _has_progress(self) -> None:
        if self.decision is None:
            self._around.on_progress(self)

    def _decide(self, decision: Decision) -> None:
        if self.decision is None or decision is Verdict.LOST:
            is_first = self.decision is None
            self.decision = decision
            if is_first:
                self._around.on_decision(self, decision)

    def _body_ended(self) -> None:
        self.is_body_running = False
        self._stop_timers()
        self._around.on_body_end(self)

    def about(self) -> dict[str, object]:
        """Say for the log what this is."""
        leased = self.leased
        return {
            "instance_id": leased.instance,
            "execution_id": leased.execution,
            "activity_name": leased.name,
            "activity_id": leased.operation,
            "activity_tag": leased.tag,
            "attempt": leased.attempt,
        }


def _unreadable(error: Exception) -> Failure:
    found = describe(error)
    return replace(found, category=FailureCategory.CONFIGURATION, retryable=False)
