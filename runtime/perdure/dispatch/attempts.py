"""One attempt at an activity: its body, and all the ways in which it can end.

Two things end separately. The *decision* is what storage will be told; it is made once, and what
comes later is ignored. The *body* is user code, which ends when it likes: a coroutine can be
cancelled but may refuse, and a thread cannot be ended at all. As long as the body runs it occupies
its slot, whatever was decided.

===============  ==========================  =====================================
what happens     decision                    the body
===============  ==========================  =====================================
it returns       completed
it raises        by the retry policy
attempt timeout  by the retry policy, now    token set, task cancelled now
cancelled        discarded: when the body    token set; task cancelled after the
                 ends, or after the grace    grace
lease lost       none: it is another's now   token set; task cancelled after the
                                             grace
shutdown         what the body gives, or     token set; task cancelled after the
                 handed back                 grace
===============  ==========================  =====================================
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from datetime import timedelta
from enum import Enum, auto
from typing import cast

from perdure.dispatch.body_threads import BodyThreads
from perdure.dispatch.context import RunningContext
from perdure.dispatch.failures import after_failure, describe, names_of, timed_out, where
from perdure.model.failure import Failure, FailureCategory
from perdure.providers.work import (
    ActivityCompleted,
    ActivityDiscarded,
    ActivityEnd,
    ActivityFailed,
    ActivityLease,
    LeasedActivity,
)
from perdure.replay.definitions import Activity

__all__ = ["Attempt", "Verdict"]

_LOG = logging.getLogger("perdure.activities")


class Verdict(Enum):
    """What is decided without a result."""

    LOST = auto()
    """Storage is told nothing."""
    HAND_BACK = auto()
    """Another executor is to try, and this attempt does not count."""


class _BodyExitError(Exception):
    """A body raised what would end the process."""


type Decision = ActivityEnd | Verdict


class Attempt:
    """Runs one body. All methods belong to the loop's thread.

    Args:
        leased: What to run.
        activity: Its definition.
        grace: From a cancellation to the cancellation of the task.
        dice: For the jitter of retries.
        on_decision: Called once, with what storage is to be told.
        on_body_end: Called once, when the slot is free.
    """

    def __init__(
        self,
        leased: LeasedActivity,
        activity: Activity[..., object],
        *,
        grace: timedelta,
        dice: random.Random,
        on_decision: Callable[[Attempt, Decision], None],
        on_body_end: Callable[[Attempt], None],
    ) -> None:
        self.leased = leased
        self.lease = ActivityLease(
            leased.instance, leased.execution, leased.operation, leased.token
        )
        self.renewed_at = self.started_at = time.monotonic()
        self.context = RunningContext(leased)
        self.decision: Decision | None = None
        self.is_body_running = False
        self._activity = activity
        self._grace = grace.total_seconds()
        self._dice = dice
        self._on_decision = on_decision
        self._on_body_end = on_body_end
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_unwanted = False
        self._is_shutting_down = False

    def start(self, threads: BodyThreads) -> None:
        """Start the body."""
        loop = asyncio.get_running_loop()
        self.is_body_running = True
        try:
            arguments = self._activity.decode_arguments(self.leased.input)
        except Exception as error:  # noqa: BLE001  types are user code, too
            self._decide(ActivityFailed(_unreadable(error)))
            self._body_ended()
            return
        timeout = self.leased.timeout
        if timeout is not None:
            self._timer = loop.call_later(timeout.total_seconds(), self._time_out, timeout)
        if self._activity.is_async:
            self._task = loop.create_task(self._coroutine(arguments))
            self._task.add_done_callback(self._task_done)
        else:
            threads.submit(copy_context(), lambda: self._in_thread(arguments, loop))

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
            return await cast("Coroutine[object, object, object]", self._call(arguments))
        except (SystemExit, KeyboardInterrupt) as error:
            raise _BodyExitError from error

    def _call(self, arguments: dict[str, object]) -> object:
        if self._activity.wants_context:
            return self._activity.fn(self.context, **arguments)
        return self._activity.fn(**arguments)

    def _in_thread(self, arguments: dict[str, object], loop: asyncio.AbstractEventLoop) -> None:
        result: object = None
        error: BaseException | None = None
        try:
            result = self._call(arguments)
        except BaseException as raised:  # noqa: BLE001  told to whoever awaits the activity
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._returned, result, error)

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
            if self._is_unwanted:
                self._decide(ActivityDiscarded())
            elif error is None:
                self._decide(self._completed(result))
            elif self._is_shutting_down:
                self._decide(Verdict.HAND_BACK)
            else:
                self._failed(describe(error), names_of(error), where(error))
        self._body_ended()

    def _completed(self, result: object) -> ActivityEnd:
        try:
            return ActivityCompleted(self._activity.encode_result(result))
        except Exception as error:  # noqa: BLE001  types are user code, too
            return ActivityFailed(replace(describe(error), retryable=False))

    def _failed(self, failure: Failure, names: frozenset[str], place: str) -> None:
        end = after_failure(self.leased, failure, names, self._dice)
        _LOG.warning(
            "an attempt failed" if isinstance(end, ActivityFailed) else "an attempt is retried",
            extra={**self.about(), "error": place},
        )
        self._decide(end)

    # ------------------------------------------------------------------ timers

    def _time_out(self, after: timedelta) -> None:
        if self.decision is not None or self._is_unwanted:
            return
        self.context.cancel("timeout")
        names = frozenset({"TimeoutError", "OSError", "Exception", "BaseException"})
        self._failed(timed_out(self.leased, after), names, "TimeoutError")
        self._cancel_task()

    def _after_grace(self, act: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.is_body_running:
            self._timer = asyncio.get_running_loop().call_later(self._grace, act)

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

    def _decide(self, decision: Decision) -> None:
        if self.decision is None or decision is Verdict.LOST:
            is_first = self.decision is None
            self.decision = decision
            if is_first:
                self._on_decision(self, decision)

    def _body_ended(self) -> None:
        self.is_body_running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._on_body_end(self)

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
