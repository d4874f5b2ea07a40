"""Trying again in the orchestration's own code, as duroxide does it.

The usual way is a retry policy on the activity: the executor waits and tries again, and the
history has one call and one outcome. Here each attempt is a call of its own and each wait a durable
timer, so the history shows them all and code can look in between. One rule differs: an attempt
that times out is not tried again but ends it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from perdure.errors import ActivityError
from perdure.model.failure import FailureCategory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

    from perdure.model.failure import Failure
    from perdure.model.policy import Retry
    from perdure.replay.basics import Basics

__all__ = ["call_with_retry"]


async def call_with_retry(
    ctx: Basics, name: str, retry: Retry, attempt: Callable[[], Awaitable[Any]]
) -> Any:
    """Call until it succeeds, the policy gives up, or an attempt times out.

    Raises:
        ActivityError: what the last attempt failed with.
    """
    began, attempts = ctx.engine.now, 0
    while True:
        try:
            return await attempt()
        except ActivityError as error:
            attempts += 1
            wait = _wait(retry, attempts, ctx.engine.now - began, error.failure)
            if wait is None:
                raise
            if retry.jitter:
                wait *= 1 - retry.jitter * ctx.random().random()
            ctx.logger.warning(
                "activity %r failed, attempt %d of %d: %s; the next follows in %s s",
                *(name, attempts, retry.max_attempts, error, wait.total_seconds()),
            )
        if wait:
            await asyncio.sleep(wait.total_seconds())


def _wait(
    retry: Retry, attempts: int, spent: timedelta, failure: Failure | None
) -> timedelta | None:
    if failure is not None:
        if failure.category is not FailureCategory.APPLICATION or not failure.retryable:
            return None
        if failure.type in retry.not_on:
            return None
    return retry.wait_after(attempts, spent)
